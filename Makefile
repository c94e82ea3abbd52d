# Each target does all its set-up: a fresh clone needs nothing done first.
PYTHON ?= python3
BIN := .venv/bin
RECIPES := $(sort $(wildcard fixtures/lans/real/*.toml))
REAL := bridge bridge-tap macvlan vde vde-hub qemu-hub ovs
# What cannot run here is red; STRICT= skips it.
STRICT ?= --strict
LANS := --lan lguest --lan lguest-repaired $(addprefix --lan ,$(REAL))

# The tests start Python often: what it has compiled is kept, whatever the environment says.
export PYTHONDONTWRITEBYTECODE :=
export PYTHONPYCACHEPREFIX := $(CURDIR)/.venv/pycache

.PHONY: help venv conformance test real-lans docs bench mutants searches fuzz clean
help:
	@echo "make conformance   run the suite on the simulated lguest LAN; report in reports/"
	@echo "make test          lint, types, the suite on every LAN, the harness's own tests"
	@echo "make real-lans     the suite on every LAN of fixtures/lans/real; writes docs/lans.md"
	@echo "make venv          set up .venv, and nothing else"
	@echo "make docs          write the generated pages of docs/ again"
	@echo "make bench         measure speed; results in reports/bench.json"
	@echo "make mutants       run the suite on small changes of the simulated LAN; list what it missed"
	@echo "make searches      every search of tests/search, complete"
	@echo "make fuzz          give each reader of files 20,000 damaged inputs"
	@echo "make clean         remove environments, caches, captures"

venv: .venv/.made

.venv/.made: pyproject.toml .ci/system-packages
	@sh .ci/system-packages
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Python 3.11 or newer is needed: make PYTHON=/path/to/it"; exit 1; }
	@echo "Setting up .venv: about a minute"
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

conformance: venv
	$(BIN)/lguest-harness run lguest -- -n auto

test: venv
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lguest-harness play fixtures/recorded/*.jsonl
	$(BIN)/lguest-harness rules --coverage
	$(BIN)/pytest testcases tests -n auto $(STRICT) $(LANS)

# A LAN that this kernel or machine cannot have is skipped, with the reason.
real-lans: venv
	@$(BIN)/python .ci/real-lan-packages
	@status=0; \
	$(BIN)/pytest testcases -n auto --reports reports/real-lans $(addprefix --lan ,$(RECIPES)) || status=$$?; \
	$(BIN)/python docs/make_lans.py reports/real-lans/results.jsonl; exit $$status

docs: venv
	$(BIN)/python docs/make_api.py
	$(BIN)/python docs/make_overrides.py
	$(BIN)/python docs/make_lan_files.py

bench: venv .venv/.made-bench
	$(BIN)/python -m bench

# PTF needs a C compiler for one of its parts: without PTF, all else is measured all the same.
.venv/.made-bench: .venv/.made
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[bench]' \
	  && touch $@ || echo "PTF could not be installed: it is left out of the comparison"

# `make test` walks a part of what these searches cover.
searches: venv
	$(BIN)/pytest tests/search --campaign 40 -n auto -q

fuzz: venv
	FUZZ_INPUTS=20000 $(BIN)/pytest tests/fuzz -n auto -q

# The project itself is not installed there, so that its mutated copy is what is imported.
mutants: .venv-mutants/.made
	.venv-mutants/bin/mutmut run --max-children 2
	.venv-mutants/bin/mutmut results

.venv-mutants/.made: pyproject.toml
	$(PYTHON) -m venv .venv-mutants
	.venv-mutants/bin/python -m pip install --quiet --disable-pip-version-check mutmut '.[dev]'
	.venv-mutants/bin/python -m pip uninstall --quiet --yes lguest-harness
	@touch $@

clean:
	rm -rf .venv .venv-mutants mutants .mypy_cache .pytest_cache .ruff_cache reports/captures reports/bench.json
