"""Preparation of recordings from a home for teaching."""

import os
from pathlib import Path

import numpy as np
import pytest
import soundfile

from edge_detector.audio.clips import Clip, LoadedClip
from edge_detector.demo.soundscape import VOICINGS
from edge_detector.errors import UsageError
from edge_detector.teaching.sounds import halve_background, split_from_room, split_into_parts, synthetic_sounds
from edge_detector.types import Float32

RATE_HZ = 16_000


def room(seconds: float, level_dbfs: float = -60.0) -> Float32:
    noise = np.random.default_rng(0).standard_normal(round(seconds * RATE_HZ))
    return np.asarray(noise * 10.0 ** (level_dbfs / 20.0), np.float32)


def beep(seconds: float) -> Float32:
    return (0.2 * np.sin(2 * np.pi * 1_000 * np.arange(round(seconds * RATE_HZ)) / RATE_HZ)).astype(np.float32)


def clip(samples: Float32, name: str = "take") -> LoadedClip:
    return LoadedClip(Clip(Path(f"beep/{name}.wav"), "beep", 0, name), 0, samples)


def seconds(samples: Float32) -> float:
    return len(samples) / RATE_HZ


def test_recordings_whose_names_are_no_text_are_split_too() -> None:
    names = ["take", os.fsdecode(b"caf\xe9"), "caf\u00e9"]
    parts = split_into_parts([clip(beep(0.1), name) for name in names], 3)
    assert sorted(each.clip.source for part in parts for each in part) == sorted(names)


def test_the_room_around_a_sound_becomes_silence_and_a_negative() -> None:
    samples = np.concatenate([room(1.5), beep(1.0), room(2.5)])
    sound, found_room = split_from_room(samples)
    assert np.array_equal(sound[int(1.6 * RATE_HZ) : int(2.4 * RATE_HZ)], samples[int(1.6 * RATE_HZ) : int(2.4 * RATE_HZ)])
    assert not sound[: int(1.2 * RATE_HZ)].any()
    assert not sound[int(2.8 * RATE_HZ) :].any()
    assert seconds(found_room) == pytest.approx(3.5, abs=0.2)
    assert np.abs(found_room).max() < 0.02


def test_short_pauses_stay_in_the_sound_and_long_ones_do_not() -> None:
    samples = np.concatenate([room(1.0), beep(0.3), room(0.4), beep(0.3), room(2.0), beep(0.3), room(1.0)])
    sound, _ = split_from_room(samples)
    assert sound[int(1.5 * RATE_HZ)] != 0.0
    assert not sound[int(2.5 * RATE_HZ) : int(3.5 * RATE_HZ)].any()


@pytest.mark.parametrize(
    "samples", [room(5.0, -20.0), np.zeros(RATE_HZ, np.float32), beep(3.0)], ids=["noise", "silence", "tone"]
)
def test_a_steady_sound_is_the_sound_from_end_to_end(samples: Float32) -> None:
    sound, found_room = split_from_room(samples)
    assert np.array_equal(sound, samples)
    assert not len(found_room)


def test_digital_silence_around_a_sound_is_no_room() -> None:
    sound, found_room = split_from_room(np.concatenate([beep(1.0), np.zeros(4 * RATE_HZ, np.float32)]))
    assert np.count_nonzero(sound) > 0.9 * RATE_HZ
    assert not found_room.any()


def test_every_recording_is_in_one_part_and_takes_of_one_original_share_it() -> None:
    clips = [
        LoadedClip(Clip(Path(f"{label}/{source}-{take}.wav"), label, 0, f"{source}"), index, beep(0.1))
        for index, label in enumerate(("a", "b"))
        for source in range(5)
        for take in range(2)
    ]
    parts = split_into_parts(clips, 5)
    assert sorted(str(each.clip.path) for part in parts for each in part) == sorted(str(each.clip.path) for each in clips)
    for part in parts:
        assert {each.clip.label for each in part} == {"a", "b"}
        assert len({(each.clip.label, each.clip.source) for each in part}) == 2
    assert split_into_parts(clips, 5) == parts


def test_half_of_the_background_is_for_training_and_the_other_half_is_not(tmp_path: Path) -> None:
    ramp = np.linspace(0.0, 0.5, 60 * RATE_HZ).astype(np.float32)
    soundfile.write(tmp_path / "room.wav", ramp, RATE_HZ, subtype="FLOAT")
    (tmp_path / "night").mkdir()
    for number in range(4):
        soundfile.write(tmp_path / "night" / f"{number}.wav", np.full(5 * RATE_HZ, -0.1 * number, np.float32), RATE_HZ)
    training, kept = halve_background([tmp_path])
    assert sum(map(seconds, training)) == sum(map(seconds, kept)) == 40.0
    assert max(map(seconds, training)) == 10.0
    samples = np.concatenate(training)
    assert not set(np.round(samples, 4)) & set(np.round(np.concatenate(kept), 4)) - {0.25}


def test_a_folder_without_recordings_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no recordings"):
        halve_background([tmp_path])


def test_synthetic_sounds_are_all_but_those_of_new_classes() -> None:
    every, others = synthetic_sounds(()), synthetic_sounds(("rain", "my_own"))
    assert len(others) == len(every) * (len(VOICINGS) - 1) // len(VOICINGS)
    assert all(np.abs(made).max() > 0.001 for made in every)
