# Thin targets over CMake, CTest and the scripts in tests/tools and bench: what each does is told by `make`.
PRESET ?= release
JOBS ?= $(shell nproc)
CMAKE_ARGS ?= $(if $(CI),-DNIBBLE_WERROR=ON -DCMAKE_UNITY_BUILD=ON)
PREFIX ?= /usr/local
# `make test` (release) installs torch, transformers and PEFT, to test what they compute on packed weights: 2 GB from the
# network, 4 GB in build/venv, 2 to 3 minutes. TORCH=0 leaves them out; so does a machine without the room or the network.
TORCH ?= 1
FUZZ_SECONDS ?= 60
MODEL := build/models/SmolLM2-135M-Instruct.Q4_1.gguf
NIBBLE := build/release/bin/nibble
BENCH := build/bench
BENCH_ARGS ?=
REFERENCE ?= $(wildcard ../shared/data/smollm2)
TOOLS := tests/tools

.DEFAULT_GOAL := help
.PHONY: help demo test bench bench-peers bench-check deps deps-torch build soak fuzz format lint install

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /  make \1|/p' Makefile | column -t -s '|'
	@echo "PRESET=release (default), debug, asan, tsan or aarch64; JOBS=$(JOBS); CMAKE_ARGS=-D..."

demo: ## from nothing to a model that answers, then a table of what packing costs and gains
	$(TOOLS)/deps.sh build model
	cmake --preset release $(CMAKE_ARGS)
	cmake --build --preset release -j $(JOBS) --target nibble_cli
	$(NIBBLE) generate $(MODEL) --chat --prompt "What is gravity?"
	python3 bench/demo_table.py $(NIBBLE) $(MODEL)

test: ## builds and runs every test (PRESET=asan, tsan: under that sanitizer; aarch64: the library's, for Arm, emulated; TORCH=0: no torch)
	$(TOOLS)/deps.sh build $(if $(filter aarch64,$(PRESET)),aarch64,test model $(filter sanitize,$(PRESET:%san=sanitize)))
	$(if $(filter release-1,$(PRESET)-$(TORCH)),$(TOOLS)/deps.sh torch || echo "make: what needs torch is not tested")
	cmake --preset $(PRESET) $(CMAKE_ARGS)
	cmake --build --preset $(PRESET) -j $(JOBS)
	$(TOOLS)/run_tests.sh $(PRESET) $(JOBS)

soak: ## the tests with every random shape instead of a fiftieth
	NIBBLE_SOAK=1 $(MAKE) test

fuzz: ## feeds each reader of files with bad input for FUZZ_SECONDS=60, under sanitizers; findings are in build/fuzz
	$(TOOLS)/deps.sh build sanitize
	cmake --preset fuzz $(CMAKE_ARGS)
	cmake --build --preset fuzz -j $(JOBS)
	$(TOOLS)/fuzz.sh build/fuzz $(FUZZ_SECONDS)

bench: ## the tables of README and a roofline picture in build/bench, beside the peers that are installed
	$(TOOLS)/deps.sh build model picture
	cmake --preset release -DNIBBLE_BUILD_BENCH=ON $(CMAKE_ARGS)
	cmake --build --preset release -j $(JOBS) --target nibble_cli bench_op_overhead
	python3 bench/suite.py $(NIBBLE) $(BENCH)/results.json --gguf $(MODEL) --isa avx2 $(BENCH_ARGS) \
	  $(addprefix --reference ,$(REFERENCE)) \
	  --peer-python $(firstword $(wildcard $(BENCH)/venv/bin/python) python3) --peer-bin $(BENCH)
	python3 bench/tables.py $(BENCH)/results.json | tee $(BENCH)/tables.md
	build/venv/bin/python bench/roofline.py $(BENCH)/results.json $(BENCH)/roofline
	build/release/bin/bench_op_overhead

bench-peers: ## installs what `make bench` compares with into build/bench: ggml, onnxruntime, MLX, torch, OpenBLAS, Eigen
	$(TOOLS)/deps.sh build picture
	bench/peers/install.sh $(BENCH)

bench-check: ## whether shares of what the machine can do are what they were (CHECK_ARGS=--update: now are); says what fell
	$(TOOLS)/deps.sh build
	cmake --preset release $(CMAKE_ARGS)
	cmake --build --preset release -j $(JOBS) --target nibble_cli
	python3 bench/check.py $(NIBBLE) $(CHECK_ARGS)

deps: ## installs what building and testing need: Debian packages, and Python ones in build/venv
	$(TOOLS)/deps.sh build test model sanitize

deps-torch: ## installs torch, transformers and PEFT in build/venv (4 GB), for the tests of nibble.torch
	$(TOOLS)/deps.sh test torch

build: ## only builds
	cmake --preset $(PRESET) $(CMAKE_ARGS)
	cmake --build --preset $(PRESET) -j $(JOBS)

format: ## rewrites the sources as .clang-format says
	$(TOOLS)/deps.sh lint
	git ls-files '*.cpp' '*.h' | xargs clang-format -i

lint: ## says what .clang-format and .clang-tidy would change
	$(TOOLS)/deps.sh build lint
	cmake --preset release $(CMAKE_ARGS)
	$(TOOLS)/lint.sh build/release

install: build ## installs library, headers and program under PREFIX
	cmake --install build/$(PRESET) --prefix $(PREFIX)
