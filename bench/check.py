"""Compares a short set of shares with the table that is committed; says what fell. Exit status 1 if something did.

usage: check.py NIBBLE [--update] [--seconds 0.5]

expected_shares.json has "shares" for each kind of processor, instruction set and number of threads: what a figure must reach, as a
share of what memory or the arithmetic unit gave in the same moments, so that the speed of the machine cancels; and "tolerance", how
far below it may lie. A figure that lies below is measured twice more, and the best counts: what else a machine does only ever takes
away. --update writes the lower of two measurements into the table of this machine; where there is none, there is nothing to compare
with, and the exit status is 1 too. NIBBLE_ISA chooses the instruction set.
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
    ["matmul", "--format", "affine4-g64,affine2-g64,affine3-g64,affine6-g64,affine8-g64,q4_0,q8_0", "--rows", "1", "--precision",
     "standard,fast", "--k", "14336"],
    ["matmul", "--format", "affine4-g64", "--rows", "4,8", "--precision", "standard,fast", "--k", "14336"],
    ["matmul", "--format", "affine4-g64,q4_0", "--rows", "512", "--precision", "exact,standard,fast"],
    ["matmul", "--format", "affine4-g64", "--rows", "512", "--precision", "exact", "--orientation", "across"],
    ["matmul", "--format", "f32,bf16", "--rows", "512", "--precision", "exact"],
    ["experts", "--tokens", "1", "--precision", "standard"], ["experts", "--tokens", "128", "--precision", "fast"],
    ["attention", "--queries", "1", "--precision", "fast"], ["attention", "--queries", "512", "--precision", "exact"],
)
NAMING = ("format", "kv_dtype", "k", "orientation", "rows", "tokens", "queries", "precision")
# What /proc/cpuinfo tells of a processor's kind, on x86 and on Arm.
KIND = ("vendor_id", "cpu family", "model", "CPU implementer", "CPU part")


def share_of(row):
    """Few rows are bound by memory, many by arithmetic."""
    return row["bandwidth_share"] if row.get("rows", row.get("tokens", row.get("queries"))) < 32 else row["peak_share"]


def bench(nibble, *words):
    done = subprocess.run([nibble, "bench", *map(str, words), "--json"], stdout=subprocess.PIPE, text=True)
    answer = json.loads(done.stdout or "{}")
    if done.returncode != 0:
        sys.exit(f'{" ".join(map(str, words))}: {answer.get("error", {}).get("message", f"exit status {done.returncode}")}')
    return answer


def this_machine(nibble):
    """"AuthenticAMD 25 17, avx512, 2 threads"."""
    first = pathlib.Path("/proc/cpuinfo").read_text().split("\n\n")[0]
    told = dict((part.strip() for part in line.split(":", 1)) for line in first.splitlines() if ":" in line)
    machine = bench(nibble, "limits", "--brief")["machine"]
    return f'{" ".join(told[key] for key in KIND if key in told)}, {machine["isa"]}, {machine["threads"]} threads'


def measure(nibble, words, seconds):
    answer = bench(nibble, *words, "--seconds", seconds)
    return {" ".join([words[0]] + [f"{key}={row[key]}" for key in NAMING if key in row]): share_of(row) for row in answer["results"]}


def best_of_some(nibble, words, seconds, least):
    """Shares by name; again, and the best, while some lie below the least that they may be."""
    shares = measure(nibble, words, seconds)
    for _ in range(RETRIES):
        if all(share >= least.get(name, 0) for name, share in shares.items()):
            break
        again = measure(nibble, words, 2 * seconds)
        shares = {name: max(shares[name], again[name]) for name in shares}
    return shares


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("nibble")
    parser.add_argument("--update", action="store_true")
    parser.add_argument("--seconds", type=float, default=0.5, help="for each figure")
    args = parser.parse_args()
    table, machine = json.loads(TABLE.read_text()), this_machine(args.nibble)
    expected = {} if args.update else table["shares"].get(machine, {})
    if not expected and not args.update:
        sys.exit(f"nothing to compare with: {TABLE.name} has no shares of {machine}; --update writes them")
    least = {name: (1 - table["tolerance"]) * share for name, share in expected.items()}
    measured = {}
    for words in BENCHES:
        shares = best_of_some(args.nibble, words, args.seconds, least)
        if args.update:
            again = measure(args.nibble, words, args.seconds)
            shares = {name: min(share, again[name]) for name, share in shares.items()}
        for name, share in shares.items():
            said = f"{expected[name]:.2f} expected" if name in expected else ""
            print(f'{"fell" if share < least.get(name, 0) else "    "}  {share:.2f}  {said:13}  {name}', flush=True)
        measured.update(shares)
    if args.update:
        table["shares"][machine] = {name: round(share, 3) for name, share in measured.items()}
        TABLE.write_text(json.dumps(table, indent=1) + "\n")
        return
    conclude(table["tolerance"], measured, expected, least)


def conclude(tolerance, measured, expected, least):
    fell = [name for name in measured if measured[name] < least.get(name, 0)]
    new = [name for name in measured if name not in expected]
    if fell:
        sys.exit(f"{len(fell)} of {len(measured)} shares fell by more than {100 * tolerance:.0f} %:\n" + "\n".join(fell))
    if new:
        sys.exit(f"{len(new)} of {len(measured)} shares have nothing to be compared with; --update writes all of them")
    print(f"all {len(measured)} shares are there, within {100 * tolerance:.0f} %")


if __name__ == "__main__":
    main()
