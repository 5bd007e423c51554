"""A torch tensor whose values lie packed. Model code that has it for a weight stays as it is."""

from __future__ import annotations

import contextlib
import contextvars
from typing import Any, Callable, Iterator, Sequence

import torch

from .. import Tensor, _nibble
from .._errors import ArgumentError, ForbiddenError
from ._ops import ORDER, component_names, in_name_of, matmul, packed_of, to_torch

aten = torch.ops.aten
_LINEAR, _SET_DATA = torch.nn.functional.linear, torch.Tensor.data.__set__  # type: ignore[attr-defined]
_SET_REQUIRES_GRAD = torch.Tensor.requires_grad.__set__  # type: ignore[attr-defined]
# Who might want to see a product rather than have it.
_torch = _nibble.Torch(
    torch.Tensor,
    (
        torch.is_grad_enabled,
        torch._C._len_torch_dispatch_stack,
        torch._C._functorch.peek_interpreter_stack,
        torch._C._is_any_autocast_enabled,
        torch._C._is_tracing,
    ),
)
# Views of ordinary tensors are ordinary ones, in inference mode too.
_NORMAL, _AS_IT_IS = torch.inference_mode(False), contextlib.nullcontext()
_OTHERWISE = "nibble.torch.dequantize_(model) is what to merge or write into, and quantize_() packs it again"
_IMPLEMENTATIONS: dict[Any, Callable[..., Any]] = {}  # by operation of aten, which comes first in the call
_loading = contextvars.ContextVar("loading", default=False)


@contextlib.contextmanager
def frozen_as_loaded() -> Iterator[None]:
    """For loaders that ask a gradient of whatever they load: here packed weights do without, in silence."""
    token = _loading.set(True)
    try:
        yield
    finally:
        _loading.reset(token)


class PackedTensor(torch.Tensor):
    """Shape and dtype are logical. It never changes and has no gradient; products pass gradients through it. Where no
    kernel reads it packed it is decoded, as nibble's options allow and its stats() count."""

    format: str
    columns: int
    turned: bool
    label: torch.dtype  # the dtype, had without asking torch
    input_order: torch.Tensor | None = None  # in which rows are stored, where it is one of their own
    at_hand: _nibble.LinearWeight | None = None  # what linear layers multiply with, once they did

    @staticmethod
    def __new__(
        cls, parts: Sequence[torch.Tensor], format: str, dtype: torch.dtype, columns: int, turned: bool = False
    ) -> PackedTensor:
        shape, strides = [*parts[0].shape[:-1], columns], [1]
        for size in reversed(shape[1:]):
            strides.insert(0, strides[0] * size)
        if turned:
            shape[-2:], strides[-2:] = shape[:-3:-1], strides[:-3:-1]
        with _NORMAL if torch.is_inference_mode_enabled() else _AS_IT_IS:
            self = torch.Tensor._make_wrapper_subclass(
                cls, shape, strides=strides, dtype=dtype, device=parts[0].device, requires_grad=False
            )
        torch._C._set_throw_on_mutable_data_ptr(self)  # what asks no override finds no memory either
        for name, part in zip((*component_names(format), ORDER), parts):
            setattr(self, name, part)
        self.format, self.columns, self.turned, self.label = format, columns, turned, dtype
        return self

    def __init__(self, *args: Any) -> None:
        pass

    @property
    def names(self) -> tuple[str, ...]:
        names = component_names(self.format)
        return names if self.input_order is None else (*names, ORDER)

    @property
    def parts(self) -> list[torch.Tensor]:
        return [getattr(self, name) for name in self.names]

    @property
    def weight(self) -> tuple[list[torch.Tensor], str, torch.dtype, int]:
        """What nibble's operations take for a weight."""
        return self.parts, self.format, self.label, self.columns

    def with_parts(self, parts: Sequence[torch.Tensor]) -> PackedTensor:
        return PackedTensor(parts, self.format, self.dtype, self.columns, self.turned)

    def by_rows(self, func: Callable[[torch.Tensor], Any]) -> list[Any]:
        """`func` of each part that has rows; the order is one for all of them."""
        return [func(getattr(self, name)) for name in component_names(self.format)]

    def with_rows(self, parts: Sequence[torch.Tensor]) -> PackedTensor:
        return self.with_parts(parts if self.input_order is None else [*parts, self.input_order])

    def stores_rows_as(self, other: PackedTensor) -> bool:
        mine, theirs = self.input_order, other.input_order
        return mine is theirs or (mine is not None and theirs is not None and torch.equal(mine, theirs))

    def turn(self) -> PackedTensor:
        """The last two axes exchanged."""
        return PackedTensor(self.parts, self.format, self.dtype, self.columns, not self.turned)

    def dequantize(self) -> torch.Tensor:
        """The values, dense."""
        values: torch.Tensor = torch.ops.nibble.decode(*self.weight)
        return values.mT if self.turned else values

    def numpy(self, *, force: bool = False) -> Any:
        return self.dequantize().numpy(force=force)

    def tolist(self) -> Any:
        return self.dequantize().tolist()

    def take_in_hand(self) -> _nibble.LinearWeight | None:
        if not _torch.is_observed():
            self.at_hand = _torch.weight(self.parts[0], packed_of(*self.weight), self.turned)
        return self.at_hand

    def requires_grad_(self, requires_grad: bool = True) -> PackedTensor:
        if requires_grad and not _loading.get():
            raise RuntimeError(
                f"{self!r} cannot be trained: its values are codes, which have no gradient. Train an adapter beside it "
                "(gradients pass through its products), or dequantize() it"
            )
        return self

    def __repr__(self, *, tensor_contents: Any = None) -> str:  # type: ignore[override]  # torch's own has no types
        return f"PackedTensor(shape={tuple(self.shape)}, dtype={self.dtype}, format={self.format})"

    # There is no memory of values to hand out: torch would hand out none as if it were some, and the process would end.
    # Whoever shares memory between processes shares the parts; nibble takes the tensor as it is.

    def data_ptr(self) -> int:
        return 0

    def share_memory_(self) -> PackedTensor:
        for part in self.parts:
            part.share_memory_()
        return self

    def is_shared(self) -> bool:
        return all(part.is_shared() for part in self.parts)

    def is_pinned(self, device: Any = None) -> bool:
        return all(part.is_pinned() for part in self.parts)

    def __nibble__(self) -> Tensor:
        w = packed_of(*self.weight)
        return _nibble.swapaxes(w, -2, -1) if self.turned else w

    def __dlpack_device__(self) -> Any:
        return self.__dlpack__()

    def __dlpack__(self, **_: Any) -> Any:
        raise BufferError(
            f"[dlpack] {self!r}: a packed tensor has no DLPack layout; nibble.asarray() has it packed, .dequantize() its "
            "values"
        )

    def storage(self) -> Any:
        raise RuntimeError(
            f"{self!r} has no storage of values. torch.save and nibble.save keep a state_dict packed; save_pretrained and "
            "safetensors take it after nibble.torch.dequantize_"
        )

    def __tensor_flatten__(self) -> tuple[list[str], tuple[Any, ...]]:
        return list(self.names), (self.format, self.dtype, self.columns, self.turned)

    @staticmethod
    def __tensor_unflatten__(inner: dict[str, Any], rest: tuple[Any, ...], size: Any, stride: Any) -> PackedTensor:
        return PackedTensor(list(inner.values()), *rest)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "at_hand"}

    # Everything is decided below autograd, whose own formulas then pass gradients through the products; but where
    # nobody looks on, a linear layer spares itself the dispatcher, which takes longer than a small product.
    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is _LINEAR and not kwargs and not torch.compiler.is_dynamo_compiling():
            w = args[1]
            if type(w) is PackedTensor:
                y = _torch.linear(args[0], w.at_hand or w.take_in_hand())
                if y is not None:
                    return y if len(args) < 3 or args[2] is None else y + args[2]
        writes = func is torch.Tensor.__setitem__ or (func == _SET_DATA and not isinstance(args[1], PackedTensor))
        if writes and isinstance(args[0], PackedTensor):  # else a decoded copy would change, or the shape alone
            raise RuntimeError(f"{args[0]!r} does not change: {_OTHERWISE}")
        if func == _SET_REQUIRES_GRAD and isinstance(args[0], PackedTensor):
            return args[0].requires_grad_(args[1])
        with torch._C.DisableTorchFunctionSubclass():
            return func(*args, **(kwargs or {}))

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]  # torch.Tensor has a function there that is no method
        cls, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        implementation = _IMPLEMENTATIONS.get(func)
        if implementation is not None:
            result = implementation(func, *args, **kwargs)
            if result is not NotImplemented:
                return result
        result = func.decompose(*args, **kwargs)  # in inference mode, what is composed of others comes whole
        if result is not NotImplemented:
            return result
        if func._schema.is_mutable and isinstance(args[0], PackedTensor):
            raise RuntimeError(f"[{func}] {args[0]!r} does not change: {_OTHERWISE}")
        dense = lambda x: x.dequantize() if isinstance(x, PackedTensor) else x  # noqa: E731
        try:
            args, kwargs = torch.utils._pytree.tree_map(dense, (args, kwargs))
        except ForbiddenError as error:
            raise in_name_of(func, error) from None
        return func(*args, **kwargs)


def wrap(w: Tensor, dtype: torch.dtype | None = None) -> PackedTensor:
    """A packed tensor of nibble's in torch, without a copy; as `dtype` (by default w's own). It must be packed along
    its last axis, as tensors are that were quantized or loaded.

    Raises ValueError for a dense tensor, or one that is packed along another axis."""
    if not isinstance(w, Tensor):
        raise TypeError(f"[wrap] {type(w).__name__}: takes a nibble.Tensor; quantize() packs one of torch's")
    if not w.is_quantized:
        dense = f"{w.dtype.name} {w.shape}"
        raise ValueError(f"[wrap] {dense}: not packed along its last axis, but dense; torch.from_dlpack() takes it")
    if w.packed_axis != w.ndim - 1:
        raise ValueError(f"[wrap] {w!r}: not packed along its last axis")
    parts = [to_torch(part) for _, part in _nibble.components(w)]
    parts = [part.view(torch.int32) if part.dtype == torch.uint32 else part for part in parts]
    return PackedTensor(parts, w.format, dtype or getattr(torch, w.dtype.name), w.shape[-1])


def _implements(*functions: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def register(implementation: Callable[..., Any]) -> Callable[..., Any]:
        _IMPLEMENTATIONS.update(dict.fromkeys(functions, implementation))
        return implementation

    return register


# ---- products --------------------------------------------------------------------------------------------------------


def _product(x: torch.Tensor, w: PackedTensor, turned: bool) -> torch.Tensor:
    if type(x) is torch.Tensor and torch._C._len_torch_dispatch_stack() == 0:  # nobody traces: the dispatcher is spared
        return matmul(x, *w.weight, turned)
    y: torch.Tensor = torch.ops.nibble.matmul(x, *w.weight, turned)
    return y


@_implements(aten.mm.default, aten.bmm.default)
def _mm(func: Any, a: torch.Tensor, b: torch.Tensor) -> Any:
    axes = 3 if func in (aten.bmm.default, aten.baddbmm.default) else 2
    if a.dim() != axes or b.dim() != axes or a.shape[:-2] != b.shape[:-2]:
        both = "a matrix" if axes == 2 else "as many matrices as the other, in three axes"
        raise ArgumentError(f"[{func}] {tuple(a.shape)} · {tuple(b.shape)}: each must be {both}")
    if isinstance(a, PackedTensor):
        b = b.dequantize() if isinstance(b, PackedTensor) else b
        return _product(b.mT, a, not a.turned).mT
    return _product(a, b, b.turned) if isinstance(b, PackedTensor) else NotImplemented


@_implements(aten.addmm.default, aten.baddbmm.default)
def _addmm(
    func: Any, bias: torch.Tensor, a: torch.Tensor, b: torch.Tensor, *, beta: float = 1, alpha: float = 1
) -> Any:
    if isinstance(bias, PackedTensor):
        return NotImplemented
    y = _mm(func, a, b)
    return (y if alpha == 1 else y * alpha) + (bias if beta == 1 else bias * beta)


@_implements(aten.mv.default)
def _mv(func: Any, w: torch.Tensor, x: torch.Tensor) -> Any:
    if not isinstance(w, PackedTensor) or isinstance(x, PackedTensor) or w.dim() != 2 or x.dim() != 1:
        return NotImplemented
    return _product(x[None], w, not w.turned)[0]


@_implements(aten.linear.default)
def _linear(func: Any, x: torch.Tensor, w: torch.Tensor, bias: torch.Tensor | None = None) -> Any:
    if not isinstance(w, PackedTensor) or isinstance(x, PackedTensor):
        return NotImplemented
    y = _product(x[None], w, not w.turned)[0] if x.dim() == 1 else _product(x, w, not w.turned)
    return y if bias is None else y + bias


@_implements(*([aten._grouped_mm.default] if hasattr(aten, "_grouped_mm") else []))  # older torch has none
def _grouped_mm(
    func: Any,
    x: torch.Tensor,
    w: torch.Tensor,
    offs: torch.Tensor | None = None,
    bias: torch.Tensor | None = None,
    out_dtype: torch.dtype | None = None,
) -> Any:
    if not isinstance(w, PackedTensor) or isinstance(x, PackedTensor):
        return NotImplemented
    if x.dim() != 2 or w.dim() != 3 or bias is not None:
        return NotImplemented
    y = torch.ops.nibble.grouped_matmul(x, *w.weight, w.turned, offs)
    return y if out_dtype is None else y.to(out_dtype)


@_implements(aten.embedding.default)
def _embedding(func: Any, w: PackedTensor, indices: torch.Tensor, *unused: Any) -> Any:
    return NotImplemented if w.turned else torch.ops.nibble.take(*w.weight, indices)


# ---- views and copies ------------------------------------------------------------------------------------------------


@_implements(aten.t.default)
def _t(func: Any, w: PackedTensor) -> Any:
    return w.turn() if w.dim() == 2 else NotImplemented


@_implements(aten.transpose.int)
def _transpose(func: Any, w: PackedTensor, a: int, b: int) -> Any:
    if sorted((a % w.dim(), b % w.dim())) != [w.dim() - 2, w.dim() - 1]:
        return NotImplemented
    return w.turn()


@_implements(aten.permute.default, aten.numpy_T.default)
def _permute(func: Any, w: PackedTensor, order: Sequence[int] | None = None) -> Any:
    axes = list(range(w.dim()))
    order = axes[::-1] if order is None else [axis % w.dim() for axis in order]
    if w.dim() < 2 or order != axes[:-2] + axes[:-3:-1]:
        return NotImplemented
    return w.turn()


@_implements(aten.detach.default, aten.alias.default)
def _same(func: Any, w: PackedTensor) -> PackedTensor:
    return w.with_parts(w.parts)


@_implements(aten.clone.default)
def _clone(func: Any, w: PackedTensor, *, memory_format: torch.memory_format | None = None) -> PackedTensor:
    return w.with_parts([part.clone() for part in w.parts])


@_implements(aten._to_copy.default)
def _to_copy(
    func: Any, w: PackedTensor, *, dtype: torch.dtype | None = None, device: Any = None, **unused: Any
) -> Any:
    """Another dtype of the values is another label: what is stored stays."""
    dtype = w.dtype if dtype is None else dtype
    if dtype not in (torch.float32, torch.float16, torch.bfloat16) or torch.device(device or w.device) != w.device:
        return NotImplemented
    return PackedTensor([part.clone() for part in w.parts], w.format, dtype, w.columns, w.turned)


@_implements(aten.copy_.default)
def _copy(func: Any, w: torch.Tensor, source: PackedTensor, non_blocking: bool = False) -> torch.Tensor:
    if not isinstance(w, PackedTensor):
        return w.copy_(source.dequantize())
    like = isinstance(source, PackedTensor) and source.format == w.format and source.turned == w.turned
    if not like or source.shape != w.shape or source.names != w.names:
        raise RuntimeError(f"{w!r} takes the values of one packed alike only: quantize_() packs dense ones")
    for name, part in zip(w.names, source.parts):
        setattr(w, name, part.clone())  # not into its own memory, which may be a file's
    w.at_hand = None
    return w


# ---- rows and experts: what is done to each part ---------------------------------------------------------------------


def _each_part(func: Any, w: PackedTensor, dim: int, *args: Any) -> Any:
    if dim % w.dim() >= w.dim() - (2 if w.turned else 1):
        return NotImplemented  # within rows
    done = w.by_rows(lambda part: func(part, *args))
    return w.with_rows(done) if isinstance(done[0], torch.Tensor) else [w.with_rows(p) for p in zip(*done)]


@_implements(aten.select.int, aten.slice.Tensor, aten.unbind.int, aten.index_select.default)
def _by_axis(func: Any, w: PackedTensor, dim: int = 0, *rest: Any) -> Any:
    return _each_part(func, w, dim, dim % w.dim(), *rest)


@_implements(aten.view.default, aten._unsafe_view.default, aten.expand.default)
def _view(func: Any, w: PackedTensor, shape: Sequence[int], **unused: Any) -> Any:
    """Other leading axes, before those of one matrix."""
    if w.dim() < 2 or len(shape) < 2 or any(s not in (-1, t) for s, t in zip(shape[-2:], w.shape[-2:])):
        return NotImplemented
    return w.with_rows(w.by_rows(lambda part: func(part, [*shape[:-2], *part.shape[-2:]])))


@_implements(aten.unsqueeze.default)
def _unsqueeze(func: Any, w: PackedTensor, dim: int) -> Any:
    dim = dim % (w.dim() + 1)
    return NotImplemented if dim > w.dim() - 2 else w.with_rows(w.by_rows(lambda part: func(part, dim)))


@_implements(aten.cat.default, aten.stack.default)
def _join(func: Any, weights: Sequence[torch.Tensor], dim: int = 0) -> Any:
    """Rows of one matrix after another's, or matrices along an axis before theirs."""
    packed = [w for w in weights if isinstance(w, PackedTensor)]
    alike = {(w.format, w.dtype, w.columns, w.turned) for w in packed}
    first, axes = packed[0], packed[0].dim() + (func is aten.stack.default)
    if len(packed) != len(weights) or len(alike) != 1 or dim % axes >= axes - (2 if first.turned else 1):
        return NotImplemented
    if not all(first.stores_rows_as(w) for w in packed[1:]):
        return NotImplemented
    parts = zip(*(w.by_rows(lambda part: part) for w in packed))
    return first.with_rows([func(list(same), dim % axes) for same in parts])


@_implements(aten.split.Tensor, aten.split_with_sizes.default)
def _split(func: Any, w: PackedTensor, sizes: int | Sequence[int], dim: int = 0) -> Any:
    return _each_part(func, w, dim, sizes, dim % w.dim())


@_implements(aten.index.Tensor)
def _index(func: Any, w: torch.Tensor, indices: Sequence[torch.Tensor]) -> Any:
    if len(indices) != 1 or not isinstance(w, PackedTensor):
        return NotImplemented
    if indices[0].dim() == 0 and indices[0].dtype != torch.bool and type(indices[0]) is torch.Tensor:
        return w.select(0, int(indices[0]))  # one expert: a view
    return _each_part(func, w, 0, indices)
