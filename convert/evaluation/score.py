"""Result of score and cross-validate: one JSON, read back by cross-validate, by bundle --scores and for the model card."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from operator import add
from pathlib import Path
from typing import TypeVar

from convert.evaluation.figures import Accuracy, AlarmFigures, FoundClips, SoundscapeFigures
from convert.evaluation.other_figures import OtherSounds
from convert.files import read_json
from convert.plain_data import KEY, from_plain
from edge_detector.errors import UsageError

ALL = "all"
"""Key of the figures over all signal-to-noise ratios."""

Added = TypeVar("Added", FoundClips, SoundscapeFigures, AlarmFigures)


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectorScore:
    """Events of one detector.

    Attributes:
        title: for tables.
        on: threshold by class; None in a cross-validation.
        found: clips that give an event of their class.
        conditions: the same by condition: far away, in noise, in rooms, over a telephone.
        soundscapes: by signal-to-noise ratio in dB, and "all".
        background, signals: false alarms by sound.

    """

    title: str
    on: Mapping[str, float] | None = None
    found: FoundClips
    conditions: Mapping[str, FoundClips] | None = None
    soundscapes: Mapping[str, SoundscapeFigures] | None = None
    background: Mapping[str, AlarmFigures] | None = None
    signals: Mapping[str, AlarmFigures] | None = None

    def shape(self) -> tuple[object, ...]:
        """Return the settings that two results must share to be added up."""
        parts = self.conditions, self.soundscapes, self.background, self.signals
        return tuple(None if part is None else tuple(part) for part in parts)

    def __add__(self, other: "DetectorScore") -> "DetectorScore":
        """Add up two folds of one shape."""
        return DetectorScore(
            title=self.title,
            found=self.found + other.found,
            conditions=_added(self.conditions, other.conditions),
            soundscapes=_added(self.soundscapes, other.soundscapes),
            background=_added(self.background, other.background),
            signals=_added(self.signals, other.signals),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerScore(Accuracy):
    """YAMNet on the clips, a window every 0.48 s, among the classes of the clips.

    Attributes:
        file: name of its file.
        found_at: clips with a window of their class at or above a threshold, by threshold.
        classes_without_labels: classes that YAMNet cannot detect.

    """

    file: str
    found_at: Mapping[str, FoundClips]
    classes_without_labels: tuple[str, ...] = field(metadata={KEY: "deaf_to"})

    def add(self, other: "PeerScore") -> "PeerScore":
        """Add up two folds."""
        total = self + other
        return replace(
            self, confusion=total.confusion, found_at={key: found + other.found_at[key] for key, found in self.found_at.items()}
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PartScore:
    """One bundle of a cross-validation: its folds, clips, errors, errors among the classes of the clips, and YAMNet's."""

    bundle: str
    version: str
    folds: tuple[int, ...]
    clips: int
    errors: int
    among_classes_of_clips: int | None = None
    peer_errors: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreResult(Accuracy):
    """Figures of a bundle, or the sum over the bundles of a cross-validation.

    Attributes:
        bundle: its name.
        version: its version; None in a cross-validation.
        folds: folds of the clips; None for all.
        training_folds: folds that the bundle's networks or thresholds depend on.
        seed: of everything synthetic and composed.
        detectors: by name: edge_detector_<hop in seconds>, yamnet_frigate, yamnet_calibrated.
        among_classes_of_clips: accuracy among the classes that have clips, as for YAMNet.
        parts: figures of each bundle of a cross-validation.
        peer: YAMNet on the clips.
        other_sounds: clips found and false events in other sounds, at every strictness.

    """

    bundle: str
    version: str | None = None
    folds: tuple[int, ...] | None
    training_folds: tuple[int, ...] = field(metadata={KEY: "learnt_from_folds"})
    seed: int
    detectors: Mapping[str, DetectorScore]
    among_classes_of_clips: Accuracy | None = None
    parts: tuple[PartScore, ...] | None = None
    peer: PeerScore | None = None
    other_sounds: OtherSounds | None = None

    def shape(self) -> tuple[object, ...]:
        """Return the settings that two results must share to be added up."""
        detectors = {key: detector.shape() for key, detector in self.detectors.items()}
        among, peer = self.among_classes_of_clips is not None, self.peer is not None
        return self.labels, self.seed, among, peer, detectors, self.other_sounds and self.other_sounds.shape()

    def for_manifest(self) -> "ScoreResult":
        """Return the figures without single latencies, and by class only over all signal-to-noise ratios."""
        return replace(self, detectors={key: _for_manifest(detector) for key, detector in self.detectors.items()})


def read_score(path: Path) -> ScoreResult:
    """Read a result of score --json or cross-validate --json. Raises UsageError for any other file."""
    content = read_json(path)
    try:
        return from_plain(ScoreResult, content, str(path), ignore_unknown=True)
    except UsageError as error:
        raise UsageError(f"{error}; this is no result of score --json, so score again") from error


def cross_validation(results: Sequence[ScoreResult]) -> ScoreResult:
    """Add up results of one shape, each of a bundle on its held-out folds."""
    first = results[0]
    total = reduce(add, results[1:], Accuracy(labels=first.labels, confusion=first.confusion))
    among = [result.among_classes_of_clips for result in results if result.among_classes_of_clips is not None]
    peers = [result.peer for result in results if result.peer is not None]
    others = [result.other_sounds for result in results if result.other_sounds is not None]
    return ScoreResult(
        labels=total.labels,
        confusion=total.confusion,
        bundle=f"{len(results)} bundles, each without the folds it is scored on",
        folds=tuple(sorted(fold for result in results for fold in result.folds or ())),
        training_folds=(),
        seed=first.seed,
        detectors={key: reduce(add, (result.detectors[key] for result in results)) for key in first.detectors},
        among_classes_of_clips=reduce(add, among) if among else None,
        parts=tuple(_part(result) for result in results),
        peer=reduce(PeerScore.add, peers) if peers else None,
        other_sounds=reduce(add, others) if others else None,
    )


def _part(result: ScoreResult) -> PartScore:
    return PartScore(
        bundle=result.bundle,
        version=result.version or "",
        folds=result.folds or (),
        clips=result.clips,
        errors=result.errors,
        among_classes_of_clips=None if result.among_classes_of_clips is None else result.among_classes_of_clips.errors,
        peer_errors=None if result.peer is None else result.peer.errors,
    )


def _added(one: Mapping[str, Added] | None, other: Mapping[str, Added] | None) -> Mapping[str, Added] | None:
    return None if one is None or other is None else {key: figures + other[key] for key, figures in one.items()}


def _for_manifest(detector: DetectorScore) -> DetectorScore:
    if detector.soundscapes is None:
        return detector
    lean = {ratio: figures.without_latencies(keep_classes=ratio == ALL) for ratio, figures in detector.soundscapes.items()}
    return replace(detector, soundscapes=lean)
