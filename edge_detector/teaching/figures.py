"""Cross-validated figures of taught classes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from edge_detector.detection.bundle import SoundClass, hop_key
from edge_detector.detection.detector import Networks
from edge_detector.params import HOPS_PER_PATCH
from edge_detector.teaching.calibration import FINEST, at_hop, event_starts
from edge_detector.teaching.intervals import wilson_interval
from edge_detector.teaching.learning import LearntClasses
from edge_detector.teaching.streams import outputs_of
from edge_detector.teaching.thresholds import Thresholds
from edge_detector.types import Float32

PROTOCOL = (
    "Each recording was left out once, with all takes of its original, and scored by a model that was trained on the others "
    "({parts} models), at the thresholds of this bundle. The bundle itself is trained on all of them."
)


@dataclass(frozen=True, slots=True)
class ClassFigures:
    """Left-out recordings of one class.

    Attributes:
        recordings: their number.
        on_top: of these, those whose class has the highest mean probability of all enabled classes.
        events: of these, those that give an event of the class, by hop in seconds.
        also_detected: of these, those that give an event of a kept enabled class, by its slug.

    """

    recordings: int
    on_top: int
    events: Mapping[str, int]
    also_detected: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class TaughtFigures:
    """Figures of all left-out recordings.

    Attributes:
        protocol: how they were measured.
        recordings: their number.
        on_top: of these, those whose class has the highest mean probability.
        on_top_share_95: 95 % confidence interval of their share.
        classes: by slug.

    """

    protocol: str
    recordings: int
    on_top: int
    on_top_share_95: tuple[float, float]
    classes: Mapping[str, ClassFigures]


def measure(
    networks: Networks, kept: Sequence[SoundClass], learnt: LearntClasses, labels: Sequence[str], thresholds: Thresholds
) -> TaughtFigures:
    """Return the figures of the left-out recordings.

    Args:
        networks: of the extended bundle, with a probability for each of the kept classes.
        kept: the kept classes that are enabled.
        learnt: left-out recordings and their probabilities.
        labels: slugs of the taught classes.
        thresholds: of the taught classes.

    """
    of_kept = [outputs_of(networks, each.codes[::FINEST]) if kept else None for each in learnt.clips]
    found = {}
    for index, slug in enumerate(labels):
        own = [
            (each.probabilities, other)
            for each, other in zip(learnt.clips, of_kept, strict=True)
            if each.clip.class_index == index
        ]
        also = {
            sound.slug: sum(other is not None and event_starts(other[:, place], sound.rules[1], 1) > 0 for _, other in own)
            for place, sound in enumerate(kept)
        }
        found[slug] = ClassFigures(
            recordings=len(own),
            on_top=sum(_is_on_top(at_hop(probabilities, 1), index, other) for probabilities, other in own),
            events={
                hop_key(hops): sum(
                    event_starts(at_hop(probabilities, hops)[:, index], thresholds.chosen[slug][hops].rule, hops) > 0
                    for probabilities, _ in own
                )
                for hops in HOPS_PER_PATCH
            },
            also_detected={other: count for other, count in also.items() if count},
        )
    total, top = len(learnt.clips), sum(figures.on_top for figures in found.values())
    return TaughtFigures(PROTOCOL.format(parts=learnt.parts), total, top, wilson_interval(top, total), found)


def _is_on_top(probabilities: Float32, index: int, other: Float32 | None) -> bool:
    mean = probabilities.mean(axis=0)
    most = max((float(part.mean(axis=0).max()) for part in (other,) if part is not None), default=0.0)
    return bool(mean.argmax() == index) and float(mean[index]) > most
