# Each target does all its set-up: a fresh clone needs nothing done first.
PYTHON ?= python3
BIN := .venv/bin
LANS := --lan lguest --lan lguest-repaired

.PHONY: help venv conformance test bench clean
help:
	@echo "make conformance   run the suite on the simulated lguest LAN; captures in reports/"
	@echo "make test          lint, types, the suite on every LAN, the harness's own tests"
	@echo "make bench         measure, and write reports/bench.json"
	@echo "make venv          only make .venv"

venv: .venv/.made

.venv/.made: pyproject.toml .ci/system-packages
	@sh .ci/system-packages
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Python 3.11 or newer is needed: make PYTHON=/path/to/it"; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

conformance: venv
	$(BIN)/pytest testcases --ignore=testcases/harness -n auto

test: venv
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lguest-harness play fixtures/recorded/*.jsonl
	$(BIN)/pytest testcases -n auto $(LANS)

bench: venv
	$(BIN)/python -m harness.bench

clean:
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache reports/captures reports/bench.json
