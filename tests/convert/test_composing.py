"""What training hears: labels follow energy, and a seed gives the same sound again."""

from functools import cache

import numpy as np
import pytest

from convert.data.activity import active_starts, cut
from convert.data.feed import Feed
from convert.data.soundscape import Composer, scene_samples, split_by_source
from convert.data.windows import Windows, WindowSource
from edge_detector.core.logmel import patches
from edge_detector.errors import EdgeDetectorError
from edge_detector.types import Float32
from tests.convert.synthetic import LABELS, loaded

CLIPS = [loaded(label, seed) for label in LABELS for seed in range(3)]


@cache
def composer(seed: int = 0) -> Composer:
    return Composer(CLIPS, 10, seed)


def frame_rms(samples: Float32) -> Float32:
    starts = range(0, len(samples) - 15_600 + 1, 15_360)
    return np.array([np.sqrt(np.mean(samples[first : first + 15_600] ** 2)) for first in starts], np.float32)


def test_a_scene_has_a_label_list_for_every_patch() -> None:
    for number in range(60):
        scene = composer().compose(number)
        assert len(scene.samples) == scene_samples(len(scene.frame_labels))
        assert len(patches(scene.samples)) == len(scene.frame_labels)
        assert np.abs(scene.samples).max() <= 1.0
        assert scene.samples.dtype == np.float32


def test_a_silent_frame_has_no_label() -> None:
    scenes = [composer().compose(number) for number in range(60)]
    silent = [
        labels
        for scene in scenes
        for labels, level in zip(scene.frame_labels, frame_rms(scene.samples), strict=True)
        if level < 1e-6
    ]
    assert silent, "no scene had a silent frame, so this says nothing"
    assert not any(silent)


def test_labels_of_a_plain_clip_follow_its_energy() -> None:
    long_clips = [loaded("hiss", seconds=9.0)]
    of_one = Composer(long_clips, 10, 3)
    scenes = [of_one.compose(number) for number in range(40)]
    plain = [scene for scene in scenes if len(scene.frame_labels) == 9 and not scene.samples[-30_000:].any()]
    assert plain, "no plain clip among the scenes"
    for scene in plain:
        sounding = frame_rms(scene.samples) > 0.0
        assert [bool(labels) for labels in scene.frame_labels] == sounding.tolist()


def test_some_scenes_hold_nothing_and_some_hold_two_sounds_at_once() -> None:
    scenes = [composer().compose(number) for number in range(60)]
    assert any(not scene.labels for scene in scenes)
    assert any(len(labels) > 1 for scene in scenes for labels in scene.frame_labels)
    assert {len(scene.frame_labels) for scene in scenes} >= {1, 10}


def test_a_scene_depends_on_its_seed_and_number_only() -> None:
    first, again = composer(), Composer(CLIPS, 10, 0)
    again.compose(5)
    one, other = first.compose(7), again.compose(7)
    assert np.array_equal(one.samples, other.samples)
    assert one.frame_labels == other.frame_labels
    assert not np.array_equal(one.samples[:1_000], composer(1).compose(7).samples[:1_000])


def test_takes_of_one_original_stay_on_one_side_of_the_split() -> None:
    clips = [loaded(label, seed) for label in LABELS for seed in (1, 1, 2, 2, 3, 4, 5, 6)]
    learn, check = split_by_source(clips, 0.2)
    assert len(learn) + len(check) == len(clips)
    assert {clip.clip.label for clip in check} == set(LABELS)
    names = [{(clip.clip.label, clip.clip.source) for clip in side} for side in (learn, check)]
    assert not names[0] & names[1]


def test_windows_hold_what_their_labels_say_and_repeat_with_their_seed() -> None:
    source = WindowSource(CLIPS, len(LABELS), seed=0)
    windows = source.draw(np.random.default_rng(4), 200)
    again = WindowSource(CLIPS, len(LABELS), seed=0).draw(np.random.default_rng(4), 200)
    assert np.array_equal(windows.samples, again.samples)
    assert np.array_equal(windows.labels, again.labels)
    assert np.abs(windows.samples).max() <= 1.0
    counts = windows.labels.sum(axis=1)
    assert {0.0, 1.0, 2.0} <= set(counts.tolist())
    assert all(window.any() for window, count in zip(windows.samples, counts, strict=True) if count)


def test_training_that_resumes_sees_the_batches_it_would_have_seen() -> None:
    feed = Feed(WindowSource(CLIPS, len(LABELS), seed=0), None, batch=2, uses=2, seed=3)
    straight = feed.batches(0)
    ahead = [next(straight) for _ in range(20)]
    straight.close()
    resumed = feed.batches(18)
    late = [next(resumed) for _ in range(2)]
    resumed.close()
    for wanted, found in zip(ahead[18:], late, strict=True):
        assert np.array_equal(wanted.log_mel, found.log_mel)
        assert np.array_equal(wanted.labels, found.labels)


def test_an_error_in_the_background_thread_reaches_the_trainer() -> None:
    class Broken(WindowSource):
        def draw(self, rng: np.random.Generator, count: int) -> Windows:
            raise EdgeDetectorError(f"the disk is gone after {count} windows of {rng}")

    batches = Feed(Broken(CLIPS, 3, seed=0), None, batch=2, uses=1, seed=0).batches(0)
    with pytest.raises(EdgeDetectorError, match="the disk is gone"):
        next(batches)


def test_windows_start_only_where_there_is_sound() -> None:
    samples = np.zeros(64_000, np.float32)
    samples[20_000:24_000] = 0.5
    starts = active_starts(samples, 15_600, step_samples=400, range_db=30.0, overhang_samples=7_800)
    assert all(cut(samples, int(start), 15_600).any() for start in starts)
    assert starts.min() >= 20_000 - 15_600
    assert starts.max() < 24_000
