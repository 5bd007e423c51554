"""One model in every format that its shapes allow: bytes, how well it predicts texts, tokens/s. All by the program itself.

usage: every_format.py NIBBLE MODEL TEXT... [--formats affine4-g64,nf4]

MODEL is dense; each format is made of it while it is loaded. TEXT is a file, scored alone.
"""

import argparse
import sys

from demo_table import nibble, print_table

PROMPT = "Once upon a time there was a little girl who lived near the woods. " * 8
DECODED_TOKENS = 64


def measured(args, name):
    packing = ["--quantize", name] if name else []
    score = nibble(args.nibble, "perplexity", args.model, *packing, *(word for text in args.texts for word in ("--text", text)))
    run = nibble(args.nibble, "generate", args.model, *packing, "--prompt", PROMPT, "--max-tokens", DECODED_TOKENS, "--ignore-eos",
                 "--temperature", 0)
    return [f'{score["weight_bytes"] / 1e6:.1f} MB', f'{score["perplexity"]:.3f}', f'{run["prefill_tokens_per_s"]:.0f}',
            f'{run["decode_tokens_per_s"]:.1f}']


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("nibble")
    parser.add_argument("model")
    parser.add_argument("texts", nargs="+")
    parser.add_argument("--formats", help="names, with commas between (default: all)")
    args = parser.parse_args()
    names = args.formats.split(",") if args.formats else [row["format"] for row in nibble(args.nibble, "formats")["formats"]]
    rows, refused = [["weights stored as", "bytes", "perplexity", "prefill tokens/s", "decode tokens/s"]], []
    for name in [None, *names]:
        try:
            rows.append([name or "as they are", *measured(args, name)])
            print(*rows[-1], sep="  ", file=sys.stderr, flush=True)
        except SystemExit as reason:  # the format does not suit the model
            refused.append(f"{name}: {reason}")
    print_table(rows)
    print("\n".join(refused))


if __name__ == "__main__":
    main()
