"""The log of `run` has every event with its source."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from edge_detector.demo.soundscape import make_soundscape
from tests.support.broker import Broker
from tests.support.soundscape_file import write_soundscape


@pytest.fixture
def config(tmp_path: Path, broker: Broker) -> Path:
    write_soundscape(tmp_path / "soundscape.wav")
    path = tmp_path / "edge.toml"
    path.write_text(
        f'[[source]]\nname = "cot"\nkind = "file"\ndevice = "{tmp_path}/soundscape.wav"\n[mqtt]\nport = {broker.port}\n'
    )
    return path


def log_of(config: Path, *options: str) -> str:
    command = [sys.executable, "-m", "edge_detector", "run", "--config", str(config), *options]
    return subprocess.run(command, capture_output=True, text=True, check=True).stderr


def test_each_event_is_logged_at_its_start_and_at_its_end(config: Path) -> None:
    log = log_of(config)
    expected = [event.slug for event in make_soundscape().events]
    assert len(re.findall(r"^INFO: cot: .* started, [01]\.\d\d$", log, re.MULTILINE)) == len(expected)
    assert len(re.findall(r"^INFO: cot: .* ended after \d+\.\d s, peak [01]\.\d\d$", log, re.MULTILINE)) == len(expected)
    assert "INFO: cot: Dog barking started" in log


def test_the_log_is_json_on_request_and_quiet_on_request(config: Path) -> None:
    entries = [json.loads(line) for line in log_of(config, "--log-format", "json").splitlines()]
    assert any(re.fullmatch(r"cot: Dog barking started, [01]\.\d\d", entry["message"]) for entry in entries)
    assert {entry["level"] for entry in entries} <= {"info", "warning"}
    assert " started, " not in log_of(config, "--log-level", "warning")
