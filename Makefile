# Thin targets over CMake, CTest and the scripts in tests/tools and bench: what each does is told by `make`.
PRESET ?= release
JOBS ?= $(shell nproc)
CMAKE_ARGS ?= $(if $(CI),-DNIBBLE_WERROR=ON)
PREFIX ?= /usr/local
MODEL := build/models/SmolLM2-135M-Instruct.Q4_1.gguf
TOOLS := tests/tools

.DEFAULT_GOAL := help
.PHONY: help demo test bench deps build soak format lint install

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## /  make \1|/p' Makefile | column -t -s '|'
	@echo "PRESET=release (default), debug, asan or tsan; JOBS=$(JOBS); CMAKE_ARGS=-D..."

demo: ## from nothing to a model that answers, then a table of what packing costs and gains
	$(TOOLS)/deps.sh build model
	cmake --preset release $(CMAKE_ARGS)
	cmake --build --preset release -j $(JOBS) --target nibble_cli
	build/release/bin/nibble generate $(MODEL) --chat --prompt "What is gravity?"
	python3 bench/demo_table.py build/release/bin/nibble $(MODEL)

test: ## builds and runs every test (PRESET=asan, tsan: under that sanitizer)
	$(TOOLS)/deps.sh build test model $(filter sanitize,$(PRESET:%san=sanitize))
	cmake --preset $(PRESET) $(CMAKE_ARGS)
	cmake --build --preset $(PRESET) -j $(JOBS)
	$(TOOLS)/run_tests.sh $(PRESET) $(JOBS)

soak: ## the tests with every random shape instead of a fiftieth
	NIBBLE_SOAK=1 $(MAKE) test

bench: ## builds and runs the benchmarks
	$(TOOLS)/deps.sh build
	cmake --preset release -DNIBBLE_BUILD_BENCH=ON $(CMAKE_ARGS)
	cmake --build --preset release -j $(JOBS)
	bench/run.sh build/release/bin

deps: ## installs what building and testing need: Debian packages, and Python ones in build/venv
	$(TOOLS)/deps.sh build test model sanitize

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
