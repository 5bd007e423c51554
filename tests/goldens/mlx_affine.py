"""Goldens of MLX's affine packing: codes, scales, biases, decoded values and products, as `mlx` computes them.

For every bits x group size x scale dtype, one weight of that dtype is packed by mx.quantize in that dtype.
`values` and the products are then computed in float32 from the *stored* scales and biases, which is what the
value of a packed weight means (mlx on the CPU would otherwise round and sum in the scales' own dtype).
Names: see README.md.
"""

from pathlib import Path

import ml_dtypes
import mlx.core as mx
import numpy as np

from golden_io import record_versions, save_tensors

HERE = Path(__file__).resolve().parent
DTYPES = {"f32": mx.float32, "f16": mx.float16, "bf16": mx.bfloat16}
BITS = (2, 3, 4, 5, 6, 8)
GROUPS = (32, 64, 128)


def to_numpy(a: mx.array) -> np.ndarray:
    if a.dtype == mx.bfloat16:
        return np.array(a.view(mx.uint16)).view(ml_dtypes.bfloat16)
    return np.array(a)


def hard_weight(rng) -> np.ndarray:
    """(4, 256): each half row, whole groups at every group size, is one kind of trouble."""
    w = rng.standard_normal((4, 256)).astype(np.float32)
    w[1, :128] = 0.7357                     # constant
    w[1, 128:] = 0.0                        # all zero
    w[2, :64] = np.abs(w[2, :64])           # non-negative, its smallest values being -0 ...
    w[2, 3:64:8] = -0.0
    w[2, 64:128] = -0.0                     # ... then nothing but -0
    w[2, 128:] = -np.abs(w[2, 128:]) - 0.5  # all negative
    w[3, 5] = 900.0                         # one outlier
    w[3, 128:] *= 4e-8                      # so small that the scale meets its lower bound, 1e-7
    return w


def products(x, x_t, codes, scales, biases, **how):
    """x @ w^T, contracted along the packed axis, and x_t @ w, contracted across it."""
    triplet = codes, scales.astype(mx.float32), biases.astype(mx.float32)
    return {
        "values": mx.dequantize(*triplet, **how),
        "y": mx.quantized_matmul(x, *triplet, transpose=True, **how),
        "y_t": mx.quantized_matmul(x_t, *triplet, transpose=False, **how),
    }


def main():
    rng = np.random.default_rng(1)
    weight = hard_weight(rng)
    x = mx.array(rng.standard_normal((3, 256)).astype(np.float32))
    x_t = mx.array(rng.standard_normal((3, 4)).astype(np.float32))
    out = {"x": x, "x_t": x_t}

    for dtype_name, dtype in DTYPES.items():
        w = mx.array(weight).astype(dtype)
        out[f"{dtype_name}.weight"] = w
        for bits in BITS:
            for group in GROUPS:
                how = {"bits": bits, "group_size": group}
                codes, scales, biases = mx.quantize(w, **how)
                made = {"codes": codes, "scales": scales, "biases": biases}
                made |= products(x, x_t, codes, scales, biases, **how)
                out |= {f"b{bits}_g{group}_{dtype_name}.{k}": v for k, v in made.items()}

    # Experts: a 3-D weight (experts, out, in), every row choosing its expert.
    how = {"bits": 4, "group_size": 64}
    w = mx.array(rng.standard_normal((3, 4, 128)).astype(np.float32))
    rows = mx.array(rng.standard_normal((5, 1, 128)).astype(np.float32))
    rows_t = mx.array(rng.standard_normal((5, 1, 4)).astype(np.float32))
    indices = mx.array([2, 0, 1, 1, 2], dtype=mx.uint32)
    codes, scales, biases = mx.quantize(w, **how)
    experts = {"weight": w, "codes": codes, "scales": scales, "biases": biases, "indices": indices,
               "values": mx.dequantize(codes, scales, biases, **how), "x": rows, "x_t": rows_t}
    for name, a, transpose in (("y", rows, True), ("y_t", rows_t, False)):
        experts[name] = mx.gather_qmm(a, codes, scales, biases, rhs_indices=indices, transpose=transpose, **how)
    out |= {f"experts_b4_g64_f32.{k}": v for k, v in experts.items()}

    save_tensors(HERE / "mlx_affine.safetensors", {k: to_numpy(v) for k, v in out.items()})


if __name__ == "__main__":
    main()
    record_versions(__file__, "mlx", "mlx-cpu", "numpy", "ml_dtypes", "safetensors")
