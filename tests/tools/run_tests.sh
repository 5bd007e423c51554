#!/usr/bin/env bash
# Runs one preset's tests, then counts the single test cases in the rooms' reports. usage: run_tests.sh PRESET [JOBS]
set -uo pipefail
cd "$(dirname "$0")/../.."
rm -rf "build/$1/results"
ctest --preset "$1" -j "${2:-$(nproc)}"
status=$?
python3 tests/tools/summarize.py "build/$1/results" || status=1
exit $status
