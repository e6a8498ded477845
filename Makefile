# The README's two commands. They make the virtual environment .venv when there is none, install what
# they need into it, and install again only after setup.py or settings.ini changed.
# Another Python: `make test PYTHON=python3.12`; another environment: `make test VENV=~/env`.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: demo test test-fast readme docs model_card mutation
.DEFAULT_GOAL := demo

demo: $(VENV)/.installed
	$(BIN)/pienet_demo

test: $(VENV)/.installed-dev
	$(BIN)/python -m pytest tests

test-fast: $(VENV)/.installed-dev # the inner loop: without what trains or runs long
	$(BIN)/python -m pytest tests -m "not slow"

readme: $(VENV)/.installed-dev # README.md from nbs/index.ipynb
	$(BIN)/python tools/readme.py

docs: $(VENV)/.installed-dev # the site, from README.md, the notebooks and docs/; open _docs/index.html
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build

mutation: $(VENV)/.installed-dev # breaks lines of the exported cells and counts what the notebooks notice; an hour
	$(BIN)/python tools/mutate.py nbs/[0-9]*.ipynb --per_cell 3 --out nbs/results/mutation.json

model_card: $(VENV)/.installed-dev # the packaged model's card from its config and nbs/results/{quick,rest}.json
	$(BIN)/python tools/model_card.py

$(VENV)/.installed: setup.py settings.ini pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install -e .
	touch $@

$(VENV)/.installed-dev: setup.py settings.ini pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install -e '.[dev]'
	touch $(VENV)/.installed $@

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "Python 3.10 or later is needed; name one: make test PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
