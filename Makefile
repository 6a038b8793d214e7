# Everything a newcomer or a machine needs. `make` alone prints this list.
PYTHON ?= python3
VENV ?= .venv
PRESET ?= quickstart
WORKERS ?= 2
BIN := $(VENV)/bin
SOURCES := common replay_server actors learner deploy
BENCHMARKS := $(filter-out bench_faults,$(basename $(notdir $(wildcard tests/benchmarks/bench_*.py))))
STAMP := $(VENV)/.installed
# A machine without a GPU may take a small build of torch from another index: make setup TORCH_INDEX=URL
TORCH_INDEX ?=
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.DEFAULT_GOAL := help
.PHONY: help setup train test test-cluster lint format reference bench clean

help: ## print this list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 22

setup: $(STAMP) ## make .venv with everything in it (again only after a change)

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "error: $(PYTHON) is older than 3.11"; \
	  echo "  why: apexmania needs Python 3.11 or later"; \
	  echo "  fix: make setup PYTHON=/path/to/python3.11"; exit 3; }
	@echo "setting up $(VENV): two to four minutes, 2.2 GB; pip says nothing while all goes well"
	@echo "  1/3 a virtual environment and pip"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check 'pip>=25.1'
	@echo "  2/3 torch, most of the time and space"
	@$(PIP) $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) torch
	@echo "  3/3 Ray, Redis, numba, the tools for tests, and apexmania itself"
	@$(PIP) --editable . --group dev
	@$(if $(filter Windows_NT,$(OS)),true,$(PIP) --no-deps tmrl)
	@touch $@
	@echo "ready: $(BIN)/apexmania --help"

train: setup ## train with PRESET=quickstart
	$(BIN)/apexmania train --preset $(PRESET)

# Test workers already use every core; a second thread in each costs more than it brings.
test bench faults: export OMP_NUM_THREADS := 1
test bench faults: export MKL_NUM_THREADS := 1
test: setup ## run all tests
	$(BIN)/python -m pytest -q -n $(WORKERS) --dist loadfile --ignore=tests/cluster

# Apart from the others: three machines with a Ray each want two cores for themselves (10 minutes beside other work).
test-cluster: setup ## run a cluster of pretended machines: ray up, a training, one machine more (5 minutes, as root)
	APEXMANIA_NEED_NETNS=1 $(BIN)/python -m pytest -q tests/cluster

lint: setup ## check style, types and import contracts
	$(BIN)/ruff check $(SOURCES) tests
	$(BIN)/ruff format --check $(SOURCES) tests
	$(BIN)/mypy
	$(BIN)/lint-imports

format: setup ## format and mend what can be mended
	$(BIN)/ruff check --fix $(SOURCES) tests
	$(BIN)/ruff format $(SOURCES) tests

reference: setup ## write the tables of docs/metrics.md and docs/health.md from the code
	$(BIN)/python -m deploy.health.reference docs

bench: setup ## measure the parts that decide the speed
	@for name in $(BENCHMARKS); do \
	  echo "== $$name"; $(BIN)/python -m tests.benchmarks.$$name || exit 1; \
	done

faults: setup ## put a run through every fault and print the table, 20 minutes, as root (FAULTS="name ..." for some)
	$(BIN)/python -m tests.benchmarks.bench_faults --json faults.json $(FAULTS)

clean: ## remove .venv and caches; runs are kept
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache dist
	find $(SOURCES) tests -name __pycache__ -type d -prune -exec rm -rf {} +
