"""Goldens of MLX's packings in small floats: codes, scales and decoded values, as `mlx` computes them on the CPU.

Names: see README.md.
"""

from pathlib import Path

import mlx.core as mx
import numpy as np

from golden_io import record_versions, save_tensors

HERE = Path(__file__).resolve().parent
MODES = {"mxfp4": (4, 32), "mxfp8": (8, 32), "nvfp4": (4, 16)}


def hard_weight(rng) -> np.ndarray:
    """(4, 256)"""
    w = rng.standard_normal((4, 256)).astype(np.float32)
    w[1, :64] = 0.7357                      # constant
    w[1, 64:96] = 0.0
    w[1, 96:128] = -0.0
    w[1, 128:160] = 1e-30                   # far below what a scale of nvfp4 can be
    w[1, 160:192] = np.float32(2.0) ** rng.integers(-3, 3, 32)  # ties
    w[1, 192:256] = rng.integers(-24, 25, 64) / 4
    w[2, 5] = 900.0                         # one outlier
    w[2, 128:] *= np.repeat(2.0 ** rng.integers(-12, 12, 8), 16)  # groups of very different size
    w[3] *= 0.02
    return w


def values(codes, scales, mode, global_scale=None):
    bits, group = MODES[mode]
    return mx.dequantize(codes, scales, group_size=group, bits=bits, mode=mode, dtype=mx.float32, global_scale=global_scale)


def random_pieces(rng, mode):
    """(3, 256) weights of any bits, but for those that are no numbers or near that."""
    bits, group = MODES[mode]
    codes = rng.integers(0, 256, (3, 256 * bits // 8), dtype=np.uint8)
    scales = rng.integers(0, 245 if group == 32 else 256, (3, 256 // group), dtype=np.uint8)
    e4m3 = codes if mode == "mxfp8" else scales
    if mode != "mxfp4":
        e4m3[e4m3 & 0x7F == 0x7F] = 0
    return mx.array(codes.view(np.uint32)), mx.array(scales)


def rows_with_own_global(w):
    """Each row as a matrix of its own, whose global scale is its largest magnitude."""
    rows = []
    for row in w:
        largest = mx.array(np.abs(row).max(keepdims=True))
        codes, scales = mx.quantize(mx.array(row[None]), mode="nvfp4", global_scale=largest)
        rows.append((codes, scales, largest[None], values(codes, scales, "nvfp4", largest)))
    return [mx.concatenate(part) for part in zip(*rows)]


def main():
    weight = hard_weight(np.random.default_rng(5))
    out = {"weight": mx.array(weight)}
    for i, mode in enumerate(MODES):
        codes, scales = mx.quantize(mx.array(weight), mode=mode)
        out |= {f"{mode}.codes": codes, f"{mode}.scales": scales, f"{mode}.values": values(codes, scales, mode)}
        codes, scales = random_pieces(np.random.default_rng(i), mode)
        out |= {f"{mode}.random.codes": codes, f"{mode}.random.scales": scales,
                f"{mode}.random.values": values(codes, scales, mode)}
    names = "codes", "scales", "global_scale", "values"
    out |= {f"nvfp4_global.{name}": part for name, part in zip(names, rows_with_own_global(weight))}
    save_tensors(HERE / "mlx_fp.safetensors", {k: np.array(v) for k, v in out.items()})


if __name__ == "__main__":
    main()
    record_versions(__file__, "mlx", "mlx-cpu", "numpy", "safetensors")
