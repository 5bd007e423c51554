#!/usr/bin/env bash
# Installs the peers that benchmarks compare with, each on its own: what cannot be had here is left out. usage: install.sh FOLDER
# The folder gets a virtual environment, venv, and the programs that must be compiled.
set -uo pipefail
here=$(dirname "$0")
folder=$1
mkdir -p "$folder"
[ -x "$folder/venv/bin/python" ] || python3 -m venv "$folder/venv" || exit 1

grep -v '^#' "$here/requirements.txt" | while read -r package options; do
  # llama-cpp-python builds ggml from source, some minutes, for this very processor.
  # shellcheck disable=SC2086
  "$folder/venv/bin/python" -m pip install -q --disable-pip-version-check "$package" $options </dev/null ||
    echo "peers: without $package"
done
c++ -O3 -march=native -fopenmp -DNDEBUG -std=c++20 $(pkg-config --cflags eigen3) "$here/eigen.cpp" -o "$folder/eigen" ||
  echo "peers: without Eigen"
