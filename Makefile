# Every target installs what it needs into .venv first. `make` alone lists them.
PYTHON ?= python3
ARGS ?=
# Each process starts servers of its own; those that are named it must have for itself.
TEST_PROCESSES ?= $(if $(STREAM_APP_TEST_KAFKA)$(STREAM_APP_TEST_REDIS),0,2)

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
RUNTIME := $(VENV)/.installed-runtime
DEV := $(VENV)/.installed-dev

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: install
install: $(DEV) ## Make .venv with the project and its development tools

.PHONY: demo
demo: $(RUNTIME) ## Run the demo in one process, e.g. ARGS="--seconds 30 --json"
	@$(BIN)/stream-app demo $(ARGS)

.PHONY: test
test: $(DEV) ## Run all tests against a real Kafka and a real Redis, e.g. ARGS="-k decode"
	@$(BIN)/python -m pytest -n $(TEST_PROCESSES) --dist loadfile --no-loadscope-reorder $(ARGS)

.PHONY: simulate
simulate: $(DEV) ## Simulate workers under faults, e.g. ARGS="--seeds 1000"
	@$(BIN)/python -m tests.simulation $(ARGS)

.PHONY: chaos
chaos: $(DEV) ## Kill, freeze and cut off real workers under load, e.g. ARGS="--seconds 120"
	@$(BIN)/python -m tests.chaos $(ARGS)

.PHONY: fuzz
fuzz: $(DEV) ## Feed hostile records to decoders and engine, e.g. ARGS="--records 1000000"
	@$(BIN)/python -m tests.fuzz $(ARGS)

.PHONY: scale
scale: $(DEV) ## Measure a large takeover and a wave, e.g. ARGS="wave --accounts 50000"
	@$(BIN)/python -m tests.scale $(ARGS)

.PHONY: quality
quality: $(DEV) ## Measure how good the segments are, e.g. ARGS="--only stability"
	@$(BIN)/python -m tests.quality $(ARGS)

.PHONY: bench
bench: $(DEV) ## Measure speed against ceilings and peers, e.g. ARGS="--quick"
	@$(BIN)/python -m benchmarks $(ARGS)

.PHONY: lint
lint: $(DEV) ## Check style, types and the order of the layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

.PHONY: format
format: $(DEV) ## Format the code and repair what ruff can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

.PHONY: services
services: $(DEV) ## Keep a Kafka and a Redis running until Ctrl-C and print how to reach them
	@$(BIN)/python -m tests.services

.PHONY: docs
docs: $(RUNTIME) ## Write the reference pages in docs/ anew from the program
	@$(BIN)/python docs/generate.py

.PHONY: constraints
constraints: ## Resolve the newest versions and write them to constraints.txt
	@$(check-python)
	@set -e; fresh=$$(mktemp -d); trap 'rm -rf "$$fresh"' EXIT; \
	$(PYTHON) -m venv "$$fresh"; \
	"$$fresh/bin/python" -m pip --disable-pip-version-check install --quiet --editable '.[dev]'; \
	{ echo '# Exact versions of everything that is installed. Regenerate with `make constraints`.'; \
	  "$$fresh/bin/python" -m pip --disable-pip-version-check freeze --exclude-editable; \
	} > constraints.txt.new; \
	mv constraints.txt.new constraints.txt

.PHONY: clean
clean: ## Remove everything that these targets made
	rm -rf $(VENV) .cache .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

define check-python
$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	echo "$(PYTHON) is missing or older than Python 3.11, which this project needs." >&2; \
	echo "Install Python 3.11 or newer, or name one: make install PYTHON=python3.12" >&2; \
	exit 1; }
endef

$(BIN)/python:
	@$(check-python)
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }

# The demo needs no development tools, so it does not wait for them.
$(RUNTIME): pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing stream-app into $(VENV) ..." >&2
	@$(PIP) install --quiet --constraint constraints.txt --editable .
	@touch $@

$(DEV): pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing stream-app and its development tools into $(VENV) ..." >&2
	@$(PIP) install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $(RUNTIME) $@
