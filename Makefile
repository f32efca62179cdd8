# Bare `make` lists the targets. CI calls only these.
PYTHON ?= python3
BIN := .venv/bin
OTHER_PYTHONS := 3.12 3.13
STAMP := .venv/.ready
CLIENTS := tests/gateway_clients

.DEFAULT_GOAL := help
.PHONY: help setup clients demo serve format lint types imports test test-on faults check bench bench-smoke peers

help: ## list the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(STAMP): requirements.lock pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $(STAMP)

# Client libraries for Node: the tests that need them are skipped where it isn't.
$(CLIENTS)/node_modules/.ready: $(CLIENTS)/package-lock.json
	@if command -v npm > /dev/null; then \
	  npm ci --prefix $(CLIENTS) --silent --ignore-scripts --no-audit --no-fund && touch $@; \
	else echo "npm is not installed: client libraries for Node are not tested"; fi

clients: $(CLIENTS)/node_modules/.ready ## the client libraries for Node that the tests use

setup: $(STAMP) ## make .venv with everything the project needs

demo: $(STAMP) ## 1,382 recorded events over HTTP, through three destinations
	$(BIN)/python -m benchmarks.demo

serve: $(STAMP) ## a daemon with temporary data, to try things out
	$(BIN)/engine serve --dev

format: $(STAMP) ## write the code as the formatter wants it
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix-only --quiet .

lint: $(STAMP) ## ruff: format and rules
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(STAMP) ## mypy, strict
	$(BIN)/mypy

imports: $(STAMP) ## the layers of the architecture
	$(BIN)/lint-imports

test: $(STAMP) clients ## the test suite; for root what depends on the user as nobody, too
	$(BIN)/python tests/suite.py

faults: $(STAMP) ## other Pythons, the suite as nobody, strangers' bytes, ten minutes of killed processes, full and slow disks; SEED=N repeats a run
	@for version in $(OTHER_PYTHONS); do $(MAKE) -s test-on PYTHON_VERSION=$$version || exit 1; done
	if test "$$(id -u)" = 0; then $(BIN)/python tests/nobody.py; fi
	$(BIN)/python tests/faults/fuzz.py --cases $(or $(CASES),100000) $(if $(SEED),--seed $(SEED))
	$(BIN)/python tests/faults/description.py $(if $(SEED),--seed $(SEED))
	$(BIN)/python tests/faults/run.py --seconds $(or $(SECONDS),600) $(if $(SEED),--seed $(SEED))

test-on: ## the jail and the sandbox on another CPython: PYTHON_VERSION=3.12
	@python=$$(ls -d $$HOME/.pyenv/versions/$(PYTHON_VERSION).*/bin/python 2>/dev/null | head -1); \
	python=$${python:-$$(command -v python$(PYTHON_VERSION))}; \
	test -n "$$python" || { echo "CPython $(PYTHON_VERSION) is not installed: not tested"; exit 0; }; \
	test -e .venv-$(PYTHON_VERSION)/.ready -a .venv-$(PYTHON_VERSION)/.ready -nt requirements.lock || { \
	  $$python -m venv .venv-$(PYTHON_VERSION) \
	  && .venv-$(PYTHON_VERSION)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.lock \
	  && .venv-$(PYTHON_VERSION)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e . \
	  && touch .venv-$(PYTHON_VERSION)/.ready; } || exit 1; \
	echo "CPython $(PYTHON_VERSION)" && .venv-$(PYTHON_VERSION)/bin/python tests/suite.py tests/sandbox tests/system/test_quarantine.py tests/system/test_replacement.py

check: lint types imports test bench-smoke ## all that CI runs

bench: $(STAMP) ## the benchmark suite; NAMES="floor throughput" chooses
	$(BIN)/python -m benchmarks $(NAMES)

peers: $(STAMP) ## what the benchmark `peers` runs beside us: Celery, isolated-vm; Redis is the system's
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r benchmarks/peers/requirements.lock
	mkdir -p .venv/peers && cp benchmarks/peers/package.json benchmarks/peers/package-lock.json .venv/peers/
	npm_config_nodedir=$$(node -p 'path.resolve(process.execPath, "../..")') npm ci --prefix .venv/peers --no-audit --no-fund

bench-smoke: $(STAMP) ## each benchmark once and small: whether it works, and no figures
	$(BIN)/python -m benchmarks --smoke
	$(BIN)/python -m benchmarks.tuning --smoke
