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


def is_operation(name):
    try:
        return bool(nb.capability(name, nb.float32, None, (2, 2)))
    except nb.ArgumentError:
        return False


N = nb._nibble
OPERATIONS = [name for name in dir(N) if is_operation(name)]
attend = N.scaled_dot_product_attention
# Every operation on a matrix; those that are not here take it alone, or twice.
SAMPLES = {
    "zeros": lambda v: N.zeros((2,), v.dtype),
    "ones": lambda v: N.ones((2,), v.dtype),
    "full": lambda v: N.full((2,), 1, v.dtype),
    "empty": lambda v: N.empty((2,), v.dtype),
    "empty_packed": lambda v: N.empty_packed((2, 64), "q4_0"),
    "arange": lambda v: N.arange(0, 4, 1, v.dtype),
    "random_uniform": lambda v: N.random_uniform((2,), 1, 0.0, 1.0, v.dtype),
    "random_normal": lambda v: N.random_normal((2,), 1, 0.0, 1.0, v.dtype),
    "where": lambda v: N.where(nb.asarray(True), v, v),
    "cast": lambda v: N.cast(v, nb.float16 if v.dtype == nb.float32 else nb.float32),
    "topk": lambda v: N.topk(v, 1),
    "reshape": lambda v: N.reshape(v, (1, *v.shape)),
    "swapaxes": lambda v: N.swapaxes(v, 0, 1),
    "expand_dims": lambda v: N.expand_dims(v, 0),
    "broadcast_to": lambda v: N.broadcast_to(v, (2, *v.shape)),
    "concatenate": lambda v: N.concatenate([v, v]),
    "stack": lambda v: N.stack([v, v]),
    "split": lambda v: N.split(v, 2, 0),
    "slice": lambda v: N.slice(v, 0, 0, 1),
    "select": lambda v: N.select(v, 0, 0),
    "flip": lambda v: N.flip(v, (0,)),
    "pad": lambda v: N.pad(v, [1, 0], [0, 0]),
    "repeat": lambda v: N.repeat(v, 2, 0),
    "take": lambda v: N.take(v, N.arange(0, 2)),
    "update_slice": lambda v: update(v),
    "take_along_axis": lambda v: N.take_along_axis(v, nb.zeros((1, v.shape[1]), dtype=nb.int32), 0),
    "matmul": lambda v: N.matmul(beside(v), v.T),
    "dot": lambda v: N.dot(beside(v), v.T),
    "dot_general": lambda v: N.dot_general(beside(v), [1], [], v, [1], []),
    "einsum": lambda v: N.einsum("ij,kj->ik", [beside(v), v]),
    "gather_matmul": lambda v: N.gather_matmul(beside(v), v.T[None], N.zeros((1,), nb.int32)),
    "rms_norm": lambda v: N.rms_norm(v, beside(v)[0]),
    "layer_norm": lambda v: N.layer_norm(v, beside(v)[0], beside(v)[0]),
    "rope_frequencies": lambda v: N.rope_frequencies(2, 1e4),
    "rope": lambda v: N.rope(v[None, None], 0, *N.rope_frequencies(v.shape[1], 1e4)),
    "scaled_dot_product_attention": lambda v: attend(*(u[None, None] for u in (beside(v), v, v))),
    "quantize": lambda v: N.quantize(v if v.is_quantized else N.repeat(v, 32, 1)),
    "from_quantized": lambda v: N.from_quantized(nb.zeros((2, 8), dtype=nb.uint32), v[:, :1], v[:, :1]),
    "reexpress": lambda v: N.reexpress(v, v.format),
}

def beside(v):
    """Dense, and as wide."""
    return nb.astype(nb.ones((2, v.shape[1])), v.dtype)


def update(v):
    before = nb.stats()["bytes_dequantized"]
    with nb.options(fallback="allow"):  # which forbids the copy of what somebody else holds, too
        N.update_slice(v, beside(v)[:1], 0, 0)
    assert nb.stats()["bytes_dequantized"] == before


def outcome(op, v):
    try:
        with nb.options(fallback="error"):
            if op in SAMPLES:
                SAMPLES[op](v)
            else:
                getattr(N, op)(*([v, v] if getattr(N, op).__doc__.startswith(f"{op}(a") else [v]))
        return "native"
    except nb.ForbiddenError:
        return "decoded"
    except nb.DTypeError:
        return "refused"


@pytest.mark.parametrize("op", OPERATIONS)
def test_capability_says_what_happens(op):
    for format in ("affine4-g32", "q4_k", "nf4"):
        w = packed(format, 4)
        can = nb.capability(op, nb.float32, format, w.shape)
        assert can == "refused" or outcome(op, w) == can, format
    if op in ("empty_packed", "rope_frequencies", "reexpress"):
        return  # which have one dtype
    for dtype in nb.DType:
        can = nb.capability(op, dtype, None, (2, 2))
        assert outcome(op, nb.astype(nb.ones((2, 2)), dtype)) == can, dtype


def test_capability_of_attention_is_that_of_the_device():
    rows = np.random.default_rng(7).standard_normal((1, 1, 4, 32), dtype=np.float32)
    for device in nb.devices():
        q, k = nb.asarray(rows).to_device(device), nb.quantize(nb.asarray(rows), format="q8_0").to_device(device)
        can = nb.capability("scaled_dot_product_attention", "float32", "q8_0", k.shape, device)
        try:
            with nb.options(fallback="error"):
                N.scaled_dot_product_attention(q, k, k)
            assert can == "native", device
        except nb.ForbiddenError:
            assert can == "decoded", device


def test_capability_takes_names():
    assert nb.capability("matmul", "bfloat16", "q4_0", (2, 64)) == "native"
    for format, width in (("q4_0", 60), ("q4_k", 64), ("q4_k", 255)):  # rows are whole blocks
        assert nb.capability("matmul", np.float32, format, (2, width)) == "refused"
    for unknown in (("nothing", "float32"), ("matmul", "float31"), ("matmul", "float32", "q9_9", (2, 64))):
        with pytest.raises(nb.ArgumentError, match="there is no such"):
            nb.capability(*unknown)


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
