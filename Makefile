# Every target makes the environment that it needs from python3 and a package index, once: a stamp in
# the environment is younger than everything that decides what is in it.
#
#   make test PYTHON=/usr/bin/python3.13 VENV=.venv-3.13     another interpreter, another environment

PYTHON  ?= python3
VENV    ?= .venv
# More than there are cores: many tests wait for time to pass, few compute.
WORKERS ?= 8
# Of those that take long more compute, and kill what they started when it is late.
LONG_WORKERS ?= 5
BIN     = $(VENV)/bin
PIP     = -m pip --quiet --disable-pip-version-check install

STAMP           = $(VENV)/.installed
PUBLISHED       = .venv-published
PUBLISHED_STAMP = $(PUBLISHED)/.installed
TOOLS           = .venv-tools
TOOLS_STAMP     = $(TOOLS)/.installed
DEMO            = .venv-demo
DEMO_STAMP      = $(DEMO)/.installed
DOCS            = .venv-docs
DOCS_STAMP      = $(DOCS)/.installed
RAY             = .venv-ray
RAY_STAMP       = $(RAY)/.installed
S3              = .venv-s3
S3_STAMP        = $(S3)/.installed
FRAMEWORKS      = .venv-environments
FRAMEWORKS_STAMP = $(FRAMEWORKS)/.installed
FOREIGN         = .venv-foreign
FOREIGN_STAMP   = $(FOREIGN)/.installed
LOWEST          = .venv-lowest
LOWEST_STAMP    = $(LOWEST)/.installed
BENCH           = .venv-bench
BENCH_STAMP     = $(BENCH)/.installed

# Of what is not compiled each of the workers and each of the programs that tests start would make its own.
unexport PYTHONDONTWRITEBYTECODE

CODE = bench codegen examples synth_pools tests

.DEFAULT_GOAL := help

.PHONY: help
help: ## What can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: venv
venv: $(STAMP) ## The environment that every other target uses

$(STAMP): pyproject.toml requirements/dev.txt requirements/docs.txt requirements/codegen.txt requirements/constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=/path/to/it")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python $(PIP) -c requirements/constraints.txt -r requirements/dev.txt -e '.[all]'
# pip compiles what it installs, but not what it only points to.
	@$(BIN)/python -m compileall -q synth_pools generated
# Tests are compiled by pytest, in its own way: by each of its workers all of them, or here once.
	@$(BIN)/python -m pytest --collect-only -q >/dev/null || true
	@touch $@

.PHONY: environments
environments: $(STAMP) $(PUBLISHED_STAMP) $(TOOLS_STAMP) $(RAY_STAMP) $(S3_STAMP) $(LOWEST_STAMP) $(FRAMEWORKS_STAMP) $(FOREIGN_STAMP) ## Those of the tests; with -j6 side by side

$(PUBLISHED_STAMP): requirements/published.txt requirements/published-releases.txt
	$(PYTHON) -m venv $(PUBLISHED)
	$(PUBLISHED)/bin/python $(PIP) -r requirements/published.txt
	for release in $$(grep -v '^#' requirements/published-releases.txt); do \
		$(PUBLISHED)/bin/python $(PIP) --no-deps --upgrade --target "$(PUBLISHED)/$${release#*==}" "$$release" || exit; \
	done
	@touch $@

$(TOOLS_STAMP): requirements/tools.txt requirements/readers.txt requirements/trainers.txt requirements/node.txt codegen/node/package-lock.json
	$(PYTHON) -m venv $(TOOLS)
	$(TOOLS)/bin/python $(PIP) -r requirements/tools.txt
	$(TOOLS)/bin/python $(PIP) --no-deps -r requirements/trainers.txt
	PATH="$(abspath $(TOOLS)/bin):$$PATH" $(TOOLS)/bin/python -m codegen.node_packages
	@touch $@

$(S3_STAMP): requirements/s3.txt
	$(PYTHON) -m venv $(S3)
	$(S3)/bin/python $(PIP) -r requirements/s3.txt
	@touch $@

# pip has no word for the lowest release of a requirement; uv has.
$(LOWEST_STAMP): pyproject.toml requirements/lowest.txt
	$(PYTHON) -m venv $(LOWEST)
	$(LOWEST)/bin/python $(PIP) uv==0.13.9
	$(LOWEST)/bin/python -m uv pip install --quiet --python $(LOWEST)/bin/python --resolution lowest-direct \
		-r requirements/lowest.txt -e '.[all,ray]'
	@touch $@

$(BENCH_STAMP): pyproject.toml requirements/bench.txt requirements/published.txt
	$(PYTHON) -m venv $(BENCH)
	$(BENCH)/bin/python $(PIP) -r requirements/published.txt
	$(BENCH)/bin/python $(PIP) --no-deps -r requirements/bench.txt -e .
	@touch $@

# Ray has no build for every machine and every Python. It takes half a gigabyte: an environment of its own.
$(RAY_STAMP): pyproject.toml requirements/ray.txt requirements/constraints.txt
	$(PYTHON) -m venv $(RAY)
	@if $(RAY)/bin/python $(PIP) -c requirements/constraints.txt -r requirements/ray.txt -e '.[local,postgres,ray]'; then touch $@; \
	else echo "Ray cannot be installed here ($$($(PYTHON) --version), $$(uname -sm)): what needs it is not tested"; rm -rf $(RAY); fi

# The frameworks of environments cannot share one: the command of users makes one for each.
$(FRAMEWORKS_STAMP): $(STAMP) pyproject.toml
	@mkdir -p $(FRAMEWORKS)
	@for kind in gymnasium inspect verifiers 'openenv openenv-core' 'harbor podman-compose'; do \
		SYNTH_POOLS_ENVIRONMENTS=$(abspath $(FRAMEWORKS)) $(BIN)/synth-pools env install $$kind || \
			echo "$$kind cannot be installed here ($$($(PYTHON) --version), $$(uname -sm)): it is not tested"; \
	done
	@touch $@

# Services that the contract kit judges; Harbor is among the frameworks.
$(FOREIGN_STAMP): requirements/foreign.txt requirements/foreign-documents.txt
	$(PYTHON) -m venv $(FOREIGN)
	@$(FOREIGN)/bin/python $(PIP) -r requirements/foreign.txt || \
		{ echo "Chroma cannot be installed here ($$($(PYTHON) --version), $$(uname -sm)): it is not tested"; rm -rf $(FOREIGN)/bin/chroma; }
	@rm -rf $(FOREIGN)/wheels
	@for release in $$(grep -v '^#' requirements/foreign-documents.txt); do \
		$(FOREIGN)/bin/python -m pip --quiet --disable-pip-version-check download --no-deps \
			--dest $(FOREIGN)/wheels "$$release" || \
			echo "$$release cannot be loaded here: its document is not compared"; \
	done
	@touch $@

$(DEMO_STAMP): pyproject.toml requirements/constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=/path/to/it")'
	@echo "Installing what the demo needs into $(DEMO), once; this takes a minute or so ..."
	@$(PYTHON) -m venv $(DEMO)
	@$(DEMO)/bin/python $(PIP) -c requirements/constraints.txt -e '.[local,cli,demo]'
	@touch $@

# The environment of the tests does as well, where there is one.
.PHONY: demo
demo: $(if $(wildcard $(STAMP)),$(STAMP),$(DEMO_STAMP)) ## A backend, a container, a pool and its rollouts, live
	@$(if $(wildcard $(STAMP)),$(VENV),$(DEMO))/bin/python examples/demo.py
	@echo
	@echo "Next: README.md has this in twenty lines; docs/write-a-container.md shows how to write a container;"
	@echo "docs/guide/ has the rest; make test installs what the tests need, and runs them."

.PHONY: demo-postgres
demo-postgres: $(STAMP) ## The demo with a PostgreSQL database, on a server of its own in a temporary folder
	@$(BIN)/python -m tests.support.postgres_server SYNTH_POOLS_STORE $(BIN)/python examples/demo.py

.PHONY: demo-ray
demo-ray: $(RAY_STAMP) ## The demo with containers that a Ray cluster places, on three nodes of this machine
	@if [ -x $(RAY)/bin/python ]; then $(RAY)/bin/python -m tests.support.ray_cluster $(RAY)/bin/python examples/demo.py; fi

# Of thousands of short tests each worker is given its part, and takes of another's when it has none: to give
# them out one by one costs as much as to run many of them.
.PHONY: test
test: $(STAMP) $(PUBLISHED_STAMP) ## Every test but those of `make test-system`, in parallel
	$(BIN)/python -m pytest -n $(WORKERS) --dist=worksteal $(ARGS)

.PHONY: test-oci
test-oci: $(STAMP) ## Containers of images, on podman and docker; the tests say which is not there
	$(BIN)/python -m pytest -n 2 -m oci $(ARGS)

.PHONY: test-system
test-system: $(STAMP) ## Crash, fleet, fuzz and soak in short, and the longest tests of the contract kit
	$(BIN)/python -m pytest -n 4 -m system $(ARGS)

.PHONY: test-tools
test-tools: $(STAMP) $(TOOLS_STAMP) ## What generators, a mock server and type checkers make of openapi.yaml
	TOOLS=$(abspath $(TOOLS)) $(BIN)/python -m pytest -n 2 -m tools $(ARGS)

.PHONY: test-postgres
test-postgres: $(STAMP) ## The PostgreSQL database, and the tests of the backend with it
	$(BIN)/python -m tests.support.postgres_server SYNTH_POOLS_TEST_STORE $(BIN)/python -m pytest \
		-n $(WORKERS) --dist=worksteal tests/postgres tests/simulation \
		tests/backend/api tests/backend/artifacts tests/backend/metrics tests/backend/rollouts tests/backend/storage \
		-m 'postgres or not (browser or sqlite or system or tools)' $(ARGS)

.PHONY: test-ray
test-ray: $(RAY_STAMP) ## Containers that a Ray cluster of three nodes places; it says so where Ray cannot be installed
	@if [ -x $(RAY)/bin/python ]; then $(RAY)/bin/python -m pytest -m ray tests/ray $(ARGS); fi

.PHONY: test-s3
test-s3: $(STAMP) $(S3_STAMP) ## Artifacts in S3-compatible storage, on a server in an environment of its own
	S3=$(abspath $(S3)) $(BIN)/python -m pytest -n 2 -m s3 $(ARGS)

.PHONY: test-foreign
test-foreign: $(STAMP) $(FRAMEWORKS_STAMP) $(FOREIGN_STAMP) ## The contract kit on services of others; the tests say which could not be installed
	$(BIN)/python -m pytest -n 3 --dist=loadgroup -m foreign $(ARGS)

.PHONY: test-environments
test-environments: $(STAMP) $(FRAMEWORKS_STAMP) ## Episodes of the frameworks themselves; the tests say which could not be installed
	ENVIRONMENTS=$(abspath $(FRAMEWORKS)) $(BIN)/python -m pytest -n 2 -m environments $(ARGS)

.PHONY: test-lowest
test-lowest: $(LOWEST_STAMP) ## The demo, the contract kit and what reads HTTP, with the lowest release of each requirement
	$(LOWEST)/bin/python -m pytest -n 4 -m 'lowest or not (browser or environments or house or oci or postgres or ray or s3 or system or tools)' \
		tests/lowest tests/backend/server/test_protocol.py tests/backend/server/test_pipelining.py \
		tests/backend/containers/test_http.py tests/backend/api/test_dispatcher.py tests/cli/fleet/test_export.py tests/contract/fuzzing/test_schemathesis_engine.py \
		tests/client/http/test_certificates.py tests/client/http/test_decode_json.py $(ARGS)

.PHONY: test-browser
test-browser: $(STAMP) $(TOOLS_STAMP) ## The live page, in headless Chromium; the tests say so where there is none
	$(BIN)/python -m pytest -n 2 -m browser $(ARGS)

.PHONY: test-long
test-long: $(STAMP) $(TOOLS_STAMP) ## Those three side by side: one waits while another one computes
	TOOLS=$(abspath $(TOOLS)) $(BIN)/python -m pytest -n $(LONG_WORKERS) -m 'system or tools or browser' $(ARGS)

.PHONY: mutants
mutants: $(STAMP) $(S3_STAMP) ## Changes of your work, or of all, that no test sees: MUTANTS_OPTIONS='--all --sample 20'
	S3=$(abspath $(S3)) $(BIN)/python -m tests.mutants $(MUTANTS_OPTIONS)

.PHONY: contract
contract: $(STAMP) ## Whether the backend at URL=... keeps the contract; the key is in SYNTH_API_KEY
	@test -n "$(URL)" || { echo "make contract URL=http://127.0.0.1:8080 [ARGS='--profile quick']" >&2; exit 2; }
	@$(BIN)/synth-pools contract-test "$(URL)" $(ARGS)

.PHONY: contract-selftest
contract-selftest: $(STAMP) ## Whether the contract kit sees every fault, and none where there is none
	$(BIN)/python -m tests.contract.selftest --write docs/results/contract-selftest.md $(ARGS)

.PHONY: fuzz
fuzz: $(STAMP) ## Ten minutes of bad input: no answer of 500, no traceback in the log
	$(BIN)/python -m tests.system.fuzz --write docs/results/fuzz.md $(ARGS)

STORE                ?= sqlite
CRASH_PAGE_sqlite     = docs/results/crash.md
CRASH_PAGE_postgresql = docs/results/crash-postgres.md

# With a PostgreSQL database some of the containers are on a Ray cluster, where Ray can be installed.
.PHONY: crash
crash: $(STAMP) $(if $(filter postgresql,$(STORE)),$(RAY_STAMP)) ## Whether kill -9 of the backend, 50 times under load, loses or repeats anything: STORE=postgresql
	@python=$(BIN)/python; \
	if [ "$(STORE)" = postgresql ] && [ -x $(RAY)/bin/python ]; then python=$(RAY)/bin/python; fi; \
	$$python -m tests.system.crash --store $(STORE) --write $(CRASH_PAGE_$(STORE)) $(ARGS)

.PHONY: fleet
fleet: $(STAMP) ## Whether kill -9 of a client, ten times in 100,000 rollouts, loses or repeats one
	$(BIN)/python -m tests.system.fleet.kills --write docs/results/large-fleets.md $(ARGS)

.PHONY: soak
soak: $(STAMP) ## 5,000 rollouts on containers that the pool starts, while these and the backend are killed
	$(BIN)/python -m tests.system.soak --write docs/results/soak.md $(ARGS)

.PHONY: simulate
simulate: $(STAMP) ## 10,000 drawn stories of backends on one PostgreSQL database, with simulated clocks and sessions
	$(BIN)/python -m tests.simulation $(ARGS)

.PHONY: bench
bench: $(BENCH_STAMP) ## How fast it is, next to libraries of HTTP alone and the client before this one
	@$(BENCH)/bin/python -m bench --write docs/results/client-bench.md $(BENCH_OPTIONS)

.PHONY: bench-backend
bench-backend: $(STAMP) ## What the local backend costs, next to the container behind it
	@$(BIN)/python -m bench.backend --write docs/results/backend-bench.md $(BENCH_OPTIONS)

.PHONY: bench-postgres
bench-postgres: $(STAMP) ## What a PostgreSQL database costs, next to SQLite
	@$(BIN)/python -m bench.backend.stores --write docs/results/postgres-bench.md $(BENCH_OPTIONS)

.PHONY: bench-lists
bench-lists: $(STAMP) ## What lists of a million rollouts cost with any one filter or order, next to none
	@$(BIN)/python -m bench.backend.lists --write docs/results/lists.md $(BENCH_OPTIONS)

.PHONY: bench-relay
bench-relay: $(STAMP) ## What a call of a model costs through the relay, next to the server alone
	@$(BIN)/python -m bench.relay --write docs/results/relay.md $(BENCH_OPTIONS)

.PHONY: bench-environments
bench-environments: $(STAMP) $(FRAMEWORKS_STAMP) ## What episodes cost on a pool, next to each framework alone
	@SYNTH_POOLS_ENVIRONMENTS=$(abspath $(FRAMEWORKS)) $(BIN)/python -m bench.environments --fresh --write docs/results/environments.md $(BENCH_OPTIONS)

.PHONY: check
check: lint types house imports dependencies lint-spec check-api check-generated docs ## Everything that can be said without running it

.PHONY: lint
lint: $(STAMP) ## Style
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

.PHONY: format
format: $(STAMP) ## Repair the style where that can be done
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

.PHONY: types
types: $(STAMP) ## mypy, as strict as it gets
	$(BIN)/mypy generated/synth_pools_api $(CODE)

.PHONY: house
house: $(STAMP) ## The rules of the tree: sizes, names, words, links
	$(BIN)/python -m pytest -q -n 2 -m house $(ARGS) tests/house

.PHONY: imports
imports: $(STAMP) ## Who imports whom
	$(BIN)/lint-imports --no-logo

.PHONY: dependencies
dependencies: $(STAMP) ## Whether what is imported is declared, and what is declared imported
	$(BIN)/deptry synth_pools generated

.PHONY: lint-spec
lint-spec: $(STAMP) ## The parts of openapi.yaml, as OpenAPI and as reading matter
	$(BIN)/python codegen/lint_spec.py

.PHONY: check-api
check-api: $(STAMP) ## Whether the version of openapi.yaml says what changed since the last release
	$(BIN)/python codegen/api_changes.py

.PHONY: generate
generate: $(STAMP) ## openapi.yaml from api/, from it the client, the sync variant from the async one
	$(BIN)/python codegen/generate.py

.PHONY: clauses
clauses: $(STAMP) ## The new ids of reworded sentences, into the scenarios that judge them: look at these first
	$(BIN)/python -m codegen.contract_clauses --accept
	$(BIN)/python -m codegen.contract_clauses

.PHONY: check-generated
check-generated: $(STAMP) ## Whether what `make generate` writes is what is there
	$(BIN)/python codegen/generate.py --check

$(DOCS_STAMP): pyproject.toml requirements/docs.txt requirements/codegen.txt requirements/constraints.txt
	$(PYTHON) -m venv $(DOCS)
	$(DOCS)/bin/python $(PIP) -c requirements/constraints.txt -r requirements/docs.txt -e .
	@touch $@

# The environment of the tests does as well, where there is one, or other targets make it.
DOCS_BY_TESTS = $(or $(wildcard $(STAMP)),$(filter-out docs,$(MAKECMDGOALS)))
DOCS_BIN      = $(if $(DOCS_BY_TESTS),$(VENV),$(DOCS))/bin

.PHONY: docs
docs: $(if $(DOCS_BY_TESTS),$(STAMP),$(DOCS_STAMP)) ## The documentation site, in build/site: every link leads somewhere, nothing is fetched
	$(DOCS_BIN)/python -m codegen.site stage build/docs
	$(DOCS_BIN)/zensical build --clean --strict
	$(DOCS_BIN)/python -m codegen.site finish build/site

.PHONY: build
build: $(STAMP) ## A wheel and a source distribution, in dist/, and the document as OpenAPI 3.2
	$(BIN)/python -m hatchling build -d dist
	$(BIN)/python codegen/openapi32.py dist

.PHONY: release
release: ## Check, test, date the changelog, build and tag: VERSION=0.2.0
	@test -n "$(VERSION)" || { echo "make release VERSION=0.2.0" >&2; exit 2; }
	$(MAKE) check test
	$(BIN)/python codegen/release.py "$(VERSION)"

.PHONY: clean
clean: ## Remove everything that git does not know
	rm -rf .venv* dist build tests/client/sync_ tests/client/facade/sync_ codegen/node/node_modules .mutants-cache .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
