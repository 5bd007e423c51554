"""How long a large model takes from its file in the page cache to a first token, beside one read of the file.

usage: open_model.py NIBBLE [--folder DIR] [--layers 36] [--bits 8] [--group-size 64] [--precision standard,fast] [--json]

Writes a model of Qwen3-8B's shape with as many layers as given and random codes into DIR, as mlx-lm lays it out (36 layers of
8 bits: 8.7 GB), runs `nibble bench open` on it and deletes it. Needs free memory for the page cache to hold it.
"""

import argparse
import json
import os
import pathlib
import shutil
import struct
import subprocess
import tempfile

CONFIG = {"model_type": "qwen3", "hidden_size": 4096, "intermediate_size": 12288, "num_attention_heads": 32,
          "num_key_value_heads": 8, "head_dim": 128, "vocab_size": 151936, "max_position_embeddings": 40960,
          "rms_norm_eps": 1e-6, "rope_theta": 1e6, "tie_word_embeddings": False}


def tensors(layers, bits, group):
    """(name, dtype, shape) of every tensor."""
    def packed(stem, rows, columns):
        yield f"{stem}.weight", "U32", (rows, columns * bits // 32)
        yield f"{stem}.scales", "BF16", (rows, columns // group)
        yield f"{stem}.biases", "BF16", (rows, columns // group)

    hidden, inner, c = CONFIG["hidden_size"], CONFIG["intermediate_size"], CONFIG
    q, kv = (c[key] * c["head_dim"] for key in ("num_attention_heads", "num_key_value_heads"))
    yield from packed("model.embed_tokens", c["vocab_size"], hidden)
    for layer in range(layers):
        path = f"model.layers.{layer}"
        for part, rows, columns in (("self_attn.q_proj", q, hidden), ("self_attn.k_proj", kv, hidden),
                                    ("self_attn.v_proj", kv, hidden), ("self_attn.o_proj", hidden, q),
                                    ("mlp.gate_proj", inner, hidden), ("mlp.up_proj", inner, hidden),
                                    ("mlp.down_proj", hidden, inner)):
            yield from packed(f"{path}.{part}", rows, columns)
        for part, size in (("input_layernorm", hidden), ("post_attention_layernorm", hidden),
                           ("self_attn.q_norm", c["head_dim"]), ("self_attn.k_norm", c["head_dim"])):
            yield f"{path}.{part}.weight", "BF16", (size,)
    yield "model.norm.weight", "BF16", (hidden,)
    yield from packed("lm_head", c["vocab_size"], hidden)


def write_model(folder, layers, bits, group):
    header, lengths, offset = {}, [], 0
    for name, dtype, shape in tensors(layers, bits, group):
        size = {"U32": 4, "BF16": 2}[dtype]
        for extent in shape:
            size *= extent
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [offset, offset + size]}
        lengths.append((dtype, size))
        offset += size
    text = json.dumps(header).encode()  # mlx pads it no more than this
    noise, small = os.urandom(1 << 22), struct.pack("<H", 0x3A80) * (1 << 21)  # codes; 2^-10 in bf16
    with open(folder / "model.safetensors", "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for dtype, size in lengths:
            block = noise if dtype == "U32" else small
            for begin in range(0, size, len(block)):
                file.write(block[:size - begin])
    config = CONFIG | {"num_hidden_layers": layers, "quantization": {"bits": bits, "group_size": group}}
    (folder / "config.json").write_text(json.dumps(config))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("nibble")
    parser.add_argument("--folder", help="where the model may lie meanwhile (default: the temporary folder)")
    parser.add_argument("--layers", type=int, default=36)
    parser.add_argument("--bits", type=int, default=8)
    parser.add_argument("--group-size", type=int, default=64)
    parser.add_argument("--precision", default="standard,fast")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    folder = pathlib.Path(tempfile.mkdtemp(dir=args.folder))
    try:
        write_model(folder, args.layers, args.bits, args.group_size)
        command = [args.nibble, "bench", "open", folder, "--precision", args.precision] + ["--json"] * args.json
        raise SystemExit(subprocess.run(command).returncode)
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
