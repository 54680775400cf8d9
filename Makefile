# make demo: train the embedded example and evaluate it on every task.   make test: lint and tests.
# make audit: known vulnerabilities of the pinned packages (asks a database).
# make docs: build the documentation's pages, work_dirs/site/index.html.
# PYTHON=... picks the interpreter that makes the virtual environment (3.11 or newer for the pinned versions).

PYTHON ?= $(shell for p in python3.11 python3; do $$p -c "" 2>/dev/null && { echo $$p; break; }; done)
VENV ?= .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
INSTALLING := $(VENV)/.installing

.PHONY: demo test lint format docs install lock audit clean

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

# The hashes of all files of the pinned versions. uv (pip install uv) asks the package index for them.
lock:
	uv pip compile --quiet --no-deps --generate-hashes --no-annotate --universal --python-version 3.11.7 requirements/lock.in -o requirements/lock.txt

# pip-audit in an environment of its own: it is no dependency. --strict: what the database does not know is no success. The
# exit status is 1 for findings and for failures alike.
audit:
	$(PYTHON) -m venv $(VENV)-audit
	@$(VENV)-audit/bin/python -m pip install --quiet --disable-pip-version-check pip-audit \
		|| { echo "pip-audit cannot be installed: the package index is not reachable. Nothing was checked."; exit 2; }
	@$(VENV)-audit/bin/pip-audit --strict --disable-pip --require-hashes -r requirements/lock.txt 2>"$(VENV)-audit/said" \
		|| { if grep -q "^Found " "$(VENV)-audit/said"; then cat "$(VENV)-audit/said"; exit 1; fi; \
			echo "The database of vulnerabilities is not reachable ($(VENV)-audit/said says why). Nothing was checked."; exit 2; }

# An install that was killed may have left half a package, which pip takes for a whole one: the next call starts again.
# --no-deps: the lock names every package, and pip check proves it. mmcv is built in pip's own isolated environment, which
# has no torch, and so comes without compiled operators; omgseg.compat stands in for them.
$(INSTALLED): requirements/lock.txt setup.py
	@$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11) and 'PYTHON=$(PYTHON) is ' + sys.version.split()[0] + '; the pinned versions need Python 3.11 or newer')"
	@if [ -e "$(INSTALLING)" ]; then echo "The last install was interrupted: $(VENV) is made again."; rm -rf "$(VENV)"; fi
	$(PYTHON) -m venv $(VENV)
	@touch $(INSTALLING)
	@echo "Installing the pinned packages into $(VENV): a few minutes the first time."
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements/lock.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	$(BIN)/python -m pip check --disable-pip-version-check
	@mv $(INSTALLING) $@

clean:
	rm -rf $(VENV) $(VENV)-audit .pytest_cache .ruff_cache *.egg-info
