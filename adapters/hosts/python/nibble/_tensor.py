"""Methods of Tensor that are written in Python: indexing, conversions, NumPy's protocols, DLPack, pickling."""

from __future__ import annotations

from typing import Any, Iterator

import numpy as np

from . import _nibble
from ._convert import asarray, dtype_of, numpy_dtype
from ._nibble import DType, Tensor


def components(x: Tensor) -> dict[str, Tensor]:
    return dict(_nibble.components(x))


def to_numpy(x: Tensor) -> np.ndarray[Any, Any]:
    if x.is_quantized:
        x = _nibble.dequantize(x)
    if x.device != "cpu":
        x = x.to_device("cpu")
    if x.dtype in (DType.bfloat16, DType.float8_e4m3fn, DType.float8_e5m2):
        x = _nibble.cast(x, DType.float32)
    array: np.ndarray[Any, Any] = _nibble.lend_numpy(x)
    return array


def array(x: Tensor, dtype: Any = None, copy: bool | None = None) -> np.ndarray[Any, Any]:
    result = to_numpy(x)
    shares = not x.is_quantized and x.device == "cpu" and numpy_dtype(x.dtype) == result.dtype
    if dtype is not None and np.dtype(dtype) != result.dtype:
        if copy is False:
            raise ValueError(f"{x.dtype.name} as {np.dtype(dtype)} cannot be had without a copy")
        return result.astype(dtype)
    if copy is False and not shares:
        raise ValueError("the values of this tensor cannot be had without a copy")
    return result.copy() if copy else result


def item(x: Tensor) -> Any:
    if x.size != 1:
        raise ValueError(f"[item] a tensor of shape {x.shape} has not one element")
    return to_numpy(x).item()


def tolist(x: Tensor) -> Any:
    return to_numpy(x).tolist()


def astype(x: Tensor, dtype: Any) -> Tensor:
    return _nibble.cast(x, dtype_of(dtype))


def dequantize(x: Tensor, dtype: Any = None) -> Tensor:
    return _nibble.dequantize(x, None if dtype is None else dtype_of(dtype))


def reshape(x: Tensor, *shape: Any) -> Tensor:
    return _nibble.reshape(x, shape[0] if len(shape) == 1 else shape)


def sum(x: Tensor, axis: Any = None, keepdims: bool = False) -> Tensor:
    return _nibble.sum(x, axis, keepdims)


def mean(x: Tensor, axis: Any = None, keepdims: bool = False) -> Tensor:
    return _nibble.mean(x, axis, keepdims)


def max(x: Tensor, axis: Any = None, keepdims: bool = False) -> Tensor:
    return _nibble.max(x, axis, keepdims)


def min(x: Tensor, axis: Any = None, keepdims: bool = False) -> Tensor:
    return _nibble.min(x, axis, keepdims)


# ---- indexing --------------------------------------------------------------------------------------------------------


def _expand_ellipsis(x: Tensor, key: tuple[Any, ...]) -> list[Any]:
    named = len([k for k in key if k is not None and k is not Ellipsis])
    if named > x.ndim:
        raise IndexError(f"{named} indices for a tensor of {x.ndim} axes")
    places = [i for i, k in enumerate(key) if k is Ellipsis]
    if len(places) > 1:
        raise IndexError("an index has one ellipsis at most")
    at = places[0] if places else len(key)
    rest = [slice(None)] * (x.ndim - named)
    return [*key[:at], *rest, *key[at + 1 :]]


def getitem(x: Tensor, key: Any) -> Tensor:
    """Integers, slices, None, an ellipsis, and at most one array of integers. Views wherever the layout allows it."""
    axis, gathered = 0, False
    for k in _expand_ellipsis(x, key if isinstance(key, tuple) else (key,)):
        if k is None:
            x = _nibble.expand_dims(x, axis)
            axis += 1
        elif isinstance(k, slice):
            if k != slice(None):
                start, stop, step = k.indices(x.shape[axis])
                if step < 0 and stop < 0:
                    stop = -x.shape[axis] - 1  # before the first
                x = _nibble.slice(x, axis, start, stop, step)
            axis += 1
        elif isinstance(k, (bool, np.bool_)):
            raise IndexError("boolean indices are not supported: where() chooses")
        elif isinstance(k, (int, np.integer)) or (isinstance(k, Tensor) and k.ndim == 0):
            x = _nibble.select(x, axis, int(k))
        else:
            if gathered:
                raise IndexError("one array of indices at most; gather more with take_along_axis")
            indices = asarray(k)
            if indices.dtype == DType.bool:
                raise IndexError("boolean indices are not supported: where() chooses")
            x = _nibble.take(x, indices, axis)
            axis += indices.ndim
            gathered = True
    return x


def iterate(x: Tensor) -> Iterator[Tensor]:
    return (_nibble.select(x, 0, i) for i in range(len(x)))


def to_bool(x: Tensor) -> bool:
    return bool(item(x))


def to_int(x: Tensor) -> int:
    return int(item(x))


def to_index(x: Tensor) -> int:
    if x.dtype in (DType.float32, DType.float16, DType.bfloat16, DType.float64, DType.bool):
        raise TypeError("only a tensor of integers is an index")
    return int(item(x))


def to_float(x: Tensor) -> float:
    return float(item(x))


# ---- other libraries -------------------------------------------------------------------------------------------------


def array_ufunc(x: Tensor, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
    from ._numpy import call_ufunc

    return call_ufunc(ufunc, method, inputs, kwargs)


def array_function(x: Tensor, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
    from ._numpy import call_function

    return call_function(func, types, args, kwargs)


def array_namespace(x: Tensor, *, api_version: str | None = None) -> Any:
    import nibble

    if api_version not in (None, "2021.12", "2022.12", "2023.12", "2024.12"):
        raise ValueError(f"there is no array API {api_version!r} here: 2024.12 at most")
    return nibble


_CPU = (1, 0)  # kDLCPU


def _require_dense(x: Tensor) -> None:
    if x.is_quantized:
        raise BufferError(
            f"[dlpack] {x.format} {x.shape}: a packed tensor has no DLPack layout; .components() exports its parts, "
            ".dequantize() its values"
        )
    if x.device != "cpu":
        raise BufferError(f"[dlpack] on {x.device}: to_device('cpu') copies it first")


def dlpack_device(x: Tensor) -> tuple[int, int]:
    _require_dense(x)
    return _CPU


def dlpack(x: Tensor, *, stream: Any = None, max_version: Any = None, dl_device: Any = None, copy: Any = None) -> Any:
    _require_dense(x)
    if stream is not None:
        raise BufferError("[dlpack] the CPU has no streams")
    if dl_device is not None and tuple(dl_device) != _CPU:
        raise BufferError(f"[dlpack] to device {dl_device}: only the CPU")
    if copy:
        x = _nibble.from_bytes(_nibble.copy_out(x), x.shape, x.dtype)
    return _nibble.lend_dlpack(x).__dlpack__(max_version=max_version)


# ---- pickling --------------------------------------------------------------------------------------------------------


def _rebuild(data: bytes, shape: tuple[int, ...], dtype: str) -> Tensor:
    return _nibble.from_bytes(data, shape, _nibble.parse_dtype(dtype))


def _rebuild_packed(
    format: str, parts: list[tuple[str, Tensor]], shape: tuple[int, ...], dtype: str, order: tuple[int, ...]
) -> Tensor:
    return _nibble.transpose(_nibble.from_components(format, parts, shape, _nibble.parse_dtype(dtype)), order)


def reduce(x: Tensor) -> tuple[Any, ...]:
    """Byte for byte: of a packed tensor its components, stored along the packed axis and turned back."""
    if not x.is_quantized:
        return _rebuild, (_nibble.copy_out(x), x.shape, x.dtype.name)
    axis = x.packed_axis
    assert axis is not None
    others = [a for a in range(x.ndim) if a != axis]
    stored = tuple(x.shape[a] for a in [*others, axis])
    order = list(range(x.ndim - 1))
    order.insert(axis, x.ndim - 1)
    return _rebuild_packed, (x.format, _nibble.components(x), stored, x.dtype.name, tuple(order))


