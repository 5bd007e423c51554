"""The array API standard's functions (2024.12), by its names and signatures. What is absent, and why, the documentation
says: adapters/hosts/c/README.md has one table for all hosts.

Unless a function says otherwise it takes tensors of any dtype, dense or packed. It raises ArgumentError for shapes and
axes that do not fit, DTypeError for a dtype that is not computed with, OutOfRangeError for an index outside its axis."""

from __future__ import annotations

import builtins
import math
from typing import Any, Sequence, Union

from . import _nibble
from ._convert import asarray, dtype_of
from ._errors import ArgumentError
from ._nibble import DType, Tensor

Number = Union[bool, int, float]
Value = Union[Tensor, bool, int, float]
Axis = Union[int, Sequence[int], None]
Sizes = Union[int, Sequence[int]]

e, inf, nan, newaxis, pi = math.e, math.inf, math.nan, None, math.pi

# ---- creation --------------------------------------------------------------------------------------------------------


def _placed(x: Tensor, device: str | None) -> Tensor:
    return x if device is None else x.to_device(device)


def _or_f32(dtype: Any) -> DType:
    return DType.float32 if dtype is None else dtype_of(dtype)


def zeros(shape: Sizes, *, dtype: Any = None, device: str | None = None) -> Tensor:
    """Zeros of this shape, float32 unless a dtype is given."""
    return _placed(_nibble.zeros(shape, _or_f32(dtype)), device)


def ones(shape: Sizes, *, dtype: Any = None, device: str | None = None) -> Tensor:
    """Ones of this shape, float32 unless a dtype is given."""
    return _placed(_nibble.ones(shape, _or_f32(dtype)), device)


def empty(shape: Sizes, *, dtype: Any = None, device: str | None = None) -> Tensor:
    """As zeros: what a tensor holds never changes."""
    return zeros(shape, dtype=dtype, device=device)  # a tensor never changes: other values would be of no use


def _dtype_of_number(value: Number) -> DType:
    return DType.bool if isinstance(value, bool) else DType.int64 if isinstance(value, int) else DType.float32


def full(shape: Sizes, fill_value: Number, *, dtype: Any = None, device: str | None = None) -> Tensor:
    """One value everywhere; without a dtype float32, int64 or bool as the number is."""
    chosen = _dtype_of_number(fill_value) if dtype is None else dtype_of(dtype)
    return _placed(_nibble.full(shape, fill_value, chosen), device)


def zeros_like(x: Tensor, /, *, dtype: Any = None, device: str | None = None) -> Tensor:
    """Zeros of x's shape, and of its dtype and device unless others are given."""
    return zeros(x.shape, dtype=x.dtype if dtype is None else dtype, device=x.device if device is None else device)


def ones_like(x: Tensor, /, *, dtype: Any = None, device: str | None = None) -> Tensor:
    """Ones of x's shape, and of its dtype and device unless others are given."""
    return ones(x.shape, dtype=x.dtype if dtype is None else dtype, device=x.device if device is None else device)


def empty_like(x: Tensor, /, *, dtype: Any = None, device: str | None = None) -> Tensor:
    """As zeros_like."""
    return zeros_like(x, dtype=dtype, device=device)


def full_like(x: Tensor, /, fill_value: Number, *, dtype: Any = None, device: str | None = None) -> Tensor:
    """One value everywhere, in x's shape, and in its dtype and on its device unless others are given."""
    return full(x.shape, fill_value, dtype=x.dtype if dtype is None else dtype, device=device or x.device)


def arange(
    start: Number, /, stop: Number | None = None, step: Number = 1, *, dtype: Any = None, device: str | None = None
) -> Tensor:
    """Numbers from start to stop, which is left out, in a tensor of one axis."""
    first, last = (0, start) if stop is None else (start, stop)
    whole = builtins.all(isinstance(v, int) for v in (first, last, step))
    chosen = dtype_of(dtype) if dtype is not None else DType.int64 if whole else DType.float32
    return _placed(_nibble.arange(first, last, step, chosen), device)


def linspace(
    start: float, stop: float, /, num: int, *, dtype: Any = None, device: str | None = None, endpoint: bool = True
) -> Tensor:
    """`num` numbers at even distances from start to stop, in a tensor of one axis. Raises ArgumentError for fewer than
    none."""
    if num < 0:
        raise ArgumentError(f"[linspace] {num} numbers: there may be none, or more")
    parts = num - 1 if endpoint else num
    steps = _nibble.arange(0, num, 1, DType.int64)
    values = _nibble.add(_nibble.multiply(steps, (stop - start) / parts if parts > 0 else 0.0), float(start))
    return _placed(_nibble.cast(values, _or_f32(dtype)), device)


def eye(
    n_rows: int, n_cols: int | None = None, /, *, k: int = 0, dtype: Any = None, device: str | None = None
) -> Tensor:
    """Ones on the k-th diagonal of (n_rows, n_cols), zeros elsewhere."""
    row = _nibble.reshape(_nibble.arange(0, n_rows, 1, DType.int64), (-1, 1))
    column = _nibble.arange(0, n_rows if n_cols is None else n_cols, 1, DType.int64)
    return _placed(_nibble.cast(_nibble.equal(_nibble.add(row, k), column), _or_f32(dtype)), device)


# ---- dtypes ----------------------------------------------------------------------------------------------------------

_SIGNED = (DType.int8, DType.int16, DType.int32, DType.int64)
_UNSIGNED = (DType.uint8, DType.uint16, DType.uint32, DType.uint64)
_FLOATS = (DType.float32, DType.float64, DType.float16, DType.bfloat16)
_KINDS = {
    "bool": (DType.bool,),
    "signed integer": _SIGNED,
    "unsigned integer": _UNSIGNED,
    "integral": _SIGNED + _UNSIGNED,
    "real floating": _FLOATS,
    "complex floating": (),
    "numeric": _SIGNED + _UNSIGNED + _FLOATS,
}


def astype(x: Tensor, dtype: Any, /, *, copy: bool = True, device: str | None = None) -> Tensor:
    """The values in another dtype; a packed tensor is decoded."""
    return _placed(_nibble.cast(x, dtype_of(dtype)), device)


# Bits of the integers that a dtype holds without a gap, signs apart.
_DIGITS = {DType.bool: 1, DType.bfloat16: 8, DType.float16: 11, DType.float32: 24, DType.float64: 53}
_DIGITS |= {dtype: bits - 1 for dtype, bits in zip(_SIGNED, (8, 16, 32, 64))}
_DIGITS |= dict(zip(_UNSIGNED, (8, 16, 32, 64)))


def can_cast(from_: Any, to: Any, /) -> bool:
    """Whether the other dtype has every value of the one."""
    source, target = from_.dtype if isinstance(from_, Tensor) else dtype_of(from_), dtype_of(to)
    if source in _FLOATS or target not in _FLOATS:
        return _nibble.promote(source, target) == target
    return source in _DIGITS and _DIGITS[source] <= _DIGITS[target]


def isdtype(dtype: Any, kind: Any) -> bool:
    """Whether a dtype is one, or of a kind ("integral", "real floating"), or of any in a tuple of them."""
    if isinstance(kind, tuple):
        return builtins.any(isdtype(dtype, k) for k in kind)
    if isinstance(kind, str) and kind in _KINDS:
        return dtype_of(dtype) in _KINDS[kind]
    return dtype_of(dtype) == dtype_of(kind)


def result_type(*arrays_and_dtypes: Any) -> DType:
    """The dtype that these tensors, dtypes and numbers are promoted to together; Python numbers are weak: they change
    but its kind."""
    numbers = [a for a in arrays_and_dtypes if isinstance(a, (bool, int, float))]
    result: DType | None = None
    for a in arrays_and_dtypes:
        if isinstance(a, (bool, int, float)):
            continue
        dtype = a.dtype if isinstance(a, Tensor) else dtype_of(a)
        result = dtype if result is None else _nibble.promote(result, dtype)
    if result is None:
        raise ValueError("result_type wants a tensor or a dtype")
    if result not in _FLOATS and builtins.any(isinstance(n, float) for n in numbers):
        return DType.float32
    if result == DType.bool and not builtins.all(isinstance(n, bool) for n in numbers):
        return DType.int32
    return result


# ---- elementwise: C++'s own, and what two of them make ----------------------------------------------------------------

add, subtract, multiply, divide = _nibble.add, _nibble.subtract, _nibble.multiply, _nibble.divide
floor_divide, remainder, pow = _nibble.floor_divide, _nibble.remainder, _nibble.power
minimum, maximum, where = _nibble.minimum, _nibble.maximum, _nibble.where
equal, not_equal, less, less_equal = _nibble.equal, _nibble.not_equal, _nibble.less, _nibble.less_equal
greater, greater_equal = _nibble.greater, _nibble.greater_equal
logical_and, logical_or, logical_not = _nibble.logical_and, _nibble.logical_or, _nibble.logical_not
negative, abs, sign, square, sqrt = _nibble.negative, _nibble.abs, _nibble.sign, _nibble.square, _nibble.sqrt
reciprocal, exp, log, sin, cos, tanh = (
    _nibble.reciprocal, _nibble.exp, _nibble.log, _nibble.sin, _nibble.cos, _nibble.tanh)  # fmt: skip
floor, ceil, isnan, isinf, isfinite = _nibble.floor, _nibble.ceil, _nibble.isnan, _nibble.isinf, _nibble.isfinite


def round(x: Tensor, /) -> Tensor:
    """The nearest integers, halves to the even one."""
    return _nibble.round(x)


def positive(x: Tensor, /) -> Tensor:
    """x itself."""
    return x


def trunc(x: Tensor, /) -> Tensor:
    """Without what follows the point."""
    return _nibble.where(_nibble.less(x, 0), _nibble.ceil(x), _nibble.floor(x))


def log2(x: Tensor, /) -> Tensor:
    """Logarithm to base 2, float dtypes."""
    return _nibble.multiply(_nibble.log(x), 1 / math.log(2))


def log10(x: Tensor, /) -> Tensor:
    """Logarithm to base 10, float dtypes."""
    return _nibble.multiply(_nibble.log(x), 1 / math.log(10))


def tan(x: Tensor, /) -> Tensor:
    """Tangent, float dtypes."""
    return _nibble.divide(_nibble.sin(x), _nibble.cos(x))


def logical_xor(x1: Tensor, x2: Tensor, /) -> Tensor:
    """Where exactly one is not zero: bool."""
    return _nibble.not_equal(_nibble.not_equal(x1, 0), _nibble.not_equal(x2, 0))


def clip(x: Tensor, /, min: Value | None = None, max: Value | None = None) -> Tensor:
    """No less than min and no more than max, either of which may be None."""
    if min is not None:
        x = _nibble.maximum(x, min)
    return x if max is None else _nibble.minimum(x, max)


# ---- products --------------------------------------------------------------------------------------------------------


def matmul(x1: Tensor, x2: Tensor, /) -> Tensor:
    """x1 (…, M, K) · x2 (…, K, N): either may be packed, along any axis."""
    return _nibble.matmul(x1, x2)


def matrix_transpose(x: Tensor, /) -> Tensor:
    """The last two axes exchanged: a view, of a packed x too."""
    return x.mT


def tensordot(x1: Tensor, x2: Tensor, /, *, axes: int | tuple[Sequence[int], Sequence[int]] = 2) -> Tensor:
    """Products summed over the last `axes` axes of x1 and the first of x2, or over pairs of axes; packed or not."""
    if isinstance(axes, int):
        axes = (range(x1.ndim - axes, x1.ndim), range(axes))
    return _nibble.dot_general(x1, tuple(axes[0]), (), x2, tuple(axes[1]), ())


def vecdot(x1: Tensor, x2: Tensor, /, *, axis: int = -1) -> Tensor:
    """Products summed over one axis, the others broadcast."""
    return _nibble.sum(_nibble.multiply(x1, x2), axis)


# ---- reductions ------------------------------------------------------------------------------------------------------


def _none_of(axis: Axis) -> bool:
    """Whether axes are named, but none: () reduces nothing, where None reduces all."""
    return isinstance(axis, (tuple, list)) and not axis


def sum(x: Tensor, /, *, axis: Axis = None, dtype: Any = None, keepdims: bool = False) -> Tensor:
    """Over an axis, several, or all; in `dtype`, to which x is cast first: of bool and integers int64 unless given
    (uint64 is for storing only), of floats their own."""
    if dtype is None and x.dtype not in _FLOATS:
        dtype = DType.int64
    x = x if dtype is None else _nibble.cast(x, dtype_of(dtype))
    return x if _none_of(axis) else _nibble.sum(x, axis, keepdims)


def mean(x: Tensor, /, *, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Over an axis, several, or all."""
    return x if _none_of(axis) else _nibble.mean(x, axis, keepdims)


def max(x: Tensor, /, *, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Over an axis, several, or all."""
    return x if _none_of(axis) else _nibble.max(x, axis, keepdims)


def min(x: Tensor, /, *, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Over an axis, several, or all."""
    return x if _none_of(axis) else _nibble.min(x, axis, keepdims)


def var(x: Tensor, /, *, axis: Axis = None, correction: float = 0.0, keepdims: bool = False) -> Tensor:
    """Mean square of deviations, divided by the count less `correction`."""
    if _none_of(axis):  # each element alone
        return var(_nibble.expand_dims(x, -1), axis=-1, correction=correction)
    return _nibble.var(x, axis, keepdims, correction)


def std(x: Tensor, /, *, axis: Axis = None, correction: float = 0.0, keepdims: bool = False) -> Tensor:
    """Square root of var()."""
    return _nibble.sqrt(var(x, axis=axis, correction=correction, keepdims=keepdims))


def any(x: Tensor, /, *, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Whether one is not zero: bool."""
    return _nibble.greater(sum(_nibble.not_equal(x, 0), axis=axis, keepdims=keepdims), 0)


def all(x: Tensor, /, *, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Whether none is zero: bool."""
    return _nibble.equal(sum(_nibble.equal(x, 0), axis=axis, keepdims=keepdims), 0)


def argmax(x: Tensor, /, *, axis: int | None = None, keepdims: bool = False) -> Tensor:
    """Index of the first largest along an axis, or among all elements."""
    return _nibble.argmax(_nibble.reshape(x, -1) if axis is None else x, -1 if axis is None else axis, keepdims)


def argmin(x: Tensor, /, *, axis: int | None = None, keepdims: bool = False) -> Tensor:
    """Index of the first smallest along an axis, or among all elements."""
    return _nibble.argmin(_nibble.reshape(x, -1) if axis is None else x, -1 if axis is None else axis, keepdims)


def sort(x: Tensor, /, *, axis: int = -1, descending: bool = False, stable: bool = True) -> Tensor:
    """Along an axis; equal ones keep their order."""
    return _nibble.sort(x, axis, descending)


def argsort(x: Tensor, /, *, axis: int = -1, descending: bool = False, stable: bool = True) -> Tensor:
    """Indices that sort along an axis; equal ones keep their order."""
    return _nibble.argsort(x, axis, descending)


# ---- shape and indexing ----------------------------------------------------------------------------------------------


def reshape(x: Tensor, /, shape: Sizes, *, copy: bool | None = None) -> Tensor:
    """The elements in row-major order under another shape, of which one size may be -1; a view where strides allow it."""
    return _nibble.reshape(x, shape)


def permute_dims(x: Tensor, /, axes: Sequence[int]) -> Tensor:
    """Axes in another order: a view, of a packed x too."""
    return _nibble.transpose(x, axes)


def moveaxis(x: Tensor, source: Sizes, destination: Sizes, /) -> Tensor:
    """Axes moved to other places, the rest in their order: a view."""
    sources = [source] if isinstance(source, int) else list(source)
    targets = [destination] if isinstance(destination, int) else list(destination)
    order = [a for a in range(x.ndim) if a not in [s % x.ndim for s in sources]]
    for target, s in sorted(zip([t % x.ndim for t in targets], [s % x.ndim for s in sources])):
        order.insert(target, s)
    return _nibble.transpose(x, order)


def expand_dims(x: Tensor, /, axis: int = 0) -> Tensor:
    """A new axis of size 1 at this place."""
    return _nibble.expand_dims(x, axis)


def squeeze(x: Tensor, /, axis: Sizes) -> Tensor:
    """Without these axes, each of size 1."""
    return x if _none_of(axis) else _nibble.squeeze(x, axis)


def broadcast_to(x: Tensor, /, shape: Sizes) -> Tensor:
    """Axes of size 1 repeated: a view."""
    return _nibble.broadcast_to(x, shape)


def broadcast_shapes(*shapes: Sequence[int]) -> tuple[int, ...]:
    """The shape that all broadcast to. Raises ValueError where there is none."""
    sizes: list[int] = []
    for place in range(1, 1 + builtins.max(len(shape) for shape in shapes)):
        here = {shape[-place] for shape in shapes if len(shape) >= place} - {1}
        if len(here) > 1:
            raise ValueError(f"[broadcast_shapes] {shapes}: sizes {sorted(here)} differ")
        sizes.insert(0, here.pop() if here else 1)
    return tuple(sizes)


def broadcast_arrays(*arrays: Tensor) -> list[Tensor]:
    """Each broadcast to the shape of all together: views."""
    shape = broadcast_shapes(*(a.shape for a in arrays))
    return [_nibble.broadcast_to(a, shape) for a in arrays]


def concat(arrays: Sequence[Tensor], /, *, axis: int | None = 0) -> Tensor:
    """One behind the other along an axis; flattened first where that is None."""
    parts = [_nibble.reshape(a, -1) for a in arrays] if axis is None else list(arrays)
    return _nibble.concatenate(parts, 0 if axis is None else axis)


def stack(arrays: Sequence[Tensor], /, *, axis: int = 0) -> Tensor:
    """Side by side along a new axis."""
    return _nibble.stack(list(arrays), axis)


def unstack(x: Tensor, /, *, axis: int = 0) -> tuple[Tensor, ...]:
    """The parts along an axis, without it: views."""
    return tuple(_nibble.select(x, axis, i) for i in range(x.shape[axis]))


def flip(x: Tensor, /, *, axis: Axis = None) -> Tensor:
    """The other way round along an axis, several, or all."""
    return x if _none_of(axis) else _nibble.flip(x, axis)


def roll(x: Tensor, /, shift: Sizes, *, axis: Axis = None) -> Tensor:
    """Shifted along axes, what leaves at one end entering at the other."""
    if axis is None:
        return _nibble.reshape(roll(_nibble.reshape(x, -1), shift, axis=0), x.shape)
    axes = [axis] if isinstance(axis, int) else list(axis)
    shifts = [shift] * len(axes) if isinstance(shift, int) else list(shift)
    for a, s in zip(axes, shifts):
        n = x.shape[a]
        cut = -s % n if n else 0
        if cut:
            x = _nibble.concatenate([_nibble.slice(x, a, cut, n), _nibble.slice(x, a, 0, cut)], a)
    return x


def repeat(x: Tensor, repeats: int, /, *, axis: int | None = None) -> Tensor:
    """Each element so many times along an axis, or of all flattened."""
    return _nibble.repeat(_nibble.reshape(x, -1) if axis is None else x, repeats, 0 if axis is None else axis)


def tile(x: Tensor, repetitions: tuple[int, ...], /) -> Tensor:
    """The whole so many times along each axis."""
    x = _nibble.reshape(x, (1,) * (len(repetitions) - x.ndim) + x.shape)
    for axis, n in enumerate((1,) * (x.ndim - len(repetitions)) + tuple(repetitions)):
        x = _nibble.concatenate([x] * n, axis) if n else _nibble.slice(x, axis, 0, 0)
    return x


def tril(x: Tensor, /, *, k: int = 0) -> Tensor:
    """Zeros above the k-th diagonal of the last two axes."""
    return _nibble.tril(x, k)


def triu(x: Tensor, /, *, k: int = 0) -> Tensor:
    """Zeros below the k-th diagonal of the last two axes."""
    return _nibble.triu(x, k)


def take(x: Tensor, indices: Tensor, /, *, axis: int | None = None) -> Tensor:
    """Of a packed x only the rows asked for are decoded."""
    return _nibble.take(_nibble.reshape(x, -1) if axis is None else x, asarray(indices), 0 if axis is None else axis)


def take_along_axis(x: Tensor, indices: Tensor, /, *, axis: int = -1) -> Tensor:
    """The element that each index names along an axis."""
    return _nibble.take_along_axis(x, asarray(indices), axis)


def meshgrid(*arrays: Tensor, indexing: str = "xy") -> list[Tensor]:
    """Coordinates of a grid: each tensor of one axis broadcast along those of the others."""
    if indexing not in ("xy", "ij"):
        raise ValueError(f"indexing {indexing!r}: 'xy' or 'ij'")
    order = list(range(len(arrays)))
    if indexing == "xy" and len(arrays) > 1:
        order[0], order[1] = 1, 0
    shaped = []
    for i, a in enumerate(arrays):
        shape = [1] * len(arrays)
        shape[order[i]] = a.size
        shaped.append(_nibble.reshape(a, shape))
    return broadcast_arrays(*shaped)
