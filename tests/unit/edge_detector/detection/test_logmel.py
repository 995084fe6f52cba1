"""Golden values: computed with the reference functions of tensorflow/models research/audioset/vggish in float64."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_detector.detection.logmel import LogMelStream, log_mel, mel_matrix, patches
from edge_detector.levels import level_dbfs
from edge_detector.params import HOPS_PER_PATCH
from edge_detector.types import Block, Float32

SMOKE = np.sin(2 * np.pi * 1000 * np.arange(0, 3, 1 / 16000))


def lcg_noise(count: int) -> np.ndarray:
    values, value = [], 1
    for _ in range(count):
        value = (1103515245 * value + 12345) % 2**31
        values.append(value / 2**30 - 1)
    return np.array(values)


def music(seconds: float) -> Float32:
    time = np.arange(round(seconds * 16_000)) / 16_000
    return (0.3 * np.sin(2 * np.pi * (200 + 150 * time) * time) + 0.01 * np.sin(9_000 * time**2)).astype(np.float32)


def test_the_mel_matrix_is_vggish_s() -> None:
    matrix = mel_matrix()
    assert matrix.shape == (257, 64)
    assert matrix.sum() == pytest.approx(230.9135991608477, abs=1e-9)
    assert np.count_nonzero(matrix) == 461
    assert matrix.max() == pytest.approx(0.9961910174966269, abs=1e-12)
    assert matrix[matrix > 0].min() == pytest.approx(0.0038089825033731594, abs=1e-12)
    used = np.flatnonzero(matrix.any(axis=1))
    assert (used[0], used[-1]) == (5, 239)
    assert matrix.any(axis=0).all(), "no band is empty"
    assert matrix[[5, 6], 1] == pytest.approx([0.05231, 0.933106], abs=1e-6)


def test_the_smoke_signal_gives_the_golden_spectrogram() -> None:
    spectrogram = log_mel(SMOKE, np.float64)
    assert spectrogram.shape == (298, 64)
    assert spectrogram.mean() == pytest.approx(-3.429618696140085, abs=1e-6)
    assert spectrogram.std() == pytest.approx(2.1265773357595292, abs=1e-6)
    assert spectrogram.min() == pytest.approx(-4.601163052362855, abs=1e-6)
    assert spectrogram.max() == pytest.approx(4.811117725147952, abs=1e-6)
    assert (spectrogram.argmax(axis=1) == 19).all()
    first = [-4.483133, -4.270834, -4.170643, -4.237706, -4.475020, -4.145590, -3.943652, -4.038893]
    assert spectrogram[0, :8] == pytest.approx(first, abs=1e-6)
    assert spectrogram[0, 17:22] == pytest.approx([-0.147717, 2.693003, 4.811118, 4.775044, 2.262215], abs=1e-6)
    assert spectrogram[2 * 96 + 95, 60:] == pytest.approx([-4.600372, -4.600694, -4.600989, -4.601163], abs=1e-6)


def test_noise_gives_the_golden_spectrogram() -> None:
    spectrogram = log_mel(lcg_noise(16_000), np.float64)
    assert spectrogram.shape == (98, 64)
    assert spectrogram.mean() == pytest.approx(2.846884556359148, abs=1e-6)
    assert spectrogram.std() == pytest.approx(0.7864318179321298, abs=1e-6)
    assert spectrogram[0, :4] == pytest.approx([1.918954, 1.261148, 0.862439, 1.215082], abs=1e-6)
    assert spectrogram[97, 60:] == pytest.approx([4.128975, 3.697697, 4.011826, 4.169417], abs=1e-6)


@pytest.mark.parametrize("signal", [SMOKE, lcg_noise(48_000), np.zeros(48_000), np.round(SMOKE * 3) / 32_768])
def test_single_precision_stays_close_to_the_reference(signal: np.ndarray) -> None:
    difference = np.abs(log_mel(signal.astype(np.float32)) - log_mel(signal, np.float64))
    assert difference.max() <= 1e-3
    assert difference.mean() <= 1e-5


def test_silence_is_the_logarithm_of_the_offset() -> None:
    assert np.array_equal(log_mel(np.zeros(400), np.float64), np.full((1, 64), np.log(0.01)))


@pytest.mark.parametrize(
    ("samples", "expected"), [(0, 0), (239, 0), (15_360, 0), (15_599, 0), (15_600, 1), (80_000, 5), (160_000, 10), (480_000, 31)]
)
def test_the_number_of_patches_is_vggish_s(samples: int, expected: int) -> None:
    assert patches(np.zeros(samples, np.float32)).shape == (expected, 96, 64)


@settings(deadline=None, max_examples=60)
@given(cuts=st.lists(st.integers(1, 9_000), min_size=1, max_size=30), hops=st.sampled_from(HOPS_PER_PATCH))
def test_any_chunking_gives_bitwise_the_same_patches(cuts: list[int], hops: int) -> None:
    sound = music(4)
    stream = LogMelStream(hops)
    found, position, cut = [], 0, 0
    while position < len(sound):
        size = cuts[cut % len(cuts)]
        found += [patch.log_mel for patch in stream.push(Block(sound[position : position + size], position))]
        position, cut = position + size, cut + 1
    assert np.array_equal(np.stack(found), patches(sound, hops))


@pytest.mark.parametrize("hops", HOPS_PER_PATCH)
def test_every_hop_sees_the_same_frames(hops: int) -> None:
    sound = music(5)
    assert np.array_equal(patches(sound, hops)[::hops], patches(sound, 1)[: len(patches(sound, hops)[::hops])])


def test_streamed_patches_equal_the_spectrogram_of_the_whole() -> None:
    sound = music(3)
    whole = log_mel(sound)[: 3 * 96].reshape(3, 96, 64)
    assert patches(sound) == pytest.approx(whole, abs=1e-5)


def test_a_patch_says_which_samples_it_covers() -> None:
    found = list(LogMelStream(4).push(Block(music(2), 0)))
    assert [(patch.first_sample, patch.end_sample) for patch in found[:2]] == [(0, 15_600), (3_840, 19_440)]


def test_a_gap_starts_a_new_patch_at_the_first_sample_after_it() -> None:
    stream = LogMelStream()
    sound = music(2)
    assert len(list(stream.push(Block(sound[:15_000], 0)))) == 0
    (after,) = stream.push(Block(sound[:15_600], first_sample=20_000, lost_samples=5_000))
    assert (after.first_sample, after.lost_samples) == (20_000, 5_000)
    assert np.array_equal(after.log_mel, patches(sound[:15_600])[0]), "nothing from before the gap is in it"


def test_samples_lost_in_several_gaps_before_a_patch_add_up() -> None:
    stream = LogMelStream()
    assert not list(stream.push(Block(np.zeros(100, np.float32), 0)))
    assert not list(stream.push(Block(np.zeros(100, np.float32), 110, lost_samples=10)))
    (patch,) = stream.push(Block(np.zeros(15_600, np.float32), 250, lost_samples=40))
    assert patch.lost_samples == 50


def test_the_level_is_that_of_the_patch_and_has_a_floor() -> None:
    full_scale_sine = np.sin(2 * np.pi * 1000 * np.arange(15_600) / 16_000).astype(np.float32)
    (patch,) = LogMelStream().push(Block(full_scale_sine, 0))
    assert patch.level_dbfs == pytest.approx(-3.01, abs=0.01)
    assert level_dbfs(0.0) == -120.0


@settings(deadline=None, max_examples=60)
@given(samples=st.integers(15_600, 60_000), cut=st.integers(1, 20_000), hops=st.sampled_from(HOPS_PER_PATCH))
def test_the_end_of_a_recording_gives_the_patches_that_silence_after_it_would_give(samples: int, cut: int, hops: int) -> None:
    sound = music(4)[:samples]
    stream = LogMelStream(hops)
    found = [patch for at in range(0, samples, cut) for patch in stream.push(Block(sound[at : at + cut], at))]
    found += stream.finish()
    expected = patches(np.pad(sound, (0, 15_600)), hops)[: len(found)]
    assert np.array_equal(np.stack([patch.log_mel for patch in found]), expected)
    assert found[-1].end_sample == samples, "all of it is in some patch, and no patch says that there was more"
    assert samples - 15_360 // hops - 240 <= found[-1].first_sample < samples - 240


@settings(deadline=None, max_examples=60)
@given(samples=st.integers(1, 15_599), cut=st.integers(1, 20_000), hops=st.sampled_from(HOPS_PER_PATCH))
def test_a_recording_shorter_than_a_patch_is_at_the_end_of_the_first(samples: int, cut: int, hops: int) -> None:
    sound = music(1)[:samples]
    stream = LogMelStream(hops)
    assert not [patch for at in range(0, samples, cut) for patch in stream.push(Block(sound[at : at + cut], at))]
    found = list(stream.finish())
    expected = patches(np.pad(sound, (15_600 - samples, 15_600)), hops)
    assert np.array_equal(np.stack([patch.log_mel for patch in found]), expected[:hops])
    assert {(patch.first_sample, patch.end_sample) for patch in found} <= {(first, samples) for first in range(samples)}


def test_sound_after_a_gap_is_finished_without_what_was_before_it() -> None:
    stream = LogMelStream()
    assert len(list(stream.push(Block(music(2)[:20_000], 0)))) == 1
    assert not list(stream.push(Block(music(1)[:8_000], 50_000, lost_samples=30_000)))
    (patch,) = stream.finish()
    assert np.array_equal(patch.log_mel, patches(np.pad(music(1)[:8_000], (7_600, 0)))[0])
    assert (patch.first_sample, patch.end_sample, patch.lost_samples) == (50_000, 58_000, 30_000)


def test_a_stream_without_sound_ends_without_a_patch() -> None:
    assert not list(LogMelStream().finish())


def test_frames_are_handed_over_as_they_are_computed_across_gaps_and_without_invented_silence() -> None:
    samples = music(3)
    seen: list[tuple[np.ndarray, int]] = []
    stream = LogMelStream(1, on_frames=lambda frames, end_sample: seen.append((frames, end_sample)))
    half, lost = len(samples) // 2, 16_000
    list(stream.push(Block(samples[:half], 0)))
    list(stream.push(Block(samples[half:], half + lost, lost_samples=lost)))
    list(stream.finish())
    for part, first_sample in ((samples[:half], 0), (samples[half:], half + lost)):
        of_part = [(frames, end) for frames, end in seen if first_sample < end <= first_sample + len(part)]
        expected = log_mel(part)
        # A product of matrices of another size may round otherwise.
        assert np.concatenate([frames for frames, _ in of_part]) == pytest.approx(expected[: 24 * len(of_part)], abs=1e-5)
        assert len(of_part) == len(expected) // 24
        assert [end for _, end in of_part] == [first_sample + 24 * 160 * (n + 1) for n in range(len(of_part))]
    assert len(seen) == 2 * (len(log_mel(samples[:half])) // 24)
