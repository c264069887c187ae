# Needs: make, git and Python 3.11 or newer. Everything else goes into .venv. Written for GNU make 3.81 and later.

VENV   := .venv
STAMP  := $(VENV)/.installed
BIN    := $(VENV)/bin
# Extra words for the command behind a target: make test ARGS="tests/core -k match", make demo ARGS="--once"
ARGS   ?=
# Test processes side by side; 0 runs them in one process
JOBS   ?= auto
# Of make soak and make fuzz
STEPS  ?= 10000
MAILS  ?= 100000
SEED   ?=
UV     ?= uv

.DEFAULT_GOAL := help
.PHONY: help install demo test soak matrix fuzz bench check lint types imports format docs lock clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: $(STAMP) ## set up .venv from requirements.lock (the other targets do it themselves)

demo: $(STAMP) ## start everything on this machine, drop mails, show them in the CRM; Ctrl-C ends it
	$(BIN)/mailspan demo $(ARGS)

test: $(STAMP) ## run all tests
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile $(ARGS)

soak: $(STAMP) ## 10,000 random steps of users, faults and crashes; prints seed and result; SEED=7 tells the same again
	$(BIN)/python -m tests.engine.soak --steps $(STEPS) $(if $(SEED),--seed $(SEED)) $(ARGS)

matrix: $(STAMP) ## workers killed at every moment of every flow (make test: each kind of moment once)
	CRASH_POINTS=moments $(BIN)/python -m pytest -n $(JOBS) --dist loadfile tests/e2e/test_crash_gmail.py \
	  tests/e2e/test_crash_outlook.py tests/engine/test_crash.py tests/engine/test_crash_items.py $(ARGS)

fuzz: $(STAMP) ## 100,000 mutated mails through parsing, matching and planning; SEED=7 makes the same again
	MAILSPAN_FUZZ_COUNT=$(MAILS) MAILSPAN_FUZZ_SEED=$(SEED) $(BIN)/python -m pytest tests/core/test_fuzz.py -s \
	  --timeout=0 -k stated_way $(ARGS)

bench: $(STAMP) ## measure calls, speed and recovery beside a naive peer; ARGS="gmail idle" measures parts
	$(BIN)/python -m benchmarks $(ARGS)

check: lint types imports test ## ruff, mypy --strict, import-linter, tests

lint: $(STAMP) ## ruff: rules and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP) ## mypy --strict on sync and server
	$(BIN)/mypy

imports: $(STAMP) ## import-linter: who may import whom
	$(BIN)/lint-imports

format: $(STAMP) ## let ruff mend and format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(STAMP) ## write docs/settings.md again from the tables in the code
	$(BIN)/python -m sync.manual > docs/settings.md

lock: ## write requirements.lock again from pyproject.toml (needs uv); ARGS=--upgrade takes newer versions
	$(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate \
	  --custom-compile-command "make lock" --extra test $(ARGS) pyproject.toml -o requirements.lock
	@! grep -n '://' requirements.lock || { echo "requirements.lock must not name addresses"; exit 1; }

clean: ## remove .venv, caches and build results
	rm -rf $(VENV) build *.egg-info .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(STAMP): requirements.lock pyproject.toml
	@if [ ! -x $(BIN)/python ]; then \
	  for python in $(PYTHON) python3.11 python3.12 python3.13 python3; do \
	    if $$python -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then \
	      echo "setting up $(VENV) with $$($$python --version)"; exec $$python -m venv $(VENV); \
	    fi; \
	  done; \
	  echo "Mailspan needs Python 3.11 or newer with its venv module (Debian: apt install python3-venv);" >&2; \
	  echo "name another one with: make PYTHON=/path/to/python3" >&2; exit 1; \
	fi
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@
