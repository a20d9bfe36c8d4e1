# Conduit: everything runs from here; each target makes what it needs. `make help` lists them.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# Tests start hundreds of processes, which would compile everything each time.
unexport PYTHONDONTWRITEBYTECODE
# Tests wait more than they compute.
WORKERS ?= $(shell echo $$((2 * $$(nproc))))
EXTENSION ?= build/conduit-extension.zip
ZENDESK_APP ?= build/conduit-zendesk.zip
.DEFAULT_GOAL := help
.PHONY: help demo city up test check format systems e2e soak bench bench-peers apis extension zendesk-app lock clean

help: ## this list
	@grep -E '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("Conduit needs Python 3.11 or newer: make PYTHON=python3.11") if sys.version_info < (3, 11) else None'
	@test -x $(BIN)/python || { echo "making the virtual environment ($(VENV))"; $(PYTHON) -m venv $(VENV); }
	@echo "installing what requirements.lock names (about a minute the first time)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -e .
	@touch $@

demo: $(READY) ## two business systems and a mailbox become one customer 360 (ONCE=1: then exit)
	@$(BIN)/python -m demo $(if $(ONCE),--once)

city: $(READY) ## three vendors that misbehave, kept alike by a hub; SEED=7 repeats a run (ONCE=1: then exit)
	@$(BIN)/python -m demo.city $(if $(ONCE),--once) $(if $(SEED),--seed $(SEED))

up: $(READY) ## run the hub here, with the connections of settings.toml
	@$(BIN)/hub up

test: $(READY) ## unit, contract and story tests
	@$(BIN)/python -m pytest -q -n $(WORKERS) --dist worksteal tests/unit tests/contract tests/story

check: $(READY) ## format, lint, types, import contracts, generated files
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/hub docs --check

format: $(READY) ## mend what a tool can mend
	@$(BIN)/ruff format . && $(BIN)/ruff check --fix .

systems: $(READY) ## tests against real servers, started here
	@$(BIN)/python -m pytest -q tests/systems

e2e: $(READY) ## tests in a real browser (Chromium; installed by apt-get where one may)
	@command -v chromium >/dev/null || { test "$$(id -u)" = 0 || { echo "chromium is missing: install Debian's packages chromium and fonts-noto-cjk"; exit 1; }; \
	  echo "installing chromium"; apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium fonts-noto-cjk fonts-noto-color-emoji fonts-inter >/dev/null; }
	@$(BIN)/python -m pytest -q tests/e2e

soak: $(READY) ## long runs with real kills (an hour); writes docs/reliability.md
	@HUB_TEST_BOUNDARIES=all $(BIN)/python -m pytest -q -s tests/soak tests/story/test_crash_boundaries.py

bench: $(READY) ## benchmarks against peers and limits
	@$(BIN)/python -m bench

bench-peers: $(READY) ## install what make bench compares with: from PyPI and npm, over 3 GB in bench/out
	@$(BIN)/python -m bench.peers

apis: $(READY) ## get the API descriptions that vendors publish; make test then holds our requests against them
	@$(BIN)/python -m tests.contract.apis $(if $(FROM),--from $(FROM))

extension: $(READY) ## the browser extension as build/conduit-extension.zip
	@mkdir -p $(dir $(EXTENSION)) && cd desks/extension && $(abspath $(BIN))/python -m zipfile -c $(abspath $(EXTENSION)) manifest.json *.js *.html *.css _locales icons

zendesk-app: $(READY) ## the app for Zendesk Support as build/conduit-zendesk.zip
	@mkdir -p $(dir $(ZENDESK_APP)) && cd desks/zendesk && $(abspath $(BIN))/python -m zipfile -c $(abspath $(ZENDESK_APP)) manifest.json assets translations

lock: $(READY) ## write requirements.lock anew
	@$(BIN)/pip-compile --quiet --extra dev --strip-extras --no-header --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --no-annotate --allow-unsafe --output-file requirements.lock pyproject.toml

clean: ## remove the virtual environment and all state
	rm -rf $(VENV) .demo .hub
