"""Packs the tiny qwen2 with mlx-lm, its layers in different widths, one left dense; reference logits beside it.

The logits are transformers' in float64 on the float32 decode of the stored triplets. See README.md.
"""

import json
import os
import shutil
import sys
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
QWEN2 = HERE / "qwen2"
OUT = HERE / "qwen2_mlx"
DEFAULT = {"bits": 4, "group_size": 64}
OVERRIDES = {
    "model.embed_tokens": {"bits": 8, "group_size": 32},
    "model.layers.0.mlp.down_proj": False,
    "model.layers.0.self_attn.k_proj": {"bits": 2, "group_size": 32},
    "model.layers.1.self_attn.v_proj": {"bits": 3, "group_size": 32},
    "model.layers.1.mlp.down_proj": {"bits": 5, "group_size": 128},
    "lm_head": {"bits": 6, "group_size": 64},
}


def decoded() -> dict[str, torch.Tensor]:
    """Every weight of the folder, packed ones as scale * q + bias in float32."""
    stored = mx.load(str(OUT / "model.safetensors"))
    config = json.loads((OUT / "config.json").read_text())["quantization"]
    weights = {}
    for name, w in stored.items():
        path = name.removesuffix(".weight")
        if name.endswith((".scales", ".biases")):
            continue
        if path + ".scales" in stored:
            how = {k: (config.get(path) or config)[k] for k in ("bits", "group_size")}
            w = mx.dequantize(w, *(stored[f"{path}.{n}"].astype(mx.float32) for n in ("scales", "biases")), **how)
        weights[name] = torch.from_numpy(np.array(w.astype(mx.float32))).double()
    return weights


def main():
    shutil.rmtree(OUT, ignore_errors=True)
    mlx_lm.convert(str(QWEN2), str(OUT), quantize=True, q_bits=DEFAULT["bits"], q_group_size=DEFAULT["group_size"],
                   quant_predicate=lambda path, module: OVERRIDES.get(path, True))
    (OUT / "README.md").unlink()

    model = load_float64(QWEN2, AutoConfig.from_pretrained(QWEN2))
    model.load_state_dict(decoded())
    tokens = torch.randint(3, 317, (1, 24), generator=torch.Generator().manual_seed(6)).numpy()
    save_tensors(OUT / "reference.safetensors", {"tokens": tokens, "logits": logits_of(model, tokens)[:, -8:]})


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
    record_versions(__file__, "mlx-lm", "mlx", "mlx-cpu", "transformers", "torch", "numpy")
