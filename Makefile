# make demo | test | check | docs | clean | help.  Every target fills .venv by itself, once.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

# The tests that `make check` runs: the mathematics, the command line and the shape of the code.
QUICK := tests/test_structure.py tests/cli/test_dispatch.py tests/codec tests/conditioning \
         tests/diffusion tests/sampling tests/runs

.DEFAULT_GOAL := help
.PHONY: help demo test check docs clean

help: ## list the targets
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1\t/'

demo: $(READY) ## train on the handwritten digits for a minute, sample, draw grid.png and report.html
	@$(BIN)/undrift demo

test: $(READY) ## run every test
	@$(BIN)/python -m pytest -q -n 2 --dist worksteal --durations=20

check: $(READY) ## format, lint, types, import floors and the quick tests, in under a minute
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/ruff check --quiet .
	@$(BIN)/pyright --pythonpath $(BIN)/python
	@$(BIN)/lint-imports
	@$(BIN)/python -m pytest -q -n 2 -m "not slow" $(QUICK)

docs: $(VENV)/.docs ## build the documentation and the API reference into build/docs, offline
	@$(BIN)/python -m sphinx -q -j 2 -W --keep-going -c docs . build/docs
	@! grep -rlE '<(script|link|img)[^>]*(src|href)="https?:' build/docs --include='*.html'
	@echo "build/docs/docs/index.html"

clean: ## remove .venv and every cache; runs/ stays
	@rm -rf $(VENV) dist build .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.docs: $(READY)
	@$(BIN)/pip install -qq -c constraints.txt -e '.[docs]'
	@touch $@

# Filled again only when what it depends on has changed.
$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
	  { echo "undrift: $(PYTHON) is not Python 3.11 or newer; name one: make PYTHON=python3.12" >&2; exit 2; }
	@echo "filling $(VENV) (a few minutes, once)"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install -qq -c constraints.txt -e '.[dev]'
	@touch $(READY)
