"""Limits of taught classes: what a person should read before the bundle is used."""

from edge_detector.detection.hysteresis import Rule
from edge_detector.teaching.card import limits_of
from edge_detector.teaching.figures import ClassFigures, TaughtFigures
from edge_detector.teaching.thresholds import WRONG, ChosenThreshold, Thresholds

FIGURES = TaughtFigures("", 10, 10, (0.7, 1.0), {"beep": ClassFigures(10, 10, {"0.96": 10}, {})})


def limits(events: int) -> tuple[str, ...]:
    chosen = ChosenThreshold(Rule(on=0.5, off=0.4), {"other sound": 3, WRONG: events}, 1.0)
    thresholds = Thresholds({"other sound": 1.0}, {"beep": {1: chosen}})
    return limits_of({"beep": 10}, FIGURES, {"beep": 4}, thresholds, few=10, negatives=True, background_minutes=10.0)


def test_wrong_detections_that_still_give_events_are_a_limit() -> None:
    assert limits(2)[0].startswith("Recordings that are not beep still give events of it: 2 in 4,")


def test_without_such_events_there_is_no_such_limit() -> None:
    assert limits(0) == ("None beyond those of the card below.",)
