"""The largest error of a logit at each precision, against logits that were computed in float64.

usage: logit_errors.py NIBBLE GGUF REFERENCE [--threads T] [--json]

REFERENCE is a folder with reference.json, {"sha256": of the GGUF file, "chat": [{"prompt_ids": [...]}, ...]}, and last_logits.npy,
the logits after the last token of each chat as float32. --json prints {"exact": largest |logit - reference|, "standard", "fast"}.
Exit status 3: the reference is of another file.
"""

import argparse
import array
import hashlib
import json
import os
import pathlib
import subprocess
import sys
import tempfile

PRECISIONS = ("exact", "standard", "fast")


def read_npy(path):
    """(columns, values) of a float32 matrix as NumPy writes it, version 1."""
    data = path.read_bytes()
    begin = 10 + int.from_bytes(data[8:10], "little")
    header = data[10:begin].decode()
    if data[:8] != b"\x93NUMPY\x01\x00" or "'<f4'" not in header or "'fortran_order': False" not in header:
        sys.exit(f"{path}: not a float32 matrix by rows")
    return int(header.split("(")[1].split(")")[0].split(",")[1]), array.array("f", data[begin:])


def last_logits(args, tokens, precision, folder):
    out = pathlib.Path(folder) / "logits.npy"
    words = ["logits", args.gguf, "--tokens", ",".join(map(str, tokens)), "--out", out, "--precision", precision, "--threads", args.threads]
    done = subprocess.run([args.nibble, *map(str, words), "--json"], stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        sys.exit(f"{done.stdout.strip() or done.returncode}")
    columns, values = read_npy(out)
    return values[-columns:]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("nibble")
    parser.add_argument("gguf", type=pathlib.Path)
    parser.add_argument("reference", type=pathlib.Path)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    reference = json.loads((args.reference / "reference.json").read_text())
    if hashlib.sha256(args.gguf.read_bytes()).hexdigest() != reference["sha256"]:
        print(f"{args.reference} is not of {args.gguf}", file=sys.stderr)
        sys.exit(3)
    columns, wanted = read_npy(args.reference / "last_logits.npy")
    errors = dict.fromkeys(PRECISIONS, 0.0)
    with tempfile.TemporaryDirectory() as folder:
        for precision in PRECISIONS:
            for chat, row in enumerate(reference["chat"]):
                got = last_logits(args, row["prompt_ids"], precision, folder)
                difference = max(abs(a - b) for a, b in zip(got, wanted[chat * columns:], strict=False))
                errors[precision] = max(errors[precision], difference)
    if args.json:
        print(json.dumps(errors))
        return
    for precision, error in errors.items():
        print(f"{precision:8} {error:.6f}")


if __name__ == "__main__":
    main()
