"""Tensors against NumPy: operators, functions of the namespace, NumPy's own functions, indexing."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import nibble as nb

quick = settings(max_examples=40, deadline=None, derandomize=True, database=None)
DTYPES = [np.float32, np.int32, np.int64, np.uint8]


def arrays(dtypes=DTYPES, min_dims=0):
    return st.sampled_from(dtypes).flatmap(
        lambda d: hnp.arrays(
            d,
            hnp.array_shapes(min_dims=min_dims, max_dims=4, min_side=0, max_side=5),
            elements=st.integers(0, 9),
        )
    )


def strided(a, data):
    """A view with other strides: steps, flips, exchanged axes."""
    if a.ndim == 0:
        return a
    step = data.draw(st.sampled_from([1, 2, -1]))
    axes = data.draw(st.permutations(range(a.ndim)))
    return a[::step].transpose(axes)


@quick
@given(arrays(), st.data())
def test_arrays_are_shared_with_any_strides(a, data):
    view = strided(a, data)
    x = nb.asarray(view)
    assert x.shape == view.shape and x.dtype.name == view.dtype.name
    np.testing.assert_array_equal(np.asarray(x), view)
    if view.size:
        assert np.asarray(x).__array_interface__["data"][0] == view.__array_interface__["data"][0]
        assert np.asarray(x).strides == view.strides or 1 in view.shape
    np.testing.assert_array_equal(np.asarray(nb.asarray(view, copy=True)), view)


BINARY = ["add", "subtract", "multiply", "minimum", "maximum", "equal", "not_equal", "less", "greater_equal"]


@quick
@given(arrays(min_dims=1), st.sampled_from(BINARY), st.data())
def test_binary_functions_operators_and_ufuncs(a, name, data):
    b = strided(a, data)
    try:
        np.broadcast_shapes(a.shape, b.shape)
    except ValueError:
        with pytest.raises(ValueError, match=name):
            getattr(nb, name)(nb.asarray(a), nb.asarray(b))
        return
    want = getattr(np, name)(a, b)
    for got in (getattr(nb, name)(nb.asarray(a), nb.asarray(b)), getattr(np, name)(nb.asarray(a), b)):
        assert isinstance(got, nb.Tensor)
        np.testing.assert_array_equal(np.asarray(got), want)


UNARY = ["abs", "negative", "sqrt", "exp", "sin", "cos", "tanh", "floor", "ceil", "square", "isnan", "sign", "log2", "trunc"]


@quick
@given(hnp.arrays(np.float32, hnp.array_shapes(max_side=6), elements=st.floats(0.125, 8, width=32)), st.sampled_from(UNARY))
def test_unary_functions(a, name):
    np.testing.assert_allclose(np.asarray(getattr(nb, name)(nb.asarray(a))), getattr(np, name)(a), rtol=2e-5, atol=1e-6)


@quick
@given(
    hnp.arrays(np.float32, hnp.array_shapes(min_dims=1, max_dims=4, max_side=5), elements=st.integers(-9, 9)),
    st.data(),
)
def test_reductions(a, data):
    axes = data.draw(st.sampled_from([None, 0, -1, tuple(range(a.ndim)), ()]))
    keep = data.draw(st.booleans())
    for name in ("sum", "mean", "max", "min", "var", "std"):
        if axes == () and name in ("var", "std"):
            continue
        want = getattr(np, name)(a, axis=axes, keepdims=keep)
        got = getattr(nb, name)(nb.asarray(a), axis=axes, keepdims=keep)
        assert got.shape == want.shape
        np.testing.assert_allclose(np.asarray(got), want, rtol=1e-5, atol=1e-4)
        np.testing.assert_allclose(np.asarray(getattr(np, name)(nb.asarray(a), axis=axes, keepdims=keep)), want, rtol=1e-5, atol=1e-4)


@quick
@given(arrays(min_dims=1), st.data())
def test_indexing(a, data):
    key = data.draw(hnp.basic_indices(a.shape, allow_newaxis=True, max_dims=6))
    np.testing.assert_array_equal(np.asarray(nb.asarray(a)[key]), a[key])


def test_indexing_by_arrays_and_what_is_refused():
    a = np.arange(24, dtype=np.float32).reshape(4, 6)
    x = nb.asarray(a)
    rows = np.array([[3, -1], [0, 2]])
    np.testing.assert_array_equal(np.asarray(x[rows]), a[rows])
    np.testing.assert_array_equal(np.asarray(x[:, [1, 1, 5]]), a[:, [1, 1, 5]])
    np.testing.assert_array_equal(np.asarray(x[nb.asarray(2)]), a[2])
    assert [float(row[0]) for row in x] == [0, 6, 12, 18] and len(x) == 4
    for key in (4, (0, 9), [7], (0, 0, 0), np.array([True, False, True, True]), True):
        with pytest.raises(IndexError):
            x[key]


def test_numbers_conversions_and_truth():
    x = nb.asarray([[1.5, 2.0]])
    assert x.dtype == nb.float32 and nb.asarray([1, 2]).dtype == nb.int64 and nb.asarray(True).dtype == nb.bool
    assert float(x[0, 0]) == 1.5 and int(nb.asarray(7)) == 7 and bool(nb.asarray(1)) and [10, 20][nb.asarray(1)] == 20
    assert x.tolist() == [[1.5, 2.0]] and (2 - x).tolist() == [[0.5, 0.0]] and (2 ** nb.asarray([3.0])).tolist() == [8.0]
    with pytest.raises(ValueError):
        bool(x)
    with pytest.raises(TypeError):
        [10, 20][nb.asarray(1.0)]
    with pytest.raises(TypeError):
        x + "text"
    with pytest.raises(TypeError):
        hash(x)


def test_numpys_own_functions():
    a = np.arange(12, dtype=np.float32).reshape(3, 4)
    x = nb.asarray(a)
    for f in (
        lambda v: np.concatenate([v, v], axis=1),
        lambda v: np.stack([v, v]),
        lambda v: np.transpose(v),
        lambda v: np.reshape(v, (4, 3)),
        lambda v: np.sum(v, 1),
        lambda v: np.where(v > 3, v, 0),
        lambda v: np.dot(v, v.T),
        lambda v: np.einsum("ij,kj->ik", v, v),
        lambda v: np.tensordot(v, v, axes=([1], [1])),
        lambda v: np.take(v, np.array([2, 0]), axis=0),
        lambda v: np.argmax(v, axis=1),
        lambda v: np.expand_dims(v, 0),
        lambda v: np.var(v, axis=0, ddof=1),
        lambda v: np.roll(v, 1, axis=1),
    ):
        got = f(x)
        assert isinstance(got, nb.Tensor)
        np.testing.assert_allclose(np.asarray(got), f(a), rtol=1e-6)
    with pytest.raises(TypeError):
        np.linalg.svd(x)
    with pytest.raises(TypeError):
        np.add.reduce(x)


def test_bfloat16_arrays_of_ml_dtypes():
    ml_dtypes = pytest.importorskip("ml_dtypes")
    a = np.array([1.5, -2.25, 3e38], dtype=ml_dtypes.bfloat16)
    x = nb.asarray(a)
    assert x.dtype == nb.bfloat16
    np.testing.assert_array_equal(x.numpy(), a.astype(np.float32))


def test_big_endian_arrays_are_converted():
    a = np.array([1, 2, 3], dtype=">f4")
    np.testing.assert_array_equal(np.asarray(nb.asarray(a)), a)
