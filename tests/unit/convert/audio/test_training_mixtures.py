"""What training hears: labels follow energy, and a seed gives the same sound again."""

from collections import Counter
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from convert.audio.activity import active_starts, cut
from convert.audio.clips import NO_CLASS, NO_FOLD, Clip, LoadedClip
from convert.audio.training_mixtures import MOST_OF_FOLDER, Composer, Scene, scene_samples, split_by_source
from convert.audio.windows import WindowSource
from edge_detector.detection.logmel import patches
from edge_detector.types import Float32
from tests.support.synthetic import LABELS, loaded, sound

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


def test_some_scenes_have_no_events_and_some_have_two_at_once() -> None:
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


class Noting(Composer):
    """One that can be asked for the clips of the scene that it has composed last."""

    drawn: tuple[LoadedClip, ...] = ()

    def compose(self, number: int) -> Scene:
        self.drawn = ()
        return super().compose(number)

    def _draw_clip(self, rng: np.random.Generator) -> LoadedClip:
        clip = super()._draw_clip(rng)
        self.drawn = (*self.drawn, clip)
        return clip

    def draws(self) -> Counter[str]:
        """How often, of 4,000, clips are drawn, by their paths."""
        rng = np.random.default_rng(5)
        return Counter(str(super(Noting, self)._draw_clip(rng).clip.path) for _ in range(4_000))


SHORT = sound("beep", 1, 0.5)


def clip_in(folder: str, number: int = 0, fold: int = NO_FOLD, class_index: int = NO_CLASS) -> LoadedClip:
    """A clip of no class, unless one is given: FOLDER/NUMBER."""
    label = folder.rpartition("/")[2]
    return LoadedClip(Clip(Path(f"{folder}/{number}.wav"), label, fold, str(number)), class_index, SHORT)


def shares(clips: Sequence[LoadedClip]) -> dict[str, float]:
    """How often clips are drawn, by their folders."""
    found: Counter[str] = Counter()
    for path, count in Noting(clips, 1, 5).draws().items():
        found[str(Path(path).parent)] += count
    return {folder: count / found.total() for folder, count in found.items()}


def test_a_scene_names_exactly_the_folds_of_its_clips_and_background_has_none() -> None:
    clips = [clip_in("beep", fold, fold, class_index=0) for fold in (1, 2, 3)]
    composing = Noting([*clips, clip_in("animal_cat")], 1, 0)
    named = []
    for number in range(150):
        folds = composing.compose(number).folds
        assert folds == tuple(sorted({clip.clip.fold for clip in composing.drawn} - {NO_FOLD}))
        named.append((folds, bool(composing.drawn)))
    assert {folds for folds, _ in named} > {(), (1,), (2,), (3,)}, "no scene was of two folds"
    assert ((), True) in named, "no scene was of background alone"


def test_frames_with_audible_sound_of_no_class_are_unlabelled() -> None:
    of_no_class = LoadedClip(clip_in("street").clip, NO_CLASS, sound("hiss", 0, 6.0))
    assert not any(any(composer().compose(number).unlabelled) for number in range(40))
    scenes = list(map(Composer([of_no_class], 6, 0).compose, range(40)))
    assert not any(scene.labels for scene in scenes)
    for scene in scenes:
        assert len(scene.unlabelled) == len(scene.frame_labels)
        levels = frame_rms(scene.samples)
        assert not any(unlabelled for level, unlabelled in zip(levels, scene.unlabelled, strict=True) if level == 0.0)
    assert {flag for scene in scenes for flag in scene.unlabelled} == {True, False}


def test_folders_of_a_kind_are_drawn_by_the_square_root_of_their_size() -> None:
    sizes = {"animal_cat": 1, "animal_dog": 4, "animal_owl": 25, "animal_pig": 100}
    found = shares([clip_in(folder, number) for folder, size in sizes.items() for number in range(size)])
    assert found == {folder: pytest.approx(size**0.5 / 18.0, abs=0.03) for folder, size in sizes.items()}


def test_no_folder_of_a_class_counts_for_more_than_forty_recordings() -> None:
    sizes = {"clips/beep": MOST_OF_FOLDER, "world/beep": 9 * MOST_OF_FOLDER, "more/beep": MOST_OF_FOLDER // 4}
    found = shares([clip_in(folder, number, class_index=0) for folder, size in sizes.items() for number in range(size)])
    wanted = {"clips/beep": 0.4, "world/beep": 0.4, "more/beep": 0.2}
    assert found == {folder: pytest.approx(share, abs=0.03) for folder, share in wanted.items()}


def test_classes_and_kinds_have_equal_weight_and_mixed_sound_twice_that() -> None:
    clips = [
        *(clip_in("beep", number, class_index=0) for number in range(90)),
        clip_in("hiss", class_index=1),
        *(clip_in(folder, number) for folder in ("animal_cat", "animal_dog") for number in range(20)),
        clip_in("machine_car"),
        clip_in("speech", class_index=2),
        clip_in("street"),
    ]
    found = shares(clips)
    found["animal"] = found.pop("animal_cat") + found.pop("animal_dog")
    weights = {"beep": 1, "hiss": 1, "animal": 1, "machine_car": 1, "speech": 2, "street": 2}
    assert found == {folder: pytest.approx(weight / 8, abs=0.03) for folder, weight in weights.items()}


def test_rivals_of_a_class_have_half_the_weight_of_the_class() -> None:
    cats = [clip_in("animal_cat", number) for number in range(10)]
    composing = Noting([clip_in("beep", class_index=0), *cats], 1, 5, [[cats[0], cats[1]], []])
    found = composing.draws()
    alone, beside = 0.1 / 2.5, (0.1 + 0.25) / 2.5
    wanted = {clip.clip.path: beside if clip in cats[:2] else alone for clip in cats}
    assert {path: found[str(path)] / found.total() for path in wanted} == {
        path: pytest.approx(share, abs=0.03) for path, share in wanted.items()
    }


def test_scenes_limited_to_the_telephone_band_keep_their_labels() -> None:
    wide = Composer([loaded("hiss", seconds=3.0)], 2, 0)
    narrow = []
    for scene in map(wide.compose, range(80)):
        power = np.abs(np.fft.rfft(scene.samples)) ** 2
        outside = power[int(0.5 * len(power)) :].sum() / max(power.sum(), 1e-12)
        if scene.labels and outside < 1e-3:
            narrow.append(scene)
    assert 1 <= len(narrow) <= 20
    assert all(set(scene.labels) == {LABELS.index("hiss")} for scene in narrow)


def test_levels_of_mixtures_range_from_very_quiet_to_full_scale() -> None:
    loud = LoadedClip(clip_in("beep").clip, 0, 3.0 * sound("beep", 0))
    scenes = map(Composer([loud], 4, 0).compose, range(100))
    # The clip as it is may be 30 dB quieter and no more.
    loudest = [20.0 * np.log10(frame_rms(scene.samples).max()) for scene in scenes if scene.labels]
    assert -60.5 < min(loudest) < -55.0
    assert -12.0 < max(loudest) <= 0.0


def test_takes_of_one_original_stay_on_one_side_of_the_split() -> None:
    clips = [loaded(label, seed) for label in LABELS for seed in (1, 1, 2, 2, 3, 4, 5, 6)]
    learn, check = split_by_source(clips, 0.2)
    assert len(learn) + len(check) == len(clips)
    assert {clip.clip.label for clip in check} == set(LABELS)
    names = [{(clip.clip.label, clip.clip.source) for clip in side} for side in (learn, check)]
    assert not names[0] & names[1]


def test_windows_of_recordings_have_sound_and_are_equal_for_a_seed() -> None:
    recordings = [clip.samples for clip in CLIPS]
    windows = WindowSource(recordings, seed=0).draw(np.random.default_rng(4), 200)
    again = WindowSource(recordings, seed=0).draw(np.random.default_rng(4), 200)
    assert windows.shape == (200, 15_600)
    assert windows.dtype == np.float32
    assert np.array_equal(windows, again)
    assert np.abs(windows).max() <= 1.0
    assert windows.any(axis=1).all()
    assert len({window.tobytes() for window in windows}) == 200


def test_windows_start_at_active_parts_only() -> None:
    samples = np.zeros(64_000, np.float32)
    samples[20_000:24_000] = 0.5
    starts = active_starts(samples, 15_600, step_samples=400, range_db=30.0, overhang_samples=7_800)
    assert all(cut(samples, int(start), 15_600).any() for start in starts)
    assert starts.min() >= 20_000 - 15_600
    assert starts.max() < 24_000
