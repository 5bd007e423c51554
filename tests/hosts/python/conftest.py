"""Reports the cases as the C++ rooms do, for tests/tools/summarize.py: where NIBBLE_TEST_RESULTS names a file."""

import json
import os
import pathlib

_cases = {}


def pytest_runtest_logreport(report):
    suite, _, name = report.nodeid.rpartition("::")
    case = _cases.setdefault(report.nodeid, {"name": name, "suite": pathlib.Path(suite).stem, "time": 0.0,
                                             "result": "COMPLETED"})  # fmt: skip
    case["time"] += report.duration
    if report.failed:
        case["failures"] = [{"failure": str(report.longrepr)}]
    elif report.skipped:
        case["result"] = "SKIPPED"
        case["skipped"] = [{"message": str(report.longrepr[2] if isinstance(report.longrepr, tuple) else "")}]


def pytest_collectreport(report):
    if report.skipped:  # a file whose package is missing
        _cases[report.nodeid] = {"name": "all", "suite": pathlib.Path(report.nodeid).stem, "time": 0.0, "result": "SKIPPED",
                                 "skipped": [{"message": str(report.longrepr[2])}]}  # fmt: skip


def pytest_sessionfinish():
    path = os.environ.get("NIBBLE_TEST_RESULTS")
    if not path:
        return
    suites = {}
    for case in _cases.values():
        suites.setdefault(case.pop("suite"), []).append({**case, "time": f"{case['time']}s"})
    pathlib.Path(path).parent.mkdir(parents=True, exist_ok=True)
    suites = [{"name": name, "testsuite": cases} for name, cases in suites.items()]
    pathlib.Path(path).write_text(json.dumps({"testsuites": suites}))
