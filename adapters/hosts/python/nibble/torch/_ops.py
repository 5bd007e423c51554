"""nibble's products as operations of torch's dispatcher, which torch.compile and torch.export trace.

A packed weight comes as its parts: the components of its format, each with the weight's leading axes, and then the
order (columns,) in which rows are stored, where it is one of their own. `columns` is the size of the packed axis, the
last as it is stored; `turned` exchanges the last two axes, as a transpose does."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Sequence, cast

import torch
from torch.utils.dlpack import from_dlpack
from torch.utils.dlpack import to_dlpack  # type: ignore[attr-defined]  # public by its page, not by its __all__
from torch.utils.weak import WeakIdKeyDictionary

from .. import Error, ForbiddenError, Tensor, UnsupportedError, _nibble
from .._errors import error_of

_WEIGHT = "Tensor[] parts, str format, ScalarType dtype, int columns"
_library = torch.library.Library("nibble", "DEF")
_library.define(f"matmul(Tensor x, {_WEIGHT}, bool turned) -> Tensor")
_library.define(f"grouped_matmul(Tensor x, {_WEIGHT}, bool turned, Tensor offsets) -> Tensor")
_library.define(f"take({_WEIGHT}, Tensor indices) -> Tensor")
_library.define(f"decode({_WEIGHT}) -> Tensor")

_run = _nibble.on_torch_threads

DTYPES = {
    torch.float32: _nibble.DType.float32,
    torch.float16: _nibble.DType.float16,
    torch.bfloat16: _nibble.DType.bfloat16,
}


def to_nibble(x: torch.Tensor) -> Tensor:
    if x.device.type != "cpu" or x.layout is not torch.strided:
        where = f"{tuple(x.shape)} on {x.device}, {x.layout}"
        raise UnsupportedError(f"[torch] a tensor {where}: only strided ones in the CPU's memory are read")
    return _nibble.from_capsule(to_dlpack(x.detach() if x.requires_grad else x))


def to_torch(x: Tensor) -> torch.Tensor:
    return from_dlpack(_nibble.give_dlpack(x).__dlpack__())  # a capsule, of which torch asks nothing first


def in_name_of(op: Any, error: Error) -> Error:
    """The same error, said of the operation that was asked for."""
    return error_of(error.code, f"[{op}] {str(error).partition('] ')[2]}")


@lru_cache
def component_names(format: str) -> tuple[str, ...]:
    return tuple(_nibble.component_names(format))


ORDER = "input_order"

_packed: Any = WeakIdKeyDictionary()  # by a weight's first part: where it lay, and the tensor over its parts


def packed_of(parts: Sequence[torch.Tensor], format: str, dtype: torch.dtype, columns: int) -> Tensor:
    """The tensor over these parts, made once: a weight is used many times, and its parts stay where they are."""
    places = (dtype, parts[0].data_ptr())
    known = _packed.get(parts[0])
    if known is not None and known[0] == places:
        return cast(Tensor, known[1])
    # torch computes little with unsigned words, so codes are kept as signed ones.
    words = _nibble.DType.uint32
    components = [
        (name, _nibble.from_array(part, words) if part.dtype == torch.int32 and name != ORDER else to_nibble(part))
        for name, part in zip((*component_names(format), ORDER), parts)
    ]
    packed = _nibble.from_components(format, components, (*parts[0].shape[:-1], columns), DTYPES[dtype])
    _packed[parts[0]] = (places, packed)
    return packed


def matmul(
    x: torch.Tensor, parts: Sequence[torch.Tensor], format: str, dtype: torch.dtype, columns: int, turned: bool
) -> torch.Tensor:
    w = packed_of(parts, format, dtype, columns)
    return to_torch(_run(_nibble.matmul, to_nibble(x), w.mT if turned else w))


def grouped_matmul(
    x: torch.Tensor,
    parts: Sequence[torch.Tensor],
    format: str,
    dtype: torch.dtype,
    columns: int,
    turned: bool,
    offsets: torch.Tensor,
) -> torch.Tensor:
    w = packed_of(parts, format, dtype, columns)
    w = w.mT if turned else w
    y = x.new_empty(x.shape[0], w.shape[-1], dtype=torch.promote_types(x.dtype, dtype))
    begin = 0
    for expert, end in enumerate(offsets.tolist()):
        if end > begin:
            y[begin:end] = to_torch(_run(_nibble.matmul, to_nibble(x[begin:end]), _nibble.select(w, 0, expert)))
        begin = end
    return y


def take(
    parts: Sequence[torch.Tensor], format: str, dtype: torch.dtype, columns: int, indices: torch.Tensor
) -> torch.Tensor:
    return to_torch(_run(_nibble.take, packed_of(parts, format, dtype, columns), to_nibble(indices), 0))


def decode(parts: Sequence[torch.Tensor], format: str, dtype: torch.dtype, columns: int) -> torch.Tensor:
    # Counted, and refused where fallbacks are forbidden: a copy of a packed tensor's values is one.
    try:
        return to_torch(_run(_nibble.contiguous, packed_of(parts, format, dtype, columns)))
    except ForbiddenError as error:
        raise in_name_of("dequantize", error) from None


for _function in (matmul, grouped_matmul, take, decode):
    _library.impl(_function.__name__, _function, "CPU")


# ---- what they give, without computing it ----------------------------------------------------------------------------


def _outputs(parts: Sequence[torch.Tensor], columns: int, turned: bool) -> int:
    return parts[0].shape[-2] if turned else columns


def _like_matmul(
    x: torch.Tensor, parts: Sequence[torch.Tensor], format: str, dtype: torch.dtype, columns: int, turned: bool
) -> torch.Tensor:
    return x.new_empty(*x.shape[:-1], _outputs(parts, columns, turned), dtype=torch.promote_types(x.dtype, dtype))


def _like_grouped_matmul(
    x: torch.Tensor,
    parts: Sequence[torch.Tensor],
    format: str,
    dtype: torch.dtype,
    columns: int,
    turned: bool,
    offsets: torch.Tensor,
) -> torch.Tensor:
    return x.new_empty(x.shape[0], _outputs(parts, columns, turned), dtype=torch.promote_types(x.dtype, dtype))


def _like_take(
    parts: Sequence[torch.Tensor], format: str, dtype: torch.dtype, columns: int, indices: torch.Tensor
) -> torch.Tensor:
    return parts[0].new_empty(*indices.shape, *parts[0].shape[1:-1], columns, dtype=dtype)


def _like_decode(parts: Sequence[torch.Tensor], format: str, dtype: torch.dtype, columns: int) -> torch.Tensor:
    return parts[0].new_empty(*parts[0].shape[:-1], columns, dtype=dtype)


for _name, _like in (
    ("matmul", _like_matmul),
    ("grouped_matmul", _like_grouped_matmul),
    ("take", _like_take),
    ("decode", _like_decode),
):
    torch.library.register_fake(f"nibble::{_name}", _like)


# ---- gradients: of x alone, by the kernel across the packed axis -----------------------------------------------------


def _keep_weight(ctx: Any, inputs: tuple[Any, ...], output: torch.Tensor) -> None:
    x, parts, *ctx.weight, ctx.turned = inputs
    ctx.save_for_backward(*parts)
    ctx.dtype = x.dtype


def _matmul_backward(ctx: Any, grad: torch.Tensor) -> tuple[Any, ...]:
    grad_x = torch.ops.nibble.matmul(grad, list(ctx.saved_tensors), *ctx.weight, not ctx.turned)
    return grad_x.to(ctx.dtype), [None] * len(ctx.saved_tensors), None, None, None, None


torch.library.register_autograd("nibble::matmul", _matmul_backward, setup_context=_keep_weight)
