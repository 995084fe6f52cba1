"""The base install has no PyAudio; arecord records the microphone in its place."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from edge_detector.demo.soundscape import make_soundscape
from tests.support.fake_microphone import FakeMicrophone

COMMAND = (sys.executable, "-m", "edge_detector")


@pytest.fixture
def environment(tmp_path: Path, microphone: FakeMicrophone) -> dict[str, str]:
    (tmp_path / "pyaudio.py").write_text("raise ImportError('no PyAudio here')\n")
    return {**os.environ, **microphone.environment, "PYTHONPATH": f"{tmp_path}:{Path(__file__).parents[2]}"}


def test_listen_detects_by_arecord_and_reports_that_it_does(environment: dict[str, str], microphone: FakeMicrophone) -> None:
    microphone.play(make_soundscape().samples.astype("<i2").tobytes(), latency_milliseconds=200)
    command = [*COMMAND, "listen", "mic", "--seconds", "9", "--json"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert "PyAudio is not installed; arecord records in its place" in done.stderr
    payloads = [json.loads(line) for line in done.stdout.splitlines()]
    assert any(payload.get("slug") == "dog_bark" for payload in payloads)


def test_a_microphone_that_no_card_fits_is_named_with_the_cards(environment: dict[str, str]) -> None:
    done = subprocess.run([*COMMAND, "listen", "mic:Webcam"], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "'Webcam' fits no sound card; there are: " in done.stderr


def test_devices_lists_cards_or_reports_that_there_is_none(environment: dict[str, str]) -> None:
    done = subprocess.run([*COMMAND, "devices"], env=environment, capture_output=True, text=True, check=False)
    assert "plughw:CARD=" in done.stdout or "there is no sound card" in done.stderr
    assert "Traceback" not in done.stderr
