"""Training scenes: where the sound is, and where it is not."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_detector.params import FRONT_END
from edge_detector.teaching.scenes import SceneMaker
from edge_detector.teaching.sounds import split_from_room
from edge_detector.types import Float32

RATE_HZ = FRONT_END.sample_rate_hz
MAKER = SceneMaker(0)


def recording(seconds: float) -> Float32:
    """A beep of a second in a quiet room, or as much of it as fits."""
    rng = np.random.default_rng(0)
    samples = 1e-3 * rng.standard_normal(round(seconds * RATE_HZ))
    samples[:RATE_HZ] += 0.3 * np.sin(0.4 * np.arange(RATE_HZ))[: len(samples)]
    return samples.astype(np.float32)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([0.05, 0.4, 1.0, 3.0, 8.0]))
def test_every_scene_holds_its_sound_and_as_many_frames_as_labels(seed: int, seconds: float) -> None:
    scene = MAKER.make(*split_from_room(recording(seconds)), np.random.default_rng(seed))
    frames = (len(scene.samples) - FRONT_END.patch_samples) // FRONT_END.patch_step_samples + 1
    assert frames == len(scene.sounding)
    assert scene.sounding.any()
    assert scene.samples.dtype == np.float32
    assert np.abs(scene.samples).max() <= 1.0


def test_frames_long_before_the_sound_are_not_labelled() -> None:
    starts = [
        int(MAKER.make(*split_from_room(recording(3.0)), np.random.default_rng(seed)).sounding.argmax()) for seed in range(30)
    ]
    assert min(starts) == 0
    assert max(starts) >= 1


def test_the_same_seed_gives_the_same_scene() -> None:
    one, other = (SceneMaker(3).make(*split_from_room(recording(3.0)), np.random.default_rng(4)) for _ in range(2))
    assert np.array_equal(one.samples, other.samples)


def test_a_scene_is_neither_silent_nor_of_one_level() -> None:
    scenes = [MAKER.make(*split_from_room(recording(3.0)), np.random.default_rng(seed)) for seed in range(40)]
    levels = [20.0 * np.log10(np.abs(scene.samples).max()) for scene in scenes]
    assert min(levels) > -60.0
    assert np.ptp(levels) > 20.0
