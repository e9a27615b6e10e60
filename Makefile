# `make demo` and `make test` work from a fresh clone: they make .venv and install into it first.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test lint types unit oldest newest man docs lock audit sbom clean

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	@echo 'Installing into $(VENV), PyTorch too: this takes some minutes.'
	PYTHONWARNINGS=ignore $(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

demo: $(VENV)/.installed
	$(BIN)/mplus demo
	@echo 'Here mplus is $(BIN)/mplus.'

test: lint types unit

lint: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.installed
	$(BIN)/mypy models mplus_cli examples

unit: $(VENV)/.installed
	$(BIN)/mplus model pull
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n 2 --dist loadfile

# The tests that meet other libraries most, with the lowest and with the newest versions of all.
EDGES := tests/cli tests/documents tests/models -m "not default_model"
oldest: EDGES += -W error::FutureWarning
newest: EDGES += -W error

oldest newest:
	$(PYTHON) -m venv .venv-$@
	.venv-$@/bin/python -m pip install --quiet $(if $(filter oldest,$@),--constraint constraints-oldest.txt) --editable '.[dev]'
	.venv-$@/bin/python -m pytest -q $(EDGES)

# The two pages that are made from the commands' help; a test compares them with it.
man: $(VENV)/.installed
	$(BIN)/python man/generate.py
	$(BIN)/python -m typer mplus_cli.app utils docs --name mplus --output docs/cli.md

# What an installed mplus consists of, each file by its SHA-256: the versions of constraints.txt, without extras.
lock:
	uv pip compile pyproject.toml --constraint constraints.txt --universal --python-version 3.11 \
		--generate-hashes --no-annotate --no-header --quiet --output-file requirements.lock

# Known weaknesses of these versions (strict: what the service does not know fails too), and the list of parts
# (CycloneDX) that goes with a release.
audit:
	uvx pip-audit --requirement requirements.lock --require-hashes --disable-pip --strict
sbom:
	mkdir -p dist
	uvx --from cyclonedx-bom cyclonedx-py requirements requirements.lock --pyproject pyproject.toml \
		--output-reproducible --output-file dist/mplus.cdx.json
	$(PYTHON) .github/sbom.py dist/mplus.cdx.json

docs: $(VENV)/.installed
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

clean:
	rm -rf site
	rm -rf $(VENV) .venv-oldest .venv-newest build dist *.egg-info
