"""Training sequences: labels follow the energy, and equal seeds give equal sequences."""

from collections import Counter
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from convert.audio.training_mixtures import MAX_COUNTED_RECORDINGS, Composer, Scene, scene_samples, split_by_source
from convert.audio.windows import WindowSource
from edge_detector.audio.activity import active_starts, cut
from edge_detector.audio.clips import NO_CLASS, NO_FOLD, Clip, LoadedClip
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


def test_a_sequence_has_labels_for_every_patch() -> None:
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
    assert silent, "no sequence has a silent frame"
    assert not any(silent)


def test_labels_of_a_plain_clip_follow_its_energy() -> None:
    long_clips = [loaded("hiss", seconds=9.0)]
    of_one = Composer(long_clips, 10, 3)
    scenes = [of_one.compose(number) for number in range(40)]
    plain = [scene for scene in scenes if len(scene.frame_labels) == 9 and not scene.samples[-30_000:].any()]
    assert plain, "no sequence is a plain clip"
    for scene in plain:
        active = frame_rms(scene.samples) > 0.0
        assert [bool(labels) for labels in scene.frame_labels] == active.tolist()


def test_some_sequences_have_no_event_and_some_have_two_at_once() -> None:
    scenes = [composer().compose(number) for number in range(60)]
    assert any(not scene.labels for scene in scenes)
    assert any(len(labels) > 1 for scene in scenes for labels in scene.frame_labels)
    assert {len(scene.frame_labels) for scene in scenes} >= {1, 10}


def test_a_sequence_depends_only_on_seed_and_number() -> None:
    first, again = composer(), Composer(CLIPS, 10, 0)
    again.compose(5)
    one, other = first.compose(7), again.compose(7)
    assert np.array_equal(one.samples, other.samples)
    assert one.frame_labels == other.frame_labels
    assert not np.array_equal(one.samples[:1_000], composer(1).compose(7).samples[:1_000])


class RecordingComposer(Composer):
    """A composer that keeps the clips of its last sequence."""

    drawn: tuple[LoadedClip, ...] = ()

    def compose(self, number: int) -> Scene:
        self.drawn = ()
        return super().compose(number)

    def _draw_clip(self, rng: np.random.Generator) -> LoadedClip:
        clip = super()._draw_clip(rng)
        self.drawn = (*self.drawn, clip)
        return clip

    def draws(self) -> Counter[str]:
        """Count the draws of each path in 4,000 draws."""
        rng = np.random.default_rng(5)
        return Counter(str(super(RecordingComposer, self)._draw_clip(rng).clip.path) for _ in range(4_000))


SHORT = sound("beep", 1, 0.5)


def clip_in(folder: str, number: int = 0, fold: int = NO_FOLD, class_index: int = NO_CLASS) -> LoadedClip:
    """A clip FOLDER/NUMBER.wav, by default of no class."""
    label = folder.rpartition("/")[2]
    return LoadedClip(Clip(Path(f"{folder}/{number}.wav"), label, fold, str(number)), class_index, SHORT)


def shares(clips: Sequence[LoadedClip]) -> dict[str, float]:
    """Share of the draws by folder."""
    found: Counter[str] = Counter()
    for path, count in RecordingComposer(clips, 1, 5).draws().items():
        found[str(Path(path).parent)] += count
    return {folder: count / found.total() for folder, count in found.items()}


def test_a_sequence_lists_exactly_the_folds_of_its_clips_and_background_has_no_fold() -> None:
    clips = [clip_in("beep", fold, fold, class_index=0) for fold in (1, 2, 3)]
    composing = RecordingComposer([*clips, clip_in("animal_cat")], 1, 0)
    listed = []
    for number in range(150):
        folds = composing.compose(number).folds
        assert folds == tuple(sorted({clip.clip.fold for clip in composing.drawn} - {NO_FOLD}))
        listed.append((folds, bool(composing.drawn)))
    assert {folds for folds, _ in listed} > {(), (1,), (2,), (3,)}, "no sequence has clips of two folds"
    assert ((), True) in listed, "no sequence has background alone"


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


def test_folders_of_a_kind_are_drawn_in_proportion_to_the_square_root_of_their_size() -> None:
    sizes = {"animal_cat": 1, "animal_dog": 4, "animal_owl": 25, "animal_pig": 100}
    found = shares([clip_in(folder, number) for folder, size in sizes.items() for number in range(size)])
    assert found == {folder: pytest.approx(size**0.5 / 18.0, abs=0.03) for folder, size in sizes.items()}


def test_a_folder_of_a_class_counts_as_at_most_forty_recordings() -> None:
    sizes = {
        "clips/beep": MAX_COUNTED_RECORDINGS,
        "world/beep": 9 * MAX_COUNTED_RECORDINGS,
        "more/beep": MAX_COUNTED_RECORDINGS // 4,
    }
    found = shares([clip_in(folder, number, class_index=0) for folder, size in sizes.items() for number in range(size)])
    expected = {"clips/beep": 0.4, "world/beep": 0.4, "more/beep": 0.2}
    assert found == {folder: pytest.approx(share, abs=0.03) for folder, share in expected.items()}


def test_classes_and_kinds_are_drawn_equally_regardless_of_size_and_mixed_sound_twice_as_often() -> None:
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


def test_hard_negatives_of_a_class_are_drawn_additionally_half_as_often_as_the_class() -> None:
    cats = [clip_in("animal_cat", number) for number in range(10)]
    composing = RecordingComposer([clip_in("beep", class_index=0), *cats], 1, 5, [[cats[0], cats[1]], []])
    found = composing.draws()
    plain, hard = 0.1 / 2.5, (0.1 + 0.25) / 2.5
    expected = {clip.clip.path: hard if clip in cats[:2] else plain for clip in cats}
    assert {path: found[str(path)] / found.total() for path in expected} == {
        path: pytest.approx(share, abs=0.03) for path, share in expected.items()
    }


def test_some_sequences_have_the_telephone_band_and_keep_their_labels() -> None:
    wide = Composer([loaded("hiss", seconds=3.0)], 2, 0)
    narrow = []
    for scene in map(wide.compose, range(80)):
        power = np.abs(np.fft.rfft(scene.samples)) ** 2
        outside = power[int(0.5 * len(power)) :].sum() / max(power.sum(), 1e-12)
        if scene.labels and outside < 1e-3:
            narrow.append(scene)
    assert 1 <= len(narrow) <= 20
    assert all(set(scene.labels) == {LABELS.index("hiss")} for scene in narrow)


def test_sequences_range_from_minus_60_dbfs_to_full_scale() -> None:
    loud = LoadedClip(clip_in("beep").clip, 0, 3.0 * sound("beep", 0))
    scenes = map(Composer([loud], 4, 0).compose, range(100))
    # A plain clip is at most 30 dB quieter.
    loudest = [20.0 * np.log10(frame_rms(scene.samples).max()) for scene in scenes if scene.labels]
    assert -60.5 < min(loudest) < -55.0
    assert -12.0 < max(loudest) <= 0.0


def test_takes_of_one_original_stay_in_one_part_of_the_split() -> None:
    clips = [loaded(label, seed) for label in LABELS for seed in (1, 1, 2, 2, 3, 4, 5, 6)]
    training, validation = split_by_source(clips, 0.2)
    assert len(training) + len(validation) == len(clips)
    assert {clip.clip.label for clip in validation} == set(LABELS)
    names = [{(clip.clip.label, clip.clip.source) for clip in side} for side in (training, validation)]
    assert not names[0] & names[1]


def test_windows_of_recordings_contain_sound_and_repeat_with_their_seed() -> None:
    recordings = [clip.samples for clip in CLIPS]
    windows = WindowSource(recordings, seed=0).draw(np.random.default_rng(4), 200)
    again = WindowSource(recordings, seed=0).draw(np.random.default_rng(4), 200)
    assert windows.shape == (200, 15_600)
    assert windows.dtype == np.float32
    assert np.array_equal(windows, again)
    assert np.abs(windows).max() <= 1.0
    assert windows.any(axis=1).all()
    assert len({window.tobytes() for window in windows}) == 200


def test_windows_contain_part_of_the_active_sound() -> None:
    samples = np.zeros(64_000, np.float32)
    samples[20_000:24_000] = 0.5
    starts = active_starts(samples, 15_600, step_samples=400, range_db=30.0, overhang_samples=7_800)
    assert all(cut(samples, int(start), 15_600).any() for start in starts)
    assert starts.min() >= 20_000 - 15_600
    assert starts.max() < 24_000
