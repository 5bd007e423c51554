"""The namespace against the standard's own idea of it, as array-api-strict has it."""

import inspect

import array_api_strict as strict
import numpy as np
import pytest

import nibble as nb

# By name, why: the documentation's table says the same.
ABSENT = {
    **dict.fromkeys(
        ["complex64", "complex128", "real", "imag", "conj", "iinfo", "finfo"], "no complex numbers; limits are NumPy's"
    ),
    **dict.fromkeys(["unique_all", "unique_counts", "unique_inverse", "unique_values", "nonzero", "count_nonzero"],
                    "shapes that depend on data"),
    **dict.fromkeys(
        ["bitwise_and", "bitwise_or", "bitwise_xor", "bitwise_invert", "bitwise_left_shift", "bitwise_right_shift"],
        "no operations on bits",
    ),
    **dict.fromkeys(
        ["acos", "acosh", "asin", "asinh", "atan", "atan2", "atanh", "cosh", "sinh", "expm1", "log1p", "logaddexp",
         "hypot", "copysign", "nextafter", "signbit"],
        "no kernel",
    ),
    **dict.fromkeys(["prod", "cumulative_sum", "cumulative_prod", "searchsorted", "diff", "isin"], "no kernel"),
    **dict.fromkeys(["linalg", "fft"], "extensions"),
}  # fmt: skip
OWN = {"ArrayAPIStrictFlags", "get_array_api_strict_flags", "set_array_api_strict_flags", "reset_array_api_strict_flags",
       "Device", "ALL_DEVICES"}  # fmt: skip


def standard_names():
    return [n for n in strict.__all__ if n not in OWN and not n.startswith("__")]


@pytest.mark.parametrize("name", standard_names())
def test_every_function_is_there_or_absent_for_a_reason(name):
    if name in ABSENT:
        assert not hasattr(nb, name)
        return
    assert hasattr(nb, name), name
    theirs, ours = getattr(strict, name), getattr(nb, name)
    if not inspect.isfunction(theirs) or not inspect.isfunction(ours):
        return  # constants, dtypes, and C++ functions, whose parameters are all by place
    wanted, given = inspect.signature(theirs).parameters, inspect.signature(ours).parameters
    missing = [p for p, v in wanted.items() if v.kind == v.KEYWORD_ONLY and p not in given]
    assert not missing
    by_place = [v for v in wanted.values() if v.kind in (v.POSITIONAL_ONLY, v.POSITIONAL_OR_KEYWORD)]
    taken = [v for v in given.values() if v.kind in (v.POSITIONAL_ONLY, v.POSITIONAL_OR_KEYWORD, v.VAR_POSITIONAL)]
    assert len(taken) >= len(by_place) or any(v.kind == v.VAR_POSITIONAL for v in taken)


PUBLIC = sorted(n for n, value in vars(nb).items() if callable(value) and not n.startswith("_")
                and getattr(value, "__module__", "").startswith("nibble"))  # fmt: skip


@pytest.mark.parametrize("name", PUBLIC)
def test_every_function_says_what_it_does(name):
    """More than the signature, with which nanobind begins."""
    said = [line for line in (getattr(nb, name).__doc__ or "").split("\n") if line and not line.startswith(f"{name}(")]
    assert said


def both(function):
    """The function's results on the same arrays in both namespaces."""
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((3, 4)).astype(np.float32), rng.integers(0, 3, (3, 4)).astype(np.int32)
    got = function(nb, nb.asarray(a), nb.asarray(b))
    want = function(strict, strict.asarray(a), strict.asarray(b))
    got, want = (r if isinstance(r, (list, tuple)) else [r] for r in (got, want))
    assert len(got) == len(want)
    for g, w in zip(got, want):
        np.testing.assert_allclose(np.asarray(g), np.asarray(w), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "function",
    [
        lambda xp, a, b: xp.add(a, xp.astype(b, xp.float32)),
        lambda xp, a, b: xp.pow(xp.abs(a), 2.0),
        lambda xp, a, b: xp.matmul(a, xp.matrix_transpose(a)),
        lambda xp, a, b: xp.vecdot(a, a),
        lambda xp, a, b: xp.tensordot(a, a, axes=([0], [0])),
        lambda xp, a, b: xp.permute_dims(a, (1, 0)),
        lambda xp, a, b: xp.moveaxis(xp.reshape(a, (3, 2, 2)), 0, -1),
        lambda xp, a, b: xp.concat([a, a], axis=None),
        lambda xp, a, b: xp.unstack(a, axis=1),
        lambda xp, a, b: xp.roll(a, 5),
        lambda xp, a, b: xp.roll(a, (1, -1), axis=(0, 1)),
        lambda xp, a, b: xp.tile(a, (2, 1, 2)),
        lambda xp, a, b: xp.repeat(a, 2, axis=0),
        lambda xp, a, b: xp.flip(a, axis=1),
        lambda xp, a, b: xp.clip(a, -0.5, 0.5),
        lambda xp, a, b: xp.eye(3, 5, k=1),
        lambda xp, a, b: xp.linspace(0.0, 1.0, 5),
        lambda xp, a, b: xp.linspace(0.0, 1.0, 5, endpoint=False),
        lambda xp, a, b: xp.arange(5),
        lambda xp, a, b: xp.arange(1.0, 2.0, 0.25),
        lambda xp, a, b: xp.meshgrid(xp.arange(3), xp.arange(2)),
        lambda xp, a, b: xp.take(a, xp.asarray([2, 0]), axis=0),
        lambda xp, a, b: xp.any(xp.greater(a, 0), axis=1),
        lambda xp, a, b: xp.all(xp.greater(a, -9)),
        lambda xp, a, b: xp.logical_xor(xp.greater(a, 0), xp.greater(a, 1)),
        lambda xp, a, b: xp.var(a, axis=0, correction=1.0),
        lambda xp, a, b: xp.argsort(a, axis=1, descending=True),
        lambda xp, a, b: xp.broadcast_arrays(a, xp.reshape(b[0, :], (1, 4))),
        lambda xp, a, b: xp.where(a > 0, a, xp.zeros_like(a)),
        lambda xp, a, b: xp.tril(a, k=-1),
        lambda xp, a, b: xp.trunc(a),
        lambda xp, a, b: xp.argmax(a),
        lambda xp, a, b: xp.squeeze(xp.expand_dims(a, axis=1), axis=1),
        lambda xp, a, b: xp.full((2, 2), 3.0),
        lambda xp, a, b: [f(a, axis=()) for f in (xp.sum, xp.mean, xp.max, xp.min, xp.var, xp.std, xp.any, xp.all)],
        lambda xp, a, b: xp.squeeze(xp.expand_dims(a, axis=1), axis=()),
        lambda xp, a, b: [xp.any(b > 0), xp.all(b > 0, axis=0, keepdims=True), xp.sum(b, axis=1)],
    ],
)
def test_same_values_as_the_strict_namespace(function):
    both(function)


def test_fewer_numbers_than_none():
    assert nb.linspace(0.0, 1.0, 0).shape == (0,)
    with pytest.raises(nb.ArgumentError, match=r"\[linspace\] -1"):
        nb.linspace(0.0, 1.0, -1)


def test_namespace_of_a_tensor():
    x = nb.ones(2)
    assert x.__array_namespace__() is nb and x.__array_namespace__(api_version="2024.12") is nb
    with pytest.raises(ValueError):
        x.__array_namespace__(api_version="1999.01")
    info = nb.__array_namespace_info__()
    assert info.default_device() == "cpu" and "cpu" in info.devices() and info.dtypes(kind="bool") == {"bool": nb.bool}
    assert nb.isdtype(nb.int8, "integral") and nb.result_type(nb.float16, nb.float32, 1) == nb.float32


def test_dtypes_are_those_that_functions_give():
    default = nb.__array_namespace_info__().default_dtypes()
    x = nb.asarray(np.array([[3, 1], [2, 2]], np.int8))
    for dtype in (nb.bool, nb.int8, nb.uint8, nb.int32, nb.uint32, nb.int64):
        assert nb.sum(nb.astype(x, dtype)).dtype == default["integral"], dtype
    assert nb.sum(nb.ones(3, dtype=nb.float16)).dtype == nb.float16
    assert nb.argmax(x).dtype == nb.argmin(x, axis=0).dtype == nb.argsort(x).dtype == default["indexing"]
    for dtype in (nb.bool, nb.int8, nb.float16):
        one = nb.ones(2, dtype=dtype)
        for number in (True, 2, 1.5):
            assert nb.result_type(one, number) == nb.maximum(one, number).dtype, (dtype, number)


def test_can_cast_asks_whether_every_value_is_had():
    for source, target in ((nb.int8, nb.float16), (nb.int32, nb.int64), (nb.uint8, nb.bfloat16), (nb.bool, nb.float32)):
        assert nb.can_cast(source, target) and not nb.can_cast(target, source)
    for source, target in ((nb.int64, nb.float32), (nb.int32, nb.float32), (nb.float16, nb.bfloat16), (nb.int8, nb.uint8)):
        assert not nb.can_cast(source, target), (source, target)
