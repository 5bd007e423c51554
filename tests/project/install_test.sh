#!/usr/bin/env bash
# Installs a build into a staging folder, builds the consumer project against it and runs it; then looks at the
# library's symbols. With `shared` it first builds nibble a second time as a shared library.
# usage: install_test.sh SOURCE BUILD CXX static|shared [options of the second build]
set -euo pipefail
source=$1 build=$2 cxx=$3 kind=$4
work=$build/install_$kind pages=$build/pages
rm -rf "$work/stage" "$work/consumer"

if [ "$kind" = shared ]; then
  # Beside the first build, not inside: ccache 4.7 then gives generated sources' objects again, whose paths it makes
  # relative to the build folder.
  build=${build}_shared
  cmake -S "$source" -B "$build" -G Ninja -DCMAKE_CXX_COMPILER="$cxx" -DCMAKE_BUILD_TYPE=Release -DBUILD_SHARED_LIBS=ON \
    -DNIBBLE_BUILD_TESTS=OFF -DNIBBLE_BUILD_PYTHON=OFF "${@:5}"
  cmake --build "$build"
fi
cmake --install "$build" --prefix "$work/stage"
cmake -S "$source/tests/project/consumer" -B "$work/consumer" -G Ninja -DCMAKE_CXX_COMPILER="$cxx" \
  -DCMAKE_BUILD_TYPE=Release -DCMAKE_CXX_FLAGS="-Wall -Wextra -Wpedantic -Werror" -DCMAKE_PREFIX_PATH="$work/stage" \
  -DPAGES="$pages"
cmake --build "$work/consumer"

example=$("$work/consumer/example")
adapters=$("$work/consumer/adapters")
printf '%s\n%s\n' "$example" "$adapters"
grep -q '^f32 (256, 128): 131072 bytes' <<<"$example"
grep -q '^affine4-g64 (256, 128): 20480 bytes' <<<"$example"
grep -q 'no such folder' <<<"$adapters"
# From C: the header and -lnibble are all.
library=$(find "$work/stage" -name libnibble.so -printf %h)
cc -std=c99 -Wall -Wextra -Wpedantic -Werror -I"$work/stage/include" "$pages/c/c.c" \
  -o "$work/consumer/c_example" -L"$library" -lnibble -Wl,-rpath,"$library"
"$work/consumer/c_example" | tee /dev/stderr | grep -q '^affine4-g64: 20480 bytes'
if [ -x "$work/stage/bin/nibble" ]; then
  "$work/stage/bin/nibble" --help >"$work/help"
  grep -q generate "$work/help"
fi

# Builds that leave parts out have install rules for the rest.
if [ "$kind" = static ]; then
  for without in LLM FILES; do
    rm -rf "$work/without"
    cmake -S "$source" -B "$work/without" -G Ninja -DCMAKE_CXX_COMPILER="$cxx" -DNIBBLE_BUILD_TESTS=OFF \
      -DNIBBLE_BUILD_PYTHON=OFF -DNIBBLE_BUILD_LLM=OFF -DNIBBLE_BUILD_$without=OFF >"$work/without.log"
    if grep -r nibble_llm "$work/without/include" --include=cmake_install.cmake; then exit 1; fi
  done
fi

# Symbols that another library could link to or collide with: of our own only those of the API. Templates of the standard
# library and fmt are weak and belong to everybody.
check_symbols() {
  readelf --symbols --wide "$1" >"$work/symbols"
  awk '$7 != "UND" && ($5 == "GLOBAL" || $5 == "WEAK") && $6 == "DEFAULT" {print $8}' "$work/symbols" | sed 's/@.*//' |
    sort -u | c++filt >"$work/visible"
  grep -q '^nibble::v0::matmul(' "$work/visible"
  grep -q '^typeinfo for nibble::v0::Error$' "$work/visible"
  # Without the arguments in parentheses, which may well be of hidden types.
  if sed 's/(.*//' "$work/visible" | grep -E '(^|[ *&])nibble::v0::detail::|^[a-z_]+$' |
    grep -vxE '_(init|fini|edata|end)|__bss_start|nibble_get_api'; then
    echo "the symbols above are visible, but not part of the API"
    exit 1
  fi
}
if [ "$kind" = static ]; then
  check_symbols "$(find "$work/stage" -name libnibble.a)"
fi
check_symbols "$library/libnibble.so"
grep -qx nibble_get_api "$work/visible"
