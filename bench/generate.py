"""What `generate()` of unmodified transformers takes for a token on packed weights, and what of it is nibble's.

usage: generate.py --reading LIBRARY [--gguf FILE --linear-layers PROGRAM] [--qwen] [--tokens N] [--rounds N]

--qwen: a model of Qwen3-0.6B's shape with random weights, dense in bfloat16, and packed to 4 bits (affine4-g64) at standard
and at fast precision. --gguf: the model of that file, packed as it is, beside PROGRAM (bench_linear_layers), which tells what
nibble's own program spends in linear layers for as many tokens behind as many. Four things stand beside packed models:
"stubbed", whose linear layers give what they gave last; "asked", whose weights do, when torch asks them for a product;
"started", which before that set torch's threads to nothing by LIBRARY (bench_reading.so); and "read", which read all their
bytes on these, and compute nothing: what no library does without. All are measured in turns; a round's figure is the median
of its tokens.

Prints one JSON object: milliseconds a token (least, median, most of the rounds), and the ratios within each round.
Needs the Python package, torch and transformers (make deps-torch).
"""

import argparse
import contextlib
import ctypes
import json
import os
import statistics
import subprocess
import time

os.environ.setdefault("HF_HUB_OFFLINE", "1")
import torch
import transformers

import nibble as nb
import nibble.torch

PROMPT = 16


class Clock:
    """A streamer of transformers: is given each token when it is there."""

    def __init__(self):
        self.times = []

    def put(self, value):
        self.times.append(time.perf_counter())

    def end(self):
        pass

    def milliseconds(self):
        """The median of what tokens behind the first took: that one comes with the prompt, which is itself put."""
        return statistics.median(1e3 * (b - a) for a, b in zip(self.times[1:], self.times[2:]))


@contextlib.contextmanager
def stubbed_out():
    """Linear layers give what they gave when they were last asked with as many rows."""
    linear, given = torch.nn.Linear.forward, {}

    def stub(self, x):
        key = id(self), x.shape
        if key not in given:
            given[key] = linear(self, x)
        return given[key]

    torch.nn.Linear.forward = stub
    try:
        yield
    finally:
        torch.nn.Linear.forward = linear


@contextlib.contextmanager
def computing_nothing(read):
    """Packed tensors that torch asks for a product give what they gave last with as many rows, after read(their parts)."""
    product, given = nibble.torch.PackedTensor.__torch_function__, {}

    def give(cls, func, types, args=(), kwargs=None):
        if func is not torch.nn.functional.linear:
            return product(func, types, args, kwargs)
        x, w = args[:2]
        key = id(w), x.shape
        if key not in given:
            places, sizes = zip(*((p.data_ptr(), p.numel() * p.element_size()) for p in w.parts))
            parts = (ctypes.c_void_p * len(places))(*places), (ctypes.c_ssize_t * len(sizes))(*sizes), len(sizes)
            given[key] = product(func, types, args, kwargs), parts
        y, parts = given[key]
        read(*parts)
        return y

    nibble.torch.PackedTensor.__torch_function__ = classmethod(give)
    try:
        yield
    finally:
        nibble.torch.PackedTensor.__torch_function__ = product


def a_token(model, tokens, precision="standard"):
    """Milliseconds."""
    clock = Clock()
    prompt = torch.arange(PROMPT)[None] * 7919 % model.config.vocab_size
    with nb.options(precision=precision, fallback="error"):
        model.generate(prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=tokens + 1, min_new_tokens=tokens + 1,
                       do_sample=False, streamer=clock, pad_token_id=0)  # fmt: skip
    return clock.milliseconds()


def a_stubbed_token(model, tokens):
    with stubbed_out():
        return a_token(model, tokens)


def a_token_of(model, tokens, read):
    with computing_nothing(read):
        return a_token(model, tokens)


def in_turns(rounds, **measures):
    """By name, one figure a round; what is made at the first call is made before."""
    for measure in measures.values():
        measure(2)
    found = {name: [] for name in measures}
    for _ in range(rounds):
        for name, measure in measures.items():
            found[name].append(measure(None))
    return found


def spread(values):
    return [round(f(values), 3) for f in (min, statistics.median, max)]


def reader(library):
    """Reads pieces of memory, by their places and sizes, on torch's threads."""
    read = ctypes.PyDLL(library).read_on_torch_threads
    read.restype = ctypes.c_bool
    if not read(None, None, 0):
        raise RuntimeError("torch brought no OpenMP library of GCC's interface: nothing can be read on its threads")
    return read


def qwen(read, tokens, rounds):
    config = transformers.Qwen3Config(
        vocab_size=151936, hidden_size=1024, intermediate_size=3072, num_hidden_layers=28, num_attention_heads=16,
        num_key_value_heads=8, head_dim=128, tie_word_embeddings=True, rope_theta=1e6)  # fmt: skip
    torch.manual_seed(0)
    torch.set_default_dtype(torch.bfloat16)
    dense = transformers.Qwen3ForCausalLM(config).eval()
    packed = transformers.Qwen3ForCausalLM(config).eval()
    torch.set_default_dtype(torch.float32)
    packed.load_state_dict(dense.state_dict())
    packed.tie_weights()
    nibble.torch.quantize_(packed, bits=4, group_size=64)
    found = in_turns(
        rounds,
        dense=lambda n: a_token(dense, n or tokens),
        standard=lambda n: a_token(packed, n or tokens),
        fast=lambda n: a_token(packed, n or tokens, "fast"),
        stubbed=lambda n: a_stubbed_token(packed, n or tokens),
        read=lambda n: a_token_of(packed, n or tokens, read),
    )
    kinds = "standard", "fast", "read"
    ratios = {name: spread([d / p for d, p in zip(found["dense"], found[name])]) for name in kinds}
    return {"ms": {name: spread(ms) for name, ms in found.items()}, "dense/packed": ratios}


def beside_the_program(gguf, program, read, tokens, rounds):
    model = nibble.torch.from_pretrained(transformers.AutoModelForCausalLM, gguf)

    def own(n):
        answer = subprocess.run([program, gguf, str(PROMPT), str(n or tokens)], check=True, capture_output=True, text=True)
        return json.loads(answer.stdout)

    found = in_turns(
        rounds,
        packed=lambda n: a_token(model, n or tokens),
        stubbed=lambda n: a_stubbed_token(model, n or tokens),
        asked=lambda n: a_token_of(model, n or tokens, lambda *parts: None),
        started=lambda n: a_token_of(model, n or tokens, lambda *parts: read(None, None, 0)),
        read=lambda n: a_token_of(model, n or tokens, read),
        own=own,
    )
    own_layers = [told["linear_ms"] for told in found["own"]]
    found["own"] = [told["ms"] for told in found["own"]]
    beyond = {
        name: [a - b for a, b in zip(found[kind], found["stubbed"])]
        for name, kind in (("layers", "packed"), *((f"layers_{kind}", kind) for kind in ("asked", "started", "read")))
    }
    ratios = {
        f"{name}/own_layers": spread([a / b for a, b in zip(layers, own_layers)]) for name, layers in beyond.items()
    }
    found |= {**beyond, "own_layers": own_layers}
    return {"dtype": str(model.dtype), "ms": {name: spread(ms) for name, ms in found.items()}, **ratios}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--gguf")
    parser.add_argument("--linear-layers")
    parser.add_argument("--reading", required=True)
    parser.add_argument("--qwen", action="store_true")
    parser.add_argument("--tokens", type=int, default=24)
    parser.add_argument("--rounds", type=int, default=5)
    chosen = parser.parse_args()
    result = {"versions": {"torch": torch.__version__, "transformers": transformers.__version__},
              "threads": torch.get_num_threads()}  # fmt: skip
    read = reader(chosen.reading)
    if chosen.qwen:
        result["qwen3-0.6b"] = qwen(read, chosen.tokens, chosen.rounds)
    if chosen.gguf:
        result["gguf"] = beside_the_program(chosen.gguf, chosen.linear_layers, read, chosen.tokens, chosen.rounds)
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
