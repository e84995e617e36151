# What can be done here. `make help` lists it; every target does its own set-up first.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

PY := .venv/bin/python
export PYO3_PYTHON := $(CURDIR)/.venv/bin/python

.PHONY: help
help: ## List what can be done
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

.PHONY: setup
setup: ## Install all that the tests need and build the engine (quick when done already)
	@scripts/setup.sh tests

.PHONY: engine
engine: ## Build the engine into .venv, and nothing that only tests need
	@scripts/setup.sh engine

.PHONY: demo
demo: engine ## See a class run as a daemon, called from another process, and how fast that is
	@echo
	$(PY) examples/document/client.py
	echo
	$(MAKE) bench-quick

.PHONY: test
test: lint ## Lint, Rust tests, Python tests
	@scripts/test.sh

.PHONY: lint
lint: setup ## Formatting, clippy, ruff, mypy strict, the stub against the built module
	@scripts/lint.sh

.PHONY: bench
bench: engine ## The whole table of measurements against limits and peers (long; wants a quiet machine)
	@scripts/system.sh requirements/debian.txt
	@scripts/python.sh benches/requirements.txt
	scripts/peer.sh requirements/jararaca.txt
	$(PY) benches/run.py
	$(PY) benches/app/run.py
	$(PY) benches/render.py

.PHONY: bench-quick
bench-quick: engine ## The essential rows of that table, in under a minute
	@scripts/python.sh benches/requirements.txt
	$(PY) benches/run.py --quick

.PHONY: soak
soak: setup ## The long forms of the tests: millions of frames, an hour under load
	@MUTATIONS=1000000 cargo test --locked --test mutations --test hub_mutations
	$(PY) -m pytest -m soak --timeout 7200
	$(PY) benches/soak.py

.PHONY: dev
dev: ## Set up with a quickly built, unoptimised engine
	@scripts/check.sh
	scripts/python.sh requirements/test.txt
	scripts/engine.sh dev

.PHONY: wheel
wheel: engine ## Build the wheel into dist/
	@.venv/bin/maturin build --release --locked --out dist

.PHONY: clean
clean: ## Remove everything that was built or installed here
	@rm -rf target .venv dist .cache .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name node_modules -prune -exec rm -rf {} +
	find python -name '*.so' -delete
