"""Live = replay: what a microphone heard, dumped and read back in blocks of any size, gives the same detections."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_detector.demo.soundscape import make_soundscape
from tests.support.fake_microphone import FakeMicrophone

DIFFERS = {"topic", "time", "latency_ms", "message_id", "start", "end", "source", "published", "clock"}


def listen(*arguments: str, environment: dict[str, str] | None = None) -> list[dict[str, Any]]:
    command = [sys.executable, "-m", "edge_detector", "listen", *arguments, "--json"]
    result = subprocess.run(command, capture_output=True, timeout=180, check=False, env={**os.environ, **(environment or {})})
    assert result.returncode == 0, result.stderr.decode()
    return [json.loads(line) for line in result.stdout.splitlines()]


def detections(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Everything but wall time, latency and stream id; of an event's id, its first sample and its class."""
    kept = []
    for line in lines:
        if line["type"] != "health":
            kept.append({key: value for key, value in line.items() if key not in DIFFERS})
            if "id" in line:
                kept[-1]["id"] = line["id"].split("/")[-2:]
    return kept


@pytest.fixture(scope="module")
def live_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict[str, Any]]]:
    soundscape = make_soundscape()
    event = soundscape.events[0]
    quiet = np.zeros(16_000, np.int16)
    heard = np.concatenate([quiet, soundscape.samples[event.first_sample : event.end_sample], quiet, quiet, quiet])
    dump = tmp_path_factory.mktemp("live") / "heard.wav"
    with FakeMicrophone() as microphone:
        microphone.play(heard.astype("<i2").tobytes(), latency_milliseconds=200)
        seconds = str(len(heard) / 16_000 + 2)
        lines = listen("mic", "--dump", str(dump), "--seconds", seconds, "--hop", "0.48", environment=microphone.environment)
    return dump, lines


def test_the_live_run_heard_an_event_from_start_to_end(live_run: tuple[Path, list[dict[str, Any]]]) -> None:
    _, lines = live_run
    kinds = [line["event_type"] for line in lines if line["type"] == "event"]
    assert kinds[:2] == ["start", "end"]
    assert sum(line["lost_samples"] for line in lines if line["type"] == "probabilities") == 0


@pytest.mark.parametrize("block_samples", [1, 160, 1_000, 4_096])
def test_a_replay_in_blocks_of_any_size_gives_the_same(live_run: tuple[Path, list[dict[str, Any]]], block_samples: int) -> None:
    dump, lines = live_run
    replayed = listen(str(dump), "--block-samples", str(block_samples), "--hop", "0.48")
    assert detections(replayed) == detections(lines)


def test_replays_of_one_file_have_the_same_event_ids(live_run: tuple[Path, list[dict[str, Any]]]) -> None:
    dump, _ = live_run
    first, second = ([line.get("message_id") for line in listen(str(dump))] for _ in range(2))
    assert first == second


def test_a_pipe_of_raw_samples_gives_what_the_file_gives(live_run: tuple[Path, list[dict[str, Any]]]) -> None:
    dump, _ = live_run
    from edge_detector.audio.file import AudioFile  # noqa: PLC0415 - only here

    source, samples = AudioFile(dump), []
    while not source.ended:
        if (block := source.read(1.0)) is not None:
            samples.append(block.samples)
    raw = np.round(np.concatenate(samples) * 32_768).astype("<i2").tobytes()
    command = [sys.executable, "-m", "edge_detector", "listen", "-", "--json"]
    result = subprocess.run(command, input=raw, capture_output=True, timeout=120, check=True)
    assert detections([json.loads(line) for line in result.stdout.splitlines()]) == detections(listen(str(dump)))
