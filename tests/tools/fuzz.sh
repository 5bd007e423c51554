#!/usr/bin/env bash
# Feeds each reader of files with bad input for so many seconds, and ends with status 1 where one did not bear it.
# usage: fuzz.sh BUILD_FOLDER SECONDS [READER...]     inputs that were found lie in BUILD_FOLDER/findings
set -uo pipefail
cd "$(dirname "$0")/../.."
build=$1 seconds=$2
shift 2
program=$build/bin/fuzz_readers
[ $# -gt 0 ] || set -- $("$program" --list)
# A folder in memory, where there is one: each input is written to files.
[ ! -w /dev/shm ] || export TMPDIR=/dev/shm
mkdir -p "$build/findings"
status=0
for reader in "$@"; do
  mkdir -p "$build/corpus/$reader"
  log=$build/findings/$reader.log
  "$program" --reader="$reader" -max_total_time="$seconds" -max_len=20000 -timeout=10 -rss_limit_mb=2048 \
    -malloc_limit_mb=64 -dict=tests/fuzz/readers.dict -print_final_stats=1 -artifact_prefix="$build/findings/$reader-" \
    "$build/corpus/$reader" "tests/fuzz/corpus/$reader" >"$log" 2>&1
  result=$?
  last=$(grep -a 'cov: ' "$log" | tail -n 1 | sed 's/.*\(cov: [0-9]* ft: [0-9]* corp: [^ ]*\).*/\1/')
  stat() { sed -n "s/^stat::$1: *//p" "$log"; }
  echo "$reader: $(stat number_of_executed_units) inputs in $seconds s, $(stat average_exec_per_sec) a second, at most $(stat peak_rss_mb) MiB, $last"
  if [ $result -ne 0 ]; then
    status=1
    echo "$reader: failed, see $log"
  fi
done
exit $status
