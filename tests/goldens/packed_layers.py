"""Goldens of layers as GPTQ, AWQ and compressed-tensors store them, and the values that they stand for.

GPTQ's and AWQ's own packages need a graphics card's compiler; their documented arithmetic is written out here: a code
is packed where AutoGPTQ and AutoAWQ put it, and weight = scale · (code − zero) in float32, which does not round.

Names: see README.md.
"""

import json
from pathlib import Path

import ml_dtypes
import numpy as np
import torch
from compressed_tensors.compressors.nvfp4.helpers import pack_fp4_to_uint8
from compressed_tensors.compressors.pack_quantized.helpers import pack_to_int32
from compressed_tensors.quantization import QuantizationArgs
from compressed_tensors.quantization.lifecycle.forward import dequantize

from golden_io import record_versions, save_json, save_tensors
from gptq_act_order import pack_down, stored_layer

HERE = Path(__file__).resolve().parent
INPUTS, OUTPUTS = 256, 32
AWQ_ORDER = (0, 2, 4, 6, 1, 3, 5, 7)


def pack_awq(codes):
    """(n, m) → (n, m/8), as AutoAWQ's WQLinear_GEMM.from_linear."""
    out = np.zeros((codes.shape[0], codes.shape[1] // 8), dtype=np.uint32)
    for i, column in enumerate(AWQ_ORDER):
        out |= codes[:, column::8].astype(np.uint32) << np.uint32(4 * i)
    return out.view(np.int32)


def random_layer(rng, bits, group, symmetric, dtype):
    """Codes (K, N), zeros and scales (groups, N)."""
    groups = 1 if group == -1 else INPUTS // group
    codes = rng.integers(0, 1 << bits, (INPUTS, OUTPUTS))
    low = 1 if bits < 8 else 100
    zeros = rng.integers(low, 1 << bits, (groups, OUTPUTS)) if not symmetric else np.full((groups, OUTPUTS), 1 << (bits - 1))
    scales = (rng.standard_normal((groups, OUTPUTS)) * 0.01).astype(dtype)
    scales[0, :3] = 0, 6e-8, -0.02
    return codes, zeros, scales


def values_of(codes, zeros, scales):
    repeats = INPUTS // len(zeros)
    zero, scale = np.repeat(zeros, repeats, 0), np.repeat(scales.astype(np.float32), repeats, 0)
    return (scale * (codes - zero).astype(np.float32)).T


def gptq(rng, bits, group, symmetric, version, dtype):
    codes, zeros, scales = random_layer(rng, bits, group, symmetric, dtype)
    g_idx = np.arange(INPUTS, dtype=np.int32) // (INPUTS if group == -1 else group)
    settings, parts = stored_layer(codes, zeros, scales, g_idx, bits, version, group_size=group, sym=symmetric, desc_act=False)
    return settings, parts, values_of(codes, zeros, scales)


def awq(rng, group, dtype):
    codes, zeros, scales = random_layer(rng, 4, group, False, dtype)
    settings = {"quant_method": "awq", "bits": 4, "group_size": group, "version": "gemm", "zero_point": True}
    return settings, {"qweight": pack_awq(codes), "qzeros": pack_awq(zeros), "scales": scales}, values_of(codes, zeros, scales)


def compressed(rng, bits, group, symmetric, dtype):
    codes, zeros, scales = random_layer(rng, bits, group, symmetric, np.float32)
    offset = 1 << (bits - 1)
    codes, zeros = (torch.tensor((a.T - offset).copy(), dtype=torch.int8) for a in (codes, zeros))
    scale = torch.tensor(scales.T.copy()).to(dtype)
    strategy = {"strategy": "channel"} if group == -1 else {"strategy": "group", "group_size": group}
    weights = {"num_bits": bits, "type": "int", "symmetric": symmetric, **strategy}
    values = dequantize(codes, scale.float(), None if symmetric else zeros, QuantizationArgs(**weights), torch.float32)
    parts = {"weight_packed": pack_to_int32(codes, bits).numpy(), "weight_shape": np.array([OUTPUTS, INPUTS]),
             "weight_scale": scale.view(torch.uint16).numpy().view(np.float16 if dtype == torch.float16 else ml_dtypes.bfloat16)}
    if not symmetric:
        parts["weight_zero_point"] = pack_to_int32(zeros, bits, packed_dim=0).numpy()
    settings = {"quant_method": "compressed-tensors", "format": "pack-quantized",
                "config_groups": {"group_0": {"targets": ["Linear"], "weights": weights}}}
    return settings, parts, values.numpy()


def scaled(rng, kind, strategy, tile, dtype):
    """FP8 or signed bytes, by compressed-tensors' own arithmetic but for tiles, which are DeepSeek's."""
    if kind == "int8":
        codes = torch.tensor(rng.integers(-128, 128, (OUTPUTS, INPUTS)), dtype=torch.int8)
    else:
        codes = torch.tensor(rng.standard_normal((OUTPUTS, INPUTS)) * 50).to(torch.float8_e4m3fn)
    tiles = (OUTPUTS // tile[0], INPUTS // tile[1]) if tile else None
    shape = {"tensor": (1,), "channel": (OUTPUTS, 1), "block": tiles}[strategy]
    scale = torch.tensor(rng.random(shape) * 0.01).to(dtype)
    weights = {"num_bits": 8, "type": "int" if kind == "int8" else "float", "symmetric": True, "strategy": strategy}
    if strategy == "block":
        full = scale.float().repeat_interleave(tile[0], 0)[:OUTPUTS].repeat_interleave(tile[1], 1)[:, :INPUTS]
        values = codes.float() * full
    else:
        values = dequantize(codes, scale.float(), None, QuantizationArgs(**weights), torch.float32)
    return weights, codes, scale, values.numpy()


def raw(tensor):
    """A torch tensor of any dtype as NumPy has it."""
    names = {torch.bfloat16: ml_dtypes.bfloat16, torch.float8_e4m3fn: ml_dtypes.float8_e4m3fn}
    if tensor.dtype not in names:
        return tensor.numpy()
    return tensor.view(torch.uint8).numpy().view(names[tensor.dtype])


def compressed_bytes(rng, kind, strategy, dtype):
    weights, codes, scale, values = scaled(rng, kind, strategy, None, dtype)
    settings = {"quant_method": "compressed-tensors", "format": "int-quantized" if kind == "int8" else "float-quantized",
                "config_groups": {"group_0": {"targets": ["Linear"], "weights": weights}}}
    return settings, {"weight": raw(codes), "weight_scale": raw(scale)}, values


def fp8_tiles(rng):
    tile = [16, 128]
    _, codes, scale, values = scaled(rng, "fp8", "block", tile, torch.float32)
    settings = {"quant_method": "fp8", "fmt": "e4m3", "weight_block_size": tile, "activation_scheme": "dynamic"}
    return settings, {"weight": raw(codes), "weight_scale_inv": raw(scale)}, values


def compressed_nvfp4(rng):
    numbers = torch.tensor([0, 0.5, 1, 1.5, 2, 3, 4, 6])[rng.integers(0, 8, (OUTPUTS, INPUTS))]
    numbers = numbers * torch.tensor(rng.choice([-1.0, 1.0], (OUTPUTS, INPUTS)), dtype=torch.float32)
    scale = torch.tensor(rng.random((OUTPUTS, INPUTS // 16)) * 400).to(torch.float8_e4m3fn)
    divisor = torch.tensor([5321.5])
    weights = {"num_bits": 4, "type": "float", "symmetric": True, "strategy": "tensor_group", "group_size": 16}
    values = dequantize(numbers, scale.float(), None, QuantizationArgs(**weights), torch.float32, divisor)
    settings = {"quant_method": "compressed-tensors", "format": "nvfp4-pack-quantized",
                "config_groups": {"group_0": {"targets": ["Linear"], "weights": weights}}}
    parts = {"weight_packed": pack_fp4_to_uint8(numbers.to(torch.bfloat16)).numpy(), "weight_scale": raw(scale),
             "weight_global_scale": divisor.numpy()}
    return settings, parts, values.numpy()


def main():
    rng = np.random.default_rng(11)
    half, bfloat = np.float16, ml_dtypes.bfloat16
    layers = {
        "gptq2": gptq(rng, 2, 32, False, "gptq", half),
        "gptq3": gptq(rng, 3, 64, True, "gptq", half),
        "gptq4": gptq(rng, 4, 128, True, "gptq", half),
        "gptq4_v2": gptq(rng, 4, 128, False, "gptq_v2", bfloat),
        "gptq4_row": gptq(rng, 4, -1, False, "gptq", half),
        "gptq8": gptq(rng, 8, 32, False, "gptq_v2", half),
        "awq": awq(rng, 128, half),
        "awq_row": awq(rng, -1, half),
        "compressed4": compressed(rng, 4, 128, True, torch.bfloat16),
        "compressed4_zero": compressed(rng, 4, 64, False, torch.float16),
        "compressed8": compressed(rng, 8, -1, True, torch.bfloat16),
        "compressed3": compressed(rng, 3, 32, True, torch.float16),
        "compressed_fp8": compressed_bytes(rng, "fp8", "channel", torch.bfloat16),
        "compressed_fp8_one": compressed_bytes(rng, "fp8", "tensor", torch.float32),
        "compressed_int8": compressed_bytes(rng, "int8", "channel", torch.float32),
        "compressed_nvfp4": compressed_nvfp4(rng),
        "fp8": fp8_tiles(rng),
    }
    out, settings = {}, {}
    for name, (config, parts, values) in layers.items():
        settings[name] = config
        out |= {f"{name}.{part}": tensor for part, tensor in parts.items()}
        out[f"{name}.values"] = values.astype(np.float32)
    save_tensors(HERE / "packed_layers.safetensors", out)
    save_json(HERE / "packed_layers.json", settings)


if __name__ == "__main__":
    main()
    record_versions(__file__, "compressed-tensors", "numpy", "ml_dtypes", "safetensors", "torch")
