#!/usr/bin/env bash
# Says what clang-format and clang-tidy find. usage: lint.sh BUILD_FOLDER
set -uo pipefail
cd "$(dirname "$0")/../.."
status=0
# By what it writes: clang-format 14 warns of each end of a nested inline namespace, and changes nothing.
git ls-files -z '*.cpp' '*.h' |
  xargs -0 -n 1 -P "$(nproc)" sh -c 'clang-format "$0" | diff -u --label "$0" --label "$0, formatted" "$0" -' || status=1
# Only the library and the program: GoogleTest's macros drown the tests' own findings.
git ls-files -z 'backend/*.cpp' 'dispatch/*.cpp' 'quant_tensor/*.cpp' 'adapters/*.cpp' |
  xargs -0 -n 4 -P "$(nproc)" clang-tidy --quiet --extra-arg=-Wno-unknown-warning-option -p "$1" || status=1
exit $status
