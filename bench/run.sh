#!/usr/bin/env bash
# Runs every benchmark program of a build. usage: run.sh BIN_FOLDER
set -euo pipefail
for program in "$1"/bench_*; do
  [ -x "$program" ] || continue
  echo "== $(basename "$program")"
  "$program"
done
