"""Makes the tiny test models: seeded random weights, tokenizers, and reference logits by transformers in float64.

The weights are scaled so that logits are far from uniform and attention far from flat: an error in any part shows.
See README.md for what each folder holds.
"""

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import torch
from transformers import (AutoConfig, AutoModelForCausalLM, GenerationConfig, LlamaConfig, MistralConfig, Qwen2Config,
                          Qwen2MoeConfig, Qwen3Config, Qwen3MoeConfig)

import tokenizers_of_tests as tokenizers
from float64_reference import greedy, load_float64, logits_of, router_margin

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "goldens"))
from golden_io import record_versions, save_json, save_tensors  # noqa: E402

HERE = Path(__file__).resolve().parent
SHAPE = dict(hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
             max_position_embeddings=128)
SPM_IDS = dict(bos_token_id=1, eos_token_id=2)

ROPE_VARIANTS = {
    "linear": {"rope_type": "linear", "factor": 4.0},
    "llama3": {"rope_type": "llama3", "factor": 4.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
               "original_max_position_embeddings": 32},
    "yarn": {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32},
    "yarn_explicit": {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32, "beta_fast": 4.0,
                      "beta_slow": 0.5, "attention_factor": 1.25, "truncate": False},
}


WINDOW_VARIANTS = {  # ...: the key is not there
    "all": {"use_sliding_window": True, "max_window_layers": 0, "layer_types": ...},
    "later": {"use_sliding_window": True, "max_window_layers": 1, "layer_types": ...},
    "first": {"use_sliding_window": True, "layer_types": ["sliding_attention", "full_attention"]},
    "unused": {"use_sliding_window": False, "layer_types": ...},
}


def randomize(model, seed: int, output_std: float) -> None:
    """Seeded weights in a fixed order; norms near one, biases clearly not zero."""
    rng = torch.Generator().manual_seed(seed)
    for name, p in sorted(model.named_parameters()):
        noise = torch.randn(p.shape, generator=rng)
        if "norm" in name:
            p.data = 1.0 + 0.3 * noise
        elif name.endswith("bias"):
            p.data = 0.5 * noise
        elif "embed_tokens" in name or "lm_head" in name:
            p.data = output_std * noise
        else:
            p.data = 1.5 / p.shape[-1] ** 0.5 * noise


def old_spelling(config: dict) -> dict:
    """config.json as transformers 4 wrote it: rope_theta + rope_scaling, torch_dtype."""
    old = dict(config)
    rope = dict(old.pop("rope_parameters"))
    old["rope_theta"] = rope.pop("rope_theta")
    old["rope_scaling"] = None if rope == {"rope_type": "default"} else rope
    old["torch_dtype"] = old.pop("dtype")
    if "num_local_experts" in old:
        old["num_experts"] = old.pop("num_local_experts")
    old["transformers_version"] = "4.46.0"
    return dict(sorted(old.items()))


def save_references(folder: Path, seed: int) -> None:
    model = load_float64(folder)
    vocab = model.config.vocab_size
    tokens = torch.randint(3, vocab, (2, 24), generator=torch.Generator().manual_seed(seed)).numpy()
    ids, margins = greedy(model, tokens, 16)
    logits = logits_of(model, tokens)
    with torch.no_grad():
        plain = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)(torch.as_tensor(tokens)).logits.numpy()
    print(f"  logits: std {logits.std():.2f}, max {abs(logits).max():.2f}; float32 transformers is off by "
          f"{abs(plain - logits).max():.1e}; smallest greedy margin {margins.min():.3f}")
    if hasattr(model.config, "num_experts_per_tok"):
        print(f"  smallest margin between an expert used and one that is not: {router_margin(model, np.hstack([tokens, ids])):.4f}")
    save_tensors(folder / "reference.safetensors",
                 {"tokens": tokens, "logits": logits, "greedy": ids, "greedy_margin": margins})


def make(name: str, config, seed: int, dtype: torch.dtype, output_std=0.4, shard_size="1GB", generation=None) -> Path:
    """Writes config, weights, generation settings and references of one model."""
    folder = HERE / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    model = AutoModelForCausalLM.from_config(config)
    randomize(model, seed, output_std)
    model = model.to(dtype)
    model.config.dtype = dtype
    model.generation_config = GenerationConfig(bos_token_id=config.bos_token_id, eos_token_id=config.eos_token_id,
                                               **(generation or {}))
    model.save_pretrained(folder, max_shard_size=shard_size)
    save_json(folder / "config_4x.json", old_spelling(json.loads((folder / "config.json").read_text())), indent=2)
    print(name, sum(f.stat().st_size for f in folder.glob("model*.safetensors")), "bytes of weights")
    save_references(folder, seed)
    same = logits_of(load_float64(folder, AutoConfig.from_pretrained(folder / "config_4x.json")), [[3, 4, 5]])
    assert (same == logits_of(load_float64(folder), [[3, 4, 5]])).all(), "the two spellings differ"
    return folder


def save_rope_variants(folder: Path) -> None:
    """The same weights under scaled rope, three times as long as the original context of 32."""
    base = json.loads((folder / "config.json").read_text())
    tokens = torch.randint(3, base["vocab_size"], (1, 96), generator=torch.Generator().manual_seed(7)).numpy()
    out = {"tokens": tokens, "default": logits_of(load_float64(folder), tokens)}
    for name, scaling in ROPE_VARIANTS.items():
        config = base | {"rope_parameters": base["rope_parameters"] | scaling}
        for spelling, value in (("config", config), ("config_4x", old_spelling(config))):
            path = folder / f"{spelling}_{name}.json"
            save_json(path, value, indent=2)
            logits = logits_of(load_float64(folder, AutoConfig.from_pretrained(path)), tokens)
            assert name not in out or (logits == out[name]).all(), "the two spellings differ"
            out[name] = logits
        print(f"  {name}: differs from plain rope by up to {abs(out[name] - out['default']).max():.2f}")
    # The last eight positions tell everything; the rest would only be bytes.
    save_tensors(folder / "reference_rope.safetensors",
                 {k: v if k == "tokens" else v[:, -8:] for k, v in out.items()})


def save_window_variants(folder: Path, variants: dict) -> None:
    """The same weights with a window far shorter than the text, in some or all layers."""
    base = json.loads((folder / "config.json").read_text())
    tokens = torch.randint(3, base["vocab_size"], (1, 24), generator=torch.Generator().manual_seed(9)).numpy()
    out = {"tokens": tokens}
    for name, changes in variants.items():
        path = folder / f"config_window_{name}.json"
        save_json(path, {k: v for k, v in (base | {"sliding_window": 5} | changes).items() if v is not ...}, indent=2)
        out[name] = logits_of(load_float64(folder, AutoConfig.from_pretrained(path)), tokens)[:, -8:]
        off = abs(out[name] - logits_of(load_float64(folder), tokens)[:, -8:]).max()
        print(f"  window {name}: differs from no window by up to {off:.2f}")
    save_tensors(folder / "reference_window.safetensors", out)


def main():
    llama = make("llama", LlamaConfig(**SHAPE, **SPM_IDS, vocab_size=384, tie_word_embeddings=True, rms_norm_eps=1e-5,
                                      rope_parameters={"rope_type": "default", "rope_theta": 10000.0}),
                 seed=11, dtype=torch.bfloat16)
    save_rope_variants(llama)
    tokenizers.make_llama(llama, 384)

    make("llama_bias", LlamaConfig(**SHAPE | {"num_hidden_layers": 1}, **SPM_IDS, vocab_size=128,
                                   tie_word_embeddings=False, attention_bias=True, mlp_bias=True,
                                   rope_parameters={"rope_type": "default", "rope_theta": 500.0}),
         seed=12, dtype=torch.float32)

    mistral = make("mistral", MistralConfig(**SHAPE, **SPM_IDS, vocab_size=352, tie_word_embeddings=False,
                                            sliding_window=None, rms_norm_eps=1e-5,
                                            rope_parameters={"rope_type": "default", "rope_theta": 50000.0}),
                   seed=33, dtype=torch.float16)
    tokenizers.make_mistral(mistral, 352)
    save_window_variants(mistral, {"all": {}})

    # ids of the added tokens: see make_qwen
    qwen2 = make("qwen2", Qwen2Config(**SHAPE, vocab_size=320, bos_token_id=317, eos_token_id=319, tie_word_embeddings=False,
                                      rms_norm_eps=1e-6, rope_parameters={"rope_type": "default", "rope_theta": 1e6}),
                 seed=14, dtype=torch.bfloat16,
                 generation=dict(do_sample=True, temperature=0.7, top_k=20, top_p=0.8, repetition_penalty=1.05,
                                 pad_token_id=317))
    tokenizers.make_qwen(qwen2, 317, tokenizers.CHATML_DEFAULT_SYSTEM_TEMPLATE, [])
    save_window_variants(qwen2, WINDOW_VARIANTS)

    qwen3 = make("qwen3", Qwen3Config(**SHAPE, head_dim=32, vocab_size=320, bos_token_id=314, eos_token_id=316,
                                      tie_word_embeddings=False, rms_norm_eps=1e-6,
                                      rope_parameters={"rope_type": "default", "rope_theta": 1e6}),
                 seed=25, dtype=torch.bfloat16, shard_size="160KB")
    tokenizers.make_qwen(qwen3, 314, tokenizers.CHATML_TEMPLATE, ["<think>", "</think>"])

    make("qwen3_moe", Qwen3MoeConfig(**SHAPE, head_dim=32, vocab_size=128,
                                     bos_token_id=1, eos_token_id=2, tie_word_embeddings=False, num_experts=5,
                                     num_experts_per_tok=2, moe_intermediate_size=32, norm_topk_prob=True,
                                     mlp_only_layers=[0],
                                     rope_parameters={"rope_type": "default", "rope_theta": 1e6}),
         seed=23, dtype=torch.bfloat16)

    make("qwen2_moe", Qwen2MoeConfig(**SHAPE, vocab_size=128, bos_token_id=1, eos_token_id=2, tie_word_embeddings=False,
                                     num_experts=6, num_experts_per_tok=3, moe_intermediate_size=32,
                                     shared_expert_intermediate_size=64, norm_topk_prob=False,
                                     rope_parameters={"rope_type": "default", "rope_theta": 1e6}),
         seed=23, dtype=torch.bfloat16, shard_size="160KB")


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
    record_versions(__file__, "transformers", "torch", "tokenizers", "sentencepiece", "safetensors", "numpy")
