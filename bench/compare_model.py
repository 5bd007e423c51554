"""nibble beside llama.cpp on one GGUF file, measured in turns in this very run: one table with ratios.

usage: compare_model.py NIBBLE GGUF [--peer-python PYTHON] [--threads T] [--rounds 5] [--prompt-tokens 32,128,512]
                        [--decode-tokens 128] [--precision standard] [--reference FOLDER] [--json]

PYTHON is one with llama-cpp-python (peers/llama_cpp_rates.py says what it measures), by default the one that runs this. Every
round runs both programs once at every prompt length, so that what else the machine does meets both; a figure is the median of
the rounds, the ratio the median of each round's ratio. Both use greedy decoding and the same number of threads; nibble keeps its
KV cache in f32, llama.cpp in f16.

--json prints {"peer", "threads", "rounds", "load_average": [before, after], "max_logit_error": of the peer, null without a reference,
"rows": [{"prompt_tokens", "phase": "prefill" | "decode", "nibble", "llama_cpp", "ratio"}]}, rates in tokens/s.
Exit status 3: PYTHON has no llama-cpp-python.
"""

import argparse
import bisect
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
TEXT = HERE.parent / "tests" / "data" / "demo_text.txt"
PHASES = ("prefill", "decode")


def run_json(command):
    done = subprocess.run([str(word) for word in command], stdout=subprocess.PIPE, text=True)
    if done.returncode == 3:
        sys.exit(3)
    if done.returncode != 0:
        sys.exit(f"{command[0]}: exit status {done.returncode}: {done.stdout.strip()}")
    return json.loads(done.stdout)


class Nibble:
    def __init__(self, args):
        self.args = args
        text = TEXT.read_text()
        self.text = text * (1 + 8 * args.lengths[-1] // len(text))  # tokens are shorter than eight characters on average

    def run(self, prompt, tokens):
        return run_json([self.args.nibble, "generate", self.args.gguf, "--prompt", prompt, "--max-tokens", tokens, "--ignore-eos",
                         "--temperature", 0, "--threads", self.args.threads, "--precision", self.args.precision, "--json"])

    def prompt_of(self, tokens):
        """The first words of the text that are `tokens` tokens, or the fewest above it."""
        words = self.text.split(" ")
        count = bisect.bisect_left(range(len(words)), tokens, lo=1, hi=min(tokens, len(words)), key=lambda n: self.tokens_of(words[:n]))
        return " ".join(words[:count])

    def tokens_of(self, words):
        with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
            file.write(" ".join(words))
            file.flush()
            return len(run_json([self.args.nibble, "tokenize", self.args.gguf, "--text", file.name, "--json"])["tokens"])

    def measured(self, prompt):
        answer = self.run(prompt, self.args.decode_tokens)
        return answer["prompt_tokens"], {phase: answer[f"{phase}_tokens_per_s"] for phase in PHASES}


def peer(args, lengths):
    return run_json([args.peer_python, HERE / "peers" / "llama_cpp_rates.py", args.gguf, "--threads", args.threads, "--rounds", 1,
                     "--prompt-tokens", ",".join(map(str, lengths)), "--decode-tokens", args.decode_tokens, "--json"]
                    + (["--reference", args.reference] if args.reference else []))


def measured(args):
    nibble, load = Nibble(args), [os.getloadavg()[0]]
    prompts = [nibble.prompt_of(tokens) for tokens in args.lengths]
    rounds = []
    for _ in range(args.rounds):
        ours = dict(nibble.measured(prompt) for prompt in prompts)
        theirs = peer(args, ours)
        rounds.append({(n, phase): (ours[n][phase], theirs[f"{phase}_tokens_per_s"][str(n)]) for n in ours for phase in PHASES})
    rows = []
    for n, phase in sorted(rounds[0], key=lambda row: (PHASES.index(row[1]), row[0])):
        pairs = [r[n, phase] for r in rounds]
        rows.append({"prompt_tokens": n, "phase": phase, "nibble": statistics.median(a for a, _ in pairs),
                     "llama_cpp": statistics.median(b for _, b in pairs), "ratio": statistics.median(a / b for a, b in pairs)})
    return {"peer": theirs["package"], "threads": args.threads, "rounds": args.rounds, "load_average": load + [os.getloadavg()[0]],
            "max_logit_error": theirs["max_logit_error"], "rows": rows}


def print_table(result):
    print(f'{result["threads"]} threads, medians of {result["rounds"]} rounds in turns, tokens/s; '
          f'load average {result["load_average"][0]:.1f} before, {result["load_average"][1]:.1f} after')
    print(f'{"":8} {"prompt tokens":>13} {"nibble":>9} {result["peer"]:>24} {"ratio":>6}')
    for row in result["rows"]:
        print(f'{row["phase"]:8} {row["prompt_tokens"]:13} {row["nibble"]:9.1f} {row["llama_cpp"]:24.1f} {row["ratio"]:6.2f}')
    if result["max_logit_error"] is not None:
        print(f'largest error of a logit of {result["peer"]}: {result["max_logit_error"]:.3f}')


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("nibble")
    parser.add_argument("gguf")
    parser.add_argument("--peer-python", default=sys.executable)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--prompt-tokens", default="32,128,512", help="lengths, with commas between")
    parser.add_argument("--decode-tokens", type=int, default=128)
    parser.add_argument("--precision", default="standard")
    parser.add_argument("--reference", help="a folder with float64 logits, as logit_errors.py takes it")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    args.lengths = sorted(int(n) for n in args.prompt_tokens.split(","))
    result = measured(args)
    print(json.dumps(result)) if args.json else print_table(result)


if __name__ == "__main__":
    main()
