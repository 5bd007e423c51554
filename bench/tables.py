"""The tables of README from the rows that suite.py wrote. usage: tables.py RESULTS.json > TABLES.md"""

import json
import sys


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows]) + "\n"


def number(value, digits=0):
    return "" if value is None else f"{value:,.{digits}f}"


def share(row, key):
    return "" if row is None else f"{row[key]:.2f}"


PRECISIONS = ("exact", "standard", "fast")


class Rows:
    def __init__(self, rows):
        self.rows = rows

    def all(self, **wanted):
        return [row for row in self.rows if all(row.get(key) == value for key, value in wanted.items())]

    def one(self, **wanted):
        return next(iter(self.all(**wanted)), None)

    def ours(self, **wanted):
        return self.one(peer=None, **wanted)

    def distinct(self, key):
        return list(dict.fromkeys(row[key] for row in self.rows if row.get(key) is not None))


def beside(cells):
    cells = list(cells)
    return " · ".join(cells) if any(cells) else ""


def products(rows, k):
    """A line for each way of storing weights. Few rows: at standard and fast precision; 512: also at exact. Peers behind."""
    lines = []
    for name in dict.fromkeys(row["format"] for row in rows.all(k=k, peer=None)):
        of = {(row["precision"], row["rows"]): row for row in rows.all(format=name, k=k, peer=None)}
        few = ("standard", "fast") if ("standard", 1) in of or ("fast", 1) in of else ("exact",)
        peers = dict.fromkeys((row["peer"], row["format"]) for row in rows.all(k=k, beside=name))
        lines.append([name, beside(share(of.get((precision, 1)), "bandwidth_share") for precision in few),
                      *(beside(times(of.get((precision, count)), of.get((precision, 1))) for precision in few) for count in (4, 8)),
                      beside(share(of.get((precision, 512)), "peak_share") for precision in PRECISIONS if (precision, 512) in of),
                      ", ".join(peer_cell(rows, k=k, beside=name, peer=peer, format=theirs) for peer, theirs in peers)])
    return table(["weights", "1 row, of reading", "4 rows", "8 rows", "512 rows, of peak", "peers: 1 row, of reading / 512 rows, of peak"], lines)


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
    return ", ".join(f"{precision} {max(values):.0e}" for precision, values in found.items() if values)


def batches(rows, k=4096, name="affine4-g64"):
    counts = sorted({row["rows"] for row in rows.all(k=k, format=name, peer=None)})
    lines = []
    for precision in PRECISIONS:
        found = [rows.ours(format=name, k=k, rows=n, precision=precision) for n in counts]
        if any(found):
            lines.append([precision] + [number(row and row["gops"]) for row in found])
    return table([f"{name}, Gop/s"] + ["1 row" if n == 1 else f"{n} rows" for n in counts], lines)


def works(rows, key, label):
    lines = []
    for row in rows:
        name = row.get("kv_dtype") or row["format"]
        who = row.get("peer", row.get("precision"))
        lines.append([name, who, str(row[key]), number(row["time_us"]), share(row, "bandwidth_share"), number(row["gops"]),
                      f'{row["rel_error"]:.0e}' if "rel_error" in row else ""])
    return table(["stored as", "", label, "µs", "of reading", "Gop/s", "error"], lines)


def models(rows):
    """Behind decoding, how many times as fast as the same model in bf16."""
    bf16 = {row["model"]: row["decode_tokens_per_s"] for row in rows if row["format"] == "bf16"}
    lines = []
    for row in rows:
        beside = bf16.get(row["model"])
        lines.append([row["model"], row["format"], row["precision"], str(row["prompt_length"]), number(row["prefill_tokens_per_s"], 1),
                      number(row["decode_tokens_per_s"], 1), share(row, "bandwidth_share"),
                      f'{row["decode_tokens_per_s"] / beside:.1f}×' if beside else ""])
    return table(["model", "weights", "precision", "prompt", "prefill, tokens/s", "decode, tokens/s", "of reading", "of bf16"], lines)


def quantizing(rows):
    lines = [[row["format"], row["dtype"], number(row["mweights_per_s"]), share(row, "bandwidth_share")] for row in rows]
    return table(["quantized to", "from", "million weights/s", "of reading"], lines)


def opening(rows):
    lines = [[row["precision"], number(row["file_bytes"] / 1e9, 1), number(row["read_seconds"], 2), number(row["first_token_seconds"], 2),
              number(row["ratio"], 2)] for row in rows]
    return table(["precision", "file, GB", "one read, s", "to a first token, s", "ratio"], lines)


def beside_llama_cpp(found):
    lines = []
    for precision, result in found.items():
        for row in result["rows"]:
            lines.append([precision, row["phase"], str(row["prompt_tokens"]), number(row["nibble"], 1), number(row["llama_cpp"], 1),
                          f'{row["ratio"]:.2f}'])
    return table(["precision", "", "prompt", "nibble, tokens/s", "llama.cpp, tokens/s", "ratio"], lines)


def machine_line(result):
    limits, machine = result["limits"], result["machine"]
    threads = str(machine["threads"])
    rates = ", ".join(f'{label} {limits[key][threads]:,.0f} {unit}' for label, key, unit in
                      (("reads", "bandwidth_gb_per_s", "GB/s"), ("fp32", "fp32_gflops", "GFLOP/s"), ("bf16", "bf16_gflops", "GFLOP/s"),
                       ("int16", "int16_gops", "GOP/s"), ("int8", "int8_gops", "GOP/s")) if limits[key][threads] > 0)
    return f'{machine["cpu"]}, {machine["isa"]}, {threads} threads: {rates}.\n'


def main(path):
    with open(path) as file:
        result = json.load(file)
    rows = Rows(result["matmul"])
    print(machine_line(result))
    for k in sorted(set(rows.distinct("k")), reverse=True):
        print(f"Products with weights (4096, {k:,}), cold. At standard · fast precision; 512 rows at exact (of the fp32 peak) · standard · fast (of int8):\n\n{products(rows, k)}")
    print(f"Largest relative error: {errors(rows)}.\n")
    print(batches(rows))
    print(f'Experts, 128, 8 for each token, 768×2048:\n\n{works(result["experts"], "tokens", "tokens")}')
    print(f'Attention, 4,096 keys, 32 heads on 8, head 128:\n\n{works(result["attention"], "queries", "queries")}')
    if result["model"]:
        print(f'Whole models, batch of one:\n\n{models(result["model"])}')
    if result["quantize"]:
        print(f'Quantizing (4096, 14,336):\n\n{quantizing(result["quantize"])}')
    if result["open"]:
        print(f'From a file of Qwen3-8B\'s shape in the page cache to a first token:\n\n{opening(result["open"])}')
    if result["beside_llama_cpp"]:
        print(f'SmolLM2-135M, Q4_1, in turns with llama.cpp:\n\n{beside_llama_cpp(result["beside_llama_cpp"])}')


if __name__ == "__main__":
    main(*sys.argv[1:])
