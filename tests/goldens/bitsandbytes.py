"""Goldens of layers as bitsandbytes stores them in NF4, with scales as they are and quantized once more.

The package's kernels need a graphics card; its documented arithmetic is written out: `quantize_4bit` and
`QuantState.as_dict(packed=True)`; scales are those that `dequantize_blockwise` and `nested_offset` give.

Names: see README.md.
"""

import json
from pathlib import Path

import numpy as np

from golden_io import record_versions, save_tensors
from small_codes import NF4

HERE = Path(__file__).resolve().parent
F32 = np.float32
ROWS, COLUMNS, NESTED_BLOCK = 8, 256, 16


def dynamic_map():
    """create_dynamic_map(): signed, of eight bits, the exponent up to seven of them."""
    data = [0.0, 1.0]
    for i in range(7):
        bounds = np.linspace(0.1, 1, 2 ** i + 1, dtype=F32)
        means = (bounds[:-1] + bounds[1:]) / F32(2)
        data += list(10.0 ** (i - 6) * means) + list(-(10.0 ** (i - 6)) * means)
    return np.sort(np.array(data, F32))


def nearest(values, table):
    return np.abs(values[..., None] - table).argmin(-1).astype(np.uint8)


def layer(rng, block, nested):
    blocks = (rng.standard_normal((ROWS, COLUMNS)) * 0.05).astype(F32).reshape(-1, block)
    scales = np.abs(blocks).max(-1)
    codes = nearest(np.clip(blocks * (F32(1) / scales)[:, None], -1, 1), NF4)
    flat = codes.reshape(-1)
    state = {"quant_type": "nf4", "blocksize": block, "dtype": "bfloat16", "shape": [ROWS, COLUMNS]}
    parts = {"weight": (flat[::2] << 4 | flat[1::2])[:, None], "weight.absmax": scales, "weight.quant_map": NF4}
    if nested:
        table, offset = dynamic_map(), scales.mean(dtype=F32)
        centred = (scales - offset).reshape(-1, NESTED_BLOCK)
        sizes = np.abs(centred).max(-1)
        parts["weight.absmax"] = nearest(centred * (F32(1) / sizes)[:, None], table).reshape(-1)
        parts |= {"weight.nested_absmax": sizes, "weight.nested_quant_map": table}
        state |= {"nested_blocksize": NESTED_BLOCK, "nested_dtype": "float32", "nested_offset": float(offset)}
        scales = table[parts["weight.absmax"]] * np.repeat(sizes, NESTED_BLOCK) + offset
    parts["weight.quant_state.bitsandbytes__nf4"] = np.frombuffer(json.dumps(state).encode(), np.uint8)
    return parts | {"values": (NF4[codes] * scales[:, None]).reshape(ROWS, COLUMNS)}


def main():
    rng = np.random.default_rng(3)
    layers = {"nf4": (64, False), "nf4_wide": (128, False), "nf4_nested": (64, True)}
    out = {f"{name}.{part}": t for name, how in layers.items() for part, t in layer(rng, *how).items()}
    save_tensors(HERE / "bitsandbytes.safetensors", out)


if __name__ == "__main__":
    main()
    record_versions(__file__, "numpy", "safetensors")
