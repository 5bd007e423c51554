"""NumPy's functions on tensors: np.matmul(x, w.T), np.sum(x), x + w where x is an array. What nibble has computes in
nibble and gives tensors; everything else computes in NumPy on the tensors' values, and gives what NumPy gives."""

from __future__ import annotations

import functools
import inspect
from typing import Any, Callable

import numpy as np

from . import _array_api as xp
from . import _nibble
from ._convert import asarray
from ._errors import Error, ForbiddenError, error_of
from ._nibble import Tensor
from ._tensor import to_numpy


def _dot(a: Any, b: Any) -> Tensor:
    a, b = _operand(a), _operand(b)
    if not (isinstance(a, Tensor) and isinstance(b, Tensor) and a.ndim and b.ndim):
        return xp.multiply(a, b)
    return _nibble.dot(a, b)


def _inner(a: Any, b: Any) -> Tensor:
    return xp.tensordot(_operand(a), _operand(b), axes=([-1], [-1]))


def _transpose(a: Tensor, axes: Any = None) -> Tensor:
    return _nibble.transpose(a, axes)


def _einsum(subscripts: str, *operands: Any, optimize: Any = False) -> Tensor:
    return _nibble.einsum(subscripts, [_operand(x) for x in operands])  # which orders its products itself


# Those that are called as NumPy was.
_OWN: dict[Any, Callable[..., Any]] = {
    np.dot: _dot, np.inner: _inner, np.transpose: _transpose, np.einsum: _einsum, np.swapaxes: _nibble.swapaxes,
    np.shape: lambda x: x.shape, np.ndim: lambda x: x.ndim, np.size: lambda x: x.size}  # fmt: skip

# The standard's functions that NumPy has, by the names that NumPy gave them before. Two answer with dtypes, which are to
# be NumPy's.
_OTHER_NAMES = {"power": "pow", "absolute": "abs", "rint": "round", "concatenate": "concat", "amax": "max", "amin": "min"}
_NUMPYS_DTYPES = ("can_cast", "result_type")
_NAMES = {name: name for name, ours in vars(xp).items() if callable(ours) and name not in _NUMPYS_DTYPES} | _OTHER_NAMES
_FUNCTIONS: dict[Any, Callable[..., Any]] = {
    getattr(module, name): getattr(xp, ours)
    for module in (np, np.linalg)
    for name, ours in _NAMES.items()
    if callable(getattr(module, name, None))
} | {np.array: asarray}


def _operand(x: Any) -> Any:
    """What is no number becomes a tensor, and so do the parts of a sequence that has one."""
    if isinstance(x, (list, tuple)) and any(isinstance(part, (Tensor, np.ndarray)) for part in x):
        return [_operand(part) for part in x]
    return x if isinstance(x, (Tensor, bool, int, float)) and not isinstance(x, np.generic) else asarray(x)


# ---- by NumPy --------------------------------------------------------------------------------------------------------


def _name(function: Any) -> str:
    """"numpy.linalg.norm", "numpy.exp2", "numpy.add.reduce"."""
    owner = getattr(function, "__self__", None)
    if isinstance(owner, np.ufunc):
        return f"numpy.{owner.__name__}.{function.__name__}"
    return f"{getattr(function, '__module__', 'numpy')}.{function.__name__}"


def _values(function: Any, x: Any) -> Any:
    """Arrays that cannot be written to, in place of tensors. Packed ones are decoded by the fallback rule, in the name of
    NumPy's function: counted, and refused where fallbacks are forbidden."""
    if type(x) in (list, tuple):
        return type(x)(_values(function, part) for part in x)
    if type(x) is dict:
        return {key: _values(function, part) for key, part in x.items()}
    if not isinstance(x, Tensor):
        return x
    try:
        dense = _nibble.contiguous(x) if x.is_quantized else x
    except ForbiddenError as error:
        raise error_of(error.code, str(error).replace("[contiguous]", f"[{_name(function)}]", 1)) from None
    array = to_numpy(dense)
    array.flags.writeable = False
    return array


def _compute(ours: Callable[[], Any] | None, numpys: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    """Nibble's function, unless there is none that takes these arguments; then NumPy's. Nibble's results are copied to an
    array that is named by out=."""
    out = kwargs.get("out")
    if out is not None and any(isinstance(part, Tensor) for part in (out if isinstance(out, tuple) else (out,))):
        raise TypeError(f"[{_name(numpys)}] out=: a tensor never changes; it takes an array")
    array = out[0] if isinstance(out, tuple) and len(out) == 1 else out
    if ours is not None and (array is None or isinstance(array, np.ndarray)):
        try:
            result = ours()
            if array is None:
                return result
            if array.shape == result.shape:
                np.copyto(array, to_numpy(result))
                return array
        except Error:
            raise
        except TypeError:
            pass
    return numpys(*_values(numpys, args), **_values(numpys, kwargs))


# ---- what NumPy calls ------------------------------------------------------------------------------------------------


def call_ufunc(ufunc: Any, method: str, inputs: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    function = _FUNCTIONS.get(ufunc) if method == "__call__" and kwargs.keys() <= {"dtype", "out"} else None

    def ours() -> Any:
        assert function is not None
        result = function(*(_operand(x) for x in inputs))
        return result if kwargs.get("dtype") is None else xp.astype(result, kwargs["dtype"])

    numpys = ufunc if method == "__call__" else getattr(ufunc, method)
    return _compute(ours if function else None, numpys, inputs, kwargs)


@functools.cache
def _by_place(function: Callable[..., Any]) -> float:
    """How many arguments a function takes by place."""
    if not inspect.isfunction(function):
        return float("inf")  # C++'s take all so
    kinds = [p.kind for p in inspect.signature(function).parameters.values()]
    if inspect.Parameter.VAR_POSITIONAL in kinds:
        return float("inf")
    return len([k for k in kinds if k in (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)])


_signature = functools.cache(inspect.signature)  # which takes longer to read than most functions to run


def _as_the_standard(func: Any, function: Callable[..., Any], args: Any, kwargs: dict[str, Any]) -> Any:
    """NumPy's first arguments by place, the rest by name: it takes by place what the standard takes by name."""
    signature, places = _signature(func), _by_place(function)
    bound = signature.bind(*args, **kwargs).arguments
    in_place: list[Any] = []
    by_name: dict[str, Any] = {}
    for place, (name, parameter) in enumerate(signature.parameters.items()):
        if name not in bound:
            continue
        value = bound[name]
        if parameter.kind == inspect.Parameter.VAR_POSITIONAL:
            in_place.extend(_operand(part) for part in value)
            continue
        if isinstance(value, (np.ndarray, list, tuple)) and _has_arrays(value):
            value = _operand(value)
        if place < places and len(in_place) == place:
            in_place.append(value)
        elif value is not None and value is not np._NoValue:
            by_name[name] = value
    if "ddof" in by_name:
        by_name["correction"] = by_name.pop("ddof")
    return function(*in_place, **by_name)


def _has_arrays(value: Any) -> bool:
    return isinstance(value, np.ndarray) or any(isinstance(part, (Tensor, np.ndarray)) for part in value)


def call_function(func: Any, types: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    if not all(issubclass(kind, (Tensor, np.ndarray)) for kind in types):
        return NotImplemented  # another library's arrays, which may know how
    own, function = _OWN.get(func), _FUNCTIONS.get(func)
    rest = {key: value for key, value in kwargs.items() if key != "out"}

    def ours() -> Any:
        if own is not None:
            return own(*args, **rest)
        assert function is not None
        return _as_the_standard(func, function, args, rest)

    return _compute(ours if own or function else None, func, args, kwargs)
