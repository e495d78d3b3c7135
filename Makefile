# Every target makes the environment it needs from python3 and a package index, once: the stamp of an
# environment is younger than everything that decides what is in it.

PYTHON ?= python3
VENV   ?= .venv
BIN     = $(VENV)/bin
STAMP   = $(VENV)/.installed
PIP     = $(BIN)/python -m pip --quiet --disable-pip-version-check

.DEFAULT_GOAL := help

.PHONY: help
help: ## What can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: venv
venv: $(STAMP) ## The environment that every other target uses

$(STAMP): pyproject.toml requirements/dev.txt requirements/codegen.txt requirements/constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP) install -c requirements/constraints.txt -r requirements/dev.txt -e '.[all]'
	@touch $@
