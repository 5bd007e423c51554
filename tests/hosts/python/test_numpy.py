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


# What nibble has, under whatever names and with whatever arguments NumPy takes: tensors, and nothing decoded for products.
NIBBLES = {
    "clip": lambda v, a: np.clip(v, -0.5, 0.5),
    "clip, one bound": lambda v, a: np.clip(v, a_max=0.5, a_min=None),
    "clip, by the newer name": lambda v, a: np.clip(v, max=0.5),
    "any": lambda v, a: np.any(v > 1, axis=0),
    "all": lambda v, a: np.all(v > -1),
    "amax": lambda v, a: np.amax(v, axis=1),
    "log2": lambda v, a: np.log2(np.abs(v) + 1),
    "trunc": lambda v, a: np.trunc(v),
    "tan": lambda v, a: np.tan(v),
    "logical_xor": lambda v, a: np.logical_xor(v > 0, a > 0.5),
    "concatenate with arrays": lambda v, a: np.concatenate([a, v], axis=1),
    "stack": lambda v, a: np.stack((v, a)),
    "meshgrid": lambda v, a: np.meshgrid(v[0], a[1], indexing="ij")[1],
    "broadcast_arrays": lambda v, a: np.broadcast_arrays(v, a[:1])[1],
    "matrix_transpose": lambda v, a: np.matrix_transpose(v),
    "inner": lambda v, a: np.inner(a, v),
    "einsum, optimized": lambda v, a: np.einsum("ij,kj->ik", a, v, optimize=True),
    "vecdot": lambda v, a: np.vecdot(v, a),
    "linalg.matmul": lambda v, a: np.linalg.matmul(a, v.T),
}
# What it has not: NumPy's own answers.
NUMPYS = {
    "allclose": lambda v, a: np.allclose(a, v, atol=0.1),
    "isclose": lambda v, a: np.isclose(v, a, atol=0.1),
    "array_equal": lambda v, a: np.array_equal(v, a),
    "linalg.norm": lambda v, a: np.linalg.norm(v, axis=1),
    "linalg.svd": lambda v, a: np.linalg.svd(v)[1],
    "linalg.pinv": lambda v, a: np.linalg.pinv(v),
    "percentile": lambda v, a: np.percentile(v, [5, 95], axis=1),
    "median": lambda v, a: np.median(v, axis=0),
    "average": lambda v, a: np.average(v, axis=0, weights=np.arange(v.shape[0])),
    "cumsum": lambda v, a: np.cumsum(v, axis=1),
    "prod": lambda v, a: np.prod(v, axis=0),
    "diff": lambda v, a: np.diff(v),
    "ptp": lambda v, a: np.ptp(v),
    "log1p": lambda v, a: np.log1p(np.abs(v)),
    "arctan2": lambda v, a: np.arctan2(v, a),
    "modf": lambda v, a: np.modf(v)[0],
    "add.reduce": lambda v, a: np.add.reduce(v),
    "maximum.accumulate": lambda v, a: np.maximum.accumulate(v, axis=1),
    "multiply.outer": lambda v, a: np.multiply.outer(v[0], a[0]),
    "outer": lambda v, a: np.outer(v[0], a[0]),
    "vstack": lambda v, a: np.vstack([v, a]),
    "split": lambda v, a: np.split(v, 2, axis=1)[1],
    "block": lambda v, a: np.block([[v, a], [a, v]]),
    "pad": lambda v, a: np.pad(v, 1),
    "round to places": lambda v, a: np.round(v, 1),
    "sum, where": lambda v, a: np.sum(v, where=a > 0),
    "max, initial": lambda v, a: np.max(v, axis=1, initial=0.25),
    "add, where": lambda v, a: np.add(v, 1, out=np.zeros_like(a), where=a > 0),
    "unique": lambda v, a: np.unique(v),
    "nonzero": lambda v, a: np.nonzero(v > 0.5)[1],
    "where, one": lambda v, a: np.where(v > 0.5)[0],
    "searchsorted": lambda v, a: np.searchsorted([-1, 0, 1], v),
    "histogram": lambda v, a: np.histogram(v, 5)[0],
    "isin": lambda v, a: np.isin(v, a),
    "nan_to_num": lambda v, a: np.nan_to_num(v),
    "interp": lambda v, a: np.interp(v, [-1, 1], [0, 9]),
    "cov": lambda v, a: np.cov(v),
    "fft": lambda v, a: np.fft.fft(v),
    "apply_along_axis": lambda v, a: np.apply_along_axis(np.ptp, 1, v),
    "select": lambda v, a: np.select([a > 0], [v], 7),
    "copy": lambda v, a: np.copy(v),
    "array2string": lambda v, a: np.array2string(v[:1]),
    "result_type": lambda v, a: np.result_type(v, np.float64),
}


def weights():
    dense = np.random.default_rng(0).standard_normal((6, 64)).astype(np.float32)
    w = nb.quantize(dense, bits=8, group_size=64)
    return dense, w, np.asarray(w)


@pytest.mark.parametrize("name", [*NIBBLES, *NUMPYS])
def test_every_function_of_numpys_computes(name):
    f = (NIBBLES | NUMPYS)[name]
    if not hasattr(np, "vecdot"):
        pytest.skip("skipped: written for NumPy 2")
    a, w, decoded = weights()
    for v, values in ((nb.asarray(a), a), (w, decoded)):
        want, got = f(values, a), f(v, a)
        assert isinstance(got, nb.Tensor if name in NIBBLES else type(want))
        if isinstance(want, (np.ndarray, np.generic)):
            assert np.shape(got) == np.shape(want) and (name in NIBBLES or got.dtype == want.dtype)
            np.testing.assert_allclose(np.asarray(got), want, rtol=1e-3, atol=5e-3)  # of products: standard precision
        else:
            assert got == want


def test_what_numpy_computes_on_a_packed_tensor_is_counted_or_refused_in_its_functions_name():
    a, w, decoded = weights()
    nb.reset_stats()
    np.percentile(w, 50)
    np.hypot(w, a)
    assert nb.stats()["bytes_dequantized"] == 2 * a.nbytes
    with nb.options(fallback="error"):
        np.testing.assert_allclose(np.asarray(np.inner(a, w)), a @ decoded.T, rtol=1e-3, atol=1e-2)
        for name, f in {"percentile": lambda: np.percentile(w, 50), "linalg.norm": lambda: np.linalg.norm(w),
                        "hypot": lambda: np.hypot(a, w), "add.reduce": lambda: np.add.reduce(w),
                        "vstack": lambda: np.vstack([a, w])}.items():  # fmt: skip
            with pytest.raises(nb.ForbiddenError, match=rf"^\[numpy\.{name}\] affine8-g64 \(6, 64\)"):
                f()
        assert np.percentile(nb.asarray(a), 50) == np.percentile(a, 50)


def test_results_are_written_to_arrays_and_never_to_tensors():
    a, w, decoded = weights()
    x = nb.asarray(a)
    out = np.empty((6, 6), np.float32)
    with nb.options(fallback="error"):
        assert np.matmul(a, w.T, out=out) is out
    np.testing.assert_allclose(out, a @ decoded.T, rtol=1e-3, atol=1e-2)
    mean = np.empty(6, np.float32)
    assert np.mean(x, axis=1, out=mean) is mean
    np.testing.assert_allclose(mean, a.mean(axis=1), rtol=1e-4, atol=1e-6)
    total = a.copy()
    total += w
    np.testing.assert_allclose(total, a + decoded)
    with pytest.raises(ValueError):  # NumPy's word on an array of another shape
        np.mean(x, axis=1, out=np.empty((6, 6), np.float32))
    for write in (lambda t: np.add(a, 1, out=t), lambda t: np.exp2(a, out=t), lambda t: np.mean(a, axis=1, out=t)):
        with pytest.raises(TypeError, match="a tensor never changes"):
            write(x)
    for t in (x, w):
        for write in (lambda: np.copyto(t, 2 * a), lambda: np.fill_diagonal(t, 0), lambda: np.add.at(t, 0, 1)):
            with pytest.raises(ValueError, match="read-only"):
                write()
    np.testing.assert_array_equal(np.asarray(w), decoded)


def test_nibbles_own_refusals_are_not_hidden():
    x = nb.asarray(np.ones((2, 3)))
    with pytest.raises(nb.DTypeError, match="f64 is for storage"):
        np.sum(x)
    with pytest.raises(nb.ArgumentError, match="matmul"):
        np.matmul(nb.ones((2, 3)), nb.ones((2, 3)))
    with pytest.raises(TypeError):
        np.add(nb.ones((2, 3)), "text")


def test_arrays_of_other_libraries_are_asked_first():
    class Other:
        def __array_function__(self, func, types, args, kwargs):
            return "other's"

    assert np.concatenate([nb.ones((2,)), Other()]) == "other's"
    assert isinstance(np.zeros((2, 3), like=nb.ones((1,))), nb.Tensor)
    assert isinstance(np.array([1.0, 2.0], like=nb.ones((1,))), nb.Tensor)


def test_bfloat16_arrays_of_ml_dtypes():
    ml_dtypes = pytest.importorskip("ml_dtypes")
    a = np.array([1.5, -2.25, 3e38], dtype=ml_dtypes.bfloat16)
    x = nb.asarray(a)
    assert x.dtype == nb.bfloat16
    np.testing.assert_array_equal(x.numpy(), a.astype(np.float32))


def test_big_endian_arrays_are_converted():
    a = np.array([1, 2, 3], dtype=">f4")
    np.testing.assert_array_equal(np.asarray(nb.asarray(a)), a)
