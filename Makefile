# `make help` lists the targets. Each that needs .venv makes it first.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help demo test slow lint lock bench wheel clean ready

python := .venv/bin/python
# Files of tests are shared out to up to four processes, each of which computes on one thread.
pytest := OMP_NUM_THREADS=1 $(python) -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' Makefile

ready:
	@./setup.sh

demo: ready ## map a bundled real scene with a bundled model, score it, draw it
	.venv/bin/geohier demo

test: ready ## the plain tests: no GPU, no network, a few minutes
	$(pytest)

slow: ready ## the slow tests
	$(pytest) -m "slow and not gpu"

lint: ready ## style, types and the direction of imports
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports

lock: ## renew requirements.txt from pyproject.toml; `make lock ARGS=--upgrade` for newer versions
	@./setup.sh lock $(ARGS)

bench: ready ## measure speed and memory, and write docs/results.md
	$(python) tests/bench/run.py

wheel: ready ## build dist/*.whl and dist/*.tar.gz
	$(python) -m hatchling build

clean: ## remove what tools leave behind; .venv and runs stay
	rm -rf dist build .pytest_cache .hypothesis .mypy_cache .ruff_cache .import_linter_cache
	find geohier tests tools -name __pycache__ -type d -prune -exec rm -rf {} +
