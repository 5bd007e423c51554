"""Runs nibble's benchmarks, and in turns with them those of the peers that are installed; writes all rows into one JSON file.

usage: suite.py NIBBLE OUT.json [--peer-python PYTHON] [--peer-bin FOLDER] [--ik-llama FOLDER] [--gguf FILE] [--reference FOLDER]
                [--isa avx2] [--quick]

PYTHON is one with the peers' packages (`make bench-peers`), FOLDER one with the compiled peers. A peer that is missing, or fails, is
left out and named on standard error. --reference: float64 logits of the file, as logit_errors.py takes them. --isa: a shorter list
of products is measured under that instruction set too, where the machine has it. --quick: one size, no whole models; for a look.

OUT.json: {"date", "seconds", "machine", "limits", "matmul": [...], "formats": [...], "experts": [...], "attention": [...], "quantize": [...],
"model": [...], "open": [...], "beside_llama_cpp", "logit_errors", "other_isa": {"avx2": [rows of matmul]}, "versions", "absent"}; a
peer's rows have "peer", and their shares are of what nibble's own probes gave before and after. Rows whose share is above what a
machine can give are measured again, at most twice, and then stay as they are.
"""

import argparse
import datetime
import json
import pathlib
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
PEERS = HERE / "peers"

# Format of ours: what of a peer's stands beside it.
BESIDE = {
    "affine2-g64": {"ggml": "q2_K"}, "affine3-g64": {"ggml": "q3_K"},
    "affine4-g64": {"ggml": "q4_K", "torch": "affine4-g64", "MLX": "affine4-g64"},
    "affine4-g32": {"onnxruntime": "int4-b32"}, "affine4-g128": {"onnxruntime": "int4-b128"},
    "affine5-g64": {"ggml": "q5_K"}, "affine6-g64": {"ggml": "q6_K"}, "affine8-g64": {"torch": "int8-ch"},
    "q4_0": {"ggml": "q4_0"}, "q4_1": {"ggml": "q4_1"}, "q5_0": {"ggml": "q5_0"}, "q5_1": {"ggml": "q5_1"}, "q8_0": {"ggml": "q8_0"},
    "f32": {"ggml": "f32", "OpenBLAS": "f32", "Eigen": "f32", "torch": "f32"},
    "bf16": {"ggml": "bf16", "torch": "bf16"},
}
IK_FORMATS = {"affine4-g64": "q4_k_r4", "q4_0": "q4_0_r8", "q8_0": "q8_0_r8"}
SHORT = [*(f"affine{bits}-g64" for bits in (2, 3, 4, 5, 6, 8)), "q4_0", "q4_1", "f32"]
DENSE = {"f32": "fp32", "f16": "fp32", "bf16": "bf16"}  # what their products are compared with; others: int8
MOST_SHARE, REPEATS = 1.02, 2
PROBE_HOLDS = 0.2  # seconds, for a next row that follows at once


class Rates:
    """What memory and arithmetic units give at a moment."""

    def __init__(self, limits):
        threads = str(limits["machine"]["threads"])
        self.bandwidth = limits["bandwidth_gb_per_s"][threads]
        self.peaks = {kind: limits[f"{kind}_{unit}"][threads] for kind, unit in
                      (("fp32", "gflops"), ("bf16", "gflops"), ("int16", "gops"), ("int8", "gops"))}

    def peak(self, kind):
        return self.peaks[kind] or self.peaks["fp32"]


class Peer:
    """A peer's program at its work, which waits while probes run beside it (peers/measuring.py)."""

    def __init__(self, command, probe):
        self.probe, self.before, self.probed_at, self.repeats = probe, None, 0.0, 0
        self.rows, self.version = [], None
        with tempfile.TemporaryFile("w+") as complaints:
            with subprocess.Popen([*map(str, command), "--paced"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=complaints,
                                  text=True) as self.process:
                for line in self.process.stdout:
                    self.hear(line.strip())
            complaints.seek(0)
            self.complaint = (complaints.read().strip().splitlines() or [f"exit status {self.process.returncode}"])[-1]

    def hear(self, line):
        if line == "ready":
            if time.monotonic() - self.probed_at > PROBE_HOLDS:
                self.before = self.probe()
            self.answer("measure")
        elif line.startswith("{") and "results" in (said := json.loads(line)):
            if said["results"] and not self.rows:
                raise ValueError("waits for nobody: an older program, which `make bench-peers` replaces")
            self.version = said["version"]
        elif line.startswith("{"):
            self.judge(said)

    def judge(self, row):
        after = self.probe()
        self.probed_at = time.monotonic()
        kind = "fp32" if "kv_dtype" in row else DENSE.get(row["format"], "int8")
        row["bandwidth_share"] = row["gb_per_s"] / (0.5 * (self.before.bandwidth + after.bandwidth))
        row["peak_share"] = row["gops"] / (0.5 * (self.before.peak(kind) + after.peak(kind)))
        row["peak"], self.before = kind, after
        if max(row["bandwidth_share"], row["peak_share"]) > MOST_SHARE and self.repeats < REPEATS:
            self.repeats += 1
            return self.answer("again")
        self.repeats = 0
        self.rows.append(row)
        self.answer("next")

    def answer(self, word):
        print(word, file=self.process.stdin, flush=True)


class Suite:
    def __init__(self, args):
        self.args, self.absent, self.versions = args, {}, {}
        python = [args.peer_python]
        self.peers = {"ggml": python + [PEERS / "ggml.py"], "OpenBLAS": python + [PEERS / "openblas.py"],
                      "torch": python + [PEERS / "torch_cpu.py"], "MLX": python + [PEERS / "mlx_cpu.py"],
                      "onnxruntime": python + [PEERS / "onnxruntime_nbits.py"], "Eigen": [pathlib.Path(args.peer_bin) / "eigen"]}
        if args.ik_llama:
            self.peers["ik_llama.cpp"] = python + [PEERS / "ggml.py", "--library", args.ik_llama, "--name", "ik_llama.cpp"]
            for ours, theirs in IK_FORMATS.items():
                BESIDE[ours]["ik_llama.cpp"] = theirs

    def nibble(self, *words):
        done = subprocess.run([self.args.nibble, "bench", *map(str, words), "--json"], stdout=subprocess.PIPE, text=True)
        answer = json.loads(done.stdout or "{}")
        if done.returncode != 0:
            sys.exit(f'{words[0]}: {answer.get("error", {}).get("message", f"exit status {done.returncode}")}')
        return answer

    def probe(self):
        return Rates(self.nibble("limits", "--brief"))

    def peer(self, name, *words):
        """A peer's rows; none, and a word about it once, where it is not there."""
        if name in self.absent:
            return []
        try:
            peer = Peer([*self.peers[name], *words], self.probe)
        except (OSError, ValueError) as error:
            return self.without(name, error)
        if peer.process.returncode != 0:
            return self.without(name, peer.complaint)
        self.versions[name] = peer.version
        return peer.rows

    def without(self, name, reason):
        self.absent[name] = str(reason)
        print(f"without {name}: {reason}", file=sys.stderr)
        return []

    def script(self, name, file, *words):
        """What a script beside this one prints; None, and a word about it, where it fails."""
        done = subprocess.run([sys.executable, HERE / file, *map(str, words), "--json"], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True)
        if done.returncode == 0:
            return json.loads(done.stdout)
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()
        self.without(name, said[-1] if said else f"exit status {done.returncode}")
        return None

    def matmul(self, formats, k, rows, precisions):
        found = []
        size = ["--n", 4096, "--k", k, "--rows", ",".join(map(str, rows)), "--seconds", self.args.seconds]
        for name in formats:
            progress(f"matmul {name}, k = {k}")
            packed = name not in ("f32", "bf16")
            ours = self.nibble("matmul", "--format", name, *size, "--precision", precisions if packed else "exact")
            theirs = [row for peer, other in BESIDE.get(name, {}).items() for row in self.peer(peer, "--format", other, *size)]
            for row in theirs:
                row["beside"] = name
            found += ours["results"] + theirs
        return found

    def other_formats(self):
        """Every format that is not in BESIDE, at one row and at many, and ggml's of the same name."""
        progress("matmul, every other format")
        size = ["--n", 4096, "--k", 14336, "--rows", "1,512", "--seconds", self.args.seconds / 2]
        ours = [row for row in self.nibble("matmul", "--format", "all", *size, "--precision", "standard,fast")["results"]
                if row["format"] not in BESIDE]
        names = dict.fromkeys(row["format"] for row in ours)
        theirs = self.peer("ggml", "--format", ",".join(names), *size)
        return ours + [row | {"beside": row["format"]} for row in theirs]

    def batches(self, name):
        """A format at every number of rows, also across the packed axis: there all precisions are computed alike."""
        progress(f"matmul {name}")
        size = ["matmul", "--format", name, "--seconds", self.args.seconds]
        return (self.nibble(*size, "--precision", "exact,standard,fast")["results"]
                + self.nibble(*size, "--precision", "exact", "--orientation", "across")["results"])

    def under(self, isa):
        """The short list of products under another instruction set."""
        found = []
        for name in SHORT:
            progress(f"matmul {name}, {isa}")
            found += self.nibble("matmul", "--format", name, "--k", 14336, "--rows", "1,4,8,512", "--isa", isa, "--seconds",
                                 self.args.seconds, "--precision", "exact" if name in DENSE else "standard,fast")["results"]
        return found

    def of_work(self, work, peer_format, *words):
        progress(work)
        ours = self.nibble(work, *words, "--seconds", self.args.seconds)
        theirs = []
        for name in ("ggml", "ik_llama.cpp"):
            if name in self.peers:
                theirs += self.peer(name, "--work", work, "--format", peer_format, "--seconds", self.args.seconds)
        return ours["results"] + theirs

    def model(self, *words):
        progress(f"model {words[1]}")
        return self.nibble("model", *words, "--seconds", 3 * self.args.seconds)["results"]

    def opening(self):
        progress("opening a large model")
        opened = self.script("opening a large model", "open_model.py", self.args.nibble)
        return opened["results"] if opened else []

    def beside_llama_cpp(self):
        progress("SmolLM2 beside llama.cpp")
        rows = {}
        reference = ["--reference", self.args.reference] if self.args.reference else []
        for precision in ("standard", "fast"):
            rows[precision] = self.script("llama.cpp", "compare_model.py", self.args.nibble, self.args.gguf, "--peer-python",
                                          self.args.peer_python, "--threads", self.threads, "--rounds", 3, "--prompt-tokens", "128,512",
                                          "--precision", precision, *reference)
            if rows[precision] is None:
                return None
        return rows

    def logit_errors(self):
        if not self.args.reference:
            return None
        progress("logits of SmolLM2")
        return self.script("errors of logits", "logit_errors.py", self.args.nibble, self.args.gguf, self.args.reference, "--threads",
                           self.threads)

    def run(self):
        begin, limits = time.monotonic(), self.nibble("limits")
        self.threads = limits["machine"]["threads"]
        result = {"date": datetime.date.today().isoformat(), "machine": limits["machine"]}
        formats = list(BESIDE)
        if self.args.quick:
            result["matmul"] = self.matmul(formats, 4096, (1, 8, 512), "standard,fast")
        else:
            result["matmul"] = self.matmul(formats, 14336, (1, 4, 8, 512), "exact,standard,fast")
            result["matmul"] += self.batches("affine4-g64")
        result["formats"] = [] if self.args.quick else self.other_formats()
        result["experts"] = self.of_work("experts", "q4_K", "--precision", "standard,fast")
        result["attention"] = self.of_work("attention", "f16,q8_0", "--kv-dtype", "f16,bf16,q8_0", "--precision", "exact,fast")
        result["quantize"] = self.nibble("quantize", "--k", 14336, "--dtype", "f32,bf16")["results"]
        others = set(limits["machine"]["instruction_sets"]) - {limits["isa"]}
        result["other_isa"] = {isa: self.under(isa) for isa in self.args.isa.split(",") if isa in others}
        result["model"], result["open"], result["beside_llama_cpp"], result["logit_errors"] = [], [], None, None
        if not self.args.quick:
            for name, stored, lengths in (("qwen3-0.6b", "affine4-g64", "1,128,512"), ("qwen3-0.6b", "affine8-g64", "1"),
                                          ("qwen3-0.6b", "bf16", "1"), ("qwen3-8b", "affine4-g64", "1")):
                result["model"] += self.model("--shape", name, "--format", stored, "--prompt-lengths", lengths, "--gen-lengths",
                                              "32" if name == "qwen3-8b" else "128", "--kv-dtype", "bf16")
            if self.args.gguf:
                result["model"] += self.model(self.args.gguf, "--precision", "standard,fast", "--gen-lengths", "128")
                result["beside_llama_cpp"], result["logit_errors"] = self.beside_llama_cpp(), self.logit_errors()
            result["open"] = self.opening()
        result["limits"] = best_of(limits, self.nibble("limits"))
        result["versions"], result["absent"], result["seconds"] = self.versions, self.absent, round(time.monotonic() - begin)
        return result


def best_of(one, other):
    """What a machine can do is the most that it was seen to do: others disturb a measurement, and only ever take away."""
    best = one | {key: {threads: max(rate, other[key][threads]) for threads, rate in rates.items()}
                  for key, rates in one.items() if key.endswith(("_per_s", "flops", "gops"))}
    sets = {unit: best_of(rates, other["instruction_sets"][unit]) for unit, rates in one.get("instruction_sets", {}).items()}
    return best | ({"instruction_sets": sets} if sets else {})


def progress(text):
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("nibble")
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--peer-python", default=sys.executable)
    parser.add_argument("--peer-bin", default=".")
    parser.add_argument("--ik-llama", help="a folder with libggml of a build of ik_llama.cpp")
    parser.add_argument("--gguf")
    parser.add_argument("--reference", help="a folder with float64 logits of that file")
    parser.add_argument("--isa", default="", help="another instruction set, for a short list of products; with commas between")
    parser.add_argument("--seconds", type=float, default=0.2, help="for each figure")
    parser.add_argument("--quick", action="store_true")
    args = parser.parse_args()
    result = Suite(args).run()
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(result, indent=1))
    progress("")


if __name__ == "__main__":
    main()
