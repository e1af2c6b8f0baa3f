# Deep Limits: what can be made, and how.  `make` alone lists it.
#
# Every target makes what it needs first: a virtual environment in .venv (kept
# until pyproject.toml or constraints.txt changes) and, where it shows or tests
# the site, the site itself.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV ?= .venv
PORT ?= 8000
WORKERS ?= 2

BIN := $(VENV)/bin
READY := $(VENV)/.installed
SITE := _build/html
SAY := @printf '\n== %s\n'

# One thread per test worker or benchmark; the hash seed makes pages reproducible.
export PYTHONHASHSEED := 0
ONE_THREAD := OMP_NUM_THREADS=1 MKL_NUM_THREADS=1
DESK = PYTHONPATH=book/coursework $(ONE_THREAD) $(BIN)/python -m desk

.PHONY: _named help book test test-all chapter serve notebooks coursework private-set grade bench clean clean-all

help:  ## list these targets
	@printf 'Deep Limits: make <target>\n\n'
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@printf '\nVariables: PYTHON=%s  VENV=%s  WORKERS=%s  PORT=%s\n' '$(PYTHON)' '$(VENV)' '$(WORKERS)' '$(PORT)'

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  printf 'Deep Limits needs Python 3.11 or newer; %s is %s. Try: make PYTHON=python3.12 ...\n' \
	    '$(PYTHON)' "$$($(PYTHON) --version 2>&1 | head -n 1)" >&2; exit 1; }
	$(SAY) 'Installing into $(VENV) (a few minutes, about 2 GB)'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check \
	  -c constraints.txt -e '.[book,test,course]'
	@touch $@

book: $(READY)  ## build the book: execute every chapter, warnings are errors
	$(SAY) 'Building the book into $(SITE) (only what changed is executed)'
	@$(BIN)/jupyter-book build . -W --keep-going
	@printf '\nThe site: %s/index.html (make serve shows it)\nThe notebooks: _build/notebooks\n' '$(SITE)'

test: $(READY)  ## run the quick tests (under six minutes on two cores)
	$(SAY) 'Testing: everything but the long statistical tests and the browser'
	@mkdir -p _build
	@$(ONE_THREAD) $(BIN)/python -m pytest -n $(WORKERS) -m 'not slow and not browser' deeplimits tests

test-all: book  ## run all tests: the long statistical ones and the site in a browser too
	$(SAY) 'Testing everything, the site included'
	@$(ONE_THREAD) $(BIN)/python -m pytest -n $(WORKERS) deeplimits tests

chapter: | _named $(READY)  ## build one page: make chapter FILE=book/part1/layer-maps.md
	$(SAY) 'Building $(FILE) alone (links to other pages stay open)'
	@mkdir -p _build/.jupyter_cache _build/chapter/_build
	@ln -sfn ../../.jupyter_cache _build/chapter/_build/.jupyter_cache  # executed here, executed for make book
	@printf 'format: jb-book\nroot: %s\nchapters:\n  - file: %s\n' '$(basename $(FILE))' \
	  book/$(if $(findstring bibliography,$(FILE)),glossary,bibliography) > _build/chapter/_toc.yml  # the theme needs a second page
	@$(BIN)/jupyter-book build . --toc _build/chapter/_toc.yml --path-output _build/chapter -q
	@printf '\nThe page: %s\n' '_build/chapter/_build/html/$(basename $(FILE)).html'

_named:
	@test -f '$(FILE)' || { echo 'Name a page: make chapter FILE=book/part1/layer-maps.md' >&2; exit 2; }

serve: book  ## build the book and show it at http://localhost:8000 (PORT=...)
	$(SAY) 'Serving $(SITE) at http://localhost:$(PORT) (Ctrl+C ends it)'
	@$(BIN)/python -m http.server --bind 127.0.0.1 --directory $(SITE) $(PORT)

notebooks: book  ## write the chapters as notebooks into _build/notebooks
	$(SAY) 'The notebooks, written by the same build:'
	@find _build/notebooks -name '*.ipynb' | sort

coursework: $(READY)  ## make student notebooks, autograders and solutions (PRIVATE=folder: of a private set)
	$(SAY) 'Making the coursework'
	@$(DESK) build $(if $(PRIVATE),--private '$(PRIVATE)')

private-set: $(READY)  ## make a folder for graded solutions and hidden tests: make private-set PRIVATE=../my-set
	@test -n '$(PRIVATE)' || { echo 'Name a folder outside the repository: make private-set PRIVATE=../my-set' >&2; exit 2; }
	@$(DESK) private '$(PRIVATE)'

grade: $(READY)  ## grade notebooks: make grade SUBMISSIONS=folder (SET=open-part1, PRIVATE=..., ROSTER=class.csv, HIDE_HIDDEN=1)
	@test -e '$(SUBMISSIONS)' || { echo 'Name the folder or zip archive that holds the notebooks: make grade SUBMISSIONS=folder' >&2; exit 2; }
	@$(DESK) grade '$(SUBMISSIONS)' --workers $(WORKERS) $(if $(SET),--set '$(SET)') $(if $(PRIVATE),--private '$(PRIVATE)') \
	  $(if $(ROSTER),--roster '$(ROSTER)') $(if $(MANUAL),--manual '$(MANUAL)') $(if $(ARCHIVE),--archive '$(ARCHIVE)') $(if $(HIDE_HIDDEN),--hide-hidden)

bench: $(READY)  ## measure speed and memory against what one would write by hand
	$(SAY) 'Benchmarks: ratios measured side by side (ten minutes or so; ONLY=name for one)'
	@$(BIN)/python -m tests.benchmarks $(if $(ONLY),--only '$(ONLY)')

clean:  ## remove what was built (the environment stays)
	$(SAY) 'Removing _build and caches'
	@rm -rf _build .pytest_cache .hypothesis .ruff_cache
	@find . -name __pycache__ -type d -not -path './$(VENV)/*' -prune -exec rm -rf {} +

clean-all: clean  ## remove the environment too
	$(SAY) 'Removing $(VENV)'
	@rm -rf '$(VENV)' *.egg-info
