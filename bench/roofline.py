"""A roofline picture (Williams, Waterman and Patterson, CACM 2009) of the products that suite.py measured.

usage: roofline.py RESULTS.json OUT_WITHOUT_SUFFIX    writes OUT.svg and OUT.png
"""

import json
import sys

import matplotlib

matplotlib.use("agg")
import matplotlib.pyplot as plt

ROOFS = (("int8_gops", "int8"), ("int16_gops", "int16"), ("bf16_gflops", "bf16"), ("fp32_gflops", "fp32"))
STYLES = {"exact": ("tab:blue", "o"), "standard": ("tab:green", "o"), "fast": ("tab:red", "o")}
PEER_MARKERS = "xv^<>sD*"


def roofs_of(limits, threads):
    """[(peak, label)], those within a tenth of each other as one."""
    peaks = sorted((limits[key][threads], label) for key, label in ROOFS if limits.get(key, {}).get(threads, 0) > 0)
    joined = []
    for peak, label in peaks:
        if joined and peak < 1.1 * joined[-1][0]:
            joined[-1] = (peak, f"{joined[-1][1]}, {label}")
        else:
            joined.append((peak, label))
    return joined


def draw_roofs(axes, limits, threads, span):
    bandwidth = limits["bandwidth_gb_per_s"][threads]
    for peak, label in roofs_of(limits, threads):
        axes.plot([span[0], peak / bandwidth, span[1]], [span[0] * bandwidth, peak, peak], color="0.4", linewidth=0.8)
        axes.text(span[1], peak, f" {label} {peak:,.0f}", va="center", fontsize=8)
    axes.text(span[0] * 1.2, span[0] * bandwidth * 1.6, f"{bandwidth:.0f} GB/s", fontsize=8, rotation=38)


def draw_points(axes, rows):
    peers = list(dict.fromkeys(row["peer"] for row in rows if "peer" in row))
    seen = set()
    for row in rows:
        intensity = 2.0 * row["rows"] * row["n"] * row["k"] / row["weight_bytes"]
        if "peer" in row:
            label, color, marker = row["peer"], "0.3", PEER_MARKERS[peers.index(row["peer"]) % len(PEER_MARKERS)]
        else:
            label = f'nibble, {row["precision"]}'
            color, marker = STYLES[row["precision"]]
        axes.plot(intensity, row["gops"], marker, color=color, markersize=4, alpha=0.8, linestyle="none",
                  label=None if label in seen else label)
        seen.add(label)


def main(path, out):
    with open(path) as file:
        result = json.load(file)
    rows = [row for row in result["matmul"] if row["gops"] > 0 and row.get("orientation") != "across"]
    intensities = [2.0 * row["rows"] * row["n"] * row["k"] / row["weight_bytes"] for row in rows]
    span = (min(intensities) / 1.5, max(intensities) * 1.5)
    figure, axes = plt.subplots(figsize=(8, 5))
    draw_roofs(axes, result["limits"], str(result["machine"]["threads"]), span)
    draw_points(axes, rows)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("operations for each byte of weights")
    axes.set_ylabel("Gop/s")
    axes.set_title(f'Products with packed weights, {result["machine"]["cpu"]}, {result["machine"]["isa"]}', fontsize=10)
    axes.legend(fontsize=8, loc="lower right")
    for spine in ("top", "right"):
        axes.spines[spine].set_visible(False)
    figure.savefig(f"{out}.svg", bbox_inches="tight")
    figure.savefig(f"{out}.png", bbox_inches="tight", dpi=150)


if __name__ == "__main__":
    main(*sys.argv[1:])
