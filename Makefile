# The daily commands. `make` alone lists them.
PYTHON ?= .venv/bin/python

.PHONY: help install test lint format bench
help:
	@grep -E '^[a-z]+:.*#' Makefile | sed 's/:.*#/\t/'
install:  # a virtual environment with everything the developers need
	python3 -m venv .venv
	$(PYTHON) -m pip install -e '.[dev,docs,slurm,ray,optuna]'
test:  # all tests
	$(PYTHON) -m pytest
lint:  # style and types, as CI runs them
	$(PYTHON) -m ruff check
	$(PYTHON) -m ruff format --check
	$(PYTHON) -m mypy --strict src
format:  # put the code into the house style
	$(PYTHON) -m ruff check --fix
	$(PYTHON) -m ruff format
bench:  # ours against the naive pipeline and a bare loop; minutes
	$(PYTHON) -m benchmarks.training --quick
