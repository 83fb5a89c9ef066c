# The doors of the workshop. `make demo` and `make test` are all a newcomer types; each calls the set-up it needs.
# It takes a Python from 3.11 on and make; everything that is fetched or made lies in .venv and in DATA_DIR (./var).

SHELL := /bin/sh
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# The data folder may also be set in .env, which the programs read by themselves; here it is read as they do: the last line
# that sets it, without quotes or a comment behind it. The environment wins, and empty means the default in either.
HASH := \#
ifeq ($(origin CALLGRANT_DATA_DIR),undefined)
CALLGRANT_DATA_DIR := $(shell sed -n \
  -e '/^[[:space:]]*\(export[[:space:]][[:space:]]*\)\{0,1\}CALLGRANT_DATA_DIR[[:space:]]*=/!d' \
  -e 's/^[^=]*=[[:space:]]*//' -e "/^'/{s/.\([^']*\).*/\1/p;d;}" -e '/^"/{s/.\([^"]*\).*/\1/p;d;}' \
  -e 's/[[:space:]][[:space:]]*$(HASH).*//' -e 's/[[:space:]]*$$//p' .env 2>/dev/null | tail -n 1)
endif
CACHE := $(abspath $(or $(strip $(CALLGRANT_DATA_DIR)),var))/cache
VENV := .venv
BIN := $(VENV)/bin

# 3.11 first: what the project is tested on most, and every package has a ready build for it. Of several builds of the
# version that is found the fastest is taken (deploy/interpreter.py), unless PYTHON names one.
PYTHONS := $(or $(PYTHON),python3.11 python3.12 python3.13 python3.14 python3 python)

# Set up again when, and only when, what is installed would differ.
LOCKED := $(VENV)/.locked-$(shell cksum < requirements.lock | tr ' ' '-')
UNFINISHED := $(VENV)/.unfinished
MUTANTS := $(CACHE)/mutants
MUTANTS_LOCKED := $(MUTANTS)/venv/.locked-$(shell cksum < tests/mutants/requirements.lock | tr ' ' '-')
QUIX := $(CACHE)/quix
QUIX_LOCKED := $(QUIX)/.locked-$(shell cksum < tests/bench/requirements-quix.lock | tr ' ' '-')
INSTALLED := $(VENV)/.installed-$(shell cat requirements.lock pyproject.toml | cksum | tr ' ' '-')

# Nothing is written into the home folder or between the sources. Compiled bytecode goes to the cache, and only of what is
# imported: compiling every package during the set-up takes longer than running the demo.
export PIP_CACHE_DIR := $(CACHE)/pip
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PYTHONPYCACHEPREFIX := $(CACHE)/bytecode
export XDG_CACHE_HOME := $(CACHE)
export XDG_CONFIG_HOME := $(CACHE)/config
export TMPDIR := $(CACHE)/tmp
# pip asks a Rust compiler, if there is one, for its version, and rustup answers by writing settings.
export RUSTUP_HOME := $(CACHE)/rustup

.PHONY: help setup demo up test check bench faults mutants clean

help:  ## this list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1|\2/p' Makefile | awk -F'|' '{ printf "%-14s %s\n", $$1, $$2 }'

setup: $(INSTALLED)  ## the locked packages into .venv, the broker's jars, the core compiled; the other doors call it
	@mkdir -p $(TMPDIR)
	@$(BIN)/python -m deploy.broker fetch
	@$(BIN)/python -m deploy.compiled

demo: setup  ## everything on this machine, a simulated week, the funnel beside the simulator's ledger
	@$(BIN)/callgrant demo

up: setup  ## the broker and all processes, until Ctrl-C
	@$(BIN)/callgrant up

test: setup check  ## check, then the tests on the real broker, the real ClickHouse engine and a real browser
	$(BIN)/pytest -m "(broker or clickhouse or browser) and not faults"

# Without the broker's jars, and with the core as it is: compiling it anew after every change would cost more than the tests.
check: $(INSTALLED)  ## format, lint, import contracts, strict types, quick tests; no broker, under two minutes
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports --no-logo --cache-dir $(CACHE)/import-linter
	$(BIN)/mypy
	$(BIN)/pytest -n auto --dist loadfile -m "not broker and not clickhouse and not browser and not faults"

bench: setup $(QUIX_LOCKED)  ## what things cost, measured side by side; BENCH="core worker" for some of it
	$(BIN)/python -m tests.bench $(BENCH)

faults: setup  ## kill processes over and over and compare with what must hold; minutes
	$(BIN)/pytest -m faults -s

mutants: $(INSTALLED) $(MUTANTS_LOCKED)  ## change every rule a little: do the tests notice? An hour; SAMPLE=100 asks some, RULES="streak calls" some files
	@$(BIN)/python -m tests.mutants --folder $(MUTANTS) $(if $(SAMPLE),--sample $(SAMPLE)) $(if $(SEED),--seed $(SEED)) $(RULES)

clean:  ## remove .venv and every cache; data is kept
	rm -rf $(VENV) $(CACHE)

$(INSTALLED): $(LOCKED)
	@$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --no-index -e .
	@rm -f $(VENV)/.installed-* && touch $@

$(LOCKED): $(BIN)/python
	@echo "Installing the locked packages (some 300 MB the first time) …"
	@mkdir -p $(TMPDIR) && touch $(UNFINISHED)
	@$(BIN)/python -m pip install --quiet --no-compile --only-binary :all: --require-hashes -r requirements.lock
	@rm -f $(UNFINISHED) $(VENV)/.locked-* && touch $@

# An environment of its own: mutmut wants a newer click than Faust allows.
$(MUTANTS_LOCKED): $(BIN)/python
	@echo "Installing what changes the rules …"
	@rm -rf $(MUTANTS)/venv && mkdir -p $(TMPDIR) $(MUTANTS)
	@$(BIN)/python -m venv $(MUTANTS)/venv
	@$(MUTANTS)/venv/bin/python -m pip install --quiet --no-compile --only-binary :all: --require-hashes \
	  -r tests/mutants/requirements.lock
	@touch $@

# An environment of its own: Quix Streams wants an older pydantic than ours. Without it the bench leaves it out and says so.
$(QUIX_LOCKED): $(BIN)/python
	@echo "Installing Quix Streams, to measure beside …"
	@rm -rf $(QUIX) && mkdir -p $(TMPDIR)
	@$(BIN)/python -m venv $(QUIX) && $(QUIX)/bin/python -m pip install --quiet --no-compile --only-binary :all: \
	  --require-hashes -r tests/bench/requirements-quix.lock && touch $@ || { rm -rf $(QUIX); echo "It cannot be had."; }

# pip takes a package that an interruption left half unpacked for an installed one: then, as when there is no pip or its
# Python is gone, the environment is made anew (what was downloaded is still in the cache).
$(BIN)/python: $(if $(shell test ! -e $(UNFINISHED) && $(BIN)/python -c 'import pip; print("whole")' 2>/dev/null),,anew)
	@for candidate in $(PYTHONS); do \
	  if $$candidate -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 15))' 2>/dev/null; then \
	    python=$$candidate; break; fi; done; \
	if [ -z "$$python" ]; then \
	  echo "Callgrant needs a Python from 3.11 to 3.14, and none of these is one: $(PYTHONS)." >&2; \
	  echo "Install one, or name one: make setup PYTHON=/path/to/python3" >&2; exit 1; fi; \
	$(if $(PYTHON),,faster=$$("$$python" -I deploy/interpreter.py) && [ -n "$$faster" ] && python=$$faster;) \
	if ! "$$python" -c 'import ensurepip, venv' 2>/dev/null; then \
	  version=$$("$$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])'); \
	  echo "$$python (Python $$version) comes without venv or ensurepip, which a virtual environment needs." >&2; \
	  echo "Install the system package python$$version-venv (or python3-venv, for the system's own Python)," >&2; \
	  echo "or name another Python: make setup PYTHON=/path/to/python3" >&2; exit 1; fi; \
	"$$python" -m venv --clear $(VENV)

.PHONY: anew
anew:
