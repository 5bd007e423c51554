"""How fast llama-cpp-python runs a GGUF file on the CPU, and how near the reference its logits come.

usage: llama_cpp_rates.py GGUF [--threads 2] [--prompt-tokens 32,128,512] [--decode-tokens 128] [--rounds 5]
                          [--reference FOLDER] [--json]

llama.cpp's own C functions are called (llama_decode on a batch), with its defaults: f16 KV cache, weights repacked at load
where it has such kernels, 512 tokens a batch. Each round clears the cache, takes in a prompt in one batch (prefill; logits of
the last token only), then the greedy tokens one by one (decode, choosing them not timed). One short round warms up.

--json prints one object:
  package               "llama-cpp-python 0.3.36"
  system                what llama.cpp says of the instruction sets it was built with
  threads, rounds, decode_tokens    as asked for
  prefill_tokens_per_s  {"32": …, "128": …, "512": …}, by prompt tokens: the median round
  decode_tokens_per_s   likewise, of the tokens after a prompt of that length
  max_logit_error       largest |logit − float64 logit| of the last token over the reference's chats; null without one
  rms_logit_error       root of their mean square
  greedy_agreement      chats whose most likely token is the reference's, of how many: [4, 4]

The reference is as ../logit_errors.py describes it, taken only for the file whose SHA-256 it names.
Exit status 3: llama-cpp-python or NumPy is not installed (pip install llama-cpp-python: builds from source).
"""

import argparse
import hashlib
import importlib.metadata
import json
import pathlib
import random
import statistics
import sys
import time

try:
    import llama_cpp
    import numpy as np
except ImportError as missing:
    print(f"{missing}: pip install llama-cpp-python (it builds from source, some five minutes)", file=sys.stderr)
    sys.exit(3)

BATCH = 512


@llama_cpp.llama_log_callback
def no_log(level, text, user_data):
    pass


class Model:
    """A loaded model and one sequence of tokens in its cache."""

    def __init__(self, path, threads, context):
        llama_cpp.llama_log_set(no_log, None)
        llama_cpp.llama_backend_init()
        self.model = llama_cpp.llama_model_load_from_file(str(path).encode(), llama_cpp.llama_model_default_params())
        if not self.model:
            sys.exit(f"{path}: llama.cpp cannot load it")
        params = llama_cpp.llama_context_default_params()
        params.n_ctx = max(context, BATCH)
        params.n_batch = params.n_ubatch = BATCH
        params.n_threads = params.n_threads_batch = threads
        self.context = llama_cpp.llama_init_from_model(self.model, params)
        self.vocabulary = llama_cpp.llama_vocab_n_tokens(llama_cpp.llama_model_get_vocab(self.model))

    def clear(self):
        llama_cpp.llama_memory_clear(llama_cpp.llama_get_memory(self.context), True)

    def take_in(self, tokens):
        """Seconds until the logits of the last token are there."""
        begin = time.perf_counter()
        for start in range(0, len(tokens), BATCH):
            part = tokens[start:start + BATCH]
            array = (llama_cpp.llama_token * len(part))(*part)  # a name of its own: the batch does not keep it alive
            if status := llama_cpp.llama_decode(self.context, llama_cpp.llama_batch_get_one(array, len(part))):
                sys.exit(f"llama_decode failed with {status}")
        llama_cpp.llama_synchronize(self.context)
        return time.perf_counter() - begin

    def logits(self):
        last = llama_cpp.llama_get_logits_ith(self.context, -1)
        return np.ctypeslib.as_array(last, shape=(self.vocabulary,))

    def rates(self, prompt_tokens, decode_tokens):
        """Tokens a second of one prompt and of what follows it."""
        self.clear()
        random.seed(prompt_tokens)
        prefill = self.take_in([random.randrange(self.vocabulary) for _ in range(prompt_tokens)])
        decode = sum(self.take_in([int(self.logits().argmax())]) for _ in range(decode_tokens))
        return prompt_tokens / prefill, decode_tokens / decode


def is_of(reference, path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == json.loads((reference / "reference.json").read_text())["sha256"]


def accuracy(model, reference):
    chats = json.loads((reference / "reference.json").read_text())["chat"]
    expected = np.load(reference / "last_logits.npy").astype(np.float64)
    got = []
    for chat in chats:
        model.clear()
        model.take_in(chat["prompt_ids"])
        got.append(model.logits().copy())
    error = np.array(got, np.float64) - expected
    agree = int((np.argmax(got, axis=1) == expected.argmax(axis=1)).sum())
    return {"max_logit_error": float(np.abs(error).max()), "rms_logit_error": float(np.sqrt((error ** 2).mean())),
            "greedy_agreement": [agree, len(chats)]}


def measured(args):
    lengths = [int(n) for n in args.prompt_tokens.split(",")]
    model = Model(args.gguf, args.threads, max(lengths) + args.decode_tokens)
    model.rates(16, 4)
    rounds = [{n: model.rates(n, args.decode_tokens) for n in lengths} for _ in range(args.rounds)]
    median = [{str(n): statistics.median(r[n][which] for r in rounds) for n in lengths} for which in (0, 1)]
    result = {"package": f'llama-cpp-python {importlib.metadata.version("llama_cpp_python")}',
              "system": llama_cpp.llama_print_system_info().decode(), "threads": args.threads, "rounds": args.rounds,
              "decode_tokens": args.decode_tokens, "prefill_tokens_per_s": median[0], "decode_tokens_per_s": median[1],
              "max_logit_error": None, "rms_logit_error": None, "greedy_agreement": None}
    if args.reference and is_of(args.reference, args.gguf):
        result.update(accuracy(model, args.reference))
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("gguf", type=pathlib.Path)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--prompt-tokens", default="32,128,512", help="lengths, with commas between")
    parser.add_argument("--decode-tokens", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--reference", type=pathlib.Path, help="a folder with float64 logits")
    parser.add_argument("--json", action="store_true")
    result = measured(parser.parse_args())
    if "--json" in sys.argv:
        print(json.dumps(result))
        return
    print(f'{result["package"]}, {result["threads"]} threads, medians of {result["rounds"]} rounds\n{result["system"]}')
    for n, prefill in result["prefill_tokens_per_s"].items():
        print(f'prompt of {n:>4}: prefill {prefill:8.1f} tokens/s, decode {result["decode_tokens_per_s"][n]:8.1f} tokens/s')
    if result["greedy_agreement"]:
        print(f'logits: largest error {result["max_logit_error"]:.4f}, root mean square {result["rms_logit_error"]:.4f}, '
              f'greedy token as the reference in {result["greedy_agreement"][0]} of {result["greedy_agreement"][1]} chats')


if __name__ == "__main__":
    main()
