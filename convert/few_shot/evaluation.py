"""Cross-validated figures of the new classes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from convert.audio.clips import LoadedClip
from convert.evaluation.calibration import Stream, at_hop, starts_in
from convert.evaluation.score_streams import found_by_hop
from convert.evaluation.scoring import accuracy
from convert.few_shot.extended_bundle import ExtendedBundle, Rules
from convert.plain_data import KEY, from_plain, to_plain
from edge_detector.detection.bundle import SoundClass

PROTOCOL = (
    "Each recording of the new classes was left out once, with all takes of its original, and run through the detector's "
    "streaming path with a model that was trained on the others ({parts} models), at the thresholds of this bundle. This bundle "
    "itself is trained on all of them."
)


@dataclass(frozen=True, slots=True)
class HeldOut:
    """A recording, and its stream by a model that was trained without it."""

    clip: LoadedClip
    stream: Stream


@dataclass(frozen=True, slots=True)
class DetectedClips:
    """Recordings that give an event of their class at one hop: number, share, and share by class."""

    clips: int
    found: int
    share: float
    recall: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class FewShotEvaluation:
    """Figures of the held-out recordings.

    Attributes:
        protocol: description of the cross-validation.
        clips: number of recordings.
        right: number of recordings whose class has the highest mean probability.
        accuracy: their share.
        errors: number of the others.
        error_share_95: 95 % confidence interval of their share.
        recall: share of right ones by class.
        labels: slugs of all classes.
        confusion: recordings by class and class of the highest mean probability, the last column without a window.
        events: recordings that give an event, by hop in seconds.
        also_detected: by new class, the number of its recordings that give an event of a kept class.

    """

    protocol: str
    clips: int
    right: int
    accuracy: float
    errors: int
    error_share_95: tuple[float, float]
    recall: Mapping[str, float]
    labels: tuple[str, ...]
    confusion: tuple[tuple[int, ...], ...]
    events: Mapping[str, DetectedClips]
    also_detected: Mapping[str, Mapping[str, int]] | None = field(default=None, metadata={KEY: "also_heard"})


def evaluate(extended: ExtendedBundle, held_out: Sequence[HeldOut], parts: int, rules: Rules) -> FewShotEvaluation:
    """Return the figures of held-out recordings at these rules."""
    classes, first = extended.classes(rules), len(extended.kept)
    labels = [sound.slug for sound in classes]
    enabled = [index for index, sound in enumerate(classes) if sound.enabled]
    clips = [replace(each.clip, class_index=first + each.clip.class_index) for each in held_out]
    streams = [each.stream for each in held_out]
    also = {
        slug: found
        for index, slug in enumerate(labels[first:], first)
        if (found := _also_detected(index, streams, classes[:first]))
    }
    figures = {
        "protocol": PROTOCOL.format(parts=parts),
        **to_plain(accuracy([at_hop(stream.probabilities, 1) for stream in streams], clips, labels, enabled)),
        "events": to_plain(found_by_hop(streams, classes)),
        "also_heard": also or None,
    }
    return from_plain(FewShotEvaluation, figures, "the figures of the cross-validation", ignore_unknown=True)


def _also_detected(index: int, streams: Sequence[Stream], kept: Sequence[SoundClass]) -> dict[str, int]:
    """Count recordings of a new class that also give an event of a kept class."""
    own = [stream for stream in streams if index in stream.true]
    found = {
        sound.slug: sum(starts_in(stream, number, sound.rules[1], 1) > 0 for stream in own) for number, sound in enumerate(kept)
    }
    return {slug: count for slug, count in found.items() if count}
