"""The YAMNet baseline: its scores as probabilities of a bundle's classes, and Frigate's policy."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from convert.embedder.runtime import DEFAULT_BUNDLE
from convert.embedder.yamnet import (
    EXAMPLE_STEP_SAMPLES,
    FRIGATE_RULE,
    FRIGATE_STEP_SAMPLES,
    NAMES_BY_MID,
    YamnetBaseline,
    columns_of,
    windows,
)
from convert.embedder.yamnet_labels import LABELS, read_labels
from convert.evaluation.benchmark import BenchmarkDetector, found_at
from convert.evaluation.scoring import accuracy
from edge_detector.audio.clips import find_clips, load_clips
from edge_detector.class_names import ClassName
from edge_detector.detection.bundle import SoundClass, load_bundle
from edge_detector.detection.hysteresis import Rule
from edge_detector.errors import UsageError
from edge_detector.types import Float32
from tests.unit.convert.embedder.test_yamnet_labels import without_archive

SHIPPED = load_bundle(DEFAULT_BUNDLE).manifest.classes
CLASSES = tuple(replace(sound, audioset=()) for sound in SHIPPED if sound.mid in NAMES_BY_MID)
"""The twelve of the first bundles, by identifier alone."""

SLUGS = tuple(sound.slug for sound in CLASSES)
RATE_HZ = 16_000


def in_frigate(scores: list[float]) -> list[tuple[float, float]]:
    """Onsets and ends in windows of the events that Frigate's policy makes of a class's scores."""

    def hear(_samples: Float32) -> Float32:
        return np.array(scores, np.float32)[:, np.newaxis]

    found = BenchmarkDetector("Frigate", ("dog",), hear, FRIGATE_STEP_SAMPLES, (FRIGATE_RULE,)).events(np.zeros(0, np.float32))
    return [(event.onset_sample / FRIGATE_STEP_SAMPLES, event.offset_sample / FRIGATE_STEP_SAMPLES) for event in found]


def test_frigate_starts_above_its_threshold_and_holds_for_thirty_seconds() -> None:
    assert in_frigate([0.7999, 0.79, 0.5]) == []
    assert in_frigate([0.0, 0.81, 0.0, 0.0]) == [(1.0, 2.0)]
    hold = [0.9, *[0.0] * 29, 0.9, *[0.0] * 40, 0.9]
    assert in_frigate(hold) == [(0.0, 31.0), (71.0, 72.0)], "29 windows of 0.975 s are less than 30 s, 40 are more"


def test_windows_overlap_by_the_step_and_an_incomplete_one_is_left_out() -> None:
    samples = np.arange(40_000, dtype=np.float32)
    assert [int(window[0]) for window in windows(samples, FRIGATE_STEP_SAMPLES)] == [0, 15_600]
    assert [int(window[0]) for window in windows(samples, EXAMPLE_STEP_SAMPLES)] == [0, 7_680, 15_360, 23_040]


@pytest.mark.parametrize(("names", "what"), [(["Dog", "Bark"], "comes with 2 labels"), (range(521), "has no label 'Baby cry")])
def test_a_list_of_labels_that_is_not_yamnet_s_is_rejected(
    names: Sequence[object], what: str, tmp_path: Path, data: Path
) -> None:
    model = without_archive(data / "peers" / "yamnet.tflite", tmp_path / "yamnet.tflite")
    (tmp_path / LABELS).write_text("\n".join(map(str, names)), encoding="utf-8")
    with pytest.raises(UsageError, match=what):
        YamnetBaseline(model, CLASSES)


def test_a_class_of_audioset_labels_has_the_highest_of_their_scores(data: Path) -> None:
    path = data / "peers" / "yamnet.tflite"
    rooster = ClassName("rooster", "Rooster", "/m/07qn5dc", ("Crowing, cock-a-doodle-doo",))
    names = read_labels(path)
    assert columns_of(path, len(names), [rooster]) == [[names.index("Crowing, cock-a-doodle-doo")]]
    by_identifier = columns_of(path, len(names), [ClassName("rooster", "Rooster", "/m/07qn5dc")])
    assert [names[column] for column in by_identifier[0]] == list(NAMES_BY_MID["/m/07qn5dc"])


def test_a_class_of_a_label_that_yamnet_lacks_is_rejected(data: Path) -> None:
    kettle = ClassName("kettle", "Kettle", None, ("Steam", "Kettle"))
    with pytest.raises(UsageError, match="has no label 'Kettle', which the class kettle is made of; give"):
        YamnetBaseline(data / "peers" / "yamnet.tflite", [kettle])


def test_every_class_of_the_shipped_bundle_has_labels(data: Path) -> None:
    assert {sound.mid for sound in CLASSES} == set(NAMES_BY_MID)
    assert YamnetBaseline(data / "peers" / "yamnet.tflite", SHIPPED).deaf_to == ()
    gong = SoundClass("gong", "Gong", "/m/01m2v", {hops: Rule(0.5, 0.3) for hops in (1, 2, 4)})
    peer = YamnetBaseline(data / "peers" / "yamnet.tflite", (*CLASSES, gong))
    assert peer.deaf_to == ("gong",)
    assert peer.probabilities(np.zeros(2 * RATE_HZ, np.float32), EXAMPLE_STEP_SAMPLES).shape == (3, len(CLASSES) + 1)
    short = np.zeros(100, np.float32)
    assert peer.probabilities(short, EXAMPLE_STEP_SAMPLES).shape == (1, len(CLASSES) + 1), "with silence after it"


def test_frigate_ignores_quiet_windows(data: Path) -> None:
    peer = YamnetBaseline(data / "peers" / "yamnet.tflite", CLASSES)
    (clip,) = load_clips(find_clips(data / "esc10", (1,))[:1], SLUGS)
    loud = clip.samples / np.abs(clip.samples).max()
    assert peer.probabilities_in_frigate(loud).max() > 0.1
    assert not peer.probabilities_in_frigate(loud * np.float32(0.005)).any()
    assert peer.probabilities(loud * np.float32(0.005), FRIGATE_STEP_SAMPLES).any()


def test_yamnet_is_wrong_on_8_of_320_clips_and_detects_72_percent_at_0_5(data: Path) -> None:
    peer = YamnetBaseline(data / "peers" / "yamnet.tflite", CLASSES)
    clips = load_clips(find_clips(data / "esc10"), SLUGS)
    found = [peer.probabilities(clip.samples, EXAMPLE_STEP_SAMPLES) for clip in clips]
    asked = {clip.class_index for clip in clips}
    assert (len(clips), accuracy(found, clips, SLUGS, asked).errors) == (320, 8)
    assert accuracy(found, clips, SLUGS).errors > 8, "many clips also have speech and music"
    shares = {threshold: figures.share for threshold, figures in found_at(found, clips).items()}
    # On all 400 clips 70.5 and 83.5 %.
    assert shares == pytest.approx({"0.5": 0.72, "0.2": 0.835}, abs=0.015)
