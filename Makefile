# Two commands do it all on a fresh machine with python3 >= 3.11, git and make: `make up` and `make test`.
SHELL := /bin/bash
.DEFAULT_GOAL := help

# uv: from PATH, else put into .uv by pip (the only thing this file installs by itself)
UV := $(shell command -v uv 2>/dev/null || echo .uv/bin/uv)
RUN := $(UV) run --frozen

.PHONY: help up down test test-e2e test-slow test-talos lint bench sync

help: ## Show this help
	@awk -F':.*## ' '/^[a-z0-9-]+:.*## /{printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.uv/bin/uv:
	@python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "python3 >= 3.11 is needed" >&2; exit 1; }
	python3 -m venv .uv && .uv/bin/pip install --quiet --disable-pip-version-check uv

sync: $(if $(findstring .uv/,$(UV)),.uv/bin/uv) # make the Python environment what uv.lock says
	@$(UV) sync --frozen --quiet

up: sync ## Set up and start the service; with environments of the lab also the lab, and deploy dev
	@$(RUN) infraflux up

down: sync ## Stop everything that `make up` started
	@$(RUN) infraflux down

test: sync ## Run the checks: lint, types, contracts, unit, lab and whole-product tests (builds pinned tools on first use)
	@$(RUN) python scripts/run_tests.py

test-e2e: sync ## The part of `make test` that uses the whole product: deploys, browser, deaths, secrets (ten minutes)
	@$(RUN) infraflux tools install --group test && $(RUN) pytest tests/e2e --reruns 1

test-slow: sync ## Kill every part of a deploy in every stage of it, and fuzz the configuration (an hour)
	@$(RUN) infraflux tools install --group test && $(RUN) --group fuzz pytest tests/fuzz tests/unit/config tests/e2e -m slow

lint: sync ## ruff, mypy, import contracts, sizes
	@$(RUN) ruff check . && $(RUN) ruff format --check . && $(RUN) mypy src lab/src flows tasks && $(RUN) lint-imports && $(RUN) python scripts/check_sizes.py

test-talos: sync ## Real Talos nodes, as root: deploy, change, restart, kill, destroy (a quarter of an hour; see docs/lab.md)
	@$(RUN) infraflux tools install --group test && $(RUN) infraflux tools install --group talos-real && $(RUN) pytest tests/talos_real -m talos_real

bench: sync ## Print the benchmarks (never asserted in tests)
	@$(RUN) python scripts/run_benches.py $(BENCH)
