import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from edge_detector.detection.hysteresis import Rule
from edge_detector.errors import EdgeDetectorError
from edge_detector.history.probability_files import FOLDER_NAME
from edge_detector.history.store import FILE_NAME
from edge_detector.web.history_api import BadRequest
from edge_detector.web.would_have_api import WouldHave, would_have
from tests.support.node_view import VIEW
from tests.support.probabilities import blocks_of, store, with_events

RULES: Mapping[str, Mapping[str, Rule]] = {"cot": {"rain": Rule(on=0.5, off=0.3), "thunder": Rule(on=0.5, off=0.3)}}
HOUR_MS = 3_600_000


def asked(tmp_path: Path, rules: Mapping[str, Mapping[str, Rule]] = RULES, **query: str) -> WouldHave:
    values: dict[str, Sequence[str]] = {key: [value] for key, value in ({"source": "cot", "class": "rain"} | query).items()}
    return would_have(tmp_path / FILE_NAME, values, VIEW, rules)


@pytest.fixture
def heard(tmp_path: Path) -> Path:
    """An hour of the last day, with six events, and two of the day before it."""
    now_ms = round(time.time() * 1e3)
    for hours_ago, hours in ((40, 2), (3, 1)):
        probabilities = with_events(["rain"], hours * 3_600.0, 600.0, [0.45, 0.65, 0.85])
        store(tmp_path / FOLDER_NAME, blocks_of(probabilities, ["rain"], now_ms - hours_ago * HOUR_MS))
    return tmp_path


def test_the_threshold_is_compared_with_the_one_in_force(heard: Path) -> None:
    assert asked(heard, on="0.4") == WouldHave(0.4, 6, 0.6, 4, 1.0)
    assert asked(heard, on="0.7") == WouldHave(0.7, 2, 0.6, 4, 1.0)
    assert asked(heard, on="1") == WouldHave(1.0, 0, 0.6, 4, 1.0)


def test_another_threshold_may_take_the_place_of_the_one_in_force(heard: Path) -> None:
    assert asked(heard, on="0.4", now="0.7") == WouldHave(0.4, 6, 0.7, 2, 1.0)


def test_a_week_holds_the_days_before(heard: Path) -> None:
    assert asked(heard, on="0.4", days="7") == WouldHave(0.4, 18, 0.6, 12, 3.0)


def test_the_rule_is_the_one_that_the_service_would_make_of_the_threshold(heard: Path) -> None:
    # Below `off`, an event lasts down to the threshold itself; a long hold makes one event of all.
    rules = {"cot": {"rain": Rule(on=0.5, off=0.3, hold_seconds=700.0, max_seconds=86_400.0)}}
    assert asked(heard, rules, on="0.4").events == 1
    assert asked(heard, {"cot": {"rain": replace(RULES["cot"]["rain"], min_seconds=2.0)}}, on="0.4").events == 0
    assert asked(heard, on="0.02").events == 6


def test_without_anything_stored_there_are_no_hours(tmp_path: Path) -> None:
    assert asked(tmp_path, on="0.4") == WouldHave(0.4, 0, 0.6, 0, 0.0)


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ({"source": "attic", "on": "0.4"}, 'there is no class "rain" of "attic" that is on; /api/classes has them'),
        ({"class": "hail", "on": "0.4"}, 'there is no class "hail" of "cot" that is on'),
        ({"class": "thunder", "on": "0.4"}, 'there is no class "thunder" of "cot" that is on'),
        ({"source": "", "on": "0.4"}, 'there is no class "rain" of "" that is on'),
        ({}, "on is missing; give the threshold, 0.01 to 1"),
        ({"on": "0"}, 'on = "0" is no threshold; give 0.01 to 1'),
        ({"on": "1.01"}, 'on = "1.01" is no threshold'),
        ({"on": "nan"}, 'on = "nan" is no threshold'),
        ({"on": "0.4", "now": "-1"}, 'now = "-1" is no threshold'),
        ({"on": "0.4", "days": "8"}, "days is neither 1 nor 7; give one of them"),
        ({"on": "0.4", "until": "1"}, 'there is no parameter "until" here'),
    ],
)
def test_a_wrong_query_gets_a_sentence(tmp_path: Path, query: dict[str, str], sentence: str) -> None:
    with pytest.raises(BadRequest) as raised:
        asked(tmp_path, RULES, **query)
    assert str(raised.value).startswith(sentence)


def test_a_folder_that_cannot_be_read_gets_a_sentence(tmp_path: Path) -> None:
    (tmp_path / FOLDER_NAME).touch()
    with pytest.raises(EdgeDetectorError, match=r"the stored probabilities cannot be read .*; look at "):
        asked(tmp_path, on="0.4")
