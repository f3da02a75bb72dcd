# `make help` lists what there is. Nothing is needed but Python 3.11-3.13 and make.
#
# PYTHON=python3.12         which Python builds the environment
# TORCH_INDEX=URL           where torch comes from, e.g. https://download.pytorch.org/whl/cpu
#                           (a plain Linux install of torch brings several GB of CUDA libraries)
# PYTEST_ARGS="-k render"   passed on to pytest
# TEST_PROCESSES=4          how many tests run beside each other, those that may

PYTHON ?= python3
VENV ?= .venv
TORCH_INDEX ?=
PYTEST_ARGS ?=
TEST_PROCESSES ?= 2

TORCH := torch>=2.6,<2.14
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.DEFAULT_GOAL := help
.PHONY: help demo test check format bench wheel clean

help:  ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(VENV)/.ready-to-run  ## separate the demo song into demo-stems/demo/, and score the stems
	$(BIN)/plugin-bridge render examples/demo.flac -o demo-stems --force
	@$(BIN)/python examples/score_stems.py demo-stems/demo examples/demo-stems-true examples/demo.flac
	@echo "The stems are in $(CURDIR)/demo-stems/demo; the true ones, to compare, in examples/demo-stems-true."

test: $(VENV)/.ready-to-develop  ## run the whole test suite
	@beside=0; alone=0; \
	$(BIN)/python -m pytest --part beside -n $(TEST_PROCESSES) --dist worksteal $(PYTEST_ARGS) || beside=$$?; \
	$(BIN)/python -m pytest --part alone $(PYTEST_ARGS) -n 0 || alone=$$?; \
	case "$$beside $$alone" in "0 0"|"0 5"|"5 0") ;; *) exit 1;; esac  # 5: PYTEST_ARGS left nothing to test

check: $(VENV)/.ready-to-develop  ## lint, formatting, types and the one-way imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/test_architecture.py

format: $(VENV)/.ready-to-develop  ## format every Python file and mend what ruff can mend
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.ready-to-develop  ## measure, and write the tables of benchmarks/results and the README
	$(BIN)/python -m benchmarks

wheel: $(VENV)/.ready-to-develop  ## build the wheel and the source archive into dist/
	$(BIN)/python -m build

clean:  ## delete the environment and everything built
	rm -rf $(VENV) build dist demo-stems .pytest_cache .mypy_cache .ruff_cache .hypothesis

# The stamps make the second call instant, and a changed pyproject.toml install again.
$(VENV)/.ready-to-run: pyproject.toml | $(BIN)/python
	$(call install,.)
	@touch $@

$(VENV)/.ready-to-develop: pyproject.toml | $(BIN)/python
	$(call install,.[dev])
	@touch $@ $(VENV)/.ready-to-run

# With TORCH_INDEX, torch comes first and alone; the second call finds it there.
define install
	$(if $(TORCH_INDEX),$(PIP) --index-url "$(TORCH_INDEX)" "$(TORCH)")
	$(PIP) "$(TORCH)" --editable "$(1)"
endef

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' || { \
	  echo "plugin-bridge needs Python 3.11 to 3.13, and '$(PYTHON)' is not: make PYTHON=/path/to/python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "'$(PYTHON)' cannot make a virtual environment: on Debian and Ubuntu, apt install python3-venv" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
