"""Packs the tiny qwen2 and qwen3_moe with mlx-lm, their layers in different widths, one left dense; reference logits
beside them.

The logits are transformers' in float64 on the float32 decode of the stored triplets. See README.md.
"""

import json
import os
import shutil
import sys
import tempfile
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"  # a folder only: never ask the hub

import mlx.core as mx
import mlx_lm
import numpy as np
import torch
from transformers import AutoConfig

from float64_reference import load_float64, logits_of

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "goldens"))
from golden_io import record_versions, save_tensors  # noqa: E402

HERE = Path(__file__).resolve().parent
QWEN2_OVERRIDES = {
    "model.embed_tokens": {"bits": 8, "group_size": 32},
    "model.layers.0.mlp.down_proj": False,
    "model.layers.0.self_attn.k_proj": {"bits": 2, "group_size": 32},
    "model.layers.1.self_attn.v_proj": {"bits": 3, "group_size": 32},
    "model.layers.1.mlp.down_proj": {"bits": 5, "group_size": 128},
    "lm_head": {"bits": 6, "group_size": 64},
}
# The router as mlx-lm packs it by itself.
QWEN3_MOE_OVERRIDES = {
    "model.layers.1.mlp.gate": {"bits": 8, "group_size": 64},
    "model.layers.1.mlp.switch_mlp.up_proj": {"bits": 3, "group_size": 64},
    "model.layers.1.mlp.switch_mlp.down_proj": {"bits": 6, "group_size": 32},
}


def decoded(folder: Path) -> dict[str, torch.Tensor]:
    """Every weight of the folder, packed ones as scale * q + bias in float32; experts as transformers holds them."""
    stored = mx.load(str(folder / "model.safetensors"))
    config = json.loads((folder / "config.json").read_text())["quantization"]
    weights = {}
    for name, w in stored.items():
        path = name.removesuffix(".weight")
        if name.endswith((".scales", ".biases")):
            continue
        if path + ".scales" in stored:
            how = {k: (config.get(path) or config)[k] for k in ("bits", "group_size")}
            w = mx.dequantize(w, *(stored[f"{path}.{n}"].astype(mx.float32) for n in ("scales", "biases")), **how)
        weights[name] = torch.from_numpy(np.array(w.astype(mx.float32))).double()
    for layer in {name.split(".switch_mlp.")[0] for name in weights if ".switch_mlp." in name}:
        gate, up, down = (weights.pop(f"{layer}.switch_mlp.{part}_proj.weight") for part in ("gate", "up", "down"))
        weights[f"{layer}.experts.gate_up_proj"] = torch.cat([gate, up], 1)
        weights[f"{layer}.experts.down_proj"] = down
    return weights


def pack(name: str, bits: int, group_size: int, overrides: dict, tokens_below: int, config="config.json") -> None:
    dense, out = HERE / name, HERE / f"{name}_mlx"
    shutil.rmtree(out, ignore_errors=True)
    with tempfile.TemporaryDirectory() as copy:
        shutil.copytree(dense, copy, dirs_exist_ok=True)
        shutil.copy(dense / config, Path(copy) / "config.json")
        mlx_lm.convert(copy, str(out), quantize=True, q_bits=bits, q_group_size=group_size,
                       quant_predicate=lambda path, module: overrides.get(path, True))
    (out / "README.md").unlink()
    if not (dense / "tokenizer.json").exists():
        for made_up in out.glob("tokenizer*"):
            made_up.unlink()

    model = load_float64(dense, AutoConfig.from_pretrained(dense))
    model.load_state_dict(decoded(out))
    tokens = torch.randint(3, tokens_below, (1, 24), generator=torch.Generator().manual_seed(6)).numpy()
    save_tensors(out / "reference.safetensors", {"tokens": tokens, "logits": logits_of(model, tokens)[:, -8:]})


def main():
    pack("qwen2", 4, 64, QWEN2_OVERRIDES, 317)
    # mlx-lm does not know transformers 5's name for the number of experts.
    pack("qwen3_moe", 4, 32, QWEN3_MOE_OVERRIDES, 128, config="config_4x.json")


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
    record_versions(__file__, "mlx-lm", "mlx", "mlx-cpu", "transformers", "torch", "numpy")
