"""Holds the folders that nibble writes to mlx-lm's: the same model packed by both must be the same bytes and mean the same.

usage: mlx_folder_check.py NIBBLE MODEL [--bits 4] [--group-size 64] [--work FOLDER]

MODEL (a .gguf file or a folder) is written dense in bf16 by nibble; that folder is packed by mlx_lm.convert and by nibble. Then
  - every tensor has the same name, dtype, shape and bytes in both folders, and so has what nibble packs straight from MODEL;
  - `nibble logits` gives the same bits for both folders;
  - mlx-lm loads nibble's folder as it stands, and its float32 logits are nibble's at --precision exact, within the rounding of
    float32 sums.
Runs under a Python with mlx-lm and mlx-cpu. Prints one line a check and exits 1 at the end if any failed.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

import numpy as np

GOLDENS = pathlib.Path(__file__).resolve().parent.parent / "goldens"
TOKENS = "1,57,300,9,88,211,4,132"  # ids that every vocabulary has
# Relative to the largest logit: both sum in float32, in different orders, through every layer.
TOLERANCE = 2e-5

failures = 0


def check(holds, what):
    global failures
    failures += not holds
    print(("ok      " if holds else "FAILED  ") + what, flush=True)


def run(*command):
    done = subprocess.run([str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0:
        sys.exit(f'{" ".join(map(str, command))}\n{done.stdout}exit status {done.returncode}')


def stored_tensors(folder):
    """name → (dtype, shape, bytes), over all files; the format is huggingface/safetensors's."""
    tensors = {}
    for path in sorted(folder.glob("*.safetensors")):
        data = path.read_bytes()
        start = 8 + int.from_bytes(data[:8], "little")
        header = json.loads(data[8:start])
        header.pop("__metadata__", None)
        for name, entry in header.items():
            begin, end = entry["data_offsets"]
            tensors[name] = (entry["dtype"], tuple(entry["shape"]), data[start + begin:start + end])
    return tensors


def difference(name, ours, theirs):
    """What is different about one tensor, in words; None where nothing is."""
    if name not in ours or name not in theirs:
        return f'{name} is only in {"mlx-lm" if name in theirs else "nibble"}\'s'
    (dtype, shape, data), (their_dtype, their_shape, their_data) = ours[name], theirs[name]
    if (dtype, shape) != (their_dtype, their_shape):
        return f"{name} is {dtype} {shape} and {their_dtype} {their_shape}"
    if data != their_data:
        places = np.flatnonzero(np.frombuffer(data, np.uint8) != np.frombuffer(their_data, np.uint8))
        return f"{name} {dtype} {shape} differs in {len(places)} of {len(data)} bytes, the first at {places[0]}"
    return None


def compare_tensors(what, ours, theirs):
    found = [d for name in sorted(ours.keys() | theirs.keys()) if (d := difference(name, ours, theirs))]
    for line in found[:10]:
        print("        " + line)
    packed = sum(name.endswith(".scales") for name in theirs)
    check(not found and packed > 0, f"{what}: {len(theirs)} tensors, {packed} packed layers, {len(found)} differ")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("nibble", type=pathlib.Path)
    parser.add_argument("model", type=pathlib.Path)
    parser.add_argument("--bits", type=int, default=4)
    parser.add_argument("--group-size", type=int, default=64)
    parser.add_argument("--work", help="where temporary folders are made")
    args = parser.parse_args()
    packing = ["--bits", args.bits, "--group-size", args.group_size]

    with tempfile.TemporaryDirectory(dir=args.work) as work:
        work = pathlib.Path(work)
        dense, theirs, ours, straight = work / "dense", work / "mlx", work / "nibble", work / "straight"
        run(args.nibble, "convert", args.model, dense, "--dequantize", "--dtype", "bf16")
        run(sys.executable, GOLDENS / "mlx_convert.py", dense, theirs, *packing)
        run(args.nibble, "quantize", dense, ours, *packing)
        run(args.nibble, "quantize", args.model, straight, *packing)
        expected = stored_tensors(theirs)
        compare_tensors("packed by nibble and by mlx-lm", stored_tensors(ours), expected)
        compare_tensors(f"packed straight from {args.model.name}", stored_tensors(straight), expected)

        def logits(name, *command):
            run(*command, "--tokens", TOKENS, "--out", work / name)
            return np.load(work / name)

        exact = logits("exact.npy", args.nibble, "logits", ours, "--precision", "exact")
        same = logits("same.npy", args.nibble, "logits", theirs, "--precision", "exact")
        check(np.array_equal(exact, same), f"nibble's logits {exact.shape} of both folders are the same bits")
        peer = logits("peer.npy", sys.executable, GOLDENS / "mlx_logits.py", ours)
        check(peer.shape == exact.shape, f"mlx-lm's logits have nibble's shape: {peer.shape}")
        if peer.shape == exact.shape:
            error = np.abs(peer.astype(np.float64) - exact).max() / np.abs(exact).max()
            check(error <= TOLERANCE, f"mlx-lm's logits of nibble's folder: largest error {error:.1e} of the largest logit")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
