"""Packs a Hugging Face folder as mlx-lm does: mlx_convert.py HF_FOLDER OUT --bits 4 --group-size 64

For tests at run time, to compare with nibble's own packing; needs only mlx-lm and mlx-cpu. OUT must not exist.
The weights do not depend on how config.json spells rope, which OUT's config.json repeats as it was.
"""

import argparse
import os

os.environ["HF_HUB_OFFLINE"] = "1"  # a folder only: never ask the hub

import mlx_lm  # noqa: E402


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder")
    parser.add_argument("out")
    parser.add_argument("--bits", type=int, default=4)
    parser.add_argument("--group-size", type=int, default=64)
    parser.add_argument("--dtype", choices=("float32", "float16", "bfloat16"),
                        help="of the scales and of what stays dense; default: as config.json says, else as stored")
    args = parser.parse_args()
    mlx_lm.convert(args.folder, args.out, quantize=True, q_bits=args.bits, q_group_size=args.group_size, dtype=args.dtype)


if __name__ == "__main__":
    main()
