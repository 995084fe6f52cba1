"""Learning of taught classes: training frames, one model of all recordings, and models that each leave some out."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from edge_detector.audio.clips import LoadedClip
from edge_detector.detection.detector import Networks
from edge_detector.detection.linear_classifier import LinearClassifier
from edge_detector.params import FRONT_END
from edge_detector.teaching.calibration import FINEST
from edge_detector.teaching.negatives import Negative
from edge_detector.teaching.regression import ALL, Frames, fit
from edge_detector.teaching.scenes import SceneMaker
from edge_detector.teaching.sounds import split_from_room, split_into_parts
from edge_detector.teaching.streams import codes_of, features
from edge_detector.types import Codes, Float32

SCENES_PER_CLIP = 10
MOST_PARTS = 10
"""Parts of the cross-validation: with ten recordings of each class, each is left out alone."""

Report: TypeAlias = Callable[[str, int, int], None]
"""Receives the name of a stage, how much of it is done, and of how much."""


@dataclass(frozen=True, slots=True)
class TeachingData:
    """What taught classes are learnt from.

    Attributes:
        labels: slugs of the classes.
        clips: recordings of them; their class indices are those of the labels.
        sounds: sound without them, float32 (n,) at 16 kHz each.
        negatives: embeddings of such sound.
        seed: of all random draws.
        wrong: recordings that are not the class of their index, and nothing is known of the other classes in them.

    """

    labels: tuple[str, ...]
    clips: Sequence[LoadedClip]
    sounds: Sequence[Float32]
    negatives: Sequence[Negative]
    seed: int
    wrong: Sequence[LoadedClip] = ()


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A recording, scored by a model that was trained without it.

    Attributes:
        clip: the recording.
        codes: uint8 (hops, 128) at the finest hop.
        probabilities: float32 (hops, V).

    """

    clip: LoadedClip
    codes: Codes
    probabilities: Float32


@dataclass(frozen=True, slots=True)
class LearntClasses:
    """A classifier, and what models of the cross-validation make of what they were trained without.

    Attributes:
        classifier: trained on everything.
        parts: number of the other models.
        clips: the recordings.
        negatives: the negatives, each with the probabilities float32 (frames, V) of a model that was trained without it.
        wrong: recordings that are not the class of their index.

    """

    classifier: LinearClassifier
    parts: int
    clips: tuple[LeftOut, ...]
    negatives: tuple[tuple[Negative, Float32], ...]
    wrong: tuple[LeftOut, ...] = ()


@dataclass(frozen=True, slots=True)
class _Stretch:
    """Training frames of one stretch of sound: features float32 (n, 256), class index or -1 of each, part, and `own` of all."""

    features: Float32
    classes: NDArray[np.int64]
    part: int
    own: int = ALL


def learn(networks: Networks, data: TeachingData, report: Report) -> LearntClasses:
    """Train on everything, then once for each part without it, and score that part.

    Args:
        networks: of the bundle that is extended.
        data: recordings and negatives.
        report: receives the progress.

    """
    originals = [len({clip.clip.source for clip in data.clips if clip.clip.label == label}) for label in data.labels]
    parts = split_into_parts(data.clips, min(MOST_PARTS, *originals))
    wrong = split_into_parts(data.wrong, len(parts))
    stretches = [
        *_embedded(networks, data, parts, report),
        *_of_wrong(networks, data, wrong),
        *_of_negatives(data.negatives, len(parts)),
    ]
    codes = {}
    for number, clip in enumerate((*data.clips, *data.wrong), 1):
        codes[clip.clip.path] = codes_of(networks, clip.samples, FINEST)
        report("embed recordings", number, len(data.clips) + len(data.wrong))
    part_of_frame = np.concatenate([np.full(len(each.classes), each.part) for each in stretches])
    targets = np.concatenate([each.classes for each in stretches])[:, np.newaxis] == np.arange(len(data.labels))
    own = np.concatenate([np.full(len(each.classes), each.own) for each in stretches]) if data.wrong else None
    frames = Frames.of(np.concatenate([each.features for each in stretches]), targets, own)
    of_all = fit(frames)
    scored: list[LeftOut] = []
    scored_wrong: list[LeftOut] = []
    negatives = [np.zeros((0, len(data.labels)), np.float32)] * len(data.negatives)
    for part, clips in enumerate(parts):
        report("leave each recording out", part, len(parts))
        model = fit(frames.without(part_of_frame == part), of_all).classifier(frames)
        for found, left_out in ((scored, clips), (scored_wrong, wrong[part])):
            for clip in left_out:
                of_clip = codes[clip.clip.path]
                found.append(LeftOut(clip, of_clip, model.of_features(features(of_clip, FINEST))))
        for number in range(part, len(data.negatives), len(parts)):
            negatives[number] = model.of_features(features(data.negatives[number].codes))
    report("leave each recording out", len(parts), len(parts))
    return LearntClasses(
        classifier=of_all.classifier(frames),
        parts=len(parts),
        clips=tuple(scored),
        negatives=tuple(zip(data.negatives, negatives, strict=True)),
        wrong=tuple(scored_wrong),
    )


def _embedded(
    networks: Networks, data: TeachingData, parts: Sequence[Sequence[LoadedClip]], report: Report
) -> Iterable[_Stretch]:
    """Yield the frames of scenes of the recordings, of their rooms, and of other sound."""
    maker, rng = SceneMaker(data.seed), np.random.default_rng(data.seed)
    total, done = len(data.clips) + len(data.sounds), 0
    for part, clips in enumerate(parts):
        for clip in clips:
            sound, room = split_from_room(clip.samples)
            for _ in range(SCENES_PER_CLIP):
                scene = maker.make(sound, room, rng)
                found = features(codes_of(networks, scene.samples))
                yield _Stretch(found, np.where(scene.sounding, clip.class_index, -1), part)
            if len(room) >= FRONT_END.patch_samples:
                yield _negative(features(codes_of(networks, room)), part)
            done += 1
            report("embed scenes", done, total)
    for number, samples in enumerate(data.sounds):
        yield _negative(features(codes_of(networks, samples)), number % len(parts))
        done += 1
        report("embed scenes", done, total)


def _of_wrong(networks: Networks, data: TeachingData, parts: Sequence[Sequence[LoadedClip]]) -> Iterable[_Stretch]:
    """Yield the frames of scenes of recordings that are not a class, which count for that class alone."""
    # Draws of their own: the scenes of the others stay as they are without them.
    maker, rng = SceneMaker(data.seed), np.random.default_rng([data.seed, 2])
    for part, clips in enumerate(parts):
        for clip in clips:
            for _ in range(SCENES_PER_CLIP):
                scene = maker.make(*split_from_room(clip.samples), rng)
                yield replace(_negative(features(codes_of(networks, scene.samples)), part), own=clip.class_index)


def _of_negatives(negatives: Sequence[Negative], parts: int) -> Iterable[_Stretch]:
    return (_negative(features(each.codes), number % parts) for number, each in enumerate(negatives))


def _negative(found: Float32, part: int) -> _Stretch:
    return _Stretch(found, np.full(len(found), -1), part)
