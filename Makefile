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
JOBS ?= $(shell nproc 2>/dev/null || echo 1)
CAN_DRAW := $(BIN)/python -c 'from viper_pipeline.envs.gl import gl_backend; gl_backend()' >/dev/null 2>&1
GL_PACKAGES := libegl1 libegl-mesa0 libgl1-mesa-dri

.PHONY: help setup dev gl repro repro-all ablations desk test test-slow newest lint readme docs bench reliability lock clean

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

setup: .venv/ready gl  ## create .venv with the locked packages, and check for OpenGL

# DVC's stages call `viper`, which .venv/bin/dvc finds only in an activated environment. This hook puts .venv/bin
# on the PATH of every Python process of .venv, as activation would.
define PATH_HOOK
import pathlib, sysconfig
line = """import os, sys; os.environ['PATH'] = (lambda own, path: path if path.split(os.pathsep)[0] == own else \
own + os.pathsep + path)(os.path.join(sys.prefix, 'bin'), os.environ.get('PATH', os.defpath))"""
pathlib.Path(sysconfig.get_path("purelib"), "own_scripts.pth").write_text(line + "\n")
endef
export PATH_HOOK

.venv/ready: requirements.lock pyproject.toml Makefile
	@$(PYTHON) -c 'import sys; ok = (3, 11) <= sys.version_info[:2] < (3, 13); sys.exit(0 if ok else "viper needs Python 3.11 or 3.12: make PYTHON=/path/to/python3.11 ...")'
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/pip install -q --no-compile --disable-pip-version-check "$$(grep '^torch==' requirements.lock)"
	$(BIN)/pip install -q --no-compile --disable-pip-version-check -r requirements.lock
	$(BIN)/pip install -q --disable-pip-version-check --no-deps -e .
	@$(BIN)/python -c "$$PATH_HOOK"
	@touch $@

.venv/dev: .venv/ready requirements-dev.lock
	$(BIN)/pip install -q --no-compile --disable-pip-version-check -c requirements.lock -r requirements-dev.lock
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
	$(BIN)/viper run -j $(JOBS) pipelines/dmc/dvc.yaml
	@$(BIN)/viper overview >/dev/null
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

newest:  ## test the library, installed as users do, with the newest versions that pyproject.toml allows
	rm -rf .venv-newest && $(PYTHON) -m venv .venv-newest
	.venv-newest/bin/pip install -q --disable-pip-version-check '.[dmc,agents]' pytest pytest-timeout packaging hypothesis
	.venv-newest/bin/python -m pytest tests/rewards/test_published.py tests/rewards/test_wrappers.py tests/rewards/test_gym.py
	rm -rf .venv-newest

lint: .venv/dev  ## check style, types, and which package imports which
	$(BIN)/ruff check src tests benchmarks examples docs
	$(BIN)/ruff format --check src tests benchmarks examples docs
	$(BIN)/mypy
	$(BIN)/lint-imports

readme: .venv/ready  ## write the numbers and the figure of README.md from the committed reports
	$(BIN)/python docs/site/readme.py

docs: .venv/ready  ## build the docs site, site/index.html; a broken link or reference is an error
	$(BIN)/pip install -q --disable-pip-version-check -c requirements.lock $$($(BIN)/python -c \
	  'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]["docs"])')
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

# benchmarks/gpu.py needs a GPU, benchmarks/scoring_trained.py an hour and a finished run, peers.py checkouts for more
bench: setup  ## run the benchmarks; each prints medians
	for file in $(filter-out benchmarks/gpu.py benchmarks/scoring_trained.py,$(wildcard benchmarks/*.py)); do echo "== $$file"; $(BIN)/python $$file || exit 1; done

reliability: setup  ## try broken files, flipped bits, a full disk, wrong parameters; page: docs/reliability.md
	$(BIN)/python benchmarks/reliability/table.py

lock:  ## resolve requirements.in and requirements-dev.in into requirements.lock and requirements-dev.lock
	rm -rf .venv-lock && $(PYTHON) -m venv .venv-lock
	.venv-lock/bin/pip install -q "$$(grep '^torch==' requirements.in)" && .venv-lock/bin/pip install -q -r requirements.in
	{ echo "# Every version that the pipeline runs with. Written by \`make lock\` from requirements.in."; \
	  .venv-lock/bin/pip freeze | sed 's/+cpu$$//'; } > requirements.lock
	.venv-lock/bin/pip install -q -r requirements-dev.in
	{ echo "# What tests and checks need beyond requirements.lock. Written by \`make lock\` from requirements-dev.in."; \
	  .venv-lock/bin/pip freeze | sed 's/+cpu$$//' | grep -vxFf requirements.lock; } > requirements-dev.lock
	rm -rf .venv-lock

clean:  ## delete what runs and tests leave behind; data, DVC's cache and .venv stay
	rm -rf .viper .pytest_cache .hypothesis .mypy_cache .ruff_cache .import_linter_cache .coverage* htmlcov build dist site
	find src tests benchmarks -name __pycache__ -prune -exec rm -rf {} +
