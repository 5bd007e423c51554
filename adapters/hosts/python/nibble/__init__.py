"""nibble: tensors that may be stored packed, 2 to 8 bits a weight, and stay ordinary tensors.

The namespace is the array API standard's (2024.12); quantize, from_quantized, from_components and load give packed
tensors, which every function takes:

    import nibble as nb, numpy as np
    w = nb.quantize(dense, bits=4, group_size=64)       # (out, in), float32, float16 or bfloat16
    y = x @ w.T                                         # x a Tensor, or a NumPy array
"""

from __future__ import annotations

import os
from typing import Any, Mapping, Sequence

from . import _nibble
from ._array_api import *  # noqa: F403
from ._convert import asarray as asarray, dtype_of, from_dlpack as from_dlpack
from ._errors import (
    ArgumentError as ArgumentError,
    DTypeError as DTypeError,
    Error as Error,
    FileError as FileError,
    ForbiddenError as ForbiddenError,
    OutOfMemoryError as OutOfMemoryError,
    OutOfRangeError as OutOfRangeError,
    UnsupportedError as UnsupportedError,
)
from ._nibble import (
    DType as DType,
    Tensor as Tensor,
    default_device as default_device,
    devices as devices,
    einsum as einsum,
    erf as erf,
    formats as formats,
    gather_matmul as gather_matmul,
    gelu as gelu,
    gelu_tanh as gelu_tanh,
    log_softmax as log_softmax,
    logsumexp as logsumexp,
    num_threads as num_threads,
    options as options,
    reexpress as reexpress,
    relu as relu,
    reset_stats as reset_stats,
    rms_norm as rms_norm,
    rope as rope,
    rope_frequencies as rope_frequencies,
    rsqrt as rsqrt,
    scaled_dot_product_attention as scaled_dot_product_attention,
    set_default_device as set_default_device,
    set_num_threads as set_num_threads,
    sigmoid as sigmoid,
    silu as silu,
    softmax as softmax,
    stats as stats,
    swapaxes as swapaxes,
    topk as topk,
    transpose as transpose,
    update_slice as update_slice,
)

__array_api_version__ = "2024.12"

float16, bfloat16, float32, float64 = DType.float16, DType.bfloat16, DType.float32, DType.float64
int8, int16, int32, int64 = DType.int8, DType.int16, DType.int32, DType.int64
uint8, uint16, uint32, uint64 = DType.uint8, DType.uint16, DType.uint32, DType.uint64
bool = DType.bool


def quantize(w: Any, *, bits: int = 4, group_size: int = 64, format: str = "affine") -> Tensor:
    """Packs w (…, N, K), float32, float16 or bfloat16, along its last axis: in a format by its name ("q8_0"), or affine
    with 2, 3, 4, 5, 6 or 8 bits and groups of 32, 64 or 128.

    Raises ArgumentError where the group does not divide K, UnsupportedError for a format without an encoder."""
    return _nibble.quantize(asarray(w), bits, group_size, format)


def from_quantized(codes: Any, scales: Any, biases: Any, *, bits: int = 4, group_size: int = 64) -> Tensor:
    """A packed tensor over MLX's triplet: codes (…, N, K·bits/32) uint32, scales and biases (…, N, K/group_size)."""
    return _nibble.from_quantized(asarray(codes), asarray(scales), asarray(biases), bits, group_size)


def from_components(format: str, components: Mapping[str, Any], shape: Sequence[int], dtype: Any = None) -> Tensor:
    """A packed tensor of any format over its own buffers, as Tensor.components() gives them."""
    parts = [(name, asarray(part)) for name, part in components.items()]
    return _nibble.from_components(format, parts, shape, None if dtype is None else dtype_of(dtype))


def dequantize(w: Tensor, dtype: Any = None) -> Tensor:
    """The values of a packed tensor, rounded once to `dtype` (by default its own)."""
    return w.dequantize(dtype)


def layer_norm(x: Tensor, weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-5) -> Tensor:
    """(x - mean) / sqrt(var + eps) · weight + bias over the last axis."""
    undefined = _nibble.undefined
    return _nibble.layer_norm(x, undefined if weight is None else weight, undefined if bias is None else bias, eps)


def capability(
    op: str, dtype: Any, format: str | None = None, shape: Sequence[int] | None = None, device: str = "cpu"
) -> str:
    """How an operation is done for an operand of this dtype and, where it is packed, of this format and stored shape:
    "native"; "decoded", a packed operand first; "refused".

    Raises ArgumentError for an operation, dtype or format that there is not."""
    return _nibble.capability(op, dtype_of(dtype), format, shape, device)


def load(path: str | os.PathLike[str]) -> dict[str, Tensor]:
    """The tensors of a model folder (Hugging Face or mlx-lm), a .safetensors, .gguf or .onnx file, packed where the file is.
    The file is mapped, not read."""
    return _nibble.load(path)


def save(path: str | os.PathLike[str], tensors: Mapping[str, Any], metadata: Mapping[str, str] | None = None) -> None:
    """Writes tensors and arrays to a .safetensors file, packed tensors as their components; whole or not at all. Raises ArgumentError for a
    name that says another kind of file: those are written by `nibble convert`."""
    if os.fspath(path).endswith((".gguf", ".onnx")):
        raise ArgumentError(f"[save] {os.fspath(path)}: save writes .safetensors files; `nibble convert` writes .gguf")
    _nibble.save_safetensors(path, {name: asarray(x) for name, x in tensors.items()}, dict(metadata or {}))


class _Info:
    """__array_namespace_info__ of the standard."""

    def capabilities(self) -> dict[str, Any]:
        return {"boolean indexing": False, "data-dependent shapes": False, "max dimensions": 8}

    def default_device(self) -> str:
        return default_device()

    def devices(self) -> list[str]:
        return devices()

    def default_dtypes(self, *, device: str | None = None) -> dict[str, Any]:
        return {"real floating": float32, "complex floating": None, "integral": int64, "indexing": int32}

    def dtypes(self, *, device: str | None = None, kind: Any = None) -> dict[str, DType]:
        names = [d for d in DType if not d.name.startswith("float8") and d.name != "bfloat16"]
        return {d.name: d for d in names if kind is None or isdtype(d, kind)}  # noqa: F405


def __array_namespace_info__() -> _Info:
    return _Info()
