# Everything runs in .venv, which is made on first use and kept.
#
#   make demo     train, export, run and time a small binary network
#   make test     lint, types, and all tests
#   make fuzz     look for arguments and files that the engine does not survive: SECONDS=600 of it (docs/testing.md)
#   make fuzz-strangers     look for files and names on which a command fails: CASES=500 of each kind
#   make bench    measure against other engines (benchmarks/README.md)
#
# Variables:
#   PYTHON         the Python (>= 3.11) that .venv is made from
#   JOBS           how many test processes run at once: one a core (auto) if it is not given
#   TORCH_INDEX    a package index that offers PyTorch's CPU build. Used where the default index would bring CUDA packages
#                  to a machine without a GPU.

PYTHON ?= python3
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu
export TORCH_INDEX

BIN := .venv/bin
SETUP := .venv/.setup
NATIVE := .venv/.native
NATIVE_SOURCES := $(shell find native -type f -not -path '*/tests/*' -not -path '*/fuzz/*')

.PHONY: demo test test-fast lint format fuzz fuzz-strangers bench setup clean

demo: $(NATIVE)
	@$(BIN)/bittern demo $(DEMO_FLAGS)

# One test process a core; a file's tests share one, and what its fixtures make. JOBS=0: all in one process.
JOBS ?= auto
PYTEST := $(BIN)/pytest -n $(JOBS) --dist loadfile

test: lint
	@$(PYTEST)

test-fast: lint
	@$(PYTEST) -m "not slow"

lint: $(NATIVE)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@find native examples -name '*.cc' -o -name '*.h' -o -name '*.inc' | xargs $(BIN)/clang-format --dry-run --Werror

format: $(NATIVE)
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .
	@find native examples -name '*.cc' -o -name '*.h' -o -name '*.inc' | xargs $(BIN)/clang-format -i

SECONDS ?= 600
CASES ?= 500
fuzz: $(NATIVE)
	@PYTHONPATH=tests $(BIN)/python -m fuzz $(SECONDS)

# CASES of each kind: files, links, JSON, names, terminals (docs/testing.md).
fuzz-strangers: $(NATIVE)
	@PYTHONPATH=tests $(BIN)/python -m fuzz strangers $(CASES)

# BENCH_FLAGS: such as "--only linear", "--rounds 5", "--no-rivals" (benchmarks/__main__.py). Rivals are installed in
# build/bench on first use. Other benchmarks: .venv/bin/python -m benchmarks --help.
bench: $(NATIVE)
	@$(BIN)/python -m benchmarks all $(BENCH_FLAGS)

setup: $(NATIVE)

$(SETUP): pyproject.toml scripts/setup.sh
	@PYTHON=$(PYTHON) scripts/setup.sh
	@touch $@

$(NATIVE): $(SETUP) $(NATIVE_SOURCES)
	@echo "Building the engine ..."
	@$(BIN)/pip install --quiet --no-build-isolation --no-deps --editable .
	@touch $@

clean:
	rm -rf .venv build dist
