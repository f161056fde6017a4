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
NATIVE := $(VENV)/.installed-native
NATIVE_SOURCES := $(wildcard native/src/*.rs native/*.toml native/*.pyi)
CARGO := $(shell command -v cargo 2>/dev/null)

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL: # two targets may install into .venv
MAKEFLAGS += --no-print-directory

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: install
install: $(DEV) extension ## Make .venv with the project and its development tools

.PHONY: demo
demo: $(RUNTIME) ## Run the demo in one process, e.g. ARGS="--seconds 30 --json"
	@$(BIN)/stream-app demo $(ARGS)

.PHONY: test
test: $(DEV) extension ## Run all tests against a real Kafka and a real Redis, e.g. ARGS="-k decode"
	@$(BIN)/python -m pytest -n $(TEST_PROCESSES) --dist loadfile --no-loadscope-reorder $(ARGS)

.PHONY: simulate
simulate: $(DEV) extension ## Simulate workers under faults, e.g. ARGS="--seeds 1000"
	@$(BIN)/python -m tests.simulation $(ARGS)

.PHONY: chaos
chaos: $(DEV) extension ## Kill, freeze and cut off real workers under load, e.g. ARGS="--seconds 120"
	@$(BIN)/python -m tests.chaos $(ARGS)

.PHONY: fuzz
fuzz: $(DEV) extension ## Feed hostile records to decoders and engine, e.g. ARGS="--records 1000000"
	@$(BIN)/python -m tests.fuzz $(ARGS)

.PHONY: scale
scale: $(DEV) extension ## Measure a large takeover and a wave, e.g. ARGS="wave --accounts 50000"
	@$(BIN)/python -m tests.scale $(ARGS)

.PHONY: quality
quality: $(DEV) extension ## Measure how good the segments are, e.g. ARGS="--only stability"
	@$(BIN)/python -m tests.quality $(ARGS)

.PHONY: bench
bench: $(DEV) extension ## Measure speed against ceilings and peers, e.g. ARGS="--quick"
	@$(BIN)/python -m benchmarks $(ARGS)

.PHONY: lint
lint: $(DEV) ## Check style, types and the order of the layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
ifneq ($(CARGO),)
	cargo fmt --manifest-path native/Cargo.toml --check
	cargo clippy --quiet --manifest-path native/Cargo.toml --all-targets -- --deny warnings
endif

.PHONY: format
format: $(DEV) ## Format the code and repair what ruff can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
ifneq ($(CARGO),)
	cargo fmt --manifest-path native/Cargo.toml
endif

.PHONY: native
native: $(BIN)/python ## Build and install the compiled extension anew (needs Rust)
	@$(build-native) --verbose
	@touch $(NATIVE)

.PHONY: wheel
wheel: $(DEV) ## Make the wheels of stream-app and of its extension in dist/ (needs Rust)
	@$(PIP) wheel --quiet --no-deps --wheel-dir dist .
	@$(BIN)/maturin build --quiet --release --manifest-path native/Cargo.toml --out dist
	@ls dist/*.whl

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
	rm -rf native/target native/Cargo.lock $(VENV) .cache .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache build dist
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

# The demo waits neither for development tools nor for the extension, which it uses if it is there;
# nor for the compiling of all that is installed, of which it imports a part.
$(RUNTIME): pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing stream-app into $(VENV) ..." >&2
	@$(PIP) install --quiet --no-compile --constraint constraints.txt --editable .
	@touch $@

$(DEV): pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing stream-app and its development tools into $(VENV) ..." >&2
	@$(PIP) install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $(RUNTIME) $@

# The extension is built where Rust is. Without it, or when it cannot be built, all goes on without.
.PHONY: extension
ifneq ($(CARGO),)
extension: $(NATIVE)
else
extension:
	@[ -e $(NATIVE) ] || echo "No cargo here: stream-app goes on in pure Python (slower)." >&2
endif

define build-native
$(PIP) install --no-deps --force-reinstall ./native
endef

$(NATIVE): $(NATIVE_SOURCES) | $(BIN)/python
	@echo "Building the compiled extension ..." >&2
	@if $(build-native) --quiet >/dev/null 2>&1; then touch $@; else \
	  echo "The extension cannot be built (make native says why):" \
	    "stream-app goes on in pure Python (slower)." >&2; fi
