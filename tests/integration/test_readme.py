"""Every command in the README and in docs works as it stands there."""

import argparse
import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from convert.commands import teach
from edge_detector.audio.dump import Dump
from edge_detector.cli.main import main, parser
from edge_detector.demo.soundscape import make_soundscape
from tests.support.broker import Broker
from tests.support.fake_microphone import FakeMicrophone
from tests.support.inbox import subscriber
from tests.unit.convert.bundling.test_own_bundle import STEPS

ROOT = Path(__file__).parents[2]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
BLOCKS = [block for page in PAGES for block in re.findall(r"^```(\w*)\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)]
COMMANDS = [
    line.removeprefix("$ ") for kind, text in BLOCKS if kind == "console" for line in text.splitlines() if line.startswith("$ ")
]
INSTALLS = ("sudo apt ", ".venv/bin/pip install ")
ROOT_ONLY = "sudo make install"
NEEDS_DATA = ("make bundle", ".venv/bin/python -m convert score ")
OWN_SOUNDS = re.compile(r".* convert (compose|train|export|bundle) .*|.* my-sounds")
TAUGHT = (
    ".venv/bin/edge-detector record washing_machine_beep -o my_sounds",
    ".venv/bin/python -m convert teach my_sounds -o my-bundle",
)
RUNNABLE = [
    command
    for command in COMMANDS
    if not command.startswith((*INSTALLS, *NEEDS_DATA, *TAUGHT, ROOT_ONLY)) and not OWN_SOUNDS.fullmatch(command)
]


def test_there_are_commands() -> None:
    assert len(COMMANDS) >= 6
    assert COMMANDS[0] == "make demo"


@pytest.mark.parametrize("command", [command for command in COMMANDS if command.startswith(INSTALLS)])
def test_what_the_readme_installs_is_what_the_project_needs(command: str) -> None:
    words = shlex.split(command.replace("sudo ", ""))[2:]
    makefile, project = (ROOT / "Makefile").read_text(), (ROOT / "pyproject.toml").read_text()
    for word in words:
        extra = re.fullmatch(r"\.\[(\w+)\]", word)
        assert f"\n{extra[1]} = [" in project if extra else re.search(rf"APT_TEST :=.*\b{word}\b", makefile), word


@pytest.mark.parametrize("command", list(dict.fromkeys(RUNNABLE)))
def test_the_command_works(command: str, tmp_path: Path, broker: Broker, microphone: FakeMicrophone) -> None:
    soundscape = make_soundscape()
    dump = Dump(tmp_path / "recording.wav", 16_000)
    dump.write(soundscape.block)
    dump.close()
    settings = next(text for kind, text in BLOCKS if kind == "toml")
    (tmp_path / "edge.toml").write_text(f"{settings}port = {broker.port}\n".replace('"USB"', '"fakemic"'))
    microphone.play(soundscape.samples.astype("<i2").tobytes(), latency_milliseconds=200)
    words = shlex.split(command.replace(".venv/bin/", f"{Path(sys.executable).parent}/"))
    environment = {**os.environ, **microphone.environment}
    folder = ROOT if words[0] == "make" else tmp_path
    with subprocess.Popen(
        words, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        if " run " in command:
            with subscriber(broker.host, broker.port) as inbox:
                inbox.wait_for(lambda item: item.topic.endswith("/probabilities"), "probabilities")
                process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output
    assert "Traceback" not in output


def test_every_table_of_classes_in_the_docs_is_a_valid_configuration(tmp_path: Path) -> None:
    tables = [text for kind, text in BLOCKS if kind == "toml" and ("[class." in text or "[detection]" in text)]
    assert tables
    for number, text in enumerate(tables):
        config = tmp_path / f"{number}.toml"
        config.write_text(text)
        assert main(["check-config", str(config)]) == 0


def test_the_way_to_a_bundle_of_ones_own_is_the_one_that_is_tested() -> None:
    shown = [command.removeprefix(".venv/bin/python -m convert ") for command in COMMANDS if OWN_SOUNDS.fullmatch(command)]
    assert shown[: len(STEPS)] == list(STEPS)
    assert shown[len(STEPS) :] == [".venv/bin/edge-detector listen recording.wav --bundle my-sounds"]


def test_recording_and_teaching_are_called_as_in_their_own_tests() -> None:
    assert set(TAUGHT) <= set(COMMANDS)
    recording, teaching = (shlex.split(command) for command in TAUGHT)
    assert parser().parse_args(recording[1:]).label == "washing_machine_beep"
    options = argparse.ArgumentParser()
    teach.configure(options)
    assert options.parse_args(teaching[4:]).output == Path("my-bundle")
