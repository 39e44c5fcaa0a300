# make demo | make test | make lint | make docs: each sets up a virtual environment first, once.
VENV ?= .venv
PYTHON ?= $(VENV)/bin/python
PIP = $(PYTHON) -m pip install --quiet --disable-pip-version-check

.PHONY: demo test test-all lint format docs clean

demo: $(VENV)/.ready-dev
	$(PYTHON) demo.py $(DEMO)

# A file's tests stay in one process, with what they share; each process has one thread, and reads compiled sources.
PYTEST = PYTHONDONTWRITEBYTECODE= $(PYTHON) -m pytest -q -n auto --dist loadfile --no-loadscope-reorder --max-worker-restart 0

test: $(VENV)/.ready-dev
	$(PYTEST) -m "not slow"

test-all: $(VENV)/.ready-dev
	$(PYTEST)

lint: $(VENV)/.ready-dev
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m mypy

# The pages as a site, in build/site; a link that leads nowhere and a docstring that cannot be read are errors.
docs: $(VENV)/.ready-docs
	NO_MKDOCS_2_WARNING=1 $(PYTHON) -m mkdocs build --strict --quiet

format: $(VENV)/.ready-dev
	$(PYTHON) -m ruff check --fix .
	$(PYTHON) -m ruff format .

clean:
	rm -rf $(VENV) build *.egg-info

$(VENV)/bin/python:
	python3 -c 'import sys; sys.exit(sys.version_info < (3, 11) and "error: Python 3.11 or newer is needed")'
	python3 -m venv $(VENV)

$(VENV)/.ready: requirements.txt | $(VENV)/bin/python
	@echo "installing torch and the rest: about 6 GB, a minute or two"
	$(PIP) -r requirements.txt
	@touch $@

$(VENV)/.ready-dev: requirements-dev.txt $(VENV)/.ready
	$(PIP) -r requirements-dev.txt
	@touch $@

$(VENV)/.ready-docs: requirements-docs.txt $(VENV)/.ready
	$(PIP) -r requirements-docs.txt
	@touch $@
