"""Logits of a folder by mlx-lm: mlx_logits.py FOLDER --tokens 1,2,3 --out FILE.npy   (tokens, vocabulary), float32

For tests at run time: that mlx-lm loads what nibble wrote, and means the same by it; needs only mlx-lm and mlx-cpu.
Everything is float32, scales and biases too: on the CPU mlx sums in the activations' type.
"""

import argparse
import json
from pathlib import Path

import mlx.core as mx
import mlx_lm.utils
import numpy as np


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--tokens", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--repair-rope", action="store_true",
                        help="give mlx-lm the rope_theta and rope_scaling that it does not find in rope_parameters")
    args = parser.parse_args()

    config = json.loads((args.folder / "config.json").read_text())
    rope = config.get("rope_parameters") if args.repair_rope else None
    repaired = {"rope_theta": rope["rope_theta"]} if rope else {}
    if rope and rope["rope_type"] != "default":
        repaired["rope_scaling"] = rope
    model, _ = mlx_lm.utils.load_model(args.folder, model_config=repaired)
    model.set_dtype(mx.float32)
    logits = model(mx.array([[int(t) for t in args.tokens.split(",")]]))[0]
    np.save(args.out, np.array(logits.astype(mx.float32)))


if __name__ == "__main__":
    main()
