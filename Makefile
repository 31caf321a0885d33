# Every target makes what it needs: the first one on a fresh machine creates .venv with the standard library's venv and pip.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
WHEEL  := .venv-wheel
OTHERS := .venv-interop
FUZZ   ?= 30
TESTS  ?= tests
SECONDS ?= 180
SEED   ?=
ORDER  := $(if $(SEED),--randomly-seed=$(SEED) --hypothesis-seed=$(SEED))

# Here it is how it is packed that counts. The code is what `test` has run: the model of supervision took all its steps there,
# and the suite of supervision its second run, with threads that are switched all the time.
AGAINST_WHEEL = STEPS=1000 $(WHEEL)/bin/python -m pytest -o pythonpath= -q $(ORDER) --deselect tests/chaos/test_switching.py $(TESTS)

.PHONY: help run test conformance interop fuzz check lint types wheel packed bench soak docs clean

help: ## show this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Trunkline needs Python 3.11 or newer, but '$(PYTHON)' is $$($(PYTHON) -V 2>&1). Try: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'

$(VENV)/.run: pyproject.toml Makefile | $(VENV)/bin/python
	@echo "installing Trunkline into $(VENV)"
	@$(BIN)/python -m pip install --quiet --editable '.[simulator,audio]' > $(VENV)/pip.log 2>&1 || { cat $(VENV)/pip.log; exit 1; }
	@touch $@

$(VENV)/.dev: $(VENV)/.run
	@echo "installing the tools of development into $(VENV)"
	@$(BIN)/python -m pip install --quiet --group dev > $(VENV)/pip.log 2>&1 || { cat $(VENV)/pip.log; exit 1; }
	@touch $@

run: $(VENV)/.run ## play the demo: over the simulator, or OpenAI when OPENAI_API_KEY is set
	$(BIN)/python examples/demo.py

test: $(VENV)/.dev ## the whole test suite with branch coverage (TESTS=tests/actors for a part, SEED= for an order)
	$(BIN)/coverage run -m pytest $(ORDER) $(TESTS)
	@$(BIN)/coverage report $(if $(filter tests,$(TESTS)),--fail-under=90,)

conformance: $(VENV)/.dev ## the suites of OTP, Elixir and pykka: which case is ported, adapted, not applicable
	$(BIN)/python tests/conformance/report.py

$(OTHERS)/.clients: interop/requirements.txt pyproject.toml | $(VENV)/bin/python
	@echo "installing other people's clients into $(OTHERS)"
	@$(PYTHON) -m venv $(OTHERS)
	@$(OTHERS)/bin/python -m pip install --quiet --upgrade 'pip>=25.1'
	@$(OTHERS)/bin/python -m pip install --quiet --editable '.[simulator]' -r interop/requirements.txt > $(OTHERS)/pip.log 2>&1 || { cat $(OTHERS)/pip.log; exit 1; }
	@touch $@

interop: $(OTHERS)/.clients ## other people's realtime clients against the simulator, in their own environment: which flow works with which
	$(OTHERS)/bin/python interop/report.py

fuzz: $(VENV)/.dev ## whatever bytes come, the simulator lives: FUZZ times the examples of the suite (FUZZ=30)
	TRUNKLINE_FUZZ=$(FUZZ) $(BIN)/python -m pytest tests/gateway/simulator/test_byte_fuzz.py -o faulthandler_timeout=0

check: $(VENV)/.dev ## what CI runs: lint, types, tests with coverage, tests against the wheel
	@$(MAKE) --no-print-directory -j2 $(if $(filter output-sync,$(.FEATURES)),--output-sync=target) lint types packed
	@$(MAKE) --no-print-directory test
	$(AGAINST_WHEEL)

lint: $(VENV)/.dev ## ruff: lint and format; the reference is up to date
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python docs/build_reference.py --check

types: $(VENV)/.dev ## mypy and pyright, both strict
	$(BIN)/mypy
	$(BIN)/mypy tests/typing
	$(BIN)/pyright

wheel: packed ## build the wheel and run the suite against it, in its own environment
	$(AGAINST_WHEEL)

packed: $(VENV)/.dev
	rm -rf build dist $(WHEEL)
	@$(BIN)/python -m build --wheel --outdir dist . > $(VENV)/build.log 2>&1 || { cat $(VENV)/build.log; exit 1; }
	$(PYTHON) -m venv $(WHEEL)
	$(WHEEL)/bin/python -m pip install --quiet --upgrade 'pip>=25.1'
	$(WHEEL)/bin/python -m pip install --quiet "$$(ls dist/*.whl)[simulator]"
	$(WHEEL)/bin/python -m pip install --quiet --group test

bench: $(VENV)/.run ## the hot path against websocket-client's own, supervision against plain pykka, as tables and JSON
	$(BIN)/python benchmarks/hot_path.py
	$(BIN)/python benchmarks/supervision.py

soak: $(VENV)/.run ## 100 sessions, a fault about every second, nothing lost or doubled (SECONDS=180, SEED= to repeat a run)
	$(BIN)/python benchmarks/soak --seconds $(SECONDS) $(if $(SEED),--seed $(SEED),)

docs: $(VENV)/.run ## write docs/reference/ anew, from the docstrings
	$(BIN)/python docs/build_reference.py

clean: ## remove everything that make created
	rm -rf $(VENV) $(WHEEL) $(OTHERS) build dist *.egg-info .coverage .coverage.* .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
	find . -name .ruff_cache -type d -prune -exec rm -rf {} +
