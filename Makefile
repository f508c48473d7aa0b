# Every verb of `python run.py` and of a developer's day. ARGS="..." hands overrides on: make train ARGS="asset=etf seed=1"
.DEFAULT_GOAL := help
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
RUN := $(BIN)/python run.py
# in the order of collection, which tests/conftest.py begins with the longest files
# three on two cores: some tests wait for a process, a browser or a clock, and each worker imports everything
WORKERS ?= 3
FAST_WORKERS ?= 2# where nothing waits
PYTEST := $(BIN)/python -m pytest -q -n $(WORKERS) --dist loadfile --no-loadscope-reorder
# pip parts what PIP_CONSTRAINT says at spaces, and this folder's name may have some: an address has none
HERE := $(subst $() ,%20,$(subst %,%25,$(CURDIR)))
PINNED := PIP_CONSTRAINT='file://$(HERE)/constraints.txt'
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --progress-bar off -c constraints.txt
ARGS ?=
TESTS ?= tests
SWEEP ?= ppo
ASSETS := stocks,forex,crypto,etf,commodities
SEEDS ?= 0,1,2
# benchmarks that are given a folder of recorded bars or write into docs/, and what the others share
GIVEN := benchmarks/real_markets.py benchmarks/calibrate_simulator.py benchmarks/worlds.py benchmarks/oracles.py benchmarks/pictures.py benchmarks/screens.py benchmarks/zoo.py
LONG := benchmarks/time_to_quality.py benchmarks/mutants.py

.PHONY: help
help: ## show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 22

# --- the environment: made once, renewed when the lock or pyproject.toml changes

$(BIN)/python:
	@echo "creating $(VENV) with $(PYTHON)"
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11) and "WealthArena needs Python 3.11 or newer; set PYTHON=...")'
	@"$(PYTHON)" -m venv $(VENV)

# torch first and by its pin alone: pip then takes the build that this machine's index offers, a CPU one where there is one.
# Where `make lock` was run, every package is one of the files that it saw, by hash, or nothing is installed.
LOCK := $(wildcard requirements.lock)
LOCKED := $(if $(LOCK),--no-deps --no-build-isolation)
$(VENV)/.stamp-torch: constraints.txt $(LOCK) | $(BIN)/python
ifeq ($(LOCK),)
	@echo "installing $$(grep '^torch==' constraints.txt) (the largest part; some minutes on a slow line)"
	@$(PIP) "$$(grep '^torch==' constraints.txt)"
else
	@echo "installing the files of $(LOCK), by hash (some minutes on a slow line)"
	@PIP_CONSTRAINT= $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r $(LOCK)
endif
	@touch $@

$(VENV)/.stamp-run: pyproject.toml constraints.txt $(VENV)/.stamp-torch
	@echo "installing what a run needs, from constraints.txt"
	@$(PINNED) $(PIP) $(LOCKED) -e .
	@touch $@

$(VENV)/.stamp-dev: $(VENV)/.stamp-run
	@echo "installing what tests and lint need, from constraints.txt"
	@$(PINNED) $(PIP) $(LOCKED) -e '.[dev]'
	@touch $@

$(VENV)/.stamp-docs: $(VENV)/.stamp-run
	@echo "installing what the pages need, from constraints.txt"
	@$(PINNED) $(PIP) $(LOCKED) -e '.[docs]'
	@touch $@

$(VENV)/.stamp-bench: $(VENV)/.stamp-dev
	@$(PINNED) $(PIP) $(LOCKED) -e '.[bench]'
	@touch $@

.PHONY: venv
venv: $(VENV)/.stamp-dev ## create .venv with everything a developer needs

# --- running

.PHONY: run train train-all collect backtest compare inspect audit report deploy verify serve paper demo sweep dashboard results
run: $(VENV)/.stamp-run ## train, select, backtest and report: currency pairs with PPO, or ARGS
	$(RUN) $(or $(ARGS),asset=forex algo=ppo)

train: $(VENV)/.stamp-run ## task=train
	$(RUN) task=train $(ARGS)

train-all: $(VENV)/.stamp-run ## the five agents over SEEDS (0,1,2), then their leaderboard
	$(RUN) -m asset=$(ASSETS) seed=$(SEEDS) $(ARGS)

collect: $(VENV)/.stamp-run ## task=collect: fetch market data of all five classes into the local store, or ARGS
	$(RUN) $(if $(ARGS),task=collect $(ARGS),-m task=collect asset=$(ASSETS))

backtest: $(VENV)/.stamp-run ## task=backtest: play checkpoints against the market again
	$(RUN) task=backtest $(ARGS)

compare: $(VENV)/.stamp-run ## task=compare: leaderboard and verdict over runs
	$(RUN) task=compare $(ARGS)

inspect: $(VENV)/.stamp-run ## task=inspect: what is read from a file and what is made of it: ARGS="data=files data.path=..."
	$(RUN) task=inspect $(ARGS)

audit: $(VENV)/.stamp-run ## task=audit: look for look-ahead
	$(RUN) task=audit $(ARGS)

report: $(VENV)/.stamp-run ## task=report: a report of returns that were made elsewhere: ARGS="returns=my.csv"
	$(RUN) task=report $(ARGS)

deploy: $(VENV)/.stamp-run ## task=deploy: promote a checkpoint that passes the gate
	$(RUN) task=deploy $(ARGS)

verify: $(VENV)/.stamp-run ## check that every checkpoint and stage is what the registry's history says
	$(RUN) task=deploy deploy.action=verify $(ARGS)

serve: $(VENV)/.stamp-run ## task=serve: REST service for the models in production
	$(RUN) task=serve $(ARGS)

paper: $(VENV)/.stamp-run ## task=paper: trade a promoted version on paper over a replay of bars
	$(RUN) task=paper $(ARGS)

demo: $(VENV)/.stamp-run ## train briefly, put it on paper, replay a year with the page open; no network, under 3 minutes
	$(RUN) task=demo $(ARGS)

sweep: $(VENV)/.stamp-run ## search for settings: SWEEP=ppo ARGS="asset=crypto"
	$(RUN) sweep=$(SWEEP) $(or $(ARGS),asset=crypto)

dashboard: $(VENV)/.stamp-dev ## optuna-dashboard on a study: STUDY=outputs/<date>/<run>/study.journal
	@study="$(or $(STUDY),$$(ls -t outputs/*/*/study.journal results/studies/*.journal 2>/dev/null | head -n 1))"; \
	if ! head -n 1 "$$study" 2>/dev/null | grep -q '"op_code"'; then \
		echo "error: $${study:+$$study is no study; }there must be one: make sweep, or STUDY=outputs/<date>/<run>/study.journal" >&2; exit 2; \
	fi; \
	$(BIN)/optuna-dashboard "$$study"

results: $(VENV)/.stamp-run ## direct and ppo on the five classes of recorded bars, five seeds, as docs/results.md: MARKET=<folder>
	$(BIN)/python benchmarks/real_markets.py $(or $(MARKET),../shared/market)

.PHONY: arena
arena: $(VENV)/.stamp-run ## every algorithm on planted and, with MARKET=<folder>, on recorded markets: MINUTES=120, ARGS="--entry mine=..."
	$(BIN)/python -m benchmarks.arena --minutes $(or $(MINUTES),120) $(if $(MARKET),--market $(MARKET)) $(ARGS)

# --- developing

.PHONY: test test-fast hunt coverage mutants lint format bench docs pictures lock wheel clean clean-data
test: $(VENV)/.stamp-dev ## run the tests (TESTS=tests/config for a part)
	$(PYTEST) $(TESTS) $(ARGS)

test-fast: $(VENV)/.stamp-dev ## run all but slow tests and those in a browser
	$(PYTEST) -n $(FAST_WORKERS) -m "not slow and not browser" $(TESTS) $(ARGS)

hunt: $(VENV)/.stamp-dev ## run the property tests on examples that no run has drawn: ROUNDS=20 TESTS=tests/envs
	@for round in $$(seq $(or $(ROUNDS),20)); do \
		$(PYTEST) -m hypothesis --hypothesis-profile=hunt $(TESTS) $(ARGS) || exit 1; \
	done

# the second run has the compiled loops as Python, so that their lines are counted; counting makes a test some three times as slow
coverage: $(VENV)/.stamp-dev ## run the tests, processes that they start included, and tell which lines of the package they reach
	@rm -rf build/coverage && mkdir -p build/coverage
	COVERAGE_FILE="$(CURDIR)/build/coverage/.coverage" $(BIN)/python -m coverage run -m pytest -q -o timeout=1200 -n $(WORKERS) --dist loadfile --no-loadscope-reorder $(TESTS) $(ARGS)
	COVERAGE_FILE="$(CURDIR)/build/coverage/.coverage" NUMBA_DISABLE_JIT=1 $(BIN)/python -m coverage run -m pytest -q -m "not slow" -k "not memory and not 70-" tests/envs tests/agents/direct/test_floor.py
	@COVERAGE_FILE="$(CURDIR)/build/coverage/.coverage" $(BIN)/python -m coverage combine --quiet
	COVERAGE_FILE="$(CURDIR)/build/coverage/.coverage" $(BIN)/python -m coverage report --fail-under=92

mutants: $(VENV)/.stamp-dev ## plant faults one at a time where figures are made: each must be seen; ARGS="risk night" for a part
	$(BIN)/python benchmarks/mutants.py $(ARGS)

lint: $(VENV)/.stamp-dev ## format, lint, types and layers, nothing changed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

format: $(VENV)/.stamp-dev ## format and fix what can be fixed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(VENV)/.stamp-bench ## run every script of benchmarks/ that needs nothing from outside
	@missed=; for script in $(filter-out $(GIVEN) $(LONG),$(wildcard benchmarks/*.py)); do \
		echo "== $$script"; $(BIN)/python "$$script" || missed="$$missed $$script"; \
	done; [ -z "$$missed" ] || { echo "error: a bound is not kept, or a script failed:$$missed" >&2; exit 1; }

docs: $(VENV)/.stamp-docs ## build the pages into build/site, strict: a warning is an error
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet --clean
	@echo "build/site/index.html"

pictures: $(VENV)/.stamp-dev ## make the README's pictures again, from small simulated runs (needs chromium)
	$(BIN)/python benchmarks/pictures.py $(ARGS)

lock: $(BIN)/python ## write requirements.lock: the hashes of what this machine's index serves now; make venv then takes nothing else
	@PIP_CONSTRAINT= $(BIN)/python -m pip install --quiet --disable-pip-version-check --dry-run --ignore-installed --no-deps --report $(VENV)/report.json -r constraints.txt
	@$(BIN)/python .ci/lock.py $(VENV)/report.json > requirements.lock
	@echo "requirements.lock holds $$(grep -c '==' requirements.lock) packages"

wheel: $(VENV)/.stamp-dev ## build dist/wealtharena-*.whl
	$(BIN)/python -m build --wheel --no-isolation --outdir dist .

clean: ## remove caches and builds; runs, data and checkpoints stay
	rm -rf build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +

clean-data: ## delete the local store of market data; asks first
	@printf 'Delete data/, the local store of market data? [y/N] '; read answer; \
	case "$$answer" in y|Y|yes) rm -rf data && echo 'deleted';; *) echo 'kept';; esac
