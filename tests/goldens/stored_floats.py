"""Goldens of formats whose bytes others store without a packer's own rounding: FP8, signed bytes, NVFP4 with a divisor.

Decoded values are scale · number in float32, numbers as `ml_dtypes` reads them. Codes are the nearest to weight / scale
(of E2M1 the first of two), scales those that bring the largest magnitude of a group to the largest number.

Names: see README.md.
"""

from pathlib import Path

import ml_dtypes
import numpy as np

from golden_io import record_versions, save_tensors
from mlx_fp import hard_weight

HERE = Path(__file__).resolve().parent
GROUP = 128
E2M1 = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6, -0.0, -0.5, -1, -1.5, -2, -3, -4, -6], dtype=np.float32)
FLOAT8 = {"fp8_e4m3": (ml_dtypes.float8_e4m3fn, 448), "fp8_e5m2": (ml_dtypes.float8_e5m2, 57344)}


def divide(groups, scales):
    with np.errstate(all="ignore"):
        return np.where(scales > 0, groups / scales, np.float32(0))


def numbers_of(name, codes):
    return codes.view(np.int8).astype(np.float32) if name == "int8" else codes.view(FLOAT8[name][0]).astype(np.float32)


def pack_bytes(name, weight):
    groups = weight.reshape(len(weight), -1, GROUP)
    most = np.float32(127 if name == "int8" else FLOAT8[name][1])
    scales = np.abs(groups).max(-1, keepdims=True) / most
    scaled = np.clip(divide(groups, scales), -most, most)
    codes = np.rint(scaled).astype(np.int8) if name == "int8" else scaled.astype(FLOAT8[name][0])
    return codes.view(np.uint8).reshape(weight.shape), scales[..., 0]


def values_of_bytes(name, codes, scales):
    return numbers_of(name, codes) * np.repeat(scales, GROUP, -1)


def random_bytes(rng, name):
    """(3, 256), but for bytes that are no numbers."""
    codes = rng.integers(0, 256, (3, 256), dtype=np.uint8)
    codes[~np.isfinite(numbers_of(name, codes))] = 0
    return codes, rng.standard_normal((3, 256 // GROUP)).astype(np.float32)


def pack_divided(weight):
    """A number for each row, by which its scales are divided."""
    divisor = (np.float32(448 * 6) / np.abs(weight).max(-1, keepdims=True)).astype(np.float32)
    groups = weight.reshape(len(weight), -1, 16)
    scales = (np.abs(groups).max(-1, keepdims=True) / np.float32(6) * divisor[..., None]).astype(ml_dtypes.float8_e4m3fn)
    scaled = divide(groups, scales.astype(np.float32)) * divisor[..., None]
    codes = np.abs(scaled[..., None] - E2M1).argmin(-1).astype(np.uint8).reshape(len(weight), -1, 2)
    packed = (codes[..., 0] | codes[..., 1] << 4).astype(np.uint8)
    return packed.view(np.uint32), scales[..., 0].view(np.uint8), divisor


def values_divided(packed, scales, divisor):
    nibbles = packed.view(np.uint8)
    codes = np.stack([nibbles & 15, nibbles >> 4], -1).reshape(len(packed), -1, 16)
    scale = scales.view(ml_dtypes.float8_e4m3fn).astype(np.float32) / divisor
    return (E2M1[codes] * scale[..., None]).reshape(len(packed), -1)


def main():
    rng = np.random.default_rng(7)
    weight = hard_weight(np.random.default_rng(5))
    out = {"weight": weight}
    for name in (*FLOAT8, "int8"):
        for prefix, (codes, scales) in {name: pack_bytes(name, weight), f"{name}.random": random_bytes(rng, name)}.items():
            out |= {f"{prefix}.codes": codes, f"{prefix}.scales": scales, f"{prefix}.values": values_of_bytes(name, codes, scales)}
    packed, scales, divisor = pack_divided(weight)
    out |= {"nvfp4_divided.codes": packed, "nvfp4_divided.scales": scales, "nvfp4_divided.global_scale": divisor,
            "nvfp4_divided.values": values_divided(packed, scales, divisor)}
    save_tensors(HERE / "stored_floats.safetensors", out)


if __name__ == "__main__":
    main()
    record_versions(__file__, "numpy", "ml_dtypes", "safetensors")
