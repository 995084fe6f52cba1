"""Thresholds of the new classes, from background without them and from held-out recordings."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from convert.audio.augment import gain_of_db
from convert.evaluation.calibration import Choice, Limits, Stream, choose, hours
from convert.evaluation.score_streams import NOISE, Probabilities, noise_streams, stream_of
from convert.few_shot.extended_bundle import ExtendedBundle, Rules
from convert.few_shot.settings import FewShotSettings
from edge_detector.detection.bundle import hop_key
from edge_detector.detection.hysteresis import Rule
from edge_detector.params import HOPS_PER_PATCH
from edge_detector.types import Float32

BACKGROUND = "own background"
RECALL_ON = (
    "the recordings of the new classes, each with a model that was trained without it; false alarms may exceed the limit where "
    "the thresholds would otherwise lose more than {lost:.0%} of the recordings that the lowest threshold detects"
)
MOST_DOUBLINGS, UNLIMITED = 8, 1e9


@dataclass(frozen=True, slots=True)
class ChosenRule:
    """Thresholds of a rule; `min_seconds` is the time above `off` before an event is announced."""

    on: float
    off: float
    min_seconds: float


@dataclass(frozen=True, slots=True)
class ChosenThreshold:
    """Rule of a class at one hop.

    Attributes:
        rule: the thresholds.
        false_alarms: events on the background.
        hours: length of the background.
        recall: share of the held-out recordings of the class that give an event.

    """

    rule: ChosenRule
    false_alarms: int
    hours: float
    recall: float | None


@dataclass(frozen=True, slots=True)
class FewShotCalibration:
    """Chosen rules and their criteria.

    Attributes:
        false_alarms_per_hour: limit for each class.
        margin: added to the thresholds, in log-odds.
        gains_db: levels of the user's background.
        hours: length of the background by kind.
        clips: number of held-out recordings.
        recall_on: description of the recall.
        classes: by slug, then by hop in seconds.

    """

    false_alarms_per_hour: float
    margin: float
    gains_db: tuple[float, ...]
    hours: Mapping[str, float]
    clips: int
    recall_on: str
    classes: Mapping[str, Mapping[str, ChosenThreshold]]

    @property
    def rules(self) -> Rules:
        """Chosen rules by slug and hops per patch."""
        return {
            slug: {hops: _rule(chosen[hop_key(hops)].rule) for hops in HOPS_PER_PATCH} for slug, chosen in self.classes.items()
        }


def background_streams(
    probabilities: Probabilities, background: Sequence[Float32], settings: FewShotSettings
) -> dict[str, list[Stream]]:
    """Return streams without the new classes: synthetic noise, and the user's background at each level."""
    found = {NOISE: noise_streams(probabilities, settings.noise_minutes, settings.seed)}
    if background:
        levels = [(samples, gain_of_db(gain)) for samples in background for gain in settings.gains_db]
        found[BACKGROUND] = [stream_of(probabilities, samples * gain, frozenset()) for samples, gain in levels]
    return found


def calibrate(
    extended: ExtendedBundle,
    background: Mapping[str, Sequence[Stream]],
    held_out: Sequence[Stream],
    settings: FewShotSettings,
    false_alarms_per_hour: float,
) -> FewShotCalibration:
    """Choose thresholds of the new classes for each hop.

    They are the lowest within the limit of false alarms, unless these lose more recordings than `kept_recall` allows: the limit
    is then doubled until they do not, because a noise-like class would otherwise never be detected.
    """
    streams = [stream for found in background.values() for stream in found]
    first = len(extended.kept)
    limits = [false_alarms_per_hour, *((2**power + 0.5) / hours(streams) for power in range(MOST_DOUBLINGS))]

    def choose_within(index: int, hops: int, per_hour: float) -> Choice:
        return choose(streams, held_out, index, hops, Limits(max(per_hour, false_alarms_per_hour), settings.margin))

    def threshold(index: int, hops: int) -> ChosenThreshold:
        lowest = choose_within(index, hops, UNLIMITED)
        least = settings.kept_recall * (lowest.recall or 0.0)
        choices = (choose_within(index, hops, per_hour) for per_hour in limits)
        return _threshold(next((choice for choice in choices if (choice.recall or 0.0) >= least), lowest))

    return FewShotCalibration(
        false_alarms_per_hour=false_alarms_per_hour,
        margin=settings.margin,
        gains_db=settings.gains_db,
        hours={label: round(hours(found), 3) for label, found in background.items()},
        clips=len(held_out),
        recall_on=RECALL_ON.format(lost=1.0 - settings.kept_recall),
        classes={
            each.slug: {hop_key(hops): threshold(first + number, hops) for hops in HOPS_PER_PATCH}
            for number, each in enumerate(extended.new)
        },
    )


def _threshold(choice: Choice) -> ChosenThreshold:
    rule = ChosenRule(choice.rule.on, choice.rule.off, choice.rule.min_seconds)
    return ChosenThreshold(rule, choice.false_alarms, round(choice.hours, 3), choice.recall)


def _rule(rule: ChosenRule) -> Rule:
    return Rule(on=rule.on, off=rule.off, min_seconds=rule.min_seconds)
