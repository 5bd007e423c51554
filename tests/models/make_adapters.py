"""Makes LoRA adapters for the tiny llama, and the logits each must give: by `peft` in float64, and in mlx-lm's layout.

See README.md for what each adapter holds.
"""

import json
import shutil
import sys
from pathlib import Path

import mlx.core as mx
import mlx_lm.utils
import numpy as np
import torch
from peft import LoraConfig, PeftModel, get_peft_model

from float64_reference import load_float64, logits_of

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "goldens"))
from golden_io import record_versions, save_json, save_tensors  # noqa: E402

HERE = Path(__file__).resolve().parent
LLAMA = HERE / "llama"
OUT = HERE / "lora"

PEFT_ADAPTERS = {
    "plain": dict(r=4, lora_alpha=8, target_modules=["q_proj", "v_proj", "down_proj"]),
    "rslora": dict(r=4, lora_alpha=8, use_rslora=True, target_modules=["k_proj", "o_proj", "gate_proj", "up_proj"]),
    # Patterns are regular expressions, matched against the end of a module's path.
    "patterns": dict(r=4, lora_alpha=8, target_modules=["q_proj", "v_proj", "down_proj"],
                     rank_pattern={"q_proj": 8, "layers.1.mlp.down_proj": 2},
                     alpha_pattern={"layers.0.mlp.down_proj": 20, r"layers\.[01]\.self_attn\.v_proj": 3}),
    "dora": dict(r=2, lora_alpha=4, use_dora=True, target_modules=["v_proj"]),
}
MLX_ADAPTER = {
    "fine_tune_type": "lora",
    "num_layers": 1,  # the last one: mlx-lm counts from the end
    "lora_parameters": {"rank": 4, "scale": 5.0, "dropout": 0.0, "keys": ["self_attn.q_proj", "mlp.down_proj"]},
}


def make_peft(name: str, config: dict, seed: int) -> None:
    """A and B are random, B too: a fresh adapter's zero B would test nothing."""
    model = get_peft_model(load_float64(LLAMA).float(), LoraConfig(task_type="CAUSAL_LM", **config))
    rng = torch.Generator().manual_seed(seed)
    for param_name, p in sorted(model.named_parameters()):
        if "lora_A" in param_name or "lora_B" in param_name:
            p.data = 0.15 * torch.randn(p.shape, generator=rng)
    folder = OUT / name
    model.peft_config["default"].base_model_name_or_path = "tiny-llama"
    model.save_pretrained(folder, save_embedding_layers=False)  # True would look the base up on the hub
    (folder / "README.md").unlink(missing_ok=True)  # peft's empty model card
    # peft keeps sets of names: sort them, so that every run writes the same bytes.
    path = folder / "adapter_config.json"
    written = json.loads(path.read_text())
    written["target_modules"].sort()
    save_json(path, written, indent=2)


def peft_logits(names: list[str], tokens):
    """One adapter, or several added up."""
    model = PeftModel.from_pretrained(load_float64(LLAMA), OUT / names[0], adapter_name=names[0])
    for name in names[1:]:
        model.load_adapter(OUT / name, adapter_name=name)
    model.base_model.set_adapter(names)
    return logits_of(model.double().eval(), tokens)


def make_mlx(folder: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    rank, sizes = MLX_ADAPTER["lora_parameters"]["rank"], {"self_attn.q_proj": (64, 64), "mlp.down_proj": (128, 64)}
    weights = {}
    for key, (wide_in, wide_out) in sizes.items():
        a, b = (0.15 * rng.standard_normal(s).astype(np.float32) for s in ((wide_in, rank), (rank, wide_out)))
        weights |= {f"model.layers.1.{key}.lora_a": a, f"model.layers.1.{key}.lora_b": b}
    folder.mkdir()
    save_tensors(folder / "adapters.safetensors", weights)
    save_json(folder / "adapter_config.json", MLX_ADAPTER, indent=2)


def mlx_logits(folder: Path, tokens):
    """Float64 with the update merged into the weights; mlx-lm itself, in float32, must agree."""
    model, weights = load_float64(LLAMA), mx.load(str(folder / "adapters.safetensors"))
    scale = MLX_ADAPTER["lora_parameters"]["scale"]
    for a_name in [n for n in weights if n.endswith("lora_a")]:
        path = a_name.removesuffix(".lora_a")
        a, b = (np.array(weights[f"{path}.{n}"]).astype(np.float64) for n in ("lora_a", "lora_b"))
        model.get_submodule(path).weight.data += torch.from_numpy(scale * (a @ b).T)
    logits = logits_of(model, tokens)

    theirs, _ = mlx_lm.utils.load_model(LLAMA, model_config={"rope_theta": 10000.0})
    theirs.set_dtype(mx.float32)
    theirs = mlx_lm.utils.load_adapters(theirs, str(folder))
    off = np.abs(np.array(theirs(mx.array(tokens))) - logits).max()
    print(f"  mlx-lm in float32 is off by {off:.1e}")
    assert off < 1e-3
    return logits


def main():
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir()
    for seed, (name, config) in enumerate(PEFT_ADAPTERS.items(), start=31):
        make_peft(name, config, seed)
    make_mlx(OUT / "mlx", seed=41)

    tokens = torch.randint(3, 384, (1, 24), generator=torch.Generator().manual_seed(5)).numpy()
    logits = {"base": logits_of(load_float64(LLAMA), tokens)}
    logits |= {name: peft_logits([name], tokens) for name in ("plain", "rslora", "patterns")}
    logits["plain+rslora"] = peft_logits(["plain", "rslora"], tokens)
    logits["plain+patterns"] = peft_logits(["plain", "patterns"], tokens)
    logits["mlx"] = mlx_logits(OUT / "mlx", tokens)
    for name, value in logits.items():
        print(f"  {name}: differs from the base by up to {abs(value - logits['base']).max():.2f}")
    # The last eight positions tell everything; the rest would only be bytes.
    save_tensors(OUT / "reference.safetensors", {"tokens": tokens} | {k: v[:, -8:] for k, v in logits.items()})


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
    record_versions(__file__, "peft", "transformers", "torch", "mlx", "mlx-lm", "safetensors", "numpy")
