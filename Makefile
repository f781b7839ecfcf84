# `make` lists the targets. Needs Python >= 3.11 with pip, and nothing else.
#
# PYTHON  the interpreter that makes the environment
# EXTRAS  which TensorFlow, and what else, as in setup.py: cpu, gpu or tpu; dev for the tests
# ARGS    flags of main.py: make train ARGS="--config.epochs=5"
PYTHON ?= python3
EXTRAS ?= cpu,dev
ARGS ?=

VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/installed-$(EXTRAS)
# Two processes: tests are mostly tracing, which takes one core. Files stay whole.
PYTEST := $(BIN)/python -m pytest --numprocesses=2 --dist=loadfile
PARITY := .venv-parity
PARITY_PYTHON ?= python3.11
TORCH := .venv-torch
HUB := .venv-hub
MUTANTS := .venv-mutants
# The TensorFlow of TPUs is a version behind, and so are its companions.
PINS := $(if $(findstring tpu,$(EXTRAS)),,-c constraints.txt)

.DEFAULT_GOAL := help
.PHONY: help setup train test test-all parity parity-curvature parity-models types docs test-matrix test-models test-mutants test-coverage lint clean

help:  ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 20

setup: $(INSTALLED)  ## make the environment in .venv (a few minutes, 2 GB)

# `--without-pip`, then pip from outside: Debian's Python has no ensurepip.
$(INSTALLED): setup.py constraints.txt
	@echo "Installing into $(VENV): a few minutes."
	test -x $(BIN)/python || $(PYTHON) -m venv --without-pip $(VENV)
	$(PYTHON) -m pip --python $(BIN)/python install --quiet --upgrade pip
	$(BIN)/python -m pip install -qq $(PINS) --editable '.[$(EXTRAS)]'
	touch $@

train: $(INSTALLED)  ## train ResNet18 on the digits and report; ARGS="..." for another run
	$(BIN)/python main.py $(ARGS)

test: lint  ## style, then the tests that are not slow, under TensorFlow and JAX
	KERAS_BACKEND=tensorflow $(PYTEST) -m "not slow"
	KERAS_BACKEND=jax $(PYTEST) -m "not slow"

test-all: lint  ## style, then all tests, under TensorFlow and JAX
	KERAS_BACKEND=tensorflow $(PYTEST)
	KERAS_BACKEND=jax $(PYTEST)

# TensorFlow Addons ended with TensorFlow 2.15, which has no build for later Pythons than 3.11.
$(PARITY)/installed: tools/parity/requirements.txt
	test -x $(PARITY)/bin/python || $(PARITY_PYTHON) -m venv --without-pip $(PARITY)
	$(PYTHON) -m pip --python $(PARITY)/bin/python install -qq -r $<
	touch $@

parity: $(INSTALLED) $(PARITY)/installed $(TORCH)/installed  ## compare with the LAMB of TensorFlow Addons, timm and optax
	$(BIN)/python tools/parity/run.py --addons_python=$(PARITY)/bin/python --torch_python=$(TORCH)/bin/python

$(TORCH)/installed: tools/parity/requirements-torch.txt
	test -x $(TORCH)/bin/python || $(PYTHON) -m venv --without-pip $(TORCH)
	$(PYTHON) -m pip --python $(TORCH)/bin/python install -qq -r $<
	touch $@

parity-curvature: $(INSTALLED) $(TORCH)/installed  ## compare the Hessian measures with curvlinops and hessian-eigenthings
	$(BIN)/python tools/parity/curvature.py --torch_python=$(TORCH)/bin/python

parity-models: $(INSTALLED) $(TORCH)/installed  ## compare the ImageNet networks with torchvision's and timm's
	$(BIN)/python tools/parity/models.py --torch_python=$(TORCH)/bin/python

types: $(INSTALLED)  ## check README's lines with mypy and pyright
	$(BIN)/python -m pip install -qq basedpyright
	PATH="$(abspath $(BIN)):$$PATH" $(BIN)/python -m pytest tests/test_types.py

docs: $(INSTALLED)  ## build the documentation's site into build/docs; warnings are errors
	NO_MKDOCS_2_WARNING=1 PATH="$(abspath $(BIN)):$$PATH" $(BIN)/mkdocs build --quiet -f tools/documentation/mkdocs.yml

test-matrix: $(INSTALLED)  ## try other Pythons, Keras, TensorFlow, NumPy: docs/matrix.md (an hour)
	$(BIN)/python tools/matrix.py

# Without their dependencies: of TensorFlow's text operations there is no build for every release.
$(HUB)/installed: tools/trying/requirements.txt
	$(BIN)/python -m pip install -qq --no-deps --target $(HUB) -r $<
	touch $@

test-models: $(INSTALLED) $(HUB)/installed  ## try every feature with models of many kinds: docs/models.md (an hour)
	PYTHONPATH=$(HUB) $(BIN)/python tools/models.py

$(MUTANTS)/installed: tools/mutating/requirements.txt
	test -x $(MUTANTS)/bin/python || $(PYTHON) -m venv --without-pip $(MUTANTS)
	$(PYTHON) -m pip --python $(MUTANTS)/bin/python install -qq -r $<
	touch $@

test-mutants: $(INSTALLED) $(MUTANTS)/installed  ## do tests notice small changes of the core? docs/mutation.md (half an hour)
	$(MUTANTS)/bin/python -m tools.mutating.draw 330 0 $(MUTANTS)/mutants.json
	$(BIN)/python tools/mutation.py $(MUTANTS)/mutants.json --jobs=2

test-coverage: $(INSTALLED)  ## which statements do the quick tests run? docs/coverage.md (half an hour)
	KERAS_BACKEND=tensorflow $(PYTEST) -m "not slow" --cov --cov-report=
	KERAS_BACKEND=jax $(PYTEST) -m "not slow" --cov --cov-append --cov-report=
	$(BIN)/python tools/coverage_page.py

lint: $(INSTALLED)  ## style alone
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

clean:  ## remove environments, caches and builds; runs stay
	rm -rf $(VENV) $(PARITY) $(TORCH) $(HUB) $(MUTANTS) build dist *.egg-info .pytest_cache .ruff_cache .hypothesis .coverage*
	find . -name __pycache__ -prune -exec rm -rf {} +
