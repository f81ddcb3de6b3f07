# All targets create or update .venv as needed, from python3 (3.11-3.13) and the package registry.
.DEFAULT_GOAL := help
.PHONY: help run up down status airflow doctor pipeline lint check test chaos bench screenshots audit cluster-up cluster-run cluster-down cluster-logs cluster-test deploy-check clean
SHELL := /bin/sh
PIPELINE ?=
ITEMS ?=
NAME ?=
FROM ?= api
USERS ?=
SEED ?=
PYTHON ?=
PROCESSES ?= logical
ARGS ?=
# Recipes read these in the shell: a value may have quotes.
export PYTHON PIPELINE ITEMS USERS NAME FROM ARGS PORT
BIN := .venv/bin
PYTEST = $(BIN)/pytest --numprocesses=$(PROCESSES) --maxprocesses=4 --dist=loadgroup --no-loadscope-reorder
DEPTRY := $(BIN)/deptry --no-ansi
TIMED := scripts/timed
ifndef TIMES # .ci/run sets it
export TIMES := .fanfold/times
$(shell mkdir -p -m 700 .fanfold && rm -f $(TIMES))
endif
LOCAL := $(BIN)/python -m fanfold.local
ASKED = $${PIPELINE:+"--pipeline=$$PIPELINE"} $${USERS:+"--users=$$USERS"}
ON_PORT = $${PORT:+"--port=$$PORT"}
# These commands say themselves what is wrong and exit with 0 or 1. In question mode make runs only lines with `+`,
# ends with the same status and does not add `make: *** [Makefile:48: run] Error 1`.
ifneq ($(MAKECMDGOALS),)
ifeq ($(filter-out run up down status airflow doctor pipeline,$(MAKECMDGOALS)),)
ifeq ($(findstring n,$(firstword -$(MAKEFLAGS))),)
MAKEFLAGS += --question
SAYS := +
endif
endif
endif

help: ## Show this list
	@printf 'Fanfold: fan out over a long list, fold into one dataset.\n\n'
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' Makefile
	@printf '\n  make run USERS=10000   another number of users\n'
	@printf '  make up PORT=9000      another port\n'
	@printf '  make run PIPELINE=concurrent_sum ITEMS="1 2 0-99"   a pipeline with a list, or file, of items\n'
	@printf '  make check AT=stages/loading  the unit tests of one folder\n'

run: ## Run PIPELINE once for ITEMS or USERS in a stack of its own and print a summary
	$(SAYS)@scripts/bootstrap
	$(SAYS)@exec $(LOCAL) run $(ASKED) $(ON_PORT) $${ITEMS:+"--items=$$ITEMS"}

up: ## Start a stack that keeps running; prints the address of the Airflow UI and the login
	$(SAYS)@scripts/bootstrap
	$(SAYS)@exec $(LOCAL) up $(ON_PORT)

down: ## Stop the stack of `make up`
	$(SAYS)@if [ -x $(BIN)/python ]; then exec $(LOCAL) down; else echo 'Nothing runs.'; fi

status: ## Show what runs
	$(SAYS)@if [ -x $(BIN)/python ]; then exec $(LOCAL) status; else echo 'Nothing runs.'; exit 1; fi

airflow: ## Run a command of Airflow on the stack, or on its database: make airflow ARGS="dags list"
	$(SAYS)@scripts/bootstrap
	$(SAYS)@exec $(LOCAL) airflow "--arguments=$$ARGS"

doctor: ## Check the stack of `make up`: versions, connections, shared directory, bucket, database, clock, limits
	$(SAYS)@scripts/bootstrap
	$(SAYS)@exec $(LOCAL) doctor

pipeline: ## Write a pipeline that runs as it is: make pipeline NAME=air_quality FROM=api (or files, function, compute)
	$(SAYS)@scripts/bootstrap
	$(SAYS)@exec $(BIN)/python -m fanfold new "$$NAME" --from "$$FROM"

lint: ## Check style, types, layers and dependencies
	@scripts/bootstrap dev
	@$(TIMED) ruff sh -c '$(BIN)/ruff check && $(BIN)/ruff format --check'
	@$(TIMED) mypy $(BIN)/mypy
	@$(TIMED) import-linter $(BIN)/lint-imports --no-logo
	@$(TIMED) deptry sh -c '$(DEPTRY) include plugins dags config && $(DEPTRY) --ignore DEP001,DEP002,DEP004 --exclude .venv include tests bench'

check: lint ## Lint and run the tests of pipelines and units; AT=stages/fetching: those of one folder
	@$(TIMED) 'unit tests' $(PYTEST) tests/unit/$(AT) $(if $(AT),,tests/pipelines)
	@cat $(TIMES)

test: check ## Run everything but the cluster tests; ALL=yes: tests of unchanged tools, too
	@$(TIMED) 'other tests' $(PYTEST) $(wildcard tests/dags tests/integration tests/e2e tests/chaos) $$(scripts/changed-tools)
	@cat $(TIMES)

chaos: ## Kill task processes at each kill point and check that nothing is lost; SEED=7
	@scripts/bootstrap dev
	FANFOLD_CHAOS=long FANFOLD_CHAOS_SEED='$(SEED)' $(BIN)/pytest tests/chaos

bench: ## Measure the speed on this machine, as ratios to peers (half an hour)
	@scripts/bootstrap dev
	$(BIN)/python bench/run.py

audit: ## Check the locked packages for known vulnerabilities (queries osv.dev)
	@scripts/bootstrap dev
	$(BIN)/python scripts/audit

screenshots: ## Take the pictures of the run page in docs/images again
	@scripts/bootstrap dev
	$(BIN)/python scripts/screenshots

cluster-up: ## Start the cluster of docker-compose.yaml; creates .env with random secrets
	@PYTHONPATH=include exec python3 -m fanfold.cluster up

cluster-run: ## Run PIPELINE for USERS on the cluster and show the result
	@PYTHONPATH=include exec python3 -m fanfold.cluster run $(ASKED)

cluster-down: ## Stop the cluster; its volumes are kept
	@docker compose down

cluster-logs: ## Show the logs of the cluster's containers
	@docker compose logs --tail 200

cluster-test: ## Test the cluster, with kills (25 minutes; Docker, root); CLUSTER_TESTS=quick as in CI
	@scripts/bootstrap dev
	FANFOLD_CLUSTER=yes $(BIN)/pytest tests/cluster -s $(if $(filter quick,$(CLUSTER_TESTS)),-m quick)

deploy-check: ## Lint deploy/aws, create it with moto's CloudFormation, run pipelines with its rights only
	@scripts/bootstrap dev
	@$(PYTEST) tests/integration/deploy

clean: ## Stop what runs, and remove .venv, .fanfold and caches
	@if [ -e .fanfold/state.json ] && [ -x $(BIN)/python ]; then $(LOCAL) down; fi
	rm -rf .fanfold .venv .venv-bench .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis dist
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
