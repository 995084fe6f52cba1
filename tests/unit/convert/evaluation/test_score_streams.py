"""Folders of sound as input of a calibration: hours of speech and music, and recordings of other sounds."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from convert.embedder.pseudo_labels import Doubts
from convert.embedder.runtime import DEFAULT_BUNDLE, stream_probabilities
from convert.evaluation.score_streams import (
    Labelled,
    Levels,
    continuous_streams,
    doubts_of,
    labelled_by,
    noise_streams,
    recording_streams,
    sounds_by_label,
)
from edge_detector.detection.bundle import load_bundle
from edge_detector.detection.networks_of_bundle import networks_of
from edge_detector.teaching.augment import rms
from edge_detector.teaching.calibration import FINEST
from edge_detector.types import Float32
from tests.support.synthetic import RATE_HZ, sound

SLUGS = ("rain", "speech")
LABELS = ("Rain", "Bird")
DOUBTS = Doubts.of(LABELS, [("Rain",), ()])


def write(folder: Path, label: str, level: float, seconds: float = 2.0, count: int = 1) -> None:
    """Recordings at a constant level, by which they are known again."""
    (folder / label).mkdir(parents=True)
    for number in range(count):
        samples = np.full(round(seconds * RATE_HZ), level)
        soundfile.write(folder / label / f"1-x_0000-{number:04d}.wav", samples, RATE_HZ, subtype="FLOAT")


def level_of(samples: Float32) -> Float32:
    """In place of a detector: the level of each second as the probability of both classes."""
    seconds = samples.reshape(-1, RATE_HZ)
    return np.asarray(np.abs(seconds).mean(axis=1, keepdims=True).repeat(2, axis=1), np.float32)


def labelled(samples: Float32) -> Labelled:
    """The same, where rain is as likely as it is loud and a bird is always there at 0.5."""
    found = level_of(samples)
    return Labelled(found, np.stack([found[:, 0], np.full(len(found), 0.5, np.float32)], axis=1))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for label, level in (("speech", 0.4), ("music", 0.3), ("nature_rain", 0.6), ("animal_bird", 0.2), ("street", 0.1)):
        write(tmp_path, label, level, count=3)
    return tmp_path


def test_speech_and_music_are_one_stream_at_each_level_with_their_own_class(folder: Path) -> None:
    found = continuous_streams(level_of, sounds_by_label(folder), SLUGS, Levels(gains_db=(0.0, -20.0)))
    assert {name: [stream.seconds for stream in streams] for name, streams in found.items()} == {
        "speech": [4.0, 2.0],
        "music": [4.0, 2.0],
    }
    assert [stream.true for stream in (*found["speech"], *found["music"])] == [frozenset({1})] * 2 + [frozenset()] * 2
    assert [stream.probabilities[:, 0].tolist() for stream in found["speech"]] == [
        pytest.approx([0.4] * 4),
        pytest.approx([0.04] * 2),
    ]


def test_other_sounds_are_recordings_by_kind_each_at_the_next_level(folder: Path) -> None:
    found = recording_streams(labelled, None, sounds_by_label(folder), Levels(gains_db=(0.0, -20.0)))
    assert {kind: [float(stream.probabilities[0, 0]) for stream in streams] for kind, streams in found.items()} == {
        "nature": pytest.approx([0.6, 0.06, 0.6]),
        "animal": pytest.approx([0.2, 0.02, 0.2]),
        "other": pytest.approx([0.1, 0.01, 0.1]),
    }
    assert all(stream.seconds == 2.0 for streams in found.values() for stream in streams)


def test_a_class_that_may_be_in_a_recording_is_not_counted_there(folder: Path) -> None:
    found = recording_streams(labelled, DOUBTS, sounds_by_label(folder), Levels(gains_db=(0.0, -20.0)))
    true = {kind: [set(stream.true) for stream in streams] for kind, streams in found.items()}
    assert true == {"nature": [{0}, set(), {0}], "animal": [set()] * 3, "other": [set()] * 3}, "at -20 dB the bird is likelier"


def test_without_label_scores_every_class_is_counted(folder: Path) -> None:
    found = recording_streams(lambda samples: Labelled(level_of(samples), None), DOUBTS, sounds_by_label(folder), Levels())
    assert not any(stream.true for streams in found.values() for stream in streams)


def test_long_background_is_thinned_evenly(tmp_path: Path) -> None:
    (tmp_path / "speech").mkdir()
    for number in range(10):
        samples = np.full(2 * RATE_HZ, (number + 1) / 20.0)
        soundfile.write(tmp_path / "speech" / f"1-x_0000-{number:04d}.wav", samples, RATE_HZ, subtype="FLOAT")
    for seconds, levels in ((6.0, [1, 5, 10]), (20.0, [*range(1, 11)]), (0.5, [1])):
        (stream,) = continuous_streams(level_of, sounds_by_label(tmp_path), SLUGS, Levels(most_hours=seconds / 3600.0))["speech"]
        assert (20.0 * stream.probabilities[::2, 0]).round().astype(int).tolist() == levels


def test_a_bundle_returns_the_detector_s_probabilities_of_classes_and_labels() -> None:
    bundle = load_bundle(DEFAULT_BUNDLE)
    classes, outputs = bundle.manifest.classes, bundle.manifest.named_outputs
    samples = sound("hiss", 1)
    found = labelled_by(bundle, classes)(samples)
    assert np.array_equal(found.classes, stream_probabilities(networks_of(bundle, classes), samples, FINEST))
    assert found.labels is not None
    every = stream_probabilities(networks_of(bundle), samples, FINEST)
    assert np.array_equal(found.labels, every[:, : len(outputs.audioset)])
    doubts = doubts_of(bundle, classes)
    assert doubts is not None
    own = [tuple(outputs.audioset[column].name for column in columns) for columns in doubts.own]
    assert own == [each.audioset for each in classes]


def test_synthetic_noise_is_drawn_every_ten_seconds_and_is_the_same_for_a_seed() -> None:
    given: list[Float32] = []

    def keep(samples: Float32) -> Float32:
        given.append(samples)
        return level_of(samples)

    tone = np.ones(3_201, np.float32)
    streams = [noise_streams(keep, 1.0, seed, tones) for seed, tones in ((1, ()), (1, ()), (2, ()), (1, (tone,)))]
    assert [[stream.seconds for stream in each] for each in streams] == [[60.0]] * 4
    one, again, other, with_tones = given
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)
    assert not np.array_equal(one, with_tones)
    levels = [rms(part) for part in one.reshape(6, -1)]
    assert max(levels) / min(levels) > 10.0, "from a quiet room to a loud one"
    assert noise_streams(keep, 0.0, 1) == []
