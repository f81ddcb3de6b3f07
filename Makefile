# Everything bootstraps itself from python3 (3.11-3.13) and the package registry.
.DEFAULT_GOAL := help
.PHONY: help run up down status test lint chaos bench screenshots audit cluster-up cluster-run cluster-down cluster-logs cluster-test clean
SHELL := /bin/sh
USERS ?= 300
SEED ?=
PYTHON ?=
PROCESSES ?= logical
export PYTHON
BIN := .venv/bin
LOCAL := $(BIN)/python -m fanfold.local

help: ## Show this list
	@printf 'Fanfold: fan out over a long list, fold into one dataset.\n\n'
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' Makefile
	@printf '\n  make run USERS=10000   another number of users\n'

run: ## Run the pipeline once for USERS users (300) in a stack of its own and print a summary
	@scripts/bootstrap
	@exec $(LOCAL) run --users '$(USERS)'

up: ## Start a stack that keeps running; prints the address of the Airflow UI and the login
	@scripts/bootstrap
	@exec $(LOCAL) up

down: ## Stop the stack of `make up`
	@if [ -x $(BIN)/python ]; then exec $(LOCAL) down; else echo 'Nothing runs.'; fi

status: ## Show what runs
	@if [ -x $(BIN)/python ]; then exec $(LOCAL) status; else echo 'Nothing runs.'; fi

lint: ## Check style, types and layers
	@scripts/bootstrap dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

test: lint ## Check everything and run all tests, four at once where there are cores; PROCESSES=0 one by one
	$(BIN)/pytest --numprocesses=$(PROCESSES) --maxprocesses=4 --dist=loadfile $(TESTS)

chaos: ## Kill task processes at each kill point and check that nothing is lost; SEED=7
	@scripts/bootstrap dev
	FANFOLD_CHAOS=long FANFOLD_CHAOS_SEED='$(SEED)' $(BIN)/pytest tests/chaos

bench: ## Measure the speed on this machine, as ratios to peers (three quarters of an hour)
	@scripts/bootstrap dev
	@rm -f .fanfold/bench.json
	$(BIN)/python bench/run.py --json .fanfold/bench.json

audit: ## Look the locked packages up among the known vulnerabilities (asks osv.dev)
	@scripts/bootstrap dev
	$(BIN)/python scripts/audit

screenshots: ## Take the pictures of the run page in docs/images again
	@scripts/bootstrap dev
	$(BIN)/python scripts/screenshots

cluster-up: ## Start the cluster of docker-compose.yaml with Docker; writes .env with random secrets
	@PYTHONPATH=include exec python3 -m fanfold.cluster up

cluster-run: ## Run the sample for USERS users through the cluster, and show what came out
	@PYTHONPATH=include exec python3 -m fanfold.cluster run --users '$(USERS)'

cluster-down: ## Stop the cluster; its volumes stay
	@PYTHONPATH=include exec python3 -m fanfold.cluster down

cluster-logs: ## Show what the cluster's containers say
	@PYTHONPATH=include exec python3 -m fanfold.cluster logs

cluster-test: ## Start a cluster and break each of its parts (25 minutes; needs Docker and root)
	@scripts/bootstrap dev
	FANFOLD_CLUSTER=yes $(BIN)/pytest tests/cluster -s

clean: ## Stop what runs, and remove .venv, .fanfold and caches
	@if [ -e .fanfold/state.json ] && [ -x $(BIN)/python ]; then $(LOCAL) down; fi
	rm -rf .fanfold .venv .venv-bench .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis dist
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
