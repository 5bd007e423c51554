"""What README tells of a run, from the rows that suite.py wrote.

usage: tables.py RESULTS.json [--readme README.md]

Prints it, or puts it into README between the lines that mark its places: a few figures at the top, all of them below.
"""

import argparse
import json
import pathlib
import sys
import textwrap

SUMMARY, MEASURED = "speed", "measured"  # the places
PRECISIONS = ("exact", "standard", "fast")
RATES = (("fp32_gflops", "GFLOP/s in fp32"), ("bf16_gflops", "in bf16"), ("int16_gops", "Gop/s in int16"), ("int8_gops", "in int8"))


def paragraph(text):
    return textwrap.fill(text, 128, break_on_hyphens=False, break_long_words=False) + "\n"


def table(caption, head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return paragraph(caption) + "\n" + "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows]) + "\n"


def number(value, digits=0):
    return "" if value is None else f"{value:,.{digits}f}"


def share(row, key):
    return "" if row is None else f"{row[key]:.2f}"


def power(value):
    """4e-7."""
    return f"{value:.0e}".replace("e-0", "e-")


def listed(parts):
    *most, last = parts
    return f'{", ".join(most)} and {last}' if most else last


class Rows:
    def __init__(self, rows):
        self.rows = rows

    def all(self, **wanted):
        return [row for row in self.rows if all(row.get(key) == value for key, value in wanted.items())]

    def one(self, **wanted):
        return next(iter(self.all(**wanted)), None)

    def distinct(self, key, **wanted):
        return list(dict.fromkeys(row[key] for row in self.all(**wanted)))


def beside(cells):
    cells = list(cells)
    return " · ".join(cells) if any(cells) else ""


def products(rows, caption):
    """A line for each way of storing weights. Few rows: at standard and fast precision; 512: also at exact. Peers behind."""
    lines, several = [], [count for count in (4, 8) if rows.all(rows=count)]
    for name in rows.distinct("format", peer=None):
        of = {(row["precision"], row["rows"]): row for row in rows.all(format=name, peer=None)}
        few = [precision for precision in PRECISIONS[1:] if (precision, 1) in of] or ["exact"]
        peers = dict.fromkeys((row["peer"], row["format"]) for row in rows.all(beside=name))
        lines.append([name, beside(share(of.get((precision, 1)), "bandwidth_share") for precision in few),
                      *(beside(times(of.get((precision, count)), of.get((precision, 1))) for precision in few) for count in several),
                      beside(share(of.get((precision, 512)), "peak_share") for precision in PRECISIONS if (precision, 512) in of),
                      ", ".join(peer_cell(rows, beside=name, peer=peer, format=theirs) for peer, theirs in peers)])
    head = ["weights", "1 row, of reading", *(f"{count} rows" for count in several), "512 rows, of peak", "peers: 1 row, of reading / 512 rows, of peak"]
    if not any(line[-1] for line in lines):
        head, lines = head[:-1], [line[:-1] for line in lines]
    return table(caption, head, lines)


def times(row, one):
    """How many times as long as one row."""
    return f'{row["time_us"] / one["time_us"]:.1f}×' if row and one else ""


def peer_cell(rows, **wanted):
    one, many = rows.one(rows=1, **wanted), rows.one(rows=512, **wanted)
    cells = [share(one, "bandwidth_share"), share(many, "peak_share")]
    return f'{wanted["peer"]} {wanted["format"]} {" / ".join(filter(None, cells))}'


def errors(rows):
    """The largest error at each precision."""
    found = {precision: [row["rel_error"] for row in rows.all(precision=precision, peer=None) if row["format"] not in ("f32", "bf16")]
             for precision in PRECISIONS}
    return listed([f"{power(max(values))} at {precision}" for precision, values in found.items() if values])


def batches(rows, name):
    found = Rows(rows.all(format=name, peer=None))
    counts = sorted(found.distinct("rows"))
    lines = []
    for orientation in ("along", "across"):
        for precision in PRECISIONS:
            cells = [number(row and row["gops"]) for row in
                     (found.one(rows=count, precision=precision, orientation=orientation) for count in counts)]
            if any(cells):
                lines.append([precision + (", across the packed axis" if orientation == "across" else ""), *cells])
    return table(f"Batches with {name} (4096, 4096), Gop/s:", [""] + ["1 row" if n == 1 else f"{n} rows" for n in counts], lines)


def works(caption, rows, key):
    lines = []
    for row in rows:
        name = row.get("kv_dtype") or row["format"]
        who = row.get("peer", row.get("precision"))
        lines.append([name, who, str(row[key]), number(row["time_us"]), share(row, "bandwidth_share"), number(row["gops"]),
                      f'{share(row, "peak_share")} {row["peak"]}',
                      power(row["rel_error"]) if "rel_error" in row else ""])
    return table(caption, ["stored as", "", key, "µs", "of reading", "Gop/s", "of peak", "error"], lines)


def models(rows):
    """Behind decoding, how many times as fast as the same model in bf16."""
    bf16 = {row["model"]: row["decode_tokens_per_s"] for row in rows if row["format"] == "bf16"}
    lines = []
    for row in rows:
        dense = bf16.get(row["model"])
        lines.append([row["model"].removesuffix(".gguf"), row["format"], row["precision"], str(row["prompt_length"]),
                      number(row["prefill_tokens_per_s"], 1), number(row["decode_tokens_per_s"], 1), share(row, "bandwidth_share"),
                      f'{row["decode_tokens_per_s"] / dense:.1f}×' if dense else ""])
    lengths = " or ".join(str(length) for length in sorted({row["gen_length"] for row in rows}, reverse=True))
    return table(f"Whole models, batch of one, decoding {lengths} tokens; random weights but for SmolLM2; decode as a share of reading "
                 "weights and cache once for each token:",
                 ["model", "weights", "precision", "prompt", "prefill, tokens/s", "decode, tokens/s", "of reading", "of bf16"], lines)


def quantizing(rows):
    return table("Quantizing (4096, 14,336):", ["quantized to", "from", "million weights/s", "of reading"],
                 [[row["format"], row["dtype"], number(row["mweights_per_s"]), share(row, "bandwidth_share")] for row in rows])


def opening(rows):
    return table("From a file of Qwen3-8B's shape in the page cache, as mlx-lm lays it out, to a first token:",
                 ["precision", "file, GB", "one read, s", "to a first token, s", "ratio"],
                 [[row["precision"], number(row["file_bytes"] / 1e9, 1), number(row["read_seconds"], 2),
                   number(row["first_token_seconds"], 2), number(row["ratio"], 2)] for row in rows])


def beside_llama_cpp(found):
    lines = [[precision, row["phase"], str(row["prompt_tokens"]), number(row["nibble"], 1), number(row["llama_cpp"], 1),
              f'{row["ratio"]:.2f}'] for precision, result in found.items() for row in result["rows"]]
    return table(f'SmolLM2-135M-Instruct as the Q4_1 GGUF of `make demo`, in turns with {found["standard"]["peer"]}:',
                 ["precision", "", "prompt", "nibble, tokens/s", "llama.cpp, tokens/s", "ratio"], lines)


def logits(ours, peers):
    parts = [f"{error:.2g} at {precision}" for precision, error in ours.items()]
    theirs = [result["max_logit_error"] for result in (peers or {}).values() if result["max_logit_error"] is not None]
    behind = f"; of llama.cpp's {max(theirs):.2g}" if theirs else ""
    return paragraph(f"The largest error of a logit of that file on four chats, against float64: {listed(parts)}{behind}.")


def rates(limits, threads):
    found = [f"{limits[key][threads]:,.0f} {label}" for key, label in RATES if limits[key][threads] > 0]
    return f'reads {limits["bandwidth_gb_per_s"][threads]:.0f} GB/s and computes {listed(found)}'


def about(result):
    machine = result["machine"]
    peers = [f"{name} {version}".strip() for name, version in result["versions"].items()]
    absent = f' Missing: {", ".join(result["absent"])}.' if result["absent"] else ""
    return paragraph(
        f'Measured on {result["date"]} in one run of {result["seconds"] / 60:.0f} minutes: {machine["cpu"]}, {machine["isa"]}, '
        f'{machine["threads"]} threads. At its best, probed before the run and after, it {rates(result["limits"], str(machine["threads"]))}.'
        + (f' Peers: {", ".join(peers)}.' if peers else "") + absent)


def sections(result):
    rows, threads = Rows(result["matmul"]), str(result["machine"]["threads"])
    along = Rows([row for row in rows.rows if row.get("orientation") != "across"])
    widest = max(along.distinct("k"))
    yield about(result)
    yield products(Rows(along.all(k=widest)),
                   f"Products with weights (4096, {widest:,}), cold, at standard · fast precision; with 512 rows at exact (of the fp32 peak) "
                   "· standard · fast (of int8's). 4 and 8 rows: the time of one. The relative error (Frobenius, against float64) is at "
                   f"most {errors(along)} precision.")
    if result.get("formats"):
        yield products(Rows(result["formats"]), "The other formats, likewise; 512 rows at standard · fast (of int8's):")
    if len(along.distinct("k")) > 1:
        yield batches(Rows(rows.all(k=min(along.distinct("k")))), "affine4-g64")
    for isa, found in result["other_isa"].items():
        yield products(Rows(found), f"The same under `NIBBLE_ISA={isa}`, which {rates(result['limits']['instruction_sets'][isa], threads)}; "
                       f"512 rows at standard (of the {Rows(found).one(precision='standard')['peak']} peak) · fast (of int8's), f32 at exact:")
    yield works("Experts, 128 of 768×2048, 8 for each token:", result["experts"], "tokens")
    yield works("Attention, 4,096 keys, 32 heads on 8, head 128, by how the cache is stored:", result["attention"], "queries")
    if result["model"]:
        yield models(result["model"])
    if result["quantize"]:
        yield quantizing(result["quantize"])
    if result["open"]:
        yield opening(result["open"])
    if result["beside_llama_cpp"]:
        yield beside_llama_cpp(result["beside_llama_cpp"])
    if result["logit_errors"]:
        yield logits(result["logit_errors"], result["beside_llama_cpp"])


def summary(result):
    """The figures that a newcomer asks for, a peer's beside ours."""
    lines, compared = [], result["beside_llama_cpp"]
    if compared:
        peer = compared["standard"]["peer"]
        rows = {(precision, row["phase"], row["prompt_tokens"]): row for precision, found in compared.items() for row in found["rows"]}
        for phase, tokens, what in (("decode", 128, "tokens/s, one after the other"), ("prefill", 512, "tokens/s of a prompt of 512")):
            both = [rows[precision, phase, tokens] for precision in PRECISIONS[1:]]
            lines.append([f"SmolLM2-135M in 4 bits: {what}", beside(number(row["nibble"]) for row in both),
                          f'{peer}: {number(both[0]["llama_cpp"])}'])
        if result["logit_errors"]:
            theirs = max(found["max_logit_error"] or 0 for found in compared.values())
            lines.append(["its largest error of a logit", beside(f'{result["logit_errors"][precision]:.2g}' for precision in PRECISIONS[1:]),
                          f"{peer}: {theirs:.2g}" if theirs else ""])
    rows = Rows([row for row in result["matmul"] if row.get("orientation") != "across"])
    of = Rows(rows.all(k=max(rows.distinct("k"))))
    for count, key, what in ((1, "bandwidth_share", "One row by 4-bit weights, of the rate of reading memory"),
                             (512, "peak_share", "512 rows by them, of the int8 peak")):
        ours = [of.one(format="affine4-g64", peer=None, rows=count, precision=precision) for precision in PRECISIONS[1:]]
        theirs = of.one(beside="affine4-g64", peer="ggml", rows=count)
        lines.append([what, beside(share(row, key) for row in ours), f'ggml {theirs["format"]}: {share(theirs, key)}' if theirs else ""])
    machine = result["machine"]
    return table(f'At standard · fast precision, on {machine["threads"]} threads of an {machine["cpu"]} ({machine["isa"]}), in one run:',
                 ["", "nibble", "beside it"], lines)


def replace_between(path, place, text):
    opening, closing = f"<!-- {place}: what follows is written by bench/tables.py -->", f"<!-- {place}: end -->"
    before, begin, rest = path.read_text().partition(opening)
    _, end, after = rest.partition(closing)
    if not begin or not end:
        sys.exit(f"{path}: has no lines {opening} and {closing}")
    path.write_text(f"{before}{begin}\n\n{text}\n{end}{after}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", type=pathlib.Path)
    parser.add_argument("--readme", type=pathlib.Path, help="the file to put it into")
    args = parser.parse_args()
    result = json.loads(args.results.read_text())
    text = "\n".join(sections(result))
    if args.readme:
        replace_between(args.readme, SUMMARY, summary(result))
        replace_between(args.readme, MEASURED, text)
    else:
        print(text)


if __name__ == "__main__":
    main()
