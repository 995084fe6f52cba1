"""The detector on the processors of Raspberry Pis: their own Python, libraries and kernels, in emulation."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from edge_detector.demo.soundscape import make_soundscape
from edge_detector.params import FRONT_END
from tests.support.command import edge_detector
from tests.support.pi_box import PROCESSORS, PROJECT, Box, Processor, make_box, why_not
from tests.support.synthetic import RATE_HZ, sound, write_recordings

pytestmark = pytest.mark.skipif(why_not() != "", reason=why_not())

SECONDS = 19.2
MOST_DIFFERENCE = 0.05


@pytest.fixture(scope="module")
def box() -> Box:
    return make_box(PROJECT / "build" / "pi")


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pi") / "recording.wav"
    sound = make_soundscape().block.samples[: round(SECONDS * FRONT_END.sample_rate_hz)]
    soundfile.write(path, sound, FRONT_END.sample_rate_hz, subtype="PCM_16")
    return path


@pytest.fixture(scope="module")
def heard_here(recording: Path) -> list[dict[str, Any]]:
    return messages(edge_detector("listen", recording, "--json"))


def messages(said: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in said.splitlines()]


def events(heard: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(each["event_type"], each["slug"]) for each in heard if each["type"] == "event"]


def probabilities(heard: list[dict[str, Any]]) -> np.ndarray[Any, Any]:
    return np.array([list(each["probabilities"].values()) for each in heard if each["type"] == "probabilities"])


@pytest.mark.parametrize("processor", PROCESSORS, ids=lambda processor: processor.name)
def test_a_raspberry_pi_hears_what_this_machine_hears(
    processor: Processor, box: Box, recording: Path, heard_here: list[dict[str, Any]]
) -> None:
    _, said = box.run(processor, "edge_detector", "listen", recording, "--json")
    there = messages(said)
    assert events(there) == events(heard_here)
    assert {slug for _, slug in events(there)} == {"dog_bark", "rain"}
    assert np.abs(probabilities(there) - probabilities(heard_here)).max() < MOST_DIFFERENCE


def test_a_raspberry_pi_detects_a_taught_sound_as_this_machine_does(box: Box, tmp_path: Path) -> None:
    """The bundle is made here, since teaching takes the emulator half an hour: python -m tests.benchmarks.pi.teach."""
    write_recordings(tmp_path / "sounds", takes=3)
    edge_detector("teach", tmp_path / "sounds", "-o", tmp_path / "bundle")
    soundfile.write(tmp_path / "beeps.wav", sound("beep", 7, 6.0), RATE_HZ)
    arguments = ("listen", tmp_path / "beeps.wav", "--bundle", tmp_path / "bundle", "--json")
    here = messages(edge_detector(*arguments))
    there = messages(box.run(PROCESSORS[1], "edge_detector", *arguments)[1])
    assert events(there) == events(here)
    assert ("start", "beep_of_the_oven") in events(there)
    assert np.abs(probabilities(there) - probabilities(here)).max() < MOST_DIFFERENCE
