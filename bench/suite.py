"""Runs nibble's benchmarks, and in turns with them those of the peers that are installed; writes all rows into one JSON file.

usage: suite.py NIBBLE OUT.json [--peer-python PYTHON] [--peer-bin FOLDER] [--ik-llama FOLDER] [--gguf FILE] [--quick]

PYTHON is one with the peers' packages (`make bench-peers`), FOLDER one with the compiled peers. A peer that is missing, or fails, is
left out and named on standard error. --quick: one size, no whole models; for a look.

OUT.json: {"machine", "limits", "matmul": [...], "experts": [...], "attention": [...], "quantize": [...], "model": [...], "open",
"beside_llama_cpp"}; a peer's rows have "peer", and their shares are of what nibble's own probes gave just before.
"""

import argparse
import json
import pathlib
import subprocess
import sys

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


class Suite:
    def __init__(self, args):
        self.args, self.absent = args, {}
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

    def peer(self, name, *words):
        """A peer's rows; none, and a word about it once, where it is not there."""
        if name in self.absent:
            return []
        try:
            done = subprocess.run([*self.peers[name], *map(str, words)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            if done.returncode == 0:
                return json.loads(done.stdout)["results"]
            reason = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
        except (OSError, ValueError) as error:
            reason = str(error)
        self.absent[name] = reason
        print(f"without {name}: {reason}", file=sys.stderr)
        return []

    def beside(self, ours, rows):
        """Peers' rows with their shares of what memory and the arithmetic unit gave to ours."""
        bandwidth = ours["machine"]["bandwidth_gb_per_s"]
        peaks = [value for key, value in ours["machine"].items() if key.endswith(("gflops", "gops"))]
        for row in rows:
            row["bandwidth_share"] = row["gb_per_s"] / bandwidth
            row["peak_share"] = row["gops"] / max(peaks)
        return ours["results"] + rows

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
            found += self.beside(ours, theirs)
        return found

    def of_work(self, work, peer_format, *words):
        progress(work)
        ours = self.nibble(work, *words, "--seconds", self.args.seconds)
        theirs = []
        for name in ("ggml", "ik_llama.cpp"):
            if name in self.peers:
                theirs += self.peer(name, "--work", work, "--format", peer_format, "--seconds", self.args.seconds)
        return self.beside(ours, theirs)

    def model(self, *words):
        progress(f"model {words[1]}")
        return self.nibble("model", *words, "--seconds", 3 * self.args.seconds)["results"]

    def opening(self):
        progress("opening a large model")
        done = subprocess.run([sys.executable, HERE / "open_model.py", self.args.nibble, "--json"], stdout=subprocess.PIPE, text=True)
        return json.loads(done.stdout)["results"] if done.returncode == 0 else []

    def beside_llama_cpp(self):
        progress("SmolLM2 beside llama.cpp")
        rows = {}
        for precision in ("standard", "fast"):
            done = subprocess.run([sys.executable, HERE / "compare_model.py", self.args.nibble, self.args.gguf, "--peer-python",
                                   self.args.peer_python, "--rounds", "3", "--prompt-tokens", "128,512", "--precision", precision,
                                   "--json"], stdout=subprocess.PIPE, text=True)
            if done.returncode != 0:
                return None
            rows[precision] = json.loads(done.stdout)
        return rows

    def run(self):
        limits = self.nibble("limits")
        result = {"machine": limits["machine"]}
        formats = list(BESIDE)
        if self.args.quick:
            result["matmul"] = self.matmul(formats, 4096, (1, 8, 512), "standard,fast")
        else:
            result["matmul"] = self.matmul(formats, 14336, (1, 4, 8, 512), "exact,standard,fast")
            result["matmul"] += self.matmul(["affine4-g64"], 4096, (1, 2, 4, 8, 32, 128, 512), "exact,standard,fast")
        result["experts"] = self.of_work("experts", "q4_K", "--precision", "standard,fast")
        result["attention"] = self.of_work("attention", "f16,q8_0", "--kv-dtype", "f16,bf16", "--precision", "exact,fast")
        result["quantize"] = self.nibble("quantize", "--k", 14336, "--dtype", "f32,bf16")["results"]
        result["model"], result["open"], result["beside_llama_cpp"] = [], [], None
        if not self.args.quick:
            for name, stored, lengths in (("qwen3-0.6b", "affine4-g64", "1,128,512"), ("qwen3-0.6b", "affine8-g64", "1"),
                                          ("qwen3-0.6b", "bf16", "1"), ("qwen3-8b", "affine4-g64", "1")):
                result["model"] += self.model("--shape", name, "--format", stored, "--prompt-lengths", lengths, "--gen-lengths",
                                              "32" if name == "qwen3-8b" else "128", "--kv-dtype", "bf16")
            if self.args.gguf:
                result["model"] += self.model(self.args.gguf, "--precision", "standard,fast", "--gen-lengths", "128")
                result["beside_llama_cpp"] = self.beside_llama_cpp()
            result["open"] = self.opening()
        result["limits"] = best_of(limits, self.nibble("limits"))
        result["absent"] = self.absent
        return result


def best_of(one, other):
    """What a machine can do is the most that it was seen to do: others disturb a measurement, and only ever take away."""
    return one | {key: {threads: max(rate, other[key][threads]) for threads, rate in rates.items()}
                  for key, rates in one.items() if key.endswith(("_per_s", "flops", "gops"))}


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
    parser.add_argument("--seconds", type=float, default=0.2, help="for each figure")
    parser.add_argument("--quick", action="store_true")
    args = parser.parse_args()
    result = Suite(args).run()
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(result, indent=1))
    progress("")


if __name__ == "__main__":
    main()
