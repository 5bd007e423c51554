"""Goldens of layers as GPTQ stores them under desc_act: `g_idx` names the group of each input, which may be any.

The arithmetic is the documented one, as in packed_layers.py: AutoGPTQ quantizes inputs in the order of their Hessian's
diagonal, so that input perm[i] is of group i / group_size, and weight = scale[g_idx] · (code − zero[g_idx]) in float32,
which does not round.

Names: see README.md.
"""

from pathlib import Path

import ml_dtypes
import numpy as np

from golden_io import record_versions, save_json, save_tensors

HERE = Path(__file__).resolve().parent
INPUTS, OUTPUTS = 256, 32


def pack_down(codes, bits):
    """(n, m) → (n·bits/32, m), as AutoGPTQ's QuantLinear.pack: of three bits, 32 codes in three words."""
    codes = codes.astype(np.uint64)
    out = np.zeros((codes.shape[0] * bits // 32, codes.shape[1]), dtype=np.uint64)
    if bits != 3:
        for i, row in enumerate(codes):
            out[i * bits // 32] |= row << np.uint64(i * bits % 32)
        return out.astype(np.uint32).view(np.int32)
    for block in range(codes.shape[0] // 32):
        q, words = codes[32 * block:32 * block + 32], out[3 * block:3 * block + 3]
        for i in range(10):
            words[0] |= q[i] << np.uint64(3 * i)
            words[1] |= q[i + 11] << np.uint64(3 * i + 1)
            words[2] |= q[i + 22] << np.uint64(3 * i + 2)
        words[0] |= (q[10] << np.uint64(30)) & np.uint64(0xFFFFFFFF)
        words[1] |= q[10] >> np.uint64(2) & np.uint64(1)
        words[1] |= (q[21] << np.uint64(31)) & np.uint64(0xFFFFFFFF)
        words[2] |= q[21] >> np.uint64(1) & np.uint64(3)
    return out.astype(np.uint32).view(np.int32)


def stored_layer(codes, zeros, scales, g_idx, bits, version, **settings):
    """The settings and parts of a layer of codes (K, N), zeros and scales (groups, N)."""
    stored = zeros - 1 if version == "gptq" else zeros
    settings = {"quant_method": "gptq", "bits": bits, **settings, "checkpoint_format": version}
    return settings, {"qweight": pack_down(codes, bits), "qzeros": pack_down(stored.T, bits).T, "scales": scales, "g_idx": g_idx}


def layer(rng, bits, group, symmetric, version, dtype):
    groups = INPUTS // group
    codes = rng.integers(0, 1 << bits, (INPUTS, OUTPUTS))
    zeros = np.full((groups, OUTPUTS), 1 << (bits - 1))
    if not symmetric:
        zeros = rng.integers(1 if bits < 8 else 100, 1 << bits, (groups, OUTPUTS))
    scales = (rng.standard_normal((groups, OUTPUTS)) * 0.01).astype(dtype)
    g_idx = np.empty(INPUTS, dtype=np.int32)
    g_idx[rng.permutation(INPUTS)] = np.arange(INPUTS) // group
    values = scales.astype(np.float32)[g_idx] * (codes - zeros[g_idx]).astype(np.float32)
    settings, parts = stored_layer(codes, zeros, scales, g_idx, bits, version, group_size=group, sym=symmetric, desc_act=True)
    return settings, parts, values.T


def main():
    rng = np.random.default_rng(12)
    half, bfloat = np.float16, ml_dtypes.bfloat16
    layers = {
        "act2": layer(rng, 2, 32, False, "gptq", half),
        "act3": layer(rng, 3, 64, True, "gptq", half),
        "act4": layer(rng, 4, 128, True, "gptq", half),
        "act4_v2": layer(rng, 4, 32, False, "gptq_v2", bfloat),
        "act8": layer(rng, 8, 64, False, "gptq_v2", half),
    }
    out = {}
    for name, (_, parts, values) in layers.items():
        out |= {f"{name}.{part}": tensor for part, tensor in parts.items()}
        out[f"{name}.values"] = values.astype(np.float32)
    save_tensors(HERE / "gptq_act_order.safetensors", out)
    save_json(HERE / "gptq_act_order.json", {name: settings for name, (settings, _, _) in layers.items()})


if __name__ == "__main__":
    main()
    record_versions(__file__, "numpy", "ml_dtypes", "safetensors")
