"""Perplexity of SmolLM2 packed by MLX, by MLX's own codes and scales and torch's arithmetic: the oracle of the 8-bit figure.

The weights (a folder that `nibble convert GGUF FOLDER --dequantize --dtype bf16` wrote) are packed by mx.quantize with bf16
scales, then decoded in two ways: in float32, which is what a packed weight means in nibble, and in bfloat16, where MLX rounds
the product and the sum. TOKENS is a JSON list of token lists, each scored alone, its first token not scored.

usage: smollm2_perplexity.py FOLDER TOKENS BITS [BITS ...]
"""

import json
import math
import sys

import mlx.core as mx
import numpy as np
import torch
from transformers import AutoModelForCausalLM

GROUP = 64


def pack_and_decode(weight, bits, dtype):
    """weight: torch (out, in) holding bf16 values; the decode as a torch float32 tensor."""
    w = mx.array(weight.float().numpy()).astype(mx.bfloat16)
    codes, scales, biases = mx.quantize(w, group_size=GROUP, bits=bits)
    values = mx.dequantize(codes, scales.astype(dtype), biases.astype(dtype), group_size=GROUP, bits=bits)
    return torch.from_numpy(np.array(values.astype(mx.float32)))


def perplexity(model, texts):
    total, count = 0.0, 0
    for tokens in texts:
        ids = torch.tensor([tokens])
        with torch.no_grad():
            log_probs = torch.log_softmax(model(ids).logits[0, :-1].double(), dim=-1)
        total -= log_probs[torch.arange(len(tokens) - 1), ids[0, 1:]].sum().item()
        count += len(tokens) - 1
    return math.exp(total / count), count


def main(folder, tokens, *bits):
    texts = json.load(open(tokens))
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    plain = {name: module.weight.detach().clone() for name, module in model.named_modules()
             if isinstance(module, (torch.nn.Linear, torch.nn.Embedding))}
    print("bf16 weights as they are: %.4f over %d tokens" % perplexity(model, texts))
    for b in map(int, bits):
        for dtype in (mx.float32, mx.bfloat16):
            for name, module in model.named_modules():
                if name in plain:
                    module.weight.data = pack_and_decode(plain[name], b, dtype)
            print("%d bits, groups of %d, decoded in %s: %.4f" % (b, GROUP, dtype, perplexity(model, texts)[0]), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
