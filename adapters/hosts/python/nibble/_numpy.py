"""NumPy's functions on tensors: np.matmul(x, w.T), np.sum(x), x + w where x is an array. Results are tensors."""

from __future__ import annotations

import inspect
from typing import Any, Callable

import numpy as np

from . import _array_api as xp
from . import _nibble
from ._convert import asarray
from ._nibble import Tensor

_UFUNCS: dict[Any, Callable[..., Any]] = {
    getattr(np, name): getattr(xp, ours)
    for name, ours in {
        **{n: n for n in ("add", "subtract", "multiply", "divide", "floor_divide", "remainder", "minimum", "maximum")},
        **{n: n for n in ("equal", "not_equal", "less", "less_equal", "greater", "greater_equal")},
        **{n: n for n in ("logical_and", "logical_or", "logical_not", "negative", "sign", "square", "sqrt")},
        **{n: n for n in ("reciprocal", "exp", "log", "sin", "cos", "tanh", "floor", "ceil", "isnan", "isinf")},
        **{n: n for n in ("isfinite", "matmul", "positive")},
        "power": "pow",
        "absolute": "abs",
        "rint": "round",
    }.items()
}

_FUNCTIONS: dict[Any, Callable[..., Any]] = {
    getattr(np, name): getattr(xp, ours)
    for name, ours in {
        **{n: n for n in ("reshape", "squeeze", "expand_dims", "broadcast_to", "stack", "flip", "repeat", "tril")},
        **{n: n for n in ("triu", "take", "take_along_axis", "where", "sort", "argsort", "argmax", "argmin", "sum")},
        **{n: n for n in ("mean", "max", "min", "std", "var", "zeros_like", "ones_like", "full_like", "tensordot")},
        **{n: n for n in ("empty_like", "moveaxis", "roll", "round")},
        "concatenate": "concat",
    }.items()
}


def _operand(x: Any) -> Any:
    return x if isinstance(x, (Tensor, bool, int, float)) and not isinstance(x, np.generic) else asarray(x)


def call_ufunc(ufunc: Any, method: str, inputs: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    function = _UFUNCS.get(ufunc)
    if method != "__call__" or function is None or any(v is not None for k, v in kwargs.items() if k != "dtype"):
        return NotImplemented  # NumPy then says which types it had
    result = function(*(_operand(x) for x in inputs))
    return result if kwargs.get("dtype") is None else xp.astype(result, kwargs["dtype"])


def _dot(a: Any, b: Any) -> Tensor:
    a, b = _operand(a), _operand(b)
    if not (isinstance(a, Tensor) and isinstance(b, Tensor) and a.ndim and b.ndim):
        return xp.multiply(a, b)
    return _nibble.dot(a, b)


def _transpose(a: Tensor, axes: Any = None) -> Tensor:
    return _nibble.transpose(a, axes)


def _einsum(subscripts: str, *operands: Any) -> Tensor:
    return _nibble.einsum(subscripts, [_operand(x) for x in operands])


_FUNCTIONS |= {np.dot: _dot, np.transpose: _transpose, np.einsum: _einsum, np.swapaxes: _nibble.swapaxes,
               np.shape: lambda x: x.shape, np.ndim: lambda x: x.ndim, np.size: lambda x: x.size}  # fmt: skip


def _positional_count(function: Callable[..., Any]) -> int:
    if not inspect.isfunction(function):
        return 9  # C++'s take all by place
    kinds = [p.kind for p in inspect.signature(function).parameters.values()]
    return len([k for k in kinds if k in (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)])


def call_function(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """NumPy's first arguments by place, the rest by name: it takes by place what the standard takes by name."""
    function = _FUNCTIONS.get(func)
    if function is None:
        return NotImplemented
    if func in (np.dot, np.transpose, np.einsum, np.swapaxes, np.shape, np.ndim, np.size):
        return function(*args, **kwargs)
    bound = inspect.signature(func).bind(*args, **kwargs).arguments
    places = _positional_count(function)
    in_place: list[Any] = []
    by_name: dict[str, Any] = {}
    for place, (name, value) in enumerate(bound.items()):
        value = asarray(value) if isinstance(value, np.ndarray) else value
        if place < places and len(in_place) == place:
            in_place.append(value)
        elif value is not None and value is not np._NoValue:
            by_name[name] = value
    if "ddof" in by_name:
        by_name["correction"] = by_name.pop("ddof")
    return function(*in_place, **by_name)
