import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from edge_detector.audio.microphone import measure
from edge_detector.audio.microphone.measuring import RATES_HZ
from edge_detector.cli import devices
from edge_detector.errors import SourceError
from tests.support.fake_microphone import DEVICE_NAME, FakeMicrophone

RATE_HZ = 16_000


def test_a_table_shows_each_microphone_with_its_level_and_rates(room: FakeMicrophone, capfd: pytest.CaptureFixture[str]) -> None:
    assert room.environment["ALSA_CONFIG_PATH"] == os.environ["ALSA_CONFIG_PATH"]
    assert devices.run(as_json=False) == 0
    output, errors = capfd.readouterr()
    lines = output.splitlines()
    assert lines[0].split() == ["index", "name", "channels", "level"]
    (line,) = [line for line in lines if f" {DEVICE_NAME} " in line]
    assert "-120.0 dBFS  digital silence" in line
    assert next(line.split()[2] for line in lines if line.startswith("*")) == "default"
    assert any("16000, " in line and line.endswith("Hz") for line in lines)
    assert errors == "", "the sound libraries' chatter is held back"


def test_json_gives_an_object_a_line_and_the_level_of_what_sounds(
    room: FakeMicrophone, capsys: pytest.CaptureFixture[str]
) -> None:
    time = np.arange(30 * RATE_HZ) / RATE_HZ
    room.play((0.5 * 32_767 * np.sin(2 * np.pi * 1_000 * time)).astype("<i2").tobytes(), latency_milliseconds=200)
    devices.run(as_json=True)
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {item["type"] for item in found} == {"device"}
    by_name = {item["name"]: item for item in found}
    fake = by_name[DEVICE_NAME]
    assert fake["level_dbfs"] == pytest.approx(-9.0, abs=0.2), "half of full scale, as a sine"
    assert fake["alsa_device"] == DEVICE_NAME
    assert RATE_HZ in fake["rates_hz"]
    assert set(fake["rates_hz"]) <= set(RATES_HZ)
    assert fake["problem"] is None
    assert [name for name, item in by_name.items() if item["is_default"]] == ["default"]


def test_a_microphone_that_cannot_be_opened_is_listed_with_the_reason(room: FakeMicrophone) -> None:
    room.unplug()
    found = measure(DEVICE_NAME)
    assert found.level_dbfs is None
    assert "cannot be opened" in (found.problem or "")


def test_a_microphone_that_hangs_or_kills_the_child_does_neither_to_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    def hang(command: list[str], *, timeout: float, **_: object) -> None:
        raise subprocess.TimeoutExpired(command, timeout)

    def abort(command: list[str], **_: object) -> None:
        raise subprocess.CalledProcessError(-6, command, b"", b"noise\nAssertion failed")

    monkeypatch.setattr(subprocess, "run", hang)
    assert measure("stub").problem == "it did not answer within 12 s"
    monkeypatch.setattr(subprocess, "run", abort)
    assert measure("stub").problem == "PortAudio fails (SIGABRT: Assertion failed)"


def test_without_any_microphone_the_error_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "list_devices", lambda: ())
    with pytest.raises(SourceError, match="no microphone was found; plug one in"):
        devices.run(as_json=False)


def test_the_command_is_ready_for_the_command_line(room: FakeMicrophone, tmp_path: Path) -> None:
    code = "from edge_detector.cli.devices import run; raise SystemExit(run(as_json=True))"
    environment = os.environ | room.environment | {"PYTHONPATH": str(Path(__file__).parents[4])}
    result = subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert DEVICE_NAME in {json.loads(line)["name"] for line in result.stdout.splitlines()}
