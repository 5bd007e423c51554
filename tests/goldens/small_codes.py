"""Goldens of codes of two to four bits with a scale beside each group: NF4 and NF3 by the arithmetic of bitsandbytes'
`quantize_4bit` and `dequantize_4bit` on the CPU, its FP4 likewise, E2M1 with a float scale, and signed integers of two and three bits.

NF4's points are those that bitsandbytes has as constants; NF3's come of the rule of its `create_normal_map`, which is
held to NF4's first. The other formats are nibble's own: what is written here defines where their bits lie.

Names: see README.md.
"""

from pathlib import Path
from statistics import NormalDist

import numpy as np

from golden_io import record_versions, save_tensors
from mlx_fp import hard_weight

HERE = Path(__file__).resolve().parent
F32 = np.float32
NF4 = np.array([-1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635,
                -0.18477343022823334, -0.09105003625154495, 0.0, 0.07958029955625534, 0.16093020141124725,
                0.24611230194568634, 0.33791524171829224, 0.44070982933044434, 0.5626170039176941,
                0.7229568362236023, 1.0], F32)
E2M1 = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6, -0.0, -0.5, -1, -1.5, -2, -3, -4, -6], F32)
BNB_FP4 = np.array([0, 0.0625, 8, 12, 4, 6, 2, 3, 0, -0.0625, -8, -12, -4, -6, -2, -3], F32) / F32(12)
GROUP = {"nf4": 64, "nf3": 64, "fp4": 128, "int2": 64, "int3": 64, "bnb_fp4": 64}


def normal_map(bits, offset=0.9677083):
    """create_normal_map(offset, use_extra_value=True), of 2^bits values in place of 16."""
    half, quantile = 2 ** (bits - 1), NormalDist().inv_cdf
    above = [quantile(float(p)) for p in np.linspace(F32(offset), F32(0.5), half + 1, dtype=F32)[:-1]]
    below = [-quantile(float(p)) for p in np.linspace(F32(offset), F32(0.5), half, dtype=F32)[:-1]]
    values = np.sort(np.array(above + [0.0] + below, F32))
    return values / values.max()


assert np.allclose(normal_map(4), NF4, rtol=0, atol=1e-6)
NF3 = normal_map(3)
NAMED = {"nf4": NF4, "nf3": NF3, "bnb_fp4": BNB_FP4}


def scales_and_codes(name, groups):
    """Of groups (n, GROUP) of weights."""
    most = np.abs(groups).max(-1, keepdims=True)
    with np.errstate(all="ignore"):
        if name in NAMED:
            scaled = np.clip(groups * (F32(1) / most), F32(-1), F32(1))
            return most, np.abs(scaled[..., None] - NAMED[name]).argmin(-1)
        if name == "fp4":
            scale = most / F32(6)
            scaled = np.where(scale > 0, groups / scale, F32(0))
            return scale, np.abs(scaled[..., None] - E2M1).argmin(-1)
        zero = 2 if name == "int2" else 4
        largest = np.take_along_axis(groups, np.abs(groups).argmax(-1, keepdims=True), -1)
        scale = largest / F32(-zero)
        scaled = np.where(scale != 0, groups / scale, F32(0))
        return scale, (np.clip(np.rint(scaled), -zero, zero - 1) + zero).astype(int)


def numbers(name, codes):
    if name in NAMED | {"fp4": E2M1}:
        return (NAMED | {"fp4": E2M1})[name][codes]
    return (codes - (2 if name == "int2" else 4)).astype(F32)


def pairs(codes):
    """Two bits of (…, 16 n) codes: code 4t + i of 16 is in byte i of their word, from bit 2t on."""
    bytes_ = codes.reshape(*codes.shape[:-1], -1, 4, 4)
    return sum(bytes_[..., t, :] << 2 * t for t in range(4)).reshape(*codes.shape[:-1], -1)


def bits(codes):
    """One bit of (…, 32 n) codes: code 16h + 4t + i of 32 is in byte i of their word, at bit 4h + t."""
    bytes_ = codes.reshape(*codes.shape[:-1], -1, 2, 4, 4)
    return sum(bytes_[..., h, t, :] << 4 * h + t for h in range(2) for t in range(4)).reshape(*codes.shape[:-1], -1)


def packed(name, codes):
    """The bytes of rows of codes (rows, K)."""
    if name in ("nf4", "bnb_fp4"):  # bitsandbytes: the first of two is the high half
        return (codes[:, ::2] << 4 | codes[:, 1::2]).astype(np.uint8)
    if name == "fp4":
        return (codes[:, ::2] | codes[:, 1::2] << 4).astype(np.uint8).view(np.uint32)
    if name == "int2":
        return pairs(codes).astype(np.uint8)
    blocks = codes.reshape(len(codes), -1, 64)
    return np.concatenate([pairs(blocks & 3), bits(blocks >> 2)], -1).astype(np.uint8).reshape(len(codes), -1)


def case(name, prefix, codes, scales):
    values = numbers(name, codes).reshape(*scales.shape, -1) * scales[..., None]
    return {f"{prefix}.codes": packed(name, codes), f"{prefix}.scales": scales, f"{prefix}.values": values.reshape(codes.shape)}


def main():
    rng = np.random.default_rng(11)
    weight = hard_weight(np.random.default_rng(5))
    out = {"weight": weight}
    for name, group in GROUP.items():
        scale, codes = scales_and_codes(name, weight.reshape(len(weight), -1, group))
        out |= case(name, name, codes.reshape(weight.shape), scale[..., 0])
        most = 2 ** int(name[-1])
        scale = rng.standard_normal((3, 256 // group)).astype(F32)
        out |= case(name, f"{name}.random", rng.integers(0, most, (3, 256)), scale)
    save_tensors(HERE / "small_codes.safetensors", out)


if __name__ == "__main__":
    main()
    record_versions(__file__, "numpy", "safetensors")
