"""Tiny GGUF models with experts, one of them in three files, and their reference logits.

Written with the `gguf` package, as gguf_models.py writes its own; logits are transformers' in float64 on exactly the
numbers stored. Files: see README.md.
"""

import json
import sys
from pathlib import Path

import gguf
import numpy as np
import torch
from gguf import GGMLQuantizationType as Type
from transformers import AutoModelForCausalLM, Qwen3MoeConfig

from gguf_models import HERE, MODELS, add_architecture, add_byte_level
from golden_io import record_versions, save_tensors

sys.path.insert(0, str(MODELS))
from float64_reference import everything_in_float64, load_float64, logits_of, router_margin  # noqa: E402
from make_models import SHAPE, randomize  # noqa: E402

TYPES = {"ffn_gate_exps": Type.Q4_0, "ffn_up_exps": Type.Q4_1, "ffn_down_exps": Type.Q5_0}  # others are Q8_0
ROUTERS = ("ffn_gate_inp", "ffn_gate_inp_shexp")
PARTS = 3


def stacks(state: dict) -> dict[str, np.ndarray]:
    """The model's tensors by the names that files have, the experts of a layer in one each."""
    out = {}
    for name, tensor in state.items():
        if name.endswith("experts.gate_up_proj"):
            for part, half in zip(("gate", "up"), tensor.chunk(2, dim=1)):
                out[name.replace("gate_up_proj", f"{part}_proj.weight")] = half
        else:
            out[f"{name}.weight" if name.endswith("experts.down_proj") else name] = tensor
    return {name: tensor.float().numpy() for name, tensor in out.items()}


def fused(stored: dict[str, np.ndarray]) -> dict[str, torch.Tensor]:
    """The inverse of stacks(), in float64."""
    out = {}
    for name, values in stored.items():
        if name.endswith("experts.gate_proj.weight"):
            both = [values, stored[name.replace("gate_proj", "up_proj")]]
            out[name.replace("gate_proj.weight", "gate_up_proj")] = np.concatenate(both, axis=1)
        elif not name.endswith("experts.up_proj.weight"):
            out[name.removesuffix(".weight") if name.endswith("experts.down_proj.weight") else name] = values
    return {name: torch.from_numpy(values).double() for name, values in out.items()}


def write_model(path: Path, model, tokenizer: Path | None, parts: int) -> dict[str, np.ndarray]:
    """Writes the file or files; returns the weights they hold, decoded."""
    config = model.config
    arch = config.model_type.replace("_", "")
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH[arch.upper()], config.num_hidden_layers)
    tensors = stacks(model.state_dict())
    writer = gguf.GGUFWriter(path, arch, split_max_tensors=-(-len(tensors) // parts) if parts > 1 else 0)
    add_architecture(writer, config, gguf.LlamaFileType.MOSTLY_Q8_0)
    writer.add_expert_count(config.num_experts)
    writer.add_expert_used_count(config.num_experts_per_tok)
    writer.add_expert_feed_forward_length(config.moe_intermediate_size)
    if shared := getattr(config, "shared_expert_intermediate_size", None):
        writer.add_expert_shared_feed_forward_length(shared)
    if head_dim := getattr(config, "head_dim", None):
        writer.add_key_length(head_dim)
        writer.add_value_length(head_dim)
    if tokenizer:
        add_byte_level(writer, tokenizer, pre="qwen2")
        writer.add_chat_template(json.loads((tokenizer / "tokenizer_config.json").read_text())["chat_template"])
    stored = {}
    for name, values in sorted(tensors.items()):
        stem, _, suffix = names.get_name(name, try_suffixes=(".weight", ".bias")).rpartition(".")
        part = stem.rpartition(".")[2]
        kind = Type.F32 if values.ndim == 1 or part in ROUTERS else TYPES.get(part, Type.Q8_0)
        data = gguf.quants.quantize(values, kind)
        writer.add_tensor(f"{stem}.{suffix}", data, raw_dtype=kind)
        stored[name] = gguf.quants.dequantize(data, kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    for file in sorted(path.parent.glob(f"{path.stem}*.gguf")):
        print(f"{file.name}: {file.stat().st_size} bytes")
    return stored


def reference(model, stored: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Of tokens whose experts are so clearly chosen that who computes in float32 chooses the same."""
    model.load_state_dict(fused(stored))
    for seed in range(1000):
        generator = torch.Generator().manual_seed(seed)
        tokens = torch.randint(3, model.config.vocab_size, (1, 24), generator=generator).numpy()
        if (margin := router_margin(model, tokens)) > 1e-3:
            print(f"  seed {seed}: smallest margin between an expert used and one that is not: {margin:.4f}")
            return {"tokens": tokens, "logits": logits_of(model, tokens)[:, -8:]}
    raise RuntimeError("no tokens with clearly chosen experts")


def qwen3_moe():
    """Every layer has experts, as llama.cpp wants it, unlike the one in ../models; its tokenizer is qwen3's."""
    config = Qwen3MoeConfig(**SHAPE, head_dim=32, vocab_size=320, bos_token_id=314, eos_token_id=316,
                            tie_word_embeddings=False, num_experts=5, num_experts_per_tok=2, moe_intermediate_size=32,
                            norm_topk_prob=True, rms_norm_eps=1e-6,
                            rope_parameters={"rope_type": "default", "rope_theta": 1e6})
    with everything_in_float64():
        model = AutoModelForCausalLM.from_config(config, dtype=torch.float64, attn_implementation="eager",
                                                 experts_implementation="eager").eval()
    randomize(model, seed=31, output_std=0.4)
    return model.double()


def main():
    out = {}
    for name, model, tokenizer, parts in (
            ("tiny_qwen2moe", load_float64(MODELS / "qwen2_moe"), None, 1),
            ("tiny_qwen3moe", qwen3_moe(), MODELS / "qwen3", PARTS)):
        stored = write_model(HERE / f"{name}.gguf", model, tokenizer, parts)
        out |= {f"{name}.{k}": v for k, v in reference(model, stored).items()}
    save_tensors(HERE / "gguf_experts.safetensors", out)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
    record_versions(__file__, "gguf", "transformers", "torch", "numpy")
