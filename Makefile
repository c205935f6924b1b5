# Two commands do everything: `make demo` and `make test`. Both set the environment up first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
TESTS := not slow and not long

.PHONY: demo test test-all test-long check lint types notebooks pictures bench quality eval-routing record chaos fuzz counterfactual lab lock clean help

help:  ## what there is to make
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

demo: $(STAMP)  ## run the support desk through Prefect on the embedded fleet
	@$(BIN)/toolkit demo

test: $(STAMP)  ## run the tests that take a second or two each
	@$(BIN)/python -m pytest -n 2 --dist loadfile -m "$(TESTS)"

test-all: TESTS := not long
test-all: test  ## run all of them: servers, browsers, killed processes, simulated worlds

test-long: $(STAMP)  ## run the proofs that take minutes each: workers, killed and retried flow runs, all pools
	@$(BIN)/python -m pytest -n 2 --dist loadfile -m long

check: test-all lint types notebooks  ## everything that CI runs

lint: $(STAMP)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: $(STAMP)
	@$(BIN)/mypy

notebooks: $(STAMP)  ## execute the notebooks from top to bottom
	@$(BIN)/python -m notebooks.execute

bench: $(STAMP)  ## measure the cost of orchestration beside bare HTTP and a Prefect task per call
	@$(BIN)/python -m evals.performance

quality: $(STAMP)  ## accuracy of the embedded models on both test sets
	@$(BIN)/python -m evals.support.quality --write

eval-routing: $(STAMP)  ## learned routing on recorded answers of real models (TOOLKIT_OUTCOMES names their folder)
	@$(BIN)/python -m evals.routing

record: $(STAMP)  ## what recording costs, how large records are asked, kills in every phase, writers beside a reader
	@for each in redaction cost tail size showing kills writers; do $(BIN)/python -m evals.record.$$each || exit 1; done

chaos: $(STAMP)  ## two thousand rows through everything that goes wrong at once
	@$(BIN)/python -m evals.chaos

fuzz: $(STAMP)  ## a million damaged responses, decoded
	@$(BIN)/python -m evals.fuzz

counterfactual: $(STAMP)  ## do the intervals of counterfactual estimates hold, in 1,000 simulated worlds
	@$(BIN)/python -m evals.counterfactual

pictures: $(STAMP)  ## take the pictures of the documents anew, by walking through real pages (needs Chromium)
	@$(BIN)/python docs/make_pictures.py

lab: $(STAMP)  ## open the notebooks
	@$(BIN)/jupyter lab notebooks

lock:  ## resolve the whole tree of dependencies again
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --group dev --all-extras \
	  --quiet --custom-compile-command "make lock" pyproject.toml -o requirements.lock
	echo uv | uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	  --quiet --custom-compile-command "make lock" - -o requirements-uv.lock

# The environment, from names, versions and hashes alone. uv installs in seconds; where it cannot be had, pip does.
$(STAMP): requirements.lock pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing the locked environment into $(VENV) ..." >&2
	@if $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-uv.lock 2>/dev/null \
	    && $(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements.lock 2>/dev/null; then :; \
	  else $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock; fi
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

clean:  ## remove the environment and what runs left in .toolkit
	rm -rf $(VENV) .toolkit
