# Every target installs what it needs, into .venv and from Debian, says so, and is quick the second time.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SUDO := $(if $(filter 0,$(shell id -u)),,sudo)
DATA ?= $(or $(EDGE_DETECTOR_DATA),../shared/data)

# What the tests use of Debian: a microphone (PulseAudio behind PortAudio), a broker, and a compiler for PyAudio.
APT_TEST := libportaudio2 portaudio19-dev gcc python3-dev pulseaudio pulseaudio-utils libasound2-plugins alsa-utils mosquitto mosquitto-clients systemd

.PHONY: help demo test check format bench bundle clean
.DELETE_ON_ERROR:

help:
	@echo "make demo    the main job: a made-up soundscape through both networks to an embedded MQTT broker"
	@echo "make test    the tests, with a real microphone path and a real broker"
	@echo "make check   lint, types and format"
	@echo "make format  mend what a machine can mend"
	@echo "make bench   CPU and memory, stage by stage, beside YAMNet (needs DATA=$(DATA))"
	@echo "make bundle  train the default bundle again (about 40 minutes on two cores; needs DATA)"
	@echo "make clean   remove .venv and everything built"

demo: $(VENV)/installed-demo
	$(BIN)/edge-detector demo

test: $(VENV)/installed-all
	EDGE_DETECTOR_DATA=$(DATA) $(BIN)/pytest $(PYTEST)

check: $(VENV)/installed-all
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/installed-all
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/installed-all
	OPENBLAS_NUM_THREADS=1 EDGE_DETECTOR_DATA=$(DATA) $(BIN)/python -m tests.benchmarks

bundle: $(VENV)/installed-all
	$(MAKE) -f convert/recipes/default.mk PYTHON=$(BIN)/python DATA=$(DATA)

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis

# A virtual environment of Debian's Python needs python3-venv; any other Python brings it along.
$(VENV)/bin/python:
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { echo "installing from Debian: python3-venv"; $(SUDO) apt-get update -qq && $(SUDO) apt-get install -y -qq --no-install-recommends python3-venv; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed-demo: pyproject.toml | $(VENV)/bin/python
	@echo "installing into $(VENV): edge-detector with its demo (no TensorFlow)"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[demo]'
	@touch $@

$(VENV)/installed-all: pyproject.toml | $(VENV)/bin/python
	@missing=$$(for package in $(APT_TEST); do dpkg-query -W -f '$${Status}' $$package 2>/dev/null | grep -q 'ok installed' || echo $$package; done); \
	if [ -n "$$missing" ]; then \
		echo "installing from Debian:" $$missing; \
		$(SUDO) apt-get update -qq && $(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing; \
	fi
	@echo "installing into $(VENV): edge-detector with microphone, demo, convert (TensorFlow) and development tools"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[mic,demo,convert,dev]'
	@touch $@
