"""Goldens of layers as bitsandbytes stores them in NF4 and FP4, with scales as they are and quantized once more, and
as LLM.int8 does.

The package's kernels need a graphics card; its documented arithmetic is written out: `quantize_4bit` and
`QuantState.as_dict(packed=True)`; scales are those that `dequantize_blockwise` and `nested_offset` give; for LLM.int8
`int8_vectorwise_quant` and `int8_vectorwise_dequant`, whose factor 1/127 is made part of the scale here, as nibble does:
the package multiplies by it last, so its values are a rounding of fp32 apart.

Names: see README.md.
"""

import json
from pathlib import Path

import numpy as np

from golden_io import record_versions, save_tensors
from small_codes import NAMED

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


def layer(rng, kind, block, nested):
    numbers = NAMED[{"nf4": "nf4", "fp4": "bnb_fp4"}[kind]]
    blocks = (rng.standard_normal((ROWS, COLUMNS)) * 0.05).astype(F32).reshape(-1, block)
    scales = np.abs(blocks).max(-1)
    codes = nearest(np.clip(blocks * (F32(1) / scales)[:, None], -1, 1), numbers)
    flat = codes.reshape(-1)
    state = {"quant_type": kind, "blocksize": block, "dtype": "bfloat16", "shape": [ROWS, COLUMNS]}
    parts = {"weight": (flat[::2] << 4 | flat[1::2])[:, None], "weight.absmax": scales, "weight.quant_map": numbers}
    if nested:
        table, offset = dynamic_map(), scales.mean(dtype=F32)
        centred = (scales - offset).reshape(-1, NESTED_BLOCK)
        sizes = np.abs(centred).max(-1)
        parts["weight.absmax"] = nearest(centred * (F32(1) / sizes)[:, None], table).reshape(-1)
        parts |= {"weight.nested_absmax": sizes, "weight.nested_quant_map": table}
        state |= {"nested_blocksize": NESTED_BLOCK, "nested_dtype": "float32", "nested_offset": float(offset)}
        scales = table[parts["weight.absmax"]] * np.repeat(sizes, NESTED_BLOCK) + offset
    parts[f"weight.quant_state.bitsandbytes__{kind}"] = np.frombuffer(json.dumps(state).encode(), np.uint8)
    return parts | {"values": (numbers[codes] * scales[:, None]).reshape(ROWS, COLUMNS)}


def bytes_of_rows(rng):
    weights = (rng.standard_normal((ROWS, COLUMNS)) * 0.05).astype(F32)
    most = np.abs(weights).max(-1)
    codes = np.rint(weights * (F32(127) / most)[:, None]).astype(np.int8)
    values = codes * (most * F32(1 / 127))[:, None]
    stored = codes * most[:, None] * F32(7.874015718698502e-3)
    assert (np.abs(values - stored) <= np.abs(np.nextafter(stored, F32(0)) - stored) * 2).all()
    return {"weight": codes, "SCB": most, "weight_format": np.array(0, np.uint8), "values": values}


def main():
    rng = np.random.default_rng(3)
    layers = {"nf4": ("nf4", 64, False), "nf4_wide": ("nf4", 128, False), "nf4_nested": ("nf4", 64, True),
              "fp4": ("fp4", 64, False), "fp4_nested": ("fp4", 64, True)}
    out = {f"{name}.{part}": t for name, how in layers.items() for part, t in layer(rng, *how).items()}
    out |= {f"llm_int8.{part}": t for part, t in bytes_of_rows(rng).items()}
    save_tensors(HERE / "bitsandbytes.safetensors", out)


if __name__ == "__main__":
    main()
    record_versions(__file__, "numpy", "safetensors")
