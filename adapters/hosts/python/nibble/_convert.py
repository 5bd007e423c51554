"""Dtypes and arrays, from whatever names and libraries they come."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import _nibble
from ._errors import DTypeError
from ._nibble import DType, Tensor


def dtype_of(dtype: Any) -> DType:
    """A DType from one, its name ("float32", "bf16"), or NumPy's."""
    if isinstance(dtype, DType):
        return dtype
    if isinstance(dtype, str):
        return _nibble.parse_dtype(dtype)
    if dtype in (float, int, bool):
        return {float: DType.float32, int: DType.int64, bool: DType.bool}[dtype]
    return _nibble.parse_dtype(np.dtype(dtype).name)


def numpy_dtype(dtype: DType) -> np.dtype[Any] | None:
    """NumPy's; None where it has none."""
    try:
        return np.dtype(dtype.name)
    except TypeError:
        return None


def asarray(obj: Any, /, *, dtype: Any = None, device: str | None = None, copy: bool | None = None) -> Tensor:
    """A tensor of an array, number or nested list. Shares the memory of arrays (NumPy, DLPack, the buffer protocol)
    that lie on the CPU, unless `copy`. Lists of numbers become float32, int64 or bool.

    Raises ArgumentError, DTypeError, TypeError; ValueError where copy=False and sharing is impossible."""
    if isinstance(obj, Tensor):
        result = obj
    elif isinstance(obj, np.ndarray) or not hasattr(obj, "__dlpack__"):
        result = _from_numpy(obj, copy)
    elif hasattr(obj, "__nibble__"):  # of nibble.torch, packed
        result = obj.__nibble__()
    else:
        result = from_dlpack(obj)
    if dtype is not None and dtype_of(dtype) != result.dtype:
        if copy is False:
            raise ValueError(f"{result.dtype.name} as {dtype_of(dtype).name} cannot be had without a copy")
        result = _nibble.cast(result, dtype_of(dtype))
    elif copy and not result.is_quantized:
        result = _nibble.from_bytes(_nibble.copy_out(result), result.shape, result.dtype)
    return result if device is None else result.to_device(device)


def _from_numpy(obj: Any, copy: bool | None) -> Tensor:
    array = np.asarray(obj)
    if array is not obj and not hasattr(obj, "__array_interface__"):
        if copy is False:
            raise ValueError("a tensor of Python numbers cannot be had without a copy")
        if array.dtype == np.float64 and not hasattr(obj, "__array__") and not isinstance(obj, np.generic):
            array = array.astype(np.float32)  # Python's numbers have no dtype of their own
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    if array.dtype.name in ("bfloat16", "float8_e4m3fn", "float8_e5m2"):  # of ml_dtypes: NumPy knows only their bytes
        words = array.view(np.uint16 if array.dtype.itemsize == 2 else np.uint8)
        return _nibble.from_array(words, _nibble.parse_dtype(array.dtype.name))
    if array.dtype.kind not in "biufc":
        raise DTypeError(f"[asarray] NumPy's {array.dtype}: nibble has no such dtype")
    return _nibble.from_array(array)


def from_dlpack(x: Any, /, *, device: str | None = None, copy: bool | None = None) -> Tensor:
    """A tensor over the memory of another library's array on the CPU, without a copy unless asked for. It must not be
    written to while the tensor lives.

    Raises BufferError for a capsule of a DLPack version after 1, or an array in other memory."""
    if hasattr(x, "__dlpack__"):
        try:
            x = x.__dlpack__(max_version=(1, 0))
        except TypeError:  # older than versions
            x = x.__dlpack__()
    result = _nibble.from_capsule(x)
    if copy:
        result = _nibble.from_bytes(_nibble.copy_out(result), result.shape, result.dtype)
    return result if device is None else result.to_device(device)
