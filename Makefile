# Every target sets up what it needs: a virtual environment in .venv with the versions of requirements/dev.txt.
#   make demo        a phantom CT is segmented wrongly, then corrected from a few strokes
#   make test        all tests
#   make test-fast   the tests that need neither minutes nor the real data
#   make bench       timings side by side on this machine, as ratios, with plots; takes about half an hour
#   make bench-card  a graphics card beside the processor, where torch finds one (.venv gets the CPU build: PY=python)
#   make evidence    every method on real data, then tables and figures in Docs/evidence; about three hours
#   make faults      every fault that we can inject, and what was lost: nothing; takes two minutes
#   make long-life   hundreds of rounds and switches in one life: memory stays flat
#   make lint        ruff
#   make clean       removes everything that these targets made
# PYTHON=/path/to/python chooses the interpreter; DEMO_OUTPUT=folder the demo's output folder.

SHELL := /bin/bash
VENV := .venv
PY := $(VENV)/bin/python
STAMP := $(VENV)/.installed
DEMO_OUTPUT ?= demo-output
BENCH_OUTPUT ?= bench-output
EVIDENCE_OUTPUT ?= evidence-output
PYTHON ?=

# An environment whose interpreter is gone (a moved folder, an updated system) is made anew.
_ := $(shell $(PY) -c "" 2>/dev/null || rm -f $(STAMP))

.PHONY: demo test test-fast bench bench-card evidence faults long-life lint clean
.DEFAULT_GOAL := demo

demo: $(STAMP)
	$(PY) -m Testing.demo --output $(DEMO_OUTPUT)

test: $(STAMP)
	@$(call run_pytest)

test-fast: $(STAMP)
	@$(call run_pytest,-m "not slow and not data")

bench: $(STAMP)
	mkdir -p $(BENCH_OUTPUT)
	$(PY) -m Testing.benchmarks.rounds --output $(BENCH_OUTPUT)/rounds.md
	$(PY) -m Testing.benchmarks.tuning_step --output $(BENCH_OUTPUT)/tuning-step.md
	$(PY) -m Testing.benchmarks.walker --output $(BENCH_OUTPUT)/walker.md
	$(PY) -m Testing.benchmarks.growing --output $(BENCH_OUTPUT)/growing.md
	$(PY) -m Testing.benchmarks.less_memory --networks $(BENCH_OUTPUT)/networks --output $(BENCH_OUTPUT)/less-memory.md
	$(PY) -m Testing.benchmarks.write_back
	$(PY) -m Testing.benchmarks.batch_scaling --output $(BENCH_OUTPUT)/batch.md

bench-card:
	$(PY) -m Testing.benchmarks.card --output $(BENCH_OUTPUT)/card.md

evidence: $(STAMP)
	status=0; OMP_NUM_THREADS=1 $(PY) -m Testing.evidence experiment all --output $(EVIDENCE_OUTPUT) || status=$$?; \
	OMP_NUM_THREADS=1 $(PY) -m Testing.evidence report --results $(EVIDENCE_OUTPUT) --output Docs/evidence && exit $$status

faults: $(STAMP)
	OMP_NUM_THREADS=1 $(PY) -m Testing.faults

long-life: $(STAMP)
	$(PY) -m Testing.long_life

lint: $(STAMP)
	$(PY) -m ruff check .

clean:
	rm -rf $(VENV) $(DEMO_OUTPUT) $(BENCH_OUTPUT) $(EVIDENCE_OUTPUT) build dist ./*.egg-info .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -not -path "./.git/*" -prune -exec rm -rf {} +

# Files of tests are spread over the cores; at most four processes, for each holds a network and a scan.
PARALLEL := -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

# pytest's exit code 5 means that it found no test at all, which must never look like success.
define run_pytest
echo "$(PY) -m pytest $(PARALLEL) $(subst ",\",$(1))"; $(PY) -m pytest $(PARALLEL) $(1) || { status=$$?; \
  if [ $$status -eq 5 ]; then echo "make: pytest found no test to run; that counts as a failure." >&2; fi; \
  exit $$status; }
endef

# The stamp is written last: an interrupted installation starts over at the next call.
$(STAMP): requirements/dev.txt requirements/networks.txt pyproject.toml | $(PY)
	$(PY) -m pip install --disable-pip-version-check -r requirements/dev.txt
	$(PY) -m pip install --disable-pip-version-check --no-deps -r requirements/networks.txt
	$(PY) -m pip install --disable-pip-version-check --no-deps --editable .
	@touch $@

$(PY):
	@python="$(PYTHON)"; \
	if [ -z "$$python" ]; then \
	  for name in python3.11 python3.12 python3.10 python3 python; do \
	    if "$$name" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info < (3, 13))' >/dev/null 2>&1; then \
	      python="$$name"; break; \
	    fi; \
	  done; \
	fi; \
	if [ -z "$$python" ]; then \
	  echo "make: no Python 3.10, 3.11 or 3.12 found. Install one, or name it: make PYTHON=/path/to/python3.11" >&2; \
	  exit 1; \
	fi; \
	echo "Making $(VENV) with $$("$$python" --version)"; \
	if ! "$$python" -m venv --clear $(VENV); then \
	  rm -rf $(VENV); \
	  echo "make: '$$python -m venv' failed. On Debian and Ubuntu: sudo apt install python3-venv" >&2; \
	  echo "      Elsewhere, install a complete Python 3.10 to 3.12 and name it: make PYTHON=/path/to/python" >&2; \
	  exit 1; \
	fi
