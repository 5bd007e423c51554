"""Compares a short set of shares with the table that is committed; says what fell. Exit status 1 if something did.

usage: check.py NIBBLE [--update] [--seconds 0.5]

expected_shares.json has for each instruction set "shares": what a figure must reach, as a share of what memory or the arithmetic
unit gave in the same moments, so that the speed of the machine cancels; and "tolerance", how far below it may lie. A figure that
lies below is measured twice more, and the best counts: what else a machine does only ever takes away. --update writes what
was measured into the table of this machine's instruction set.
"""

import argparse
import json
import pathlib
import subprocess
import sys

TABLE = pathlib.Path(__file__).resolve().parent / "expected_shares.json"
RETRIES = 2

# Words of `nibble bench`, the share that counts, the row's own keys that name it.
BENCHES = (
    [["matmul", "--format", name, "--rows", "1", "--precision", precision, "--k", "14336"] for name in
     ("affine4-g64", "affine2-g64", "affine3-g64", "affine6-g64", "affine8-g64", "q4_0", "q8_0") for precision in ("standard", "fast")]
    + [["matmul", "--format", "affine4-g64", "--rows", "4,8", "--precision", precision, "--k", "14336"]
       for precision in ("standard", "fast")]
    + [["matmul", "--format", name, "--rows", "512", "--precision", precision] for name in ("affine4-g64", "q4_0")
       for precision in ("exact", "standard", "fast")]
    + [["matmul", "--format", name, "--rows", "512", "--precision", "exact"] for name in ("f32", "bf16")]
    + [["experts", "--tokens", "1", "--precision", "standard"], ["experts", "--tokens", "128", "--precision", "fast"],
       ["attention", "--queries", "1", "--precision", "fast"], ["attention", "--queries", "512", "--precision", "exact"]]
)
NAMING = ("format", "kv_dtype", "k", "rows", "tokens", "queries", "precision")


def share_of(row):
    """Few rows are bound by memory, many by arithmetic."""
    return row["bandwidth_share"] if row.get("rows", row.get("tokens", row.get("queries"))) < 32 else row["peak_share"]


def measure(nibble, words, seconds):
    done = subprocess.run([nibble, "bench", *words, "--seconds", str(seconds), "--json"], stdout=subprocess.PIPE, text=True)
    answer = json.loads(done.stdout or "{}")
    if done.returncode != 0:
        sys.exit(f'{" ".join(words)}: {answer.get("error", {}).get("message", f"exit status {done.returncode}")}')
    names = {" ".join([words[0]] + [f"{key}={row[key]}" for key in NAMING if key in row]): share_of(row) for row in answer["results"]}
    return answer["machine"]["isa"], names


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("nibble")
    parser.add_argument("--update", action="store_true")
    parser.add_argument("--seconds", type=float, default=0.5, help="for each figure")
    args = parser.parse_args()
    table = json.loads(TABLE.read_text())
    measured, fell = {}, []
    for words in BENCHES:
        isa, shares = measure(args.nibble, words, args.seconds)
        expected = table["shares"].get(isa, {})
        least = {name: (1 - table["tolerance"]) * expected.get(name, 0) for name in shares}
        for _ in range(RETRIES):
            if all(shares[name] >= least[name] for name in shares):
                break
            again = measure(args.nibble, words, 2 * args.seconds)[1]
            shares = {name: max(shares[name], again[name]) for name in shares}
        for name, share in shares.items():
            said = f"{expected[name]:.2f} expected" if name in expected else "nothing expected"
            print(f'{"fell" if share < least[name] else "    "}  {share:.2f}  {said}  {name}', flush=True)
        measured.update(shares)
        fell += [name for name in shares if shares[name] < least[name]]
    if args.update:
        table["shares"][isa] = {name: round(share, 3) for name, share in measured.items()}
        TABLE.write_text(json.dumps(table, indent=1) + "\n")
        return
    if fell:
        sys.exit(f'{len(fell)} of {len(measured)} shares fell by more than {100 * table["tolerance"]:.0f} %:\n' + "\n".join(fell))
    print(f'all {len(measured)} shares are there, within {100 * table["tolerance"]:.0f} %')


if __name__ == "__main__":
    main()
