# make demo: train the embedded example and evaluate it on every task.   make test: lint and tests.
# make docs: build the documentation's pages, work_dirs/site/index.html.
# PYTHON=... picks the interpreter that makes the virtual environment (3.11 or newer for the pinned versions).

PYTHON ?= $(shell for p in python3.11 python3; do $$p -c "" 2>/dev/null && { echo $$p; break; }; done)
VENV ?= .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.PHONY: demo test lint format docs install clean

demo: $(INSTALLED)
	$(BIN)/python tools/demo.py

# One process for each core, of one thread: two threads on a busy core wait for each other. A file's tests share fixtures.
test: lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --maxprocesses=8 --dist=loadfile

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(INSTALLED)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# --strict: a broken link, or a name that the API reference does not find, is an error. (--quiet would hide it.)
docs: $(INSTALLED)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

install: $(INSTALLED)

# --no-deps: the lock names every package, and pip check proves it. mmcv is built in pip's own isolated environment, which
# has no torch, and so comes without compiled operators; omgseg.compat stands in for them.
$(INSTALLED): requirements/lock.txt setup.py
	@$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11) and 'PYTHON=$(PYTHON) is ' + sys.version.split()[0] + '; the pinned versions need Python 3.11 or newer')"
	$(PYTHON) -m venv $(VENV)
	@echo "Installing the pinned packages into $(VENV): a few minutes the first time."
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -r requirements/lock.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	$(BIN)/python -m pip check --disable-pip-version-check
	@touch $@

clean:
	rm -rf $(VENV) .pytest_cache .ruff_cache *.egg-info
