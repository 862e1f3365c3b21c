# Model Bridge. Set-up needs Python 3.11+, pip and make; everything else is fetched into .venv.
PYTHON ?= python3
BIN := .venv/bin
SETUP := $(PYTHON) deploy/setup.py
# `make check test` runs every test once: what `check` has run, `test` leaves out.
CHECKED := $(if $(filter check,$(MAKECMDGOALS)),--ignore=tests/architecture --ignore=tests/unit)

.PHONY: setup setup-run up test chaos fuzz check fast bench lock clean

setup: ## the whole environment, tests included
	@$(SETUP) test

setup-run: ## only what running needs
	@$(SETUP) run

up: setup-run ## the platform on this machine, with a demo flow
	@exec $(BIN)/modelbridge up $(ARGS)

check: setup ## format, lint, types, imports, architecture and unit tests
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/lint-imports --no-cache | tail -n 3
	@$(BIN)/pyright
	@$(BIN)/pytest -q -n 2 tests/architecture tests/unit --durations=5

fast: setup ## the tests that need no server, under 30 s
	@$(BIN)/pytest -q -m "not peer" tests/architecture tests/unit tests/contract

test: setup ## the whole suite, on real PostgreSQL, Redis, Prefect, Chromium and the local model
	@$(BIN)/pytest -n 2 --dist loadfile tests $(CHECKED)

chaos: setup ## workers stopped for a minute and killed, with the real lease; about 4 minutes
	@$(BIN)/pytest tests -m chaos

fuzz: setup ## every route with requests that its description allows and forbids; about two minutes
	@$(BIN)/pytest tests -m fuzz

bench: setup ## figures beside their goals
	@$(BIN)/python -m benchmarks

lock: ## resolve requirements/*.in again
	@for set in setup runtime test; do $(BIN)/uv pip compile -q --generate-hashes --no-emit-index-url --python-version 3.11 --python-platform x86_64-manylinux_2_28 requirements/$$set.in -o requirements/$$set.txt; done
	@$(BIN)/uv pip compile -q --generate-hashes --no-deps --no-emit-index-url --python-version 3.11 --python-platform x86_64-manylinux_2_28 requirements/local.in -o requirements/local.txt

clean: ## remove everything that set-up and tests made
	rm -rf .venv .make .pytest_cache .ruff_cache .hypothesis .import_linter_cache dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
