"""Adds up GoogleTest's JSON reports: cases of each room, why cases were skipped, the slowest, one closing line."""

import collections
import json
import pathlib
import sys


def cases_of(report):
    for suite in json.loads(report.read_text())["testsuites"]:
        for case in suite["testsuite"]:
            yield f'{suite["name"]}.{case["name"]}', case


def outcome(case):
    if case.get("failures"):
        return "failed"
    return {"COMPLETED": "passed", "SKIPPED": "skipped"}.get(case["result"], "suppressed")


def reason_of(message):
    """GoogleTest says the place in a line before the reason; pytest says the reason alone."""
    lines = message.strip().split("\n")
    return lines[min(1, len(lines) - 1)].removeprefix("Skipped: ")


def main(folder):
    total, reasons, slowest = collections.Counter(), collections.Counter(), []
    for report in sorted(pathlib.Path(folder).glob("*.json")):
        counts = collections.Counter()
        for name, case in cases_of(report):
            counts[outcome(case)] += 1
            slowest.append((float(case["time"].rstrip("s")), f"{report.stem}: {name}"))
            for skipped in case.get("skipped", []):
                reasons[reason_of(skipped["message"])] += 1
        print(f"  {report.stem:<24}" + ", ".join(f"{n} {word}" for word, n in sorted(counts.items())))
        total += counts
    for seconds, name in sorted(slowest, reverse=True)[:5]:
        print(f"  {seconds:7.1f} s  {name}")
    for reason, count in reasons.most_common():
        print(f"  {count} × {reason}")
    print(f'{total["passed"]} passed, {total["failed"]} failed, {total["skipped"]} skipped')
    return 0 if total["passed"] and not total["failed"] else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
