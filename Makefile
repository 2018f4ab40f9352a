# `make repro` and `make test` set up everything they need; see README.md.
PYTHON ?= python3.11
ifeq (,$(shell command -v $(PYTHON) 2>/dev/null))
PYTHON := python3
endif
BIN := .venv/bin
export DVC_NO_ANALYTICS := 1
export KEDRO_DISABLE_TELEMETRY := 1
export DO_NOT_TRACK := 1
export OMP_NUM_THREADS ?= 1
# Some containers set this. Every stage would then compile its imports again: 7 of the 18 CPU seconds of a small one.
export PYTHONDONTWRITEBYTECODE :=
# nproc counts no more cores than OMP_NUM_THREADS says
JOBS ?= $(shell env -u OMP_NUM_THREADS nproc 2>/dev/null || echo 1)
CAN_DRAW := $(BIN)/python -c 'from viper_pipeline.envs.gl import gl_backend; gl_backend()' >/dev/null 2>&1
GL_PACKAGES := libegl1 libegl-mesa0 libgl1-mesa-dri

.PHONY: help setup dev gl repro repro-all ablations desk test test-slow newest python312 lint readme docs bench \
	reliability lock audit sbom clean

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

setup: .venv/ready gl  ## create .venv with the locked packages, and check for OpenGL

# Which build of torch it is (CPU, CUDA) is the index' choice, so it is installed first, with what it needs. The locks hold
# everything else that is installed, with the SHA-256 of every archive that may be taken.
TORCH := "$$(grep -o '^torch==[^ ;]*' requirements.lock)"
LOCKED := --no-deps --require-hashes

.venv/ready: requirements.lock pyproject.toml Makefile
	@$(PYTHON) -c 'import sys; ok = (3, 11) <= sys.version_info[:2] < (3, 13); sys.exit(0 if ok else "viper needs Python 3.11 or 3.12: make PYTHON=/path/to/python3.11 ...")'
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/pip install -q --no-compile --disable-pip-version-check $(TORCH)
	$(BIN)/pip install -q --no-compile --disable-pip-version-check $(LOCKED) -r requirements.lock
	$(BIN)/pip install -q --disable-pip-version-check --no-deps -e .
	@touch $@

.venv/dev: .venv/ready requirements-dev.lock
	$(BIN)/pip install -q --no-compile --disable-pip-version-check $(LOCKED) -r requirements-dev.lock
	@touch $@

dev: setup .venv/dev  ## as setup, with what tests, checks, Ray and SLURM need

gl: .venv/ready
	@$(CAN_DRAW) || { \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    apt-get update -q && apt-get install -y -q $(GL_PACKAGES); \
	  fi; \
	  $(CAN_DRAW) || { \
	    echo "No OpenGL to render with. As root: apt-get install $(GL_PACKAGES)"; exit 1; }; }

repro: setup  ## run DeepMind Control from experts to agents; page: reports/dmc/index.html
	$(BIN)/viper params check
	$(BIN)/viper run -j $(JOBS)
	@$(BIN)/python docs/site/readme.py
	@echo "Now open reports/dmc/index.html; reports/index.html is the overview over all suites"

repro-all: repro  ## run every suite; pages: reports/SUITE/index.html, overview: reports/index.html
	$(BIN)/viper run -j $(JOBS) $(filter-out pipelines/ablations/dvc.yaml,$(wildcard pipelines/*/dvc.yaml)) dvc.yaml

ablations: setup  ## run the ablations, Fig 9; page: reports/ablations/index.html
	$(BIN)/viper run -j $(JOBS) pipelines/ablations/dvc.yaml

DMC := pipelines/dmc/dvc.yaml

desk: setup  ## go on with profile desk, days of two cores; docs/desk.md. Stop it at any time, the same command goes on
	$(BIN)/viper profile desk
	$(BIN)/viper dvc sync
	$(BIN)/viper run -j $(JOBS) $(DMC):train_expert
	$(BIN)/viper export-experts
	$(BIN)/viper run -j $(JOBS) $(DMC):evaluate_reward
	for seeds in [012] [34]; do \
	  $(BIN)/viper run -j $(JOBS) "$(DMC):train_agent_viper@*-$$seeds" "$(DMC):train_agent_task_reward@*-$$seeds" || exit 1; \
	  $(BIN)/viper export-runs; \
	done
	$(BIN)/viper run -j $(JOBS) $(DMC)
	$(BIN)/viper export-runs

test: dev  ## run all tests but the slow ones, with coverage
	$(BIN)/python -m pytest -n 2 --dist loadfile --cov --cov-report=term:skip-covered --cov-fail-under=85 -m "not slow"

test-slow: dev  ## run the tests that take minutes: paper-size models, a tiny run of the whole graph
	$(BIN)/python -m pytest -m slow

# What is tested: the library as its users have it, and every file format. NEWEST=tests takes all tests (then add the extra dev).
NEWEST ?= tests/rewards/test_published.py tests/rewards/test_wrappers.py tests/rewards/test_gym.py tests/data
NEWEST_EXTRAS ?= agents,dmc,atari,tabletop,hub,lerobot

newest:  ## test with the newest versions that pyproject.toml allows, installed as users do; lists those that the locks have not
	rm -rf .venv-newest && $(PYTHON) -m venv .venv-newest
	.venv-newest/bin/pip install -q --disable-pip-version-check '.[$(NEWEST_EXTRAS)]' pytest pytest-timeout packaging hypothesis
	.venv-newest/bin/pip check --disable-pip-version-check
	@grep -ho '^[A-Za-z0-9._-]*==[^ ;]*' requirements.lock requirements-dev.lock > .venv-newest/locked.txt
	@echo "Other versions than the locks have:" && .venv-newest/bin/pip freeze --disable-pip-version-check | grep -ivxFf .venv-newest/locked.txt
	.venv-newest/bin/python -m pytest $(NEWEST)
	rm -rf .venv-newest

.venv-3.12/ready: requirements.lock pyproject.toml Makefile
	python3.12 -m venv .venv-3.12
	.venv-3.12/bin/pip install -q --disable-pip-version-check $(TORCH)
	.venv-3.12/bin/pip install -q --disable-pip-version-check $(LOCKED) -r requirements.lock
	.venv-3.12/bin/pip install -q --disable-pip-version-check --no-deps -e .
	@touch $@

python312: .venv-3.12/ready .venv/ready  ## try the commands and a stage with Python 3.12, in .venv-3.12
	$(BIN)/python benchmarks/reliability/odd_machines.py "Python 3.12"

lint: .venv/dev  ## check style, types, and which package imports which
	$(BIN)/ruff check src tests benchmarks examples docs
	$(BIN)/ruff format --check src tests benchmarks examples docs
	$(BIN)/mypy
	$(BIN)/lint-imports

readme: .venv/ready  ## write the numbers and the figure of README.md from the committed reports
	$(BIN)/python docs/site/readme.py

docs: .venv/dev  ## build the docs site, site/index.html; a broken link or reference is an error
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

# benchmarks/gpu.py needs a GPU, benchmarks/scoring_trained.py an hour and a finished run, peers.py checkouts for more
bench: setup  ## run the benchmarks; each prints medians
	for file in $(filter-out benchmarks/gpu.py benchmarks/scoring_trained.py,$(wildcard benchmarks/*.py)); do echo "== $$file"; $(BIN)/python $$file || exit 1; done

reliability: setup  ## kill stages, flip bits, fill a disk, feed broken files, watch memory: hours; page: docs/reliability.md
	$(BIN)/python benchmarks/reliability/table.py

HASHED := .venv-lock/bin/uv pip compile -q --no-deps --generate-hashes --no-header --no-annotate
FREEZE := .venv-lock/bin/pip freeze --all --exclude pip | sed 's/+cpu$$//'

lock:  ## resolve requirements.in and requirements-dev.in into requirements.lock and requirements-dev.lock
	rm -rf .venv-lock && $(PYTHON) -m venv .venv-lock
	.venv-lock/bin/pip install -q "$$(grep '^torch==' requirements.in)" && .venv-lock/bin/pip install -q -r requirements.in
	$(FREEZE) > .venv-lock/base.txt
	.venv-lock/bin/pip install -q -c .venv-lock/base.txt -r requirements-dev.in
	$(FREEZE) | grep -vxFf .venv-lock/base.txt > .venv-lock/dev.txt
	.venv-lock/bin/pip install -q 'uv~=0.13'
	{ echo "# Every version that the pipeline runs with. Written by \`make lock\` from requirements.in."; \
	  $(HASHED) .venv-lock/base.txt; } > requirements.lock
	{ echo "# What tests and checks need beyond requirements.lock. Written by \`make lock\` from requirements-dev.in."; \
	  $(HASHED) .venv-lock/dev.txt; } > requirements-dev.lock
	rm -rf .venv-lock

.venv-tools/ready: Makefile
	$(PYTHON) -m venv .venv-tools
	.venv-tools/bin/pip install -q --disable-pip-version-check 'pip-audit~=2.10' 'cyclonedx-bom~=7.5'
	@touch $@

audit: .venv-tools/ready  ## look for known vulnerabilities of the locked versions; says so if the service can't be reached
	@.venv-tools/bin/python .ci/audit.py requirements.lock requirements-dev.lock

sbom: .venv-tools/ready .venv/ready  ## write build/sbom.json, the bill of materials of .venv, in CycloneDX's format
	@mkdir -p build
	.venv-tools/bin/cyclonedx-py environment --output-reproducible --pyproject pyproject.toml -o build/sbom.json $(BIN)/python

clean:  ## delete what runs and tests leave behind; data, DVC's cache and .venv stay
	rm -rf .viper .pytest_cache .hypothesis .mypy_cache .ruff_cache .import_linter_cache .coverage* htmlcov build dist site
	find src tests benchmarks -name __pycache__ -prune -exec rm -rf {} +
