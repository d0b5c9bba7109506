# Everything that people, hooks and CI call. `make` alone lists it.
PYTHON ?= python3
UV_VERSION := 0.13.9
VENV := .venv
BIN := $(VENV)/bin
MONTHS ?= 6
HOME_DIR ?= .evergreen
TRAINING := include/images/training
IMAGE ?= evergreen-training:dev
STACK_IMAGE ?= evergreen:dev
comma := ,
# The same Python as here, so that the same XGBoost is locked: then a pod's model is byte for byte the local one.
BASE ?= python:$(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])')-slim-bookworm
# PEM file of a company's own CA, and another package index, where an image is built behind them.
CA ?=
INDEX_URL ?=
# Without bytecode every import is two to three times slower, whatever the shell says.
unexport PYTHONDONTWRITEBYTECODE
unexport PYTHONPATH
export PYTHONUNBUFFERED := 1
export DO_NOT_TRACK := true
export GX_ANALYTICS_ENABLED := false

.DEFAULT_GOAL := help
.PHONY: help setup lock demo up test test-unit test-integration test-images test-kubernetes test-stack image image-training secrets backup restore bench-gpu lint types check clean

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-18s %s\n", $$1, $$2}'

setup: $(VENV)/.complete  ## make .venv from the lock, with compiled bytecode

$(VENV)/.complete: requirements.txt
	@$(PYTHON) -c 'import sys; ok = (3, 11) <= sys.version_info < (3, 14); sys.exit(0 if ok else f"setup: python {sys.version.split()[0]} found, 3.11 to 3.13 needed; next step: make PYTHON=python3.12 $(MAKECMDGOALS)")'
	@$(PYTHON) -c 'import ensurepip, venv' || { echo "setup: this python has no venv module; next step: apt-get install python3-venv" >&2; exit 1; }
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	VIRTUAL_ENV=$(CURDIR)/$(VENV) $(BIN)/uv pip sync --quiet --require-hashes --compile-bytecode requirements.txt
	@touch $@

lock: | setup  ## remake requirements.txt from pyproject.toml
	$(BIN)/uv pip compile pyproject.toml --group dev --universal --python-version 3.11 --generate-hashes \
		--no-emit-index-url --no-header --quiet --upgrade --output-file requirements.txt
	$(BIN)/uv pip compile $(TRAINING)/requirements.in --constraint requirements.txt --universal --python-version 3.11 \
		--generate-hashes --no-emit-index-url --no-header --quiet --upgrade --output-file $(TRAINING)/requirements.txt

demo: setup  ## live through flights of 2013 (MONTHS=12 the year, S3=1 on S3, TRAINER=kubernetes in pods, KEEP=1 stays)
	$(BIN)/python -m include.demo --months $(MONTHS) $(if $(S3),--s3) $(if $(KEEP),--keep) \
		$(if $(TRAINER),--trainer $(TRAINER) --image $(IMAGE)) $(if $(HOST),--host $(HOST))

up: setup  ## start the same Airflow to stay; Ctrl-C ends it
	$(BIN)/python -m include.local up --home $(HOME_DIR)

test: setup  ## everything: unit, architecture, dags, plugins, use cases, integration
	$(BIN)/python -m pytest tests

test-unit: setup  ## what needs no process of its own
	$(BIN)/python -m pytest tests -m "not integration and not container"

test-integration: setup  ## the loop through a real Airflow
	$(BIN)/python -m pytest tests -m integration

test-images: setup  ## the training image as a container; starts Debian's dockerd where none runs
	EVERGREEN_START_DOCKER=1 $(BIN)/python -m pytest tests -m container

test-kubernetes: setup  ## training pods on the cluster that KUBECONFIG names (IMAGE= as its nodes have or can pull it)
	EVERGREEN_TEST_KUBERNETES=1 EVERGREEN_TEST_IMAGE=$(IMAGE) $(BIN)/python -m pytest tests/kubernetes -vv

image-training:  ## build the training image (IMAGE=, BASE=, CA=, INDEX_URL=) and print its size
	tar --create --sort=name --mtime=@0 --owner=0 --group=0 --exclude=__pycache__ include/__init__.py \
		include/settings.py include/jobs.py include/contracts include/lake include/lineage include/models include/training $(TRAINING) \
		$(if $(CA),--transform 's|^$(notdir $(CA))$$|ca.pem|' -C $(abspath $(dir $(CA))) $(notdir $(CA))) \
		| docker build --quiet $(BUILD) --file $(TRAINING)/Dockerfile --tag $(IMAGE) --build-arg BASE=$(BASE) \
		$(if $(INDEX_URL),--build-arg INDEX_URL=$(INDEX_URL)) -
	@docker image inspect --format '$(IMAGE): {{.Size}}' $(IMAGE) | awk '{printf "%s %.2f GB\n", $$1, $$2 / 1e9}'

image:  ## build the stack's own image (STACK_IMAGE=, BASE=, CA=, INDEX_URL=) and print its size
	DOCKER_BUILDKIT=1 docker build --quiet --file include/images/airflow/Dockerfile --tag $(STACK_IMAGE) --build-arg BASE=$(BASE) \
		--build-arg GIT_COMMIT=$(shell git rev-parse HEAD 2>/dev/null || echo unknown) \
		$(if $(INDEX_URL),--build-arg INDEX_URL=$(INDEX_URL)) $(if $(CA),--secret id=ca$(comma)src=$(CA)) .
	@docker image inspect --format '$(STACK_IMAGE): {{.Size}}' $(STACK_IMAGE) | awk '{printf "%s %.2f GB\n", $$1, $$2 / 1e9}'

secrets:  ## write .env for `docker compose up`: random values, 0600; what is there stays
	@$(PYTHON) -m include.stack secrets

backup:  ## copy the running stack's databases and objects (TO=folder)
	@$(PYTHON) -m include.stack backup $(or $(TO),backups/$(shell date -u +%Y-%m-%dT%H%M%SZ))

restore:  ## put a backup back into the stack (FROM=folder)
	@$(PYTHON) -m include.stack restore $(FROM)

test-stack: setup  ## the team's stack as containers: up, the loop over REST, each container killed once, backup, down
	EVERGREEN_TEST_STACK=1 EVERGREEN_START_DOCKER=1 $(BIN)/python -m pytest tests/e2e -s

bench-gpu: setup  ## train on 1, 10 and 100 million rows x 30, on CPU and GPU (ROWS="1 10"), and print the table
	$(BIN)/python -m tests.benchmarks.bench_gpu $(if $(ROWS),--rows $(ROWS))

lint: setup  ## ruff: style, imports, security, formatting
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup  ## mypy --strict
	$(BIN)/mypy

check: lint types test  ## what CI runs

clean:  ## remove what can be made again (not the state in .evergreen)
	rm -rf $(VENV) demo .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
