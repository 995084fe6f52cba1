"""Thresholds of a model's classes from labelled records: chosen on one half of the recordings, measured on the other.

The cost of a threshold is the share of the class's recordings without an event, and the false events in an hour of all other
recordings. Both are smoothed over the threshold as in `convert.evaluation.thresholds`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from convert.evaluation.chosen_thresholds import ChosenRule, ChosenThreshold
from convert.evaluation.thresholds import CANDIDATES, log_odds, share_above
from convert.recipe import require_positive, require_share
from convert.records.batches import Batch
from convert.sequence.splits import share_of, source_of
from edge_detector.detection.bundle import Evidence
from edge_detector.params import FRONT_END
from edge_detector.teaching.calibration import OFF_SHARE
from edge_detector.types import Codes, Float32

FRAME_SECONDS = FRONT_END.patch_step_samples / FRONT_END.sample_rate_hz
UNTRIED_ON = 0.98
"""Threshold of a class without a recording in the half that thresholds are chosen on."""


class PrefixModel(Protocol):
    """A model as `convert.sequence.models` loads it."""

    def prefixes(self, codes: Codes) -> Float32:
        """Return probabilities float32 (n, frames, classes) after every prefix of codes uint8 (n, frames, 128)."""


@dataclass(frozen=True, slots=True)
class ThresholdSettings:
    """Table [thresholds] of a recipe.

    Attributes:
        hour_cost: cost of a false event in each hour; missing all recordings of a class costs 1.
        enabled_found: lowest share of a class's recordings with an event for it to be enabled.
        enabled_per_hour: highest number of false events in an hour for it to be enabled.

    """

    hour_cost: float
    enabled_found: float
    enabled_per_hour: float

    def __post_init__(self) -> None:
        """Check the ranges."""
        require_positive(self, "hour_cost", "enabled_per_hour")
        require_share(self, "enabled_found")


@dataclass(frozen=True, slots=True)
class RecordScores:
    """What a model gives for recordings.

    Attributes:
        highest: float32 (n, classes), the highest probability of each class after any frame.
        labels: bool (n, classes).
        seconds: float64 (n,), length of each recording.
        is_for_choice: bool (n,), thresholds are chosen on these recordings and measured on the others.

    """

    highest: Float32
    labels: NDArray[np.bool_]
    seconds: NDArray[np.float64]
    is_for_choice: NDArray[np.bool_]

    def part(self, *, for_choice: bool) -> "RecordScores":
        """Return one half."""
        rows = self.is_for_choice == for_choice
        return RecordScores(self.highest[rows], self.labels[rows], self.seconds[rows], self.is_for_choice[rows])


@dataclass(frozen=True, slots=True)
class MeasuredThreshold:
    """A class's threshold, its evidence on the half that it was not chosen on, and the length of all other recordings there."""

    on: float
    evidence: Evidence
    seconds: float

    @property
    def found_share(self) -> float:
        """Share of the class's recordings with an event; 0 without recordings."""
        return self.evidence.found / max(self.evidence.clips, 1)

    @property
    def false_per_hour(self) -> float:
        """Recordings of other sounds with an event, in an hour of them."""
        return 3600.0 * self.evidence.false / max(self.seconds, FRAME_SECONDS)

    def is_enabled(self, settings: ThresholdSettings) -> bool:
        """Return whether the class is good enough to be detected without a configuration."""
        return self.found_share >= settings.enabled_found and self.false_per_hour <= settings.enabled_per_hour

    @property
    def chosen(self) -> ChosenThreshold:
        """The threshold as the calibration file holds it."""
        found, clips = self.evidence.found, self.evidence.clips
        return ChosenThreshold(
            rule=ChosenRule(self.on, round(OFF_SHARE * self.on, 3)),
            recall=found / clips if clips else None,
            found=found,
            clips=clips,
            false_share=self.evidence.false / max(self.evidence.others, 1),
            false_per_hour={"other recordings": round(self.false_per_hour, 2)},
        )


def record_scores(model: PrefixModel, batches: Iterator[Batch]) -> Iterator[RecordScores]:
    """Yield the scores of each batch; recordings are assigned to a half by the hash of their source."""
    for batch in batches:
        counted = np.arange(batch.codes.shape[1]) < batch.frames[:, np.newaxis]
        probabilities = model.prefixes(np.asarray(batch.codes, np.uint8))
        yield RecordScores(
            np.where(counted[..., np.newaxis], probabilities, 0.0).max(axis=1).astype(np.float32),
            batch.labels,
            np.asarray(batch.frames * FRAME_SECONDS, np.float64),
            np.array([share_of(f"thresholds {source_of(name)}") < 0.5 for name in batch.ids]),  # noqa: PLR2004 - a half
        )


def joined(parts: Sequence[RecordScores]) -> RecordScores:
    """Concatenate the scores of batches."""
    names = ("highest", "labels", "seconds", "is_for_choice")
    return RecordScores(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


def choose_thresholds(scores: RecordScores, settings: ThresholdSettings) -> list[MeasuredThreshold]:
    """Return the threshold of the lowest cost for each class, in order."""
    first, second = scores.part(for_choice=True), scores.part(for_choice=False)
    return [_measured(_lowest_cost(first, index, settings.hour_cost), second, index) for index in range(scores.labels.shape[1])]


def _lowest_cost(scores: RecordScores, index: int, hour_cost: float) -> float:
    has, log_of = scores.labels[:, index], log_odds(scores.highest[:, index])
    if not has.any():
        return UNTRIED_ON
    cost = 1.0 - share_above(log_of[has], CANDIDATES)
    if not has.all():
        per_hour = 3600.0 * (~has).sum() / scores.seconds[~has].sum()
        cost = cost + hour_cost * per_hour * share_above(log_of[~has], CANDIDATES)
    return round(float(1.0 / (1.0 + np.exp(-CANDIDATES[int(np.argmin(cost))]))), 3)


def _measured(on: float, scores: RecordScores, index: int) -> MeasuredThreshold:
    has, above = scores.labels[:, index], scores.highest[:, index] >= on
    clips, others = int(has.sum()), int((~has).sum())
    evidence = Evidence(
        originals=clips, clips=clips, found=int((above & has).sum()), others=others, false=int((above & ~has).sum())
    )
    return MeasuredThreshold(on, evidence, float(scores.seconds[~has].sum()))
