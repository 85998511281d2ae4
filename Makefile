# hpcmass: two commands from a clone to a map are `make run` and `make test`.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules

# scripts/setup_env.sh lists the variables that the set-up takes.
export VENV ?= .venv

BIN := $(VENV)/bin
# nproc would return OMP_NUM_THREADS, so it must not see it.
CORES ?= $(shell env -u OMP_NUM_THREADS -u OMP_THREAD_LIMIT nproc 2>/dev/null || getconf _NPROCESSORS_ONLN)
# Workers of pytest share the cores with the MPI jobs that some tests start. Each worker begins with a contiguous share of
# the files, so that shared results are seldom computed twice; a worker that has finished takes tests from the others.
WORKERS ?= $(shell echo $$(($(CORES) < 4 ? $(CORES) : 4)))
PYTEST := $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal
PYTEST_ARGS ?=
PEERS_ARGS ?=
RUN_ARGS ?=

CONFIG ?= configs/quickstart.yml
RESULTS := results

.PHONY: help env run medium readings figures test test-fast test-slow test-all test-slurm test-arm lint docs docs-check coverage wheel-check format bench bench-peers faults clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

env: ## set up .venv, MPI and h5py (HPCMASS_HDF5=serial: without a parallel HDF5)
	@scripts/setup_env.sh

# Exit code 3: some trials failed, the others are worth a map.
run: env ## sweep CONFIG (configs/quickstart.yml), compare, draw maps and report; a rerun resumes (RUN_ARGS="--reuse OLD.h5")
	@$(BIN)/hpcmass go $(CONFIG) -o $(RESULTS) -j $(CORES) $(RUN_ARGS) | sed 's|^.*/report\.html$$|open &|' || [ $$? -eq 3 ]

medium: ## the same for configs/medium.yml, 11 x 11 points: 3 minutes on 2 cores
	@$(MAKE) --no-print-directory run CONFIG=configs/medium.yml

readings: env ## sweep 18 readings of what the paper leaves open, and check its claims: 25 minutes on 2 cores
	@PATH="$(abspath $(BIN)):$$PATH" analysis/readings.sh $(RESULTS)/readings -j $(CORES)

figures: env ## draw the figures of docs/results.md from docs/data/paper-cmp.h5
	@PATH="$(abspath $(BIN)):$$PATH" analysis/figures.sh

test: env ## test every feature, with real mpiexec jobs: 6 minutes on 2 cores (PYTEST_ARGS=… to choose)
	@$(PYTEST) -m 'not slow' $(PYTEST_ARGS)

test-fast: env ## only tests in one process of up to a second each: 1 minute
	@$(PYTEST) -m 'not (mpi or process or browser or long or slow)' $(PYTEST_ARGS)

test-slow: env ## tests that `make test` omits: large samples, campaigns of faults, rare cases
	@$(PYTEST) -m slow $(PYTEST_ARGS)

test-all: test test-slow ## every test except those under Slurm

test-slurm: env ## the templates of jobs/slurm under a Slurm of one node, started and stopped here (3 minutes)
	@scripts/slurm_one_node.sh install
	@scripts/slurm_one_node.sh run $(BIN)/python -m pytest tests/slurm $(PYTEST_ARGS)

test-arm: env ## the tests of the network on aarch64, under QEMU on another processor: half an hour (PYTEST_ARGS=…)
	@scripts/test_arm.sh -q $(PYTEST_ARGS)

lint: env ## style, types, import rules, shell scripts, spelling, dead links
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo --no-cache
	git ls-files -coz --exclude-standard -- '*.sh' .ci/run | xargs -0 $(BIN)/shellcheck -x
	git ls-files -coz --exclude-standard -- '*.py' '*.md' '*.yml' '*.toml' '*.sh' '*.cff' | xargs -0 $(BIN)/codespell
	$(BIN)/python scripts/docs_generate.py --check
	$(BIN)/python scripts/check_links.py

docs: env ## build the documentation into site/; a dead link or an unlinked page is an error
	@$(BIN)/python scripts/docs_generate.py
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	@echo site/index.html

docs-check: env ## run every command of README and documentation and compare its output with the page
	@benchmarks/peers/setup_peers.sh brian2 nest
	@$(BIN)/python scripts/docs_check.py

coverage: env ## line coverage without the compiled kernels: at least 90 %
	@$(PYTEST) -m 'not slow' -q --cov --cov-report=term:skip-covered --cov-fail-under=90 $(PYTEST_ARGS)

wheel-check: env ## build the wheel and use it in a new environment, away from the checkout
	@scripts/wheel_check.sh

format: env ## reformat the Python code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: env ## run the benchmarks, one after the other
	@. scripts/mpi_env.sh; for program in benchmarks/bench_*.py; do echo "== $$program"; $(BIN)/python "$$program"; done

bench-peers: env ## run the same network in Brian2, BrainPy and NEST, in separate environments (PEERS_ARGS=… to choose)
	@benchmarks/peers/setup_peers.sh
	@$(BIN)/python benchmarks/peers/compare.py $(PEERS_ARGS)

faults: env ## run the fault campaign: kills, stops, full disks, damaged files (FAULTS_ARGS=… to choose)
	@PYTHONPATH=tests/helpers $(BIN)/python tests/faults/campaign.py $(FAULTS_ARGS)

clean: ## remove .venv*, caches; results/ stays
	rm -rf $(VENV) .venv-arm .venv-peers-* *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache site
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
