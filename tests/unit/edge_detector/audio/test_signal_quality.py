import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_detector.audio.resampler import StreamResampler
from edge_detector.audio.signal_quality import SignalMonitor, first_invalid_sample
from edge_detector.types import Block, Float32, SignalQuality

RATE_HZ = 16_000


def noise(seconds: float, level: float = 0.1) -> Float32:
    return (level * np.random.default_rng(5).uniform(-1, 1, round(seconds * RATE_HZ))).astype(np.float32)


def constant(seconds: float, value: float) -> Float32:
    return np.full(round(seconds * RATE_HZ), value, np.float32)


def states(monitor: SignalMonitor, samples: Float32, *, block_samples: int = 480) -> list[SignalQuality]:
    """The state after each whole second."""
    found: list[SignalQuality] = []
    for start in range(0, len(samples), block_samples):
        signal = monitor.push(Block(samples[start : start + block_samples], start))
        found += [signal] * ((start + block_samples) // RATE_HZ - start // RATE_HZ)
    return found


def clipped(seconds: float) -> Float32:
    time = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    return np.clip(1.5 * np.sin(2 * np.pi * 440 * time), -1, 32_767 / 32_768).astype(np.float32)


def test_sound_is_ok_whatever_its_level() -> None:
    for level in (0.001, 0.1, 0.99):
        assert set(states(SignalMonitor(), noise(15, level))) == {"ok"}


def test_digital_silence_is_silent_after_ten_seconds_and_sound_ends_it_within_a_second() -> None:
    monitor = SignalMonitor()
    assert states(monitor, constant(12, 0.0)) == ["ok"] * 9 + ["silent"] * 3
    assert states(monitor, noise(2)) == ["ok", "ok"]


@pytest.mark.parametrize("value", [0.25, -1.0, 1.0, 0.01])
def test_a_value_that_does_not_move_is_flat_after_five_seconds(value: float) -> None:
    assert states(SignalMonitor(), constant(7, value)) == ["ok"] * 4 + ["flat"] * 3


def test_an_offset_under_sound_is_no_fault() -> None:
    assert set(states(SignalMonitor(), noise(15) + np.float32(0.3))) == {"ok"}


def test_clipping_is_told_after_three_seconds_and_until_ten_have_passed_without() -> None:
    monitor = SignalMonitor()
    assert states(monitor, clipped(5)) == ["ok"] * 2 + ["clipped"] * 3
    assert states(monitor, noise(12)) == ["clipped"] * 9 + ["ok"] * 3


def test_many_samples_that_were_cut_to_full_scale_are_told_at_once() -> None:
    monitor = SignalMonitor()
    assert monitor.push(Block(noise(0.1), 0), beyond_samples=10) == "ok"
    assert monitor.push(Block(noise(0.1), 1_600), beyond_samples=200) == "clipped"


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 8.5, -1e30])
def test_a_sample_that_no_sound_can_be_is_found(bad: float) -> None:
    samples = noise(1.0)
    assert first_invalid_sample(samples) is None
    samples[700] = bad
    assert first_invalid_sample(samples) == 700


def test_a_door_that_slams_is_no_clipping() -> None:
    samples = noise(10)
    for second in range(10):
        samples[second * RATE_HZ : second * RATE_HZ + 100] = 1.0
    assert set(states(SignalMonitor(), samples)) == {"ok"}


def test_a_clipped_signal_that_dies_is_silent() -> None:
    monitor = SignalMonitor()
    states(monitor, clipped(4))
    assert states(monitor, constant(11, 0.0))[-2:] == ["silent", "silent"]


def test_silence_and_flatness_are_told_after_resampling_too() -> None:
    for value, expected in ((0.0, "silent"), (0.5, "flat")):
        resampled = StreamResampler(44_100).push(Block(np.full(44_100 * 12, value, np.float32), 0))
        assert resampled is not None
        assert states(SignalMonitor(), resampled.samples)[-1] == expected


def test_a_gap_begins_the_second_anew_and_keeps_the_state() -> None:
    monitor = SignalMonitor()
    states(monitor, constant(10.5, 0.0))
    assert monitor.push(Block(noise(0.5), 200_000, lost_samples=32_000)) == "silent"
    assert monitor.push(Block(noise(0.5), 208_000)) == "ok"


@given(st.lists(st.integers(1, 20_000), min_size=1, max_size=30))
def test_the_verdict_does_not_depend_on_how_the_sound_is_cut(sizes: list[int]) -> None:
    samples = np.concatenate([noise(1.5), constant(11, 0.0), clipped(5.2)])[: sum(sizes)]
    monitor, whole = SignalMonitor(), SignalMonitor()
    start = 0
    for size in sizes:
        monitor.push(Block(samples[start : start + size], start))
        start += size
    assert monitor.quality == whole.push(Block(samples, 0))
