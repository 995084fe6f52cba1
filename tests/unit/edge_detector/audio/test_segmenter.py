"""When a take begins, where it is cut, and which ones are not fit to learn from."""

import numpy as np
import pytest

from edge_detector.audio.segmenter import Recording, Segmenter
from edge_detector.types import Block, Float32

RATE_HZ = 16_000
SECONDS = 3.0


def room(seconds: float, level_dbfs: float = -60.0, seed: int = 0) -> Float32:
    noise = np.random.default_rng(seed).standard_normal(round(seconds * RATE_HZ))
    return np.asarray(noise * 10.0 ** (level_dbfs / 20.0), np.float32)


def beep(seconds: float = 1.0, peak: float = 0.2) -> Float32:
    return (peak * np.sin(2 * np.pi * 1_000 * np.arange(round(seconds * RATE_HZ)) / RATE_HZ)).astype(np.float32)


def takes(samples: Float32, *, louder_by_db: float = 12.0, block_samples: int = 480, lost_at: int = -1) -> list[Recording]:
    cutter = Segmenter(SECONDS, louder_by_db)
    found: list[Recording] = []
    for first in range(0, len(samples), block_samples):
        lost = int(first <= lost_at < first + block_samples)
        found += cutter.push(Block(samples[first : first + block_samples], first, lost_samples=lost))
    return [*found, *cutter.finish()]


def test_a_take_begins_before_the_sound_that_is_louder_than_the_room() -> None:
    samples = np.concatenate([room(4.0), beep(), room(6.0)])
    (take,) = takes(samples)
    assert take.problem is None
    assert take.seconds == SECONDS
    assert take.peak_dbfs == pytest.approx(20 * np.log10(0.2 / np.sqrt(2)), abs=0.1)
    # The pre-roll is a fifth of the take, and the samples are those that came in.
    start = round((4.0 - 0.2 * SECONDS) * RATE_HZ)
    assert np.array_equal(take.samples, samples[start : start + len(take.samples)])


@pytest.mark.parametrize("block_samples", [77, 799, 800, 4_096, 1_000_000])
def test_takes_do_not_depend_on_how_the_sound_is_cut_into_blocks(block_samples: int) -> None:
    samples = np.concatenate([room(2.03), beep(0.5), room(4.0), beep(0.5), room(3.0)])[: 8 * RATE_HZ]
    wanted = takes(samples)
    found = takes(samples, block_samples=block_samples)
    assert len(found) == len(wanted) == 2
    assert all(np.array_equal(one.samples, other.samples) for one, other in zip(found, wanted, strict=True))


def test_a_steady_sound_gives_one_take_and_then_is_the_room() -> None:
    found = takes(np.concatenate([room(4.0), room(40.0, -20.0), beep(1.0, 0.9), room(5.0, -20.0)]), louder_by_db=9.0)
    assert len(found) == 2
    assert found[1].peak_dbfs > -5.0


def test_each_of_several_sounds_gives_a_take() -> None:
    assert len(takes(np.concatenate([room(3.0)] + [np.concatenate([beep(), room(4.0)])] * 5))) == 5


def test_a_sound_that_is_there_from_the_beginning_begins_nothing() -> None:
    assert takes(room(8.0, -20.0)) == []


def test_begin_takes_what_is_not_louder_than_the_room() -> None:
    cutter = Segmenter(SECONDS, None)
    assert list(cutter.push(Block(np.concatenate([room(2.0, -40.0), beep()]), 0))) == []
    assert cutter.recorded_seconds is None
    cutter.begin()
    assert cutter.recorded_seconds == pytest.approx(0.6)
    (take,) = cutter.push(Block(room(4.0, -40.0), 3 * RATE_HZ))
    assert take.seconds == SECONDS
    assert take.problem is None


def test_the_room_is_the_level_of_the_pauses() -> None:
    cutter = Segmenter(SECONDS, 12.0)
    for first in range(6):
        list(cutter.push(Block(np.concatenate([beep(0.5), room(0.5)]), first * RATE_HZ)))
    assert cutter.room_dbfs == pytest.approx(-60.0, abs=1.0)


@pytest.mark.parametrize(("sound", "problem"), [(np.clip(beep(peak=4.0), -1.0, 1.0), "clipped"), (beep(peak=0.002), "quiet")])
def test_what_is_clipped_or_quiet_is_said(sound: Float32, problem: str) -> None:
    (take,) = takes(np.concatenate([room(3.0, -75.0), sound, room(3.0, -75.0)]))
    assert take.problem == problem


def test_a_constant_offset_is_not_loud() -> None:
    samples = np.concatenate([room(3.0), beep(), room(5.0)])
    (take,), (with_offset,) = takes(samples), takes(samples + np.float32(0.3))
    assert with_offset.peak_dbfs == pytest.approx(take.peak_dbfs, abs=0.1)


def test_digital_silence_and_a_constant_are_said() -> None:
    for value, problem in ((0.0, "silent"), (0.25, "flat")):
        cutter = Segmenter(SECONDS, 12.0)
        list(cutter.push(Block(np.full(2 * RATE_HZ, value, np.float32), 0)))
        cutter.begin()
        (take,) = cutter.push(Block(np.full(4 * RATE_HZ, value, np.float32), 2 * RATE_HZ))
        assert take.problem == problem


def test_a_take_with_a_gap_is_not_whole() -> None:
    samples = np.concatenate([room(4.0), beep(), room(6.0)])
    (take,) = takes(samples, lost_at=5 * RATE_HZ)
    assert take.problem == "gap"
    assert takes(samples, lost_at=2 * RATE_HZ)[0].problem is None


def test_the_last_take_of_a_recording_may_be_shorter() -> None:
    (take,) = takes(np.concatenate([room(4.0), beep(1.5)]))
    assert 1.5 <= take.seconds < SECONDS
    assert takes(np.concatenate([room(4.0), beep(0.3)])) == []
