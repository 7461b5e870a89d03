# One word each: `make help` lists them.
#
#   PYTHON=python3.12   the Python that .venv is made with (3.11 to 3.13; over a sourced ROS 2 its own)
#   GPU=1               onnxruntime-gpu instead of onnxruntime; kept until GPU=0
#   BAG=path            the recording that `make demo` plays instead of a rendered one

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
PACKAGES := mtl_core mtl_bags mtl_perception
EDITABLE := $(PACKAGES:%=--editable src/%)

# ---- ROS 2: the sourced one, or wheels ------------------------------------------------------------
# The wheels need what a setup.bash would set. Their start-up hook adds the library path itself, and
# skips that where it inherits the note that it has done so, which may come from another .venv.
ifneq ($(and $(ROS_DISTRO),$(AMENT_PREFIX_PATH)),)
ROS := $(ROS_DISTRO)
else
ROS := pip
export AMENT_PREFIX_PATH := $(abspath $(VENV))
export CMAKE_PREFIX_PATH := $(abspath $(VENV))
unexport _ROS_WHEELS_BOOTSTRAP_COMPLETE
endif

# ---- .venv: a stamp for each step -----------------------------------------------------------------
GPU ?= $(if $(wildcard $(VENV)/.onnxruntime-gpu),1,0)
ORT := onnxruntime$(if $(filter 1,$(GPU)),-gpu)
MADE := $(VENV)/.made-for-$(ROS)
RUN := $(VENV)/.$(ORT)
TRAIN := $(VENV)/.train
DEV := $(VENV)/.dev
PINS := constraints/versions.txt
RUN_LISTS := $(PINS) constraints/runtime.txt constraints/sourced.txt constraints/$(ORT).txt

ifeq ($(ROS),pip)
CHECK := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))
HINT := Python 3.11 to 3.13 is needed, name it: make setup PYTHON=python3.12
VENV_OPTIONS :=
VERSIONS := --constraint $(PINS)
INSTALL := --requirement constraints/runtime.txt $(VERSIONS)
INTERFACES := constraints/interfaces.txt
else
CHECK := import cv2, numpy
HINT := OpenCV and NumPy come with ROS 2: rosdep install --from-paths src --ignore-src
VENV_OPTIONS := --system-site-packages
VERSIONS := --constraint $(VENV)/held.txt
INSTALL := --requirement constraints/sourced.txt --no-deps
INTERFACES :=
HOLD = $(BIN)/python -c 'import numpy; print("numpy==" + numpy.__version__)' > $(VENV)/held.txt
endif

.DEFAULT_GOAL := help
.PHONY: help setup setup-train setup-dev demo docs test lint format pytest workspace colcon stress-label browser bench bench-frame bench-train bench-label bench-pseudo constraints clean

help: ## list the targets
	@sed -nE 's/^([a-z-]+):.*## (.*)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20

setup: $(RUN) ## create .venv with what running needs (GPU=1: onnxruntime-gpu)

setup-train: $(TRAIN) ## add torch and training

setup-dev: $(DEV) ## add training and what checks and tests need

# A .venv made for another ROS 2 (or for none) mixes two NumPys: made anew.
$(MADE):
	@$(PYTHON) -c '$(CHECK)' || { echo '$(HINT)' >&2; exit 1; }
	rm -rf $(VENV)
	$(PYTHON) -m venv $(VENV_OPTIONS) $(VENV)
	$(HOLD)
	@touch $@

$(RUN): $(MADE) $(RUN_LISTS) $(foreach p,$(PACKAGES),src/$(p)/setup.py src/$(p)/setup.cfg)
	@echo 'Installing into $(VENV): ROS 2 ($(ROS)), $(ORT), $(PACKAGES)'
	@$(if $(wildcard $(VENV)/.onnxruntime*),$(if $(wildcard $@),,$(BIN)/python -m pip uninstall -qq --yes onnxruntime onnxruntime-gpu; rm -f $(VENV)/.onnxruntime*))
	$(PIP) 'setuptools>=77,<80' 'packaging>=24' $(VERSIONS)  # an older packaging breaks setuptools
	$(PIP) --no-build-isolation --use-pep517 $(INSTALL) --requirement constraints/$(ORT).txt $(EDITABLE)
	@touch $@

$(TRAIN): $(RUN) training/pyproject.toml
	@echo 'Installing into $(VENV): torch, mtl_training'
	$(PIP) --no-build-isolation $(VERSIONS) --editable training
	@touch $@

# Training needs Python 3.11, which Humble has not.
$(DEV): $(if $(filter humble,$(ROS)),$(RUN),$(TRAIN)) constraints/dev.txt $(INTERFACES)
	@echo 'Installing into $(VENV): checks and tests'
	$(PIP) $(VERSIONS) $(patsubst %,--requirement %,constraints/dev.txt $(INTERFACES))
	@touch $@

constraints: $(DEV) ## resolve constraints/versions.txt anew
	$(BIN)/python constraints/resolve.py $(EDITABLE) --editable training $(patsubst %,--requirement constraints/%.txt,runtime onnxruntime dev interfaces) > $(VENV)/versions.txt
	mv $(VENV)/versions.txt $(PINS)

# ---- Use ------------------------------------------------------------------------------------------
demo: $(RUN) ## play a recording to the real node, results in out/demo (BAG=path: your own)
	$(BIN)/mtl-demo $(if $(BAG),--bag '$(BAG)')

bench: $(DEV) ## measure the node over DDS against the bare network, in out/bench (MINUTES=n: of overload; 10)
	$(BIN)/python benchmarks/node.py --soak-minutes $(or $(MINUTES),10)

bench-frame: $(DEV) ## measure the model's parts and the renderer on this machine
	$(BIN)/python benchmarks/frame.py
	$(BIN)/python benchmarks/rooms.py

bench-train: $(DEV) ## measure what data loading costs training (needs MTL_DATA)
	$(BIN)/python benchmarks/training.py

bench-label: $(RUN) ## measure labelling against the bare teacher (MODEL=path: another one)
	$(BIN)/python benchmarks/label.py --memory-frames 2000 $(if $(MODEL),--model '$(MODEL)')

bench-pseudo: $(RUN) ## measure pseudo-labels of rooms never trained on (MODEL=path: another one)
	$(BIN)/python benchmarks/pseudo_labels.py $(if $(MODEL),--model '$(MODEL)')

docs: $(RUN) ## write the tables in docs/ that come from the code
	$(BIN)/python docs/reference.py

# ---- Checks ---------------------------------------------------------------------------------------
test: lint colcon pytest ## everything that CI runs

lint: $(DEV) ## ruff, mypy, import-linter, hadolint, shellcheck
	$(BIN)/python -m ruff check
	$(BIN)/python -m ruff format --check
	$(BIN)/python -m mypy
	$(BIN)/python -m mypy --python-version 3.11 training/mtl_training
	$(BIN)/lint-imports
	$(BIN)/hadolint docker/Dockerfile
	$(BIN)/shellcheck docker/*.sh .ci/run

format: $(DEV) ## let ruff rewrite what it can
	$(BIN)/python -m ruff check --fix
	$(BIN)/python -m ruff format

# Torch's threads spin while they wait for each other: on a busy machine that took 5 times as long.
pytest: export OMP_WAIT_POLICY ?= passive
# What starts no nodes runs on all cores; nodes then have the machine to themselves, whatever failed before.
pytest: $(DEV) ## the tests in tests/, with branch coverage of core and bags
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m 'not ros' --numprocesses auto --dist loadfile --cov --cov-report= --cov-fail-under=0 || failed=1; \
	$(BIN)/python -m pytest -m ros --cov --cov-append --cov-report=term:skip-covered && exit $${failed:-0}

COLCON := $(BIN)/python -m colcon --log-base build/log
workspace: $(RUN) ## build src/ with the colcon of a sourced ROS 2 or of setup-dev, in build/
	@$(BIN)/python -c 'import colcon' 2> /dev/null || { echo 'Needs colcon: source a ROS 2 and make setup, or for the one from pip make setup-dev' >&2; exit 1; }
	$(COLCON) build --base-paths src --build-base build/colcon --install-base build/install

colcon: $(DEV) ## build and test src/ with colcon, in build/
	$(MAKE) workspace
	$(COLCON) test --base-paths src --build-base build/colcon \
		--install-base build/install --return-code-on-test-failure --event-handlers console_direct+

stress-label: $(DEV) ## kill labelling 50 times at random moments and compare the results
	PYTHONPATH=tests $(BIN)/python tests/stress_label.py

browser: $(DEV) ## show the labels' report to a real browser (installs Debian's chromium, as root)
	command -v chromium > /dev/null || apt-get install --yes --no-install-recommends chromium
	$(BIN)/python -m pytest tests/bags/test_report.py

clean: ## remove what was built, measured and cached; .venv stays
	rm -rf build out .coverage .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find src training tests -name __pycache__ -prune -exec rm -rf {} +
