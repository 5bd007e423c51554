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


class Rows:
    def __init__(self, rows):
        self.rows = rows

    def one(self, **wanted):
        for row in self.rows:
            if all(row.get(key) == value for key, value in wanted.items()):
                return row
        return None

    def ours(self, **wanted):
        return self.one(peer=None, **wanted)

    def distinct(self, key):
        return list(dict.fromkeys(row[key] for row in self.rows if row.get(key) is not None))


def few_rows(rows, k):
    """One row: µs and share of reading. 4 and 8 rows: how much longer."""
    lines = []
    for name in dict.fromkeys(row["format"] for row in rows.rows if "peer" not in row and row["k"] == k):
        for precision in ("exact", "standard", "fast"):
            one = rows.ours(format=name, k=k, rows=1, precision=precision)
            if one:
                lines.append([name, precision, *speed(rows, one, rows.ours, format=name, k=k, precision=precision),
                              f'{one["rel_error"]:.0e}'])
        for peer in dict.fromkeys(row["peer"] for row in rows.rows if row.get("beside") == name and row["k"] == k):
            one = rows.one(beside=name, peer=peer, k=k, rows=1)
            if one:
                lines.append(["", f'{peer} {one["format"]}', *speed(rows, one, rows.one, beside=name, peer=peer, k=k), ""])
    return table(["weights", "", "1 row, µs", "of reading", "4 rows", "8 rows", "512 rows, Gop/s", "of peak", "error"], lines)


def speed(rows, one, find, **wanted):
    ratios = [f'{row["time_us"] / one["time_us"]:.2f}×' if (row := find(rows=n, **wanted)) else "" for n in (4, 8)]
    many = find(rows=512, **wanted)
    peak = f'{share(many, "peak_share")} {many.get("peak", "")}'.strip() if many else ""
    return [number(one["time_us"]), share(one, "bandwidth_share"), *ratios, number(many and many["gops"]), peak]


def batches(rows, k=4096, name="affine4-g64"):
    counts = sorted({row["rows"] for row in rows.rows if row["k"] == k and row["format"] == name and "peer" not in row})
    lines = []
    for precision in ("exact", "standard", "fast"):
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
    lines = [[row["model"], row["format"], row["precision"], str(row["prompt_length"]), number(row["prefill_tokens_per_s"], 1),
              number(row["decode_tokens_per_s"], 1), share(row, "bandwidth_share")] for row in rows]
    return table(["model", "weights", "precision", "prompt", "prefill, tokens/s", "decode, tokens/s", "of reading"], lines)


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
        print(f"Products with weights (4096, {k:,}), cold:\n\n{few_rows(rows, k)}")
    print(batches(rows))
    print(f'Experts, 128, 8 for each token, 768×2048:\n\n{works(result["experts"], "tokens", "tokens")}')
    print(f'Attention, 4,096 keys, 32 heads on 8, head 128:\n\n{works(result["attention"], "queries", "queries")}')
    if result["model"]:
        print(f'Whole models, batch of one:\n\n{models(result["model"])}')
    if result["beside_llama_cpp"]:
        print(f'SmolLM2-135M, Q4_1, in turns with llama.cpp:\n\n{beside_llama_cpp(result["beside_llama_cpp"])}')


if __name__ == "__main__":
    main(*sys.argv[1:])
