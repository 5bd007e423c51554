"""Tiny GGUF models, written with the `gguf` package from the tiny models in ../models, and their reference logits.

The logits are transformers' in float64 on exactly the numbers stored in the file, so a reader must match them to
its own rounding. q and k rows of a Llama are permuted before packing, as llama.cpp's converter does.
Files: see README.md.
"""

import json
import math
import sys
from pathlib import Path

import gguf
import numpy as np
import sentencepiece as spm
import torch
from gguf import GGMLQuantizationType as Type
from gguf import TokenType
from safetensors.torch import load_file
from transformers import AutoConfig

from golden_io import record_versions, save_tensors

HERE = Path(__file__).resolve().parent
MODELS = HERE.parent / "models"
sys.path.insert(0, str(MODELS))
from float64_reference import load_float64, logits_of  # noqa: E402
from tokenizers_of_tests import train_sentencepiece  # noqa: E402

# Every type that nibble reads, each in several places.
MIXED = {
    "token_embd": Type.Q8_0,
    "blk.0.attn_q": Type.Q4_0, "blk.0.attn_k": Type.Q4_1, "blk.0.attn_v": Type.Q5_0, "blk.0.attn_output": Type.Q5_1,
    "blk.0.ffn_gate": Type.Q4_0, "blk.0.ffn_up": Type.Q4_1, "blk.0.ffn_down": Type.Q8_0,
    "blk.1.attn_q": Type.F16, "blk.1.attn_k": Type.BF16, "blk.1.attn_v": Type.F32, "blk.1.attn_output": Type.Q8_0,
    "blk.1.ffn_gate": Type.Q5_1, "blk.1.ffn_up": Type.Q5_0, "blk.1.ffn_down": Type.Q4_1,
}
# What the metadata says of the whole file; the tensors say for themselves.
FILE_TYPES = {Type.Q4_0: gguf.LlamaFileType.MOSTLY_Q4_0, Type.Q8_0: gguf.LlamaFileType.MOSTLY_Q8_0}


def permute(w: np.ndarray, heads: int) -> np.ndarray:
    """Rows of each head from halves (rotate_half) to pairs (interleaved rope)."""
    return w.reshape(heads, 2, w.shape[0] // heads // 2, *w.shape[1:]).swapaxes(1, 2).reshape(w.shape)


def unpermute(w: np.ndarray, heads: int) -> np.ndarray:
    return w.reshape(heads, w.shape[0] // heads // 2, 2, *w.shape[1:]).swapaxes(1, 2).reshape(w.shape)


def add_architecture(writer: gguf.GGUFWriter, config, file_type) -> None:
    writer.add_name("tiny")
    writer.add_file_type(file_type)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_vocab_size(config.vocab_size)
    if config.model_type == "llama":
        writer.add_rope_dimension_count(config.hidden_size // config.num_attention_heads)


def add_sentencepiece(writer: gguf.GGUFWriter, vocab_size: int) -> None:
    sp = spm.SentencePieceProcessor(model_proto=train_sentencepiece(vocab_size))
    ids = range(sp.vocab_size())

    def kind(i):
        return (TokenType.UNKNOWN if sp.is_unknown(i) else TokenType.CONTROL if sp.is_control(i)
                else TokenType.BYTE if sp.is_byte(i) else TokenType.NORMAL)

    writer.add_tokenizer_model("llama")
    writer.add_tokenizer_pre("default")
    writer.add_token_list([sp.id_to_piece(i) for i in ids])
    writer.add_token_scores([sp.get_score(i) for i in ids])
    writer.add_token_types([kind(i) for i in ids])
    writer.add_unk_token_id(sp.unk_id())
    writer.add_bos_token_id(sp.bos_id())
    writer.add_eos_token_id(sp.eos_id())
    writer.add_add_bos_token(True)
    writer.add_add_eos_token(False)


def add_byte_level(writer: gguf.GGUFWriter, folder: Path, pre: str) -> None:
    data = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    vocab, added = data["model"]["vocab"], data["added_tokens"]
    tokens = [token for token, _ in sorted(vocab.items(), key=lambda item: item[1])] + [t["content"] for t in added]
    kinds = [TokenType.NORMAL] * len(vocab)
    kinds += [TokenType.CONTROL if t["special"] else TokenType.USER_DEFINED for t in added]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre)
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    writer.add_token_merges([" ".join(m) for m in data["model"]["merges"]])
    writer.add_bos_token_id(tokens.index("<|endoftext|>"))
    writer.add_eos_token_id(tokens.index("<|im_end|>"))
    writer.add_add_bos_token(False)


def rope_factors(scaling: dict, theta: float, head_dim: int) -> np.ndarray:
    """llama.cpp stores Llama 3's rope scaling as a divisor for each frequency, tensor rope_freqs.weight."""
    low, high = scaling["low_freq_factor"], scaling["high_freq_factor"]
    context = scaling["original_max_position_embeddings"]
    factors = []
    for i in range(0, head_dim, 2):
        turns = context / (2 * math.pi * theta ** (i / head_dim))
        smooth = min(max((turns - low) / (high - low), 0.0), 1.0)
        factors.append(1 / ((1 - smooth) / scaling["factor"] + smooth))
    return np.array(factors, dtype=np.float32)


def write_model(path: Path, folder: Path, config, types: dict, default: Type) -> dict[str, np.ndarray]:
    """Writes the file; returns the weights it holds, decoded, under their Hugging Face names."""
    arch = config.model_type
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH[arch.upper()], config.num_hidden_layers)
    writer = gguf.GGUFWriter(path, arch)
    add_architecture(writer, config, FILE_TYPES[default])
    if arch == "llama":
        add_sentencepiece(writer, config.vocab_size)
    else:
        add_byte_level(writer, folder, pre=arch)
    writer.add_chat_template(json.loads((folder / "tokenizer_config.json").read_text())["chat_template"])

    heads = {"q_proj.weight": config.num_attention_heads, "k_proj.weight": config.num_key_value_heads}
    heads = heads if arch == "llama" else {}
    stored = {}
    for name, weight in sorted(load_file(folder / "model.safetensors").items()):
        w = weight.float().numpy()
        permuted = next((n for suffix, n in heads.items() if name.endswith(suffix)), None)
        w = permute(w, permuted) if permuted else w
        stem, _, suffix = names.get_name(name, try_suffixes=(".weight", ".bias")).rpartition(".")
        kind = types.get(stem, default) if w.ndim == 2 else Type.F32
        data = gguf.quants.quantize(w, kind)
        writer.add_tensor(f"{stem}.{suffix}", data, raw_dtype=kind)
        value = gguf.quants.dequantize(data, kind)
        stored[name] = unpermute(value, permuted) if permuted else value
    if config.rope_parameters["rope_type"] == "llama3":
        theta, head_dim = config.rope_parameters["rope_theta"], config.hidden_size // config.num_attention_heads
        writer.add_tensor("rope_freqs.weight", rope_factors(config.rope_parameters, theta, head_dim))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    print(f"{path.name}: {path.stat().st_size} bytes")
    return stored


def reference(folder: Path, config, stored: dict[str, np.ndarray], length: int) -> dict[str, np.ndarray]:
    """Tokens (1, length) and the float64 logits (1, 8, vocabulary) of the last eight."""
    model = load_float64(folder, config)
    # A fresh model whose every weight is then replaced by what the file holds.
    model.load_state_dict({k: torch.from_numpy(v).double() for k, v in stored.items()}, strict=False)
    generator = torch.Generator().manual_seed(length)
    tokens = torch.randint(3, config.vocab_size, (1, length), generator=generator).numpy()
    return {"tokens": tokens, "logits": logits_of(model, tokens)[:, -8:]}


def write_unsupported(path: Path) -> None:
    """One tensor of a type that nibble must refuse by name."""
    writer = gguf.GGUFWriter(path, "llama")
    _, size = gguf.GGML_QUANT_SIZES[Type.Q8_1]
    writer.add_tensor("token_embd.weight", np.zeros((2, size), dtype=np.uint8), raw_dtype=Type.Q8_1)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    print(f"{path.name}: {path.stat().st_size} bytes")


def main():
    out = {}
    for name, model, config_name, types, default, length in (
            ("tiny_llama", "llama", "config.json", MIXED, Type.Q4_0, 24),
            ("tiny_llama3_rope", "llama", "config_llama3.json", {}, Type.Q4_0, 96),
            ("tiny_qwen2", "qwen2", "config.json", {}, Type.Q8_0, 24)):
        folder = MODELS / model
        config = AutoConfig.from_pretrained(folder / config_name)
        stored = write_model(HERE / f"{name}.gguf", folder, config, types, default)
        out |= {f"{name}.{k}": v for k, v in reference(folder, config, stored, length).items()}
    save_tensors(HERE / "gguf_models.safetensors", out)
    write_unsupported(HERE / "unsupported_q8_1.gguf")


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
    record_versions(__file__, "gguf", "transformers", "torch", "sentencepiece", "numpy")
