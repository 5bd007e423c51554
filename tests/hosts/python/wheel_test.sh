#!/usr/bin/env bash
# Builds the wheel as `pip install .` does, installs it into a folder of its own and uses it from there.
# usage: wheel_test.sh SOURCE BUILD PYTHON CXX [-D options]
set -euo pipefail
source=$1 build=$2 python=$3 cxx=$4
work=$build/wheel
rm -rf "$work"
mkdir -p "$work"
settings=(build-dir="${build}_wheel" cmake.define.CMAKE_CXX_COMPILER="$cxx" cmake.args=-GNinja)
for option in "${@:5}"; do
  settings+=(cmake.define."${option#-D}")
done
"$python" -m pip wheel -q --disable-pip-version-check --no-build-isolation --no-deps -w "$work" "${settings[@]/#/--config-settings=}" "$source"
"$python" -m pip install -q --disable-pip-version-check --no-deps --target "$work/site" "$work"/nibble-*.whl
test -s "$work/site/nibble/_nibble.pyi"
test -e "$work/site/nibble/py.typed"
cd "$work"
PYTHONPATH=$work/site "$python" - <<'PY'
import nibble as nb, numpy as np
w = nb.quantize(np.ones((8, 64), np.float32))
assert np.allclose(np.asarray(np.ones((2, 64), np.float32) @ w.T), 64), "the product of ones"
print(nb.__file__, w)
PY
