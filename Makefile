# Every target installs what it needs, into .venv and from Debian, says so, and is quick the second time.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SUDO := $(if $(filter 0,$(shell id -u)),,sudo)
# Test processes: half of the tests wait for sound, a broker or a clock, so that more than one fits a core.
WORKERS ?= 3
DATA ?= $(or $(EDGE_DETECTOR_DATA),../shared/data)

# What the tests use of Debian: a microphone (PulseAudio behind PortAudio), a broker, certificates, a URL's sound, a compiler
# for PyAudio, systemd's checks, a shell script's checks, a Raspberry Pi's processor in emulation, and Java for Spark.
APT_TEST := libportaudio2 portaudio19-dev gcc python3-dev pulseaudio pulseaudio-utils libasound2-plugins alsa-utils mosquitto mosquitto-clients jq openssl ffmpeg systemd systemd-container qemu-user shellcheck chromium chromium-driver fonts-dejavu-core default-jre-headless

.PHONY: help demo test check format bench bench-pi bench-train bundle wheel home-assistant-addon install rollback uninstall test-systemd chaos fuzz home-assistant soak slow-vggish clean
.DELETE_ON_ERROR:

help:
	@echo "make demo    the main job: a made-up soundscape through both networks to an embedded MQTT broker"
	@echo "make test    the tests, with a real microphone path and a real broker"
	@echo "make check   lint, types and format"
	@echo "make format  mend what a machine can mend"
	@echo "make bench   CPU and memory, stage by stage, beside YAMNet (needs DATA=$(DATA))"
	@echo "make bench-pi  instructions on the processors of a Pi 3, 4 and 5, counted in emulation (needs DATA; a few minutes)"
	@echo "make bench-train  memory and speed of training on as many segments as AudioSet's balanced set has"
	@echo "make bundle  train the default bundle again (half an hour on two cores; needs DATA)"
	@echo "make wheel   the program as one file, in dist/"
	@echo "make home-assistant-addon  the folder for /addons of a Home Assistant OS, in dist/edge_detector"
	@echo "make install, make uninstall, make rollback  the systemd service, under /opt (as root); back to the version before an upgrade"
	@echo "make test-systemd  the unit in a real systemd, in a box (as root)"
	@echo "make chaos   killed daemons, cut power, broken brokers, microphones that die, disks that hang, clocks that are set, for 40 minutes"
	@echo "make fuzz    hostile configurations, bundles, commands and audio files by the hundred thousand"
	@echo "make home-assistant  discovery against Home Assistant itself (as root; 1.1 GB the first time)"
	@echo "make soak    a day of sound through the service as fast as it goes, with clips too, then an hour in real time"
	@echo "make slow-vggish  full-size VGGish in every precision against NumPy"
	@echo "make clean   remove .venv and everything built"

demo: $(VENV)/installed-demo
	$(BIN)/edge-detector demo

test: $(VENV)/installed-all
	EDGE_DETECTOR_DATA=$(DATA) $(BIN)/pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder $(PYTEST)

check: $(VENV)/installed-all
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/installed-all
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench-train: $(VENV)/installed-all
	$(BIN)/python -m tests.benchmarks.audioset_size
	TF_CPP_MIN_LOG_LEVEL=3 $(BIN)/python -m tests.benchmarks.training

bench: $(VENV)/installed-all
	OPENBLAS_NUM_THREADS=1 EDGE_DETECTOR_DATA=$(DATA) $(BIN)/python -m tests.benchmarks

bench-pi: $(VENV)/installed-all
	EDGE_DETECTOR_DATA=$(DATA) $(BIN)/python -m tests.benchmarks.pi

bundle: $(VENV)/installed-all
	$(MAKE) -f convert/recipes/default.mk PYTHON=$(BIN)/python DATA=$(DATA)

wheel: $(VENV)/bin/python
	rm -rf build
	$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir dist .

# The Supervisor sees this folder alone, and builds the image in it.
home-assistant-addon: $(VENV)/bin/python
	rm -rf build dist/edge_detector
	mkdir -p dist
	cp -R container/home-assistant dist/edge_detector
	$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir dist/edge_detector .

# `edge-detector install-service` runs the same installer, and needs no repository.
install:
	$(SUDO) systemd/install.sh install

rollback:
	$(SUDO) systemd/install.sh rollback

uninstall:
	$(SUDO) systemd/install.sh uninstall

test-systemd: $(VENV)/installed-all
	$(SUDO) env EDGE_DETECTOR_BOX=1 $(BIN)/pytest -s tests/system/systemd

chaos: $(VENV)/installed-all
	$(BIN)/python -m tests.system.chaos.kills --kills 500
	$(BIN)/python -m tests.system.chaos.kills --kills 500 --power-cut
	$(BIN)/python -m tests.system.chaos.delivery --seconds 600
	$(BIN)/python -m tests.system.chaos.everything --seconds 600
	$(SUDO) $(BIN)/python -m tests.system.chaos.surroundings --seconds 600
	$(SUDO) $(BIN)/python -m tests.system.chaos.power_cuts
	$(BIN)/python -m tests.system.page_attacks

fuzz: $(VENV)/installed-all
	EDGE_DETECTOR_FUZZ=8000 $(BIN)/pytest -q tests/system/fuzz

HOME_ASSISTANT_ROOT ?= /var/tmp/edge-detector-home-assistant
home-assistant: $(VENV)/installed-all
	$(SUDO) tests/system/home_assistant/make_box.sh $(HOME_ASSISTANT_ROOT)
	$(SUDO) env HOME_ASSISTANT_ROOT=$(HOME_ASSISTANT_ROOT) $(BIN)/pytest tests/system/home_assistant

soak: $(VENV)/installed-all
	$(BIN)/python -m tests.system.soak --hours 24
	$(BIN)/python -m tests.system.soak --hours 24 --page
	$(SUDO) $(BIN)/python -m tests.system.soak --hours 24 --page --clips megabytes
	$(SUDO) $(BIN)/python -m tests.system.soak --hours 24 --page --clips days
	$(BIN)/python -m tests.system.soak --hours 1 --real-time

slow-vggish: $(VENV)/installed-all
	EDGE_DETECTOR_DATA=$(DATA) $(BIN)/python -m tests.studies.vggish_full

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis

# A virtual environment of Debian's Python needs python3-venv; any other Python brings it along.
$(VENV)/bin/python:
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { echo "installing from Debian: python3-venv"; $(SUDO) apt-get update -qq && $(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends python3-venv; }
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
	@echo "installing into $(VENV): edge-detector with microphone, page, demo, convert (TensorFlow), Spark and development tools"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[mic,web,demo,convert,spark,dev]'
	@touch $@
