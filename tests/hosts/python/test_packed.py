"""Packed tensors in Python: products, fallbacks, components, pickling, what errors say."""

import copy
import pickle
import threading
import time

import numpy as np
import pytest

import nibble as nb

rng = np.random.default_rng(1)


def weight(n=128, k=256, dtype=np.float32):
    return rng.standard_normal((n, k)).astype(dtype)


FORMATS = [f for f in nb.formats()]


def packed(format, n=32, k=256):  # few rows: some formats search long for their codes
    try:
        return nb.quantize(weight(n, k), format=format)
    except nb.UnsupportedError:
        pytest.skip("no encoder")


@pytest.mark.parametrize("format", FORMATS)
def test_products_equal_those_of_the_decoded_weight(format):
    w = packed(format)
    x = rng.standard_normal((5, 256)).astype(np.float32)
    want = x.astype(np.float64) @ w.numpy().astype(np.float64).T
    scale = np.linalg.norm(x, axis=1)[:, None] * np.linalg.norm(w.numpy(), axis=1)[None, :]
    with nb.options(fallback="error"):
        for y in (x @ w.T, nb.asarray(x) @ w.T, np.matmul(x, w.T), np.dot(x, w.T), nb.tensordot(nb.asarray(x), w.T, axes=1)):
            assert isinstance(y, nb.Tensor) and y.shape == (5, 32)
            assert np.max(np.abs(np.asarray(y) - want) / scale) < 1e-4


def test_looks_like_an_ordinary_tensor():
    w = nb.quantize(weight(), bits=4, group_size=64)
    assert w.shape == (128, 256) and w.dtype == nb.float32 and w.is_quantized and w.format == "affine4-g64"
    assert w.T.shape == (256, 128) and w.T.packed_axis == 0 and w.nbytes < w.size * 4
    assert repr(w) == "Tensor(shape=(128, 256), dtype=float32, format=affine4-g64)"
    assert repr(nb.asarray([1.0])) == "Tensor(shape=(1,), dtype=float32, [1.])"
    np.testing.assert_array_equal(np.asarray(w[3]), w.numpy()[3])
    np.testing.assert_array_equal(np.asarray(w[[5, -1]]), w.numpy()[[5, -1]])
    assert w[10:20].is_quantized and w[10:20].shape == (10, 256)


def test_fallbacks_are_counted_and_can_be_forbidden():
    w = nb.quantize(weight())
    nb.reset_stats()
    np.testing.assert_allclose(np.asarray(nb.exp(w)), np.exp(w.numpy()), rtol=1e-5)
    assert nb.stats()["bytes_dequantized"] > 0
    with nb.options(fallback="error"):
        with pytest.raises(nb.ForbiddenError, match="exp") as caught:
            nb.exp(w)
    assert caught.value.code == "fallback_forbidden"
    nb.exp(w)


SAMPLES = {
    "reshape": lambda w: nb.reshape(w, (2, 64, 256)),
    "transpose": lambda w: w.T,
    "take": lambda w: w[[1, 2]],
    "select": lambda w: w[1],
    "slice": lambda w: w[1:3],
    "matmul": lambda w: nb.asarray(np.ones((2, 256), np.float32)) @ w.T,
    "dequantize": lambda w: w.dequantize(),
    "add": lambda w: w + 1,
    "exp": nb.exp,
    "sum": nb.sum,
    "contiguous": nb._nibble.contiguous,
    "where": lambda w: nb.where(nb.asarray(True), w, w),
    "concatenate": lambda w: nb.concat([w, w]),
    "stack": lambda w: nb.stack([w, w]),
    "flip": lambda w: nb.flip(w, axis=0),
    "tril": nb.tril,
    "sort": nb.sort,
    "softmax": nb.softmax,
    "rms_norm": lambda w: nb.rms_norm(w, nb.ones(256)),
}


@pytest.mark.parametrize("op", SAMPLES)
def test_capability_says_what_happens(op):
    w = nb.quantize(weight())
    can = nb.capability(op, nb.float32, "affine4-g64", (128, 256))
    with nb.options(fallback="error"):
        if can == "native":
            SAMPLES[op](w)
        else:
            assert can == "decoded"
            with pytest.raises(nb.ForbiddenError):
                SAMPLES[op](w)


def test_capability_takes_names():
    assert nb.capability("matmul", "bfloat16", "q4_0", (2, 64)) == "native"
    assert nb.capability("matmul", np.float32, "q4_0", (2, 60)) == "refused"
    for unknown in (("nothing", "float32"), ("matmul", "float31"), ("matmul", "float32", "q9_9", (2, 64))):
        with pytest.raises(nb.ArgumentError, match="there is no such"):
            nb.capability(*unknown)


@pytest.mark.parametrize("dtype", list(nb.DType))
@pytest.mark.parametrize("op", ["exp", "add", "sum", "matmul", "reshape", "transpose", "slice"])
def test_capability_says_which_dtypes(op, dtype):
    can = nb.capability(op, dtype, None, (2, 2))
    try:
        x = nb.astype(nb.ones((2, 2)), dtype)
        {**SAMPLES, "add": lambda v: nb.add(v, v), "matmul": lambda v: nb.matmul(v, v),
         "reshape": lambda v: nb.reshape(v, (4,)), "slice": lambda v: v[:1]}[op](x)  # fmt: skip
        assert can == "native"
    except nb.DTypeError:
        assert can == "refused"


@pytest.mark.parametrize("format", FORMATS)
def test_components_pickling_and_copies_are_byte_exact(format, tmp_path):
    w = packed(format)
    parts = w.components()
    assert all(isinstance(p, nb.Tensor) and not p.is_quantized for p in parts.values())
    again = nb.from_components(format, parts, w.shape, w.dtype)
    np.testing.assert_array_equal(again.numpy(), w.numpy())
    for view in (w, w.T, w[5:9], nb.reshape(w, (4, 8, 256))):
        for other in (pickle.loads(pickle.dumps(view)), copy.deepcopy(view)):
            assert other.format == format and other.shape == view.shape and other.packed_axis == view.packed_axis
            np.testing.assert_array_equal(other.numpy(), view.numpy())


def test_inputs_may_lie_in_an_order_of_their_own():
    order = np.random.default_rng(4).permutation(256).astype(np.int32)
    stored = packed("q4_0")
    w = nb.from_components("q4_0", {**stored.components(), "input_order": order}, stored.shape)
    assert list(w.components()) == ["blocks", "input_order"]
    np.testing.assert_array_equal(w.numpy()[:, order], stored.numpy())
    x = nb.asarray(np.random.default_rng(5).standard_normal((3, 256), dtype=np.float32))
    with nb.options(fallback="error", precision="exact"):
        np.testing.assert_allclose((x @ w.T).numpy(), x.numpy() @ w.numpy().T, atol=1e-3)
    for view in (w, w.T, w[5:9]):
        other = pickle.loads(pickle.dumps(view))
        np.testing.assert_array_equal(other.numpy(), view.numpy())
    with pytest.raises(nb.ArgumentError, match="no permutation"):
        nb.from_components("q4_0", {**stored.components(), "input_order": order * 0}, stored.shape)


def test_dense_pickling():
    for a in (np.float32(3), np.arange(6, dtype=np.int32).reshape(2, 3).T, np.zeros((0, 2), np.float16)):
        x = pickle.loads(pickle.dumps(nb.asarray(a)))
        assert x.dtype.name == a.dtype.name
        np.testing.assert_array_equal(np.asarray(x), a)


def test_files(tmp_path):
    w = nb.quantize(weight())
    nb.save(tmp_path / "a.safetensors", {"layer.weight": w, "b": np.ones(3, np.float32)})
    loaded = nb.load(tmp_path / "a.safetensors")
    assert loaded["layer.weight"].format == "affine4-g64"
    np.testing.assert_array_equal(loaded["layer.weight"].numpy(), w.numpy())
    with pytest.raises(nb.Error, match="nothing.gguf"):
        nb.load(tmp_path / "nothing.gguf")
    (tmp_path / "bad.safetensors").write_bytes(b"\xff" * 100)
    with pytest.raises(nb.Error, match="bad.safetensors"):
        nb.load(tmp_path / "bad.safetensors")
    with pytest.raises(nb.ArgumentError, match=r"a\.gguf: save writes \.safetensors"):
        nb.save(tmp_path / "a.gguf", {"b": nb.ones(3)})
    assert not (tmp_path / "a.gguf").exists()


def test_errors_have_the_librarys_text():
    w = nb.quantize(weight())
    with pytest.raises(ValueError, match=r"\[matmul\].*affine4-g64") as caught:
        nb.asarray(np.ones((2, 3), np.float32)) @ w.T
    assert caught.value.code == "shape_mismatch" and isinstance(caught.value, nb.Error)
    with pytest.raises(TypeError, match="f64"):
        np.ones((2, 256)) @ w.T
    with pytest.raises(ValueError):
        nb.quantize(weight(4, 100))
    with pytest.raises(ValueError):
        nb.options(precision="sloppy")
    with pytest.raises(ValueError):
        w.to_device("toaster")
    with pytest.raises(TypeError):
        nb.exp("text")
    with pytest.raises(ValueError):
        nb.zeros((-1, 2))
    with pytest.raises(ValueError, match=r"\[shape\] 9 axes: a tensor has at most 8"):
        nb.ones((1,) * 9)
    with pytest.raises(MemoryError):
        nb.zeros((1 << 40, 1 << 15))


def test_options_nest_and_belong_to_a_thread():
    w, x = nb.quantize(weight()), np.ones((1, 256), np.float32)
    strict = nb.options(fallback="error")
    seen = []
    with strict, nb.options(precision="exact"):
        with pytest.raises(nb.ForbiddenError):
            nb.exp(w)
        thread = threading.Thread(target=lambda: seen.append(nb.exp(w).shape))
        thread.start()
        thread.join()
    assert seen == [(128, 256)]
    first, second = nb.options(), nb.options()
    first.__enter__(), second.__enter__()
    with pytest.raises(RuntimeError, match="order"):
        first.__exit__()
    second.__exit__(), first.__exit__()
    with pytest.raises(RuntimeError):
        first.__exit__()
    del x


def test_kernels_run_without_the_interpreters_lock():
    w = nb.quantize(weight(2048, 2048))
    x = nb.asarray(rng.standard_normal((512, 2048)).astype(np.float32))
    counted, stop = [0], threading.Event()

    def count():
        while not stop.is_set():
            counted[0] += 1
            time.sleep(0)

    thread = threading.Thread(target=count)
    thread.start()
    try:
        time.sleep(0.01)
        before = counted[0]
        x @ w.T
        assert counted[0] > before
    finally:
        stop.set()
        thread.join()


def test_many_threads():
    w = nb.quantize(weight())
    x = rng.standard_normal((3, 256)).astype(np.float32)
    want = np.asarray(x @ w.T)
    results = []

    def work():
        for _ in range(20):
            results.append(np.array_equal(np.asarray(x @ w.T), want))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert len(results) == 160 and all(results)
