"""What the peers' programs share: their options, their rows, and timing with weights that no cache holds.

Each program measures products y (rows, n) = x (rows, k) · wᵀ and prints {"peer", "version", "results": [...]} with rows like
those of `nibble bench matmul`: format, n, k, rows, threads, time_us, time_us_quartiles, weight_bytes, gb_per_s, gops, peer. Shares
are added by whoever runs it beside probes. Exit status 3: the peer is not installed.

With --paced that one gets a say: before each row the program prints "ready" and waits for a line; then it measures, prints the row,
and waits for a line again: "again" if the row is to be measured once more.
"""

import argparse
import json
import os
import pathlib
import sys
import time


def cold_bytes():
    """As nibble's own benchmark: eight times the last cache."""
    sizes = [int(path.read_text().rstrip("K\n")) << 10
             for path in pathlib.Path("/sys/devices/system/cpu/cpu0/cache").glob("index*/size")]
    cache = max(sizes, default=0)
    return max(64 << 20, 8 * cache)


def copies_for(weight_bytes):
    return min(max(cold_bytes() // weight_bytes + 1, 2), 256)


def options(formats, **more):
    parser = argparse.ArgumentParser()
    parser.add_argument("--format", default=formats, help="with commas between")
    parser.add_argument("--rows", default="1,2,4,8,32,128,512")
    parser.add_argument("--n", type=int, default=4096)
    parser.add_argument("--k", type=int, default=4096)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--seconds", type=float, default=0.3, help="how long one figure may take")
    parser.add_argument("--paced", action="store_true", help="wait for a word before and after each row")
    for name, default in more.items():
        parser.add_argument("--" + name, default=default)
    args = parser.parse_args()
    args.rows = [int(n) for n in args.rows.split(",")]
    args.formats = (args.format or "").split(",")
    return args


def missing(what):
    print(what, file=sys.stderr)
    sys.exit(3)


def quantile(values, share):
    return sorted(values)[round(share * (len(values) - 1))]


def measured(args, run, row_of):
    """The row that row_of(times) makes of single calls run(turn)."""
    run(0)  # what is made at the first call
    while True:
        if args.paced:
            say("ready")
        row = row_of(timed(run, args.seconds))
        if not args.paced or say(json.dumps(row)) != "again":
            return row


def say(line):
    """And what is answered."""
    print(line, flush=True)
    return sys.stdin.readline().strip()


def timed(run, seconds):
    """Seconds of single calls run(turn); `turn` counts them, so that weights rotate."""
    times, begin, turn = [], time.perf_counter(), 1
    while len(times) < 3 or time.perf_counter() - begin < seconds:
        before = time.perf_counter()
        run(turn)
        times.append(time.perf_counter() - before)
        turn += 1
    return times


def figures(times, bytes_read, operations):
    middle = quantile(times, 0.5)
    return {"time_us": middle * 1e6, "time_us_quartiles": [quantile(times, 0.25) * 1e6, quantile(times, 0.75) * 1e6],
            "gb_per_s": bytes_read / middle * 1e-9, "gops": operations / middle * 1e-9}


def product(peer, args, name, rows, weight_bytes, run):
    """The row of a product run(turn)."""
    return measured(args, run, lambda times: {
        "peer": peer, "format": name, "n": args.n, "k": args.k, "rows": rows, "threads": args.threads,
        "weight_bytes": weight_bytes, **figures(times, weight_bytes, 2.0 * rows * args.n * args.k)})


def finish(peer, version, results):
    print(json.dumps({"peer": peer, "version": version, "results": results}))
