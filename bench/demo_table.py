"""The table that ends `make demo`: one model stored three ways, each measured by the program itself in this very run.

usage: demo_table.py NIBBLE MODEL [WORK_FOLDER]
"""

import json
import pathlib
import shutil
import subprocess
import sys

TEXT = pathlib.Path(__file__).resolve().parent.parent / "tests" / "data" / "demo_text.txt"
PROMPT_CHARACTERS = 2000  # some 420 tokens of prefill
DECODED_TOKENS = 64


def nibble(program, *arguments):
    done = subprocess.run([program, *map(str, arguments), "--json"], stdout=subprocess.PIPE, text=True)
    answer = json.loads(done.stdout or "{}")
    if done.returncode != 0:
        sys.exit(f'{arguments[0]}: {answer.get("error", {}).get("message", f"exit status {done.returncode}")}')
    return answer


def fresh(folder):
    shutil.rmtree(folder, ignore_errors=True)
    return folder


def stored_three_ways(program, model, work):
    """(label, model) of each: the file as it is, and two folders made from it."""
    dense, packed = fresh(work / "dense-bf16"), fresh(work / "affine4-g64")
    nibble(program, "convert", model, dense, "--dequantize", "--dtype", "bf16")
    nibble(program, "quantize", dense, packed, "--bits", 4, "--group-size", 64)
    return [("dense bf16", dense), ("packed as loaded (Q4_1)", model), ("requantized, 4-bit groups of 64", packed)]


def measured(program, model):
    prompt = TEXT.read_text()[:PROMPT_CHARACTERS]
    run = nibble(program, "generate", model, "--prompt", prompt, "--max-tokens", DECODED_TOKENS, "--ignore-eos",
                 "--temperature", 0)
    score = nibble(program, "perplexity", model, "--text", TEXT)
    return [f'{run["weight_bytes"] / 1e6:.1f} MB', f'{score["perplexity"]:.2f}', f'{run["prefill_tokens_per_s"]:.0f}',
            f'{run["decode_tokens_per_s"]:.1f}']


def print_table(rows):
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for number, row in enumerate(rows):
        first, *rest = (cell.ljust(width) if not column else cell.rjust(width)
                        for column, (cell, width) in enumerate(zip(row, widths)))
        print("  ".join([first, *rest]), flush=True)
        if number == 0:
            print("  ".join("-" * width for width in widths))


def main(program, model, work="build/demo"):
    work = pathlib.Path(work)
    work.mkdir(parents=True, exist_ok=True)
    rows = [["weights stored as", "bytes", "perplexity", "prefill tokens/s", "decode tokens/s"]]
    for label, path in stored_three_ways(program, model, work):
        rows.append([label, *measured(program, path)])
    print()
    print_table(rows)


if __name__ == "__main__":
    main(*sys.argv[1:])
