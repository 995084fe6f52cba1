"""Chosen thresholds: the file of calibrate for bundle --calibration, and the same in a bundle's manifest."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from convert.files import read_json
from convert.plain_data import from_plain
from edge_detector.detection.bundle import Manifest, hop_key
from edge_detector.detection.hysteresis import Rule
from edge_detector.errors import UsageError
from edge_detector.params import HOPS_PER_PATCH


@dataclass(frozen=True, slots=True)
class ChosenRule:
    """Thresholds of a class, and the time above `off` before an event is announced."""

    on: float
    off: float
    min_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class ChosenThreshold:
    """Rule of a class at one hop, and its figures on the material of the calibration.

    Attributes:
        rule: the rule.
        recall: share of the class's clips that give an event; None without clips.
        found, clips: number of these clips, and of all clips of the class.
        false_share: share of other recordings with an event, mean over kinds.
        false_per_hour: events in an hour of speech and of music.
        false_alarms, hours: events in background, and its length, in place of the two shares (teach).

    """

    rule: ChosenRule
    recall: float | None
    found: int | None = None
    clips: int | None = None
    false_share: float | None = None
    false_per_hour: Mapping[str, float] | None = None
    false_alarms: int | None = None
    hours: float | None = None


@dataclass(frozen=True, slots=True)
class CostWeights:
    """Cost of an event in every other recording, and of one in each hour; missing all clips of a class costs 1."""

    recordings: float
    hour: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """Thresholds of all classes and their criteria: costs, or a limit of false alarms (teach).

    Attributes:
        classes: by slug, then by hop in seconds.
        costs: of calibrate.
        gains_db: levels of the background.
        most_hours: maximum length of speech and of music.
        hours: length of the background by kind.
        clips: number of clips.
        folds: their folds.
        held_out: each clip was run through networks that were trained without it.
        false_alarms_per_hour, margin, lowest_on: limit of teach, its margin in log-odds, and the lowest threshold.
        recall_on: description of the clips.

    """

    classes: Mapping[str, Mapping[str, ChosenThreshold]]
    costs: CostWeights | None = None
    gains_db: tuple[float, ...]
    most_hours: float | None = None
    hours: Mapping[str, float]
    clips: int
    folds: tuple[int, ...] | None = None
    held_out: bool | None = None
    false_alarms_per_hour: float | None = None
    margin: float | None = None
    lowest_on: float | None = None
    recall_on: str | None = None

    def rules(self, slug: str) -> dict[int, Rule]:
        """Return the rules of a class by hops per patch. Raises UsageError if one is missing."""
        chosen = self.classes.get(slug, {})
        if any(hop_key(hops) not in chosen for hops in HOPS_PER_PATCH):
            raise UsageError(f"--calibration has no rule for {slug} at each hop; run calibrate on a bundle of these classes")
        return {hops: _rule(chosen[hop_key(hops)].rule) for hops in HOPS_PER_PATCH}


def read_calibration(path: Path) -> Calibration:
    """Read the file of calibrate. Raises UsageError for any other file."""
    content = read_json(path)
    try:
        return from_plain(Calibration, content, str(path))
    except UsageError as error:
        raise UsageError(f"{error}; make the file with calibrate") from error


def calibration_of(manifest: Manifest) -> Calibration | None:
    """Return the calibration in a manifest; None for a bundle without calibrated thresholds."""
    content = manifest.training.get("calibration")
    where = f"the calibration of {manifest.name}"
    return None if content is None else from_plain(Calibration, content, where, ignore_unknown=True)


def _rule(chosen: ChosenRule) -> Rule:
    return Rule(on=chosen.on, off=chosen.off, min_seconds=chosen.min_seconds)
