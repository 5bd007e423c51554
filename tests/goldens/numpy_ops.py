"""What NumPy gives for nibble's plain ops, computed in float64 (integers: in their own type) from inputs of each dtype.

A case is `<op>/<dtype>`: inputs `<case>:0`, `<case>:1`, ... (none: `x/<dtype>`), result `<case>:out:<result dtype>:<ulps>`:
in f64 with the error allowed in units of the last place of its dtype, or in its dtype where it is exact. The table of
operations is in tests/dispatch/numpy_ops_test.cpp.
"""

from math import erf, erfc, pi, sqrt
from pathlib import Path

import ml_dtypes
import numpy as np

from golden_io import record_versions, save_tensors

DTYPES = {
    "f32": np.float32, "f16": np.float16, "bf16": ml_dtypes.bfloat16, "i8": np.int8, "u8": np.uint8,
    "i32": np.int32, "u32": np.uint32, "i64": np.int64, "bool": np.bool_,
}
FLOATS = ["f32", "f16", "bf16"]
INTEGERS = ["i8", "u8", "i32", "u32", "i64"]
SPECIAL = [0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan, 0.5, -0.5, 1.5, 2.5, -2.5, 3e-8, -6e-8, 60000.0, -1e-3]

rng = np.random.default_rng(20)
tensors = {}


def wide(x):
    """The exact values in the type that NumPy computes in."""
    return x.astype(np.float64) if x.dtype not in (np.int8, np.uint8, np.int32, np.uint32, np.int64, np.bool_) else x


def case(op, dtype, inputs, out, result=None, ulps=0.5):
    result = result or dtype
    name = f"{op}/{dtype}"
    assert not any(key.startswith(f"{name}:") for key in tensors), name
    for i, x in enumerate(inputs):
        tensors[f"{name}:{i}"] = x.copy()
    kind = np.float64 if result in FLOATS and ulps > 0 else DTYPES[result]
    tensors[f"{name}:out:{result}:{ulps:g}"] = np.asarray(out).astype(kind)


def sample(dtype, shape, special=False, low=-50, high=50):
    kind = DTYPES[dtype]
    if dtype == "bool":
        return rng.integers(0, 2, shape).astype(kind)
    if dtype in INTEGERS:
        info = np.iinfo(kind)
        return rng.integers(max(low, info.min), min(high, info.max), shape, endpoint=True).astype(kind)
    x = (rng.standard_normal(shape) * 3).astype(np.float64)
    if special:
        flat = x.reshape(-1)
        flat[: min(len(SPECIAL), flat.size)] = SPECIAL[: flat.size]
        rng.shuffle(flat)
    return x.astype(kind)


def pairs(dtype, special):
    return sample(dtype, (2, 1, 8), special), sample(dtype, (3, 8), special)


def binary_cases():
    arithmetic = {"add": np.add, "subtract": np.subtract, "multiply": np.multiply, "floor_divide": np.floor_divide,
                  "remainder": np.remainder}
    extremes = {"minimum": np.minimum, "maximum": np.maximum}
    tests = {"equal": np.equal, "not_equal": np.not_equal, "less": np.less, "less_equal": np.less_equal,
             "greater": np.greater, "greater_equal": np.greater_equal, "logical_and": np.logical_and,
             "logical_or": np.logical_or}
    for op, f in (arithmetic | extremes).items():
        for dtype in FLOATS + INTEGERS:
            if op == "floor_divide" and dtype in FLOATS:
                continue  # of the rounded type's own remainder: below
            a, b = pairs(dtype, dtype in FLOATS)
            case(op, dtype, [a, b], f(wide(a), wide(b)), ulps=1 if op == "remainder" else 0.5)
    for dtype in FLOATS:
        a, b = pairs(dtype, True)
        case("floor_divide", dtype, [a, b], np.floor_divide(a.astype(np.float32), b.astype(np.float32)))
        a, b = pairs(dtype, True)
        case("divide", dtype, [a, b], wide(a) / wide(b))
        a, b = np.abs(sample(dtype, (2, 1, 8))), sample(dtype, (3, 8), True)
        case("power", dtype, [a, b], np.power(wide(a), wide(b)), ulps=1)
    for dtype in INTEGERS:
        a, b = pairs(dtype, False)
        case("divide", dtype, [a, b], a.astype(np.float32).astype(np.float64) / b.astype(np.float64), "f32")
        a, b = sample(dtype, (2, 1, 8), low=-9, high=9), sample(dtype, (3, 8), low=0, high=9)
        case("power", dtype, [a, b], np.power(a, b))
    for op, f in extremes.items():
        a, b = pairs("bool", False)
        case(op, "bool", [a, b], f(a, b))
    for op, f in tests.items():
        for dtype in FLOATS + ["i8", "u32", "i64", "bool"]:
            a, b = pairs(dtype, dtype in FLOATS)
            b[..., :3] = a[0, 0, :3]
            case(op, dtype, [a, b], f(wide(a), wide(b)), "bool")


def unary_cases():
    v = np.vectorize
    sigmoid = lambda x: np.where(x < 0, np.exp(x) / (1 + np.exp(x)), 1 / (1 + np.exp(-x)))
    by_tanh = lambda x: x * sigmoid(2 * np.sqrt(2 / pi) * (x + 0.044715 * x**3))
    same = {"negative": np.negative, "abs": np.abs, "sign": np.sign, "square": np.square, "floor": np.floor,
            "ceil": np.ceil, "round": np.rint, "relu": lambda x: np.where(x < 0, 0, x)}
    real = {"sqrt": np.sqrt, "rsqrt": lambda x: 1 / np.sqrt(x), "reciprocal": np.reciprocal, "exp": np.exp, "log": np.log,
            "sin": np.sin, "cos": np.cos, "tanh": np.tanh, "erf": v(erf, otypes=[float]), "sigmoid": sigmoid,
            "silu": lambda x: x * sigmoid(x)}
    tests = {"logical_not": np.logical_not, "isnan": np.isnan, "isinf": np.isinf, "isfinite": np.isfinite}
    for op, f in same.items():
        for dtype in FLOATS + INTEGERS:
            x = sample(dtype, (4, 7), dtype in FLOATS)
            case(op, dtype, [x], f(wide(x)))
    for op, f in real.items():
        for dtype in FLOATS:
            x = sample(dtype, (4, 7), True)
            case(op, dtype, [x], f(wide(x)), ulps=3.5 if dtype == "f32" else 0.51)
        x = sample("i32", (3, 8))
        case(op, "i32", [x], f(x.astype(np.float64)), "f32", ulps=3.5)
    for dtype in FLOATS:  # finite: 0·Inf is left to the limits tested elsewhere
        x = sample(dtype, (3, 8))
        gelu = lambda x: 0.5 * x * v(erfc, otypes=[float])(-x / sqrt(2))
        case("gelu", dtype, [x], gelu(wide(x)), ulps=8 if dtype == "f32" else 0.51)
        case("gelu_tanh", dtype, [x], by_tanh(wide(x)), ulps=60 if dtype == "f32" else 0.52)
    for op, f in tests.items():
        for dtype in FLOATS + ["u8", "i64", "bool"]:
            x = sample(dtype, (4, 7), dtype in FLOATS)
            case(op, dtype, [x], f(wide(x)), "bool")


def reduction_cases():
    def lse(x, axis):
        m = np.max(x, axis=axis, keepdims=True)
        return np.squeeze(m + np.log(np.sum(np.exp(x - m), axis=axis, keepdims=True)), axis=axis)

    everything = (0, 1, 2)
    for text, axes in {"": everything, "0": (0,), "1": (1,), "02": (0, 2)}.items():
        for dtype in FLOATS:
            x = sample(dtype, (3, 2, 20))
            w = wide(x)
            case(f"sum{text}", dtype, [x], w.sum(axes), ulps=0.51)
            case(f"mean{text}", dtype, [x], w.mean(axes), ulps=1.1)
            case(f"var{text}", dtype, [x], w.var(axes), ulps=4 if dtype == "f32" else 0.51)
            case(f"max{text}", dtype, [x], w.max(axes))
            case(f"min{text}", dtype, [x], w.min(axes))
            case(f"logsumexp{text}", dtype, [x], lse(w, axes), ulps=2 if dtype == "f32" else 0.51)
        for dtype in INTEGERS:
            x = sample(dtype, (3, 2, 5))
            case(f"sum{text}", dtype, [x], x.sum(axes, dtype=np.int64), "i32" if dtype in ("i8", "u8") else dtype)
            case(f"max{text}", dtype, [x], x.max(axes))
            case(f"min{text}", dtype, [x], x.min(axes))
        x = sample("i32", (3, 2, 5))
        case(f"mean{text}", "i32", [x], x.mean(axes), "f32", ulps=1.1)
    x = sample("bool", (3, 2, 5))
    case("sum", "bool", [x], x.sum(), "i32")
    for dtype in FLOATS + INTEGERS:
        x = sample(dtype, (4, 9), low=-3, high=3)
        if dtype in FLOATS:
            x[1, 4] = np.nan
        for axis in (0, 1):
            case(f"argmax{axis}", dtype, [x], np.argmax(wide(x), axis), "i32")
            case(f"argmin{axis}", dtype, [x], np.argmin(wide(x), axis), "i32")
    x = sample("f32", (3, 5))
    x[1, 2] = np.nan
    case("max1", "f32-nan", [x], x.max(1), "f32")
    x[1, 2], x[2, :] = np.inf, -np.inf
    case("logsumexp1", "f32-inf", [x], [lse(x[:1].astype(np.float64), 1)[0], np.inf, -np.inf], "f32", ulps=2)
    for dtype in FLOATS:
        x = sample(dtype, (4, 37))
        x[2, 5], x[3, 1:9] = -np.inf, 1000
        w = wide(x)
        e = np.exp(w - w.max(1, keepdims=True))
        # e^d magnifies the rounding of d, the distance to the largest.
        case("softmax1", dtype, [x], e / e.sum(1, keepdims=True), ulps=12 if dtype == "f32" else 0.52)
        log = w - w.max(1, keepdims=True) - np.log(e.sum(1, keepdims=True))
        case("log_softmax1", dtype, [x], log, ulps=12 if dtype == "f32" else 0.52)
        e = np.exp(w - w.max(0, keepdims=True))
        case("softmax0", dtype, [x], e / e.sum(0, keepdims=True), ulps=12 if dtype == "f32" else 0.52)


def sorting_cases():
    for dtype in FLOATS + INTEGERS:
        x = sample(dtype, (4, 12), low=-4, high=4)
        if dtype in FLOATS:
            x[1, 3], x[1, 7], x[2, 2], x[2, 9] = np.nan, np.nan, np.inf, -np.inf
            x[3, :6] = x[3, 6:]
        w = wide(x)
        up = np.argsort(w, axis=1, kind="stable")
        down = np.argsort(-w.astype(np.float64), axis=1, kind="stable")
        case("sort1", dtype, [x], np.take_along_axis(w, up, 1))
        case("sort0", dtype, [x], np.sort(w, axis=0))
        case("argsort1", dtype, [x], up, "i32")
        case("sort_down1", dtype, [x], np.take_along_axis(w, down, 1))
        case("argsort_down1", dtype, [x], down, "i32")
        case("topk4", dtype, [x], np.take_along_axis(w, down, 1)[:, :4])
        case("topk4_indices", dtype, [x], down[:, :4], "i32")


def shape_cases():
    shapes = {
        "reshape": lambda x: x.reshape(6, 20), "reshape_open": lambda x: x.reshape(2, -1),
        "transpose": lambda x: x.transpose(), "transpose201": lambda x: x.transpose(2, 0, 1),
        "swapaxes": lambda x: x.swapaxes(0, 2), "expand_dims": lambda x: x[:, :, None, :],
        "broadcast_to": lambda x: np.broadcast_to(x, (2, 4, 5, 6)),
        "slice": lambda x: x[:, 1:4, :], "slice_step": lambda x: x[:, :, ::2], "slice_back": lambda x: x[::-1],
        "slice_back2": lambda x: x[:, :, 4:0:-2], "slice_empty": lambda x: x[:, 3:3], "slice_clamped": lambda x: x[:, -99:99],
        "select": lambda x: x[:, -2, :], "flip": lambda x: np.flip(x), "flip1": lambda x: np.flip(x, 1),
        "pad": lambda x: np.pad(x, ((1, 0), (0, 2), (3, 1)), constant_values=1),
        "repeat": lambda x: np.repeat(x, 3, 1), "tril": lambda x: np.tril(x), "triu1": lambda x: np.triu(x, 1),
        "tril-1": lambda x: np.tril(x, -1), "concatenate": lambda x: np.concatenate([x, x[:, :2]], 1),
        "stack": lambda x: np.stack([x, x], -1), "split": lambda x: np.split(x, 3, 2)[1],
        "take": lambda x: np.take(x, [[0, -1], [3, 2]], 0), "take1": lambda x: np.take(x, [4, -5, 0], 1),
    }
    for dtype in ("f32", "bf16", "u8", "i64", "bool"):
        x = tensors[f"x/{dtype}"] = sample(dtype, (4, 5, 6))
        for op, f in shapes.items():
            if dtype in ("f32", "u8") or op in ("flip", "pad", "take"):
                case(op, dtype, [], f(x), ulps=0)  # NumPy moves values here and does not compute
    x, i = sample("f32", (4, 5, 6)), rng.integers(-5, 5, (4, 3, 1)).astype(np.int32)
    case("take_along_axis1", "f32", [x, i], np.take_along_axis(x, np.broadcast_to(i, (4, 3, 6)), 1), ulps=0)
    c, a, b = sample("bool", (4, 1, 6)), sample("f32", (5, 1)), sample("f32", (4, 5, 6))
    case("where", "f32", [c, a, b], np.where(c, a, b), ulps=0)


def cast_cases():
    def rounded(x, to):
        kind = DTYPES[to]
        if to in INTEGERS:
            info = np.iinfo(kind)
            return np.array([0 if np.isnan(v) else int(min(max(v, info.min), info.max)) for v in x.reshape(-1)], np.int64)
        return x

    x = np.array([0.0, -0.0, 1.5, -1.5, 2.5, 127.9, 128.0, 300.0, -129.0, 1e10, -1e10, np.nan, 65519.0, 65520.0, 1 + 2**-9,
                  1 + 3 * 2**-9, 6e-8, 2e-8, -3e-8, 2049.0, 2051.0], np.float32)
    for to in FLOATS + ["i8", "u8", "i32", "u32"]:
        w = rounded(x.astype(np.float64), to)
        if to in FLOATS:
            w = x.astype(DTYPES[to]).astype(np.float64)
        case(f"cast_{to}", "f32", [x], w, to, ulps=0)
    case("cast_bool", "f32", [x], x != 0, "bool")
    i = np.array([0, 1, -1, 127, 128, -128, -129, 255, 256, 65537, 2**31 - 1, -(2**31)], np.int32)
    for to in ("i8", "u8", "i64", "u32"):
        case(f"cast_{to}", "i32", [i], i.astype(DTYPES[to]).astype(np.int64), to)
    for to in FLOATS:
        case(f"cast_{to}", "i32", [i], i.astype(np.float64), to)
    d = np.array([1 + 2**-11 + 2**-40, 1 + 2**-9 + 2**-45, 1 + 2**-24 + 2**-50, 3.0000001], np.float64)
    for to in FLOATS:  # once: through f32 the first three would round to even, down
        tensors[f"cast_{to}/f64:0"] = d
        tensors[f"cast_{to}/f64:out:{to}:0.5"] = d


with np.errstate(all="ignore"):
    for make in (binary_cases, unary_cases, reduction_cases, sorting_cases, shape_cases, cast_cases):
        make()
save_tensors(Path(__file__).with_suffix(".safetensors"), tensors)
record_versions(__file__, "numpy", "ml_dtypes", "safetensors")
