"""Plain data: dataclasses become JSON and come back the same, and anything else is refused by file and key."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import pytest

from convert.plain_data import KEY, from_plain, to_plain
from edge_detector.errors import UsageError


@dataclass(frozen=True, slots=True)
class Rule:
    on: float
    classes: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Result:
    name: str
    share: float | None
    rules: Mapping[str, tuple[Rule, ...]]
    interval: tuple[float, float]
    kind: Literal["short", "long"] = "short"
    base: str | None = field(default=None, metadata={KEY: "from"})

    def __post_init__(self) -> None:
        if self.name == "":
            raise ValueError("name must not be empty")


RESULT = Result("a", None, {"x": (Rule(0.5, {"dog": 2}),)}, (0.0, 1.0), base="default 2.1.0")
PLAIN = {
    "name": "a",
    "share": None,
    "rules": {"x": [{"on": 0.5, "classes": {"dog": 2}}]},
    "interval": [0.0, 1.0],
    "kind": "short",
    "from": "default 2.1.0",
}


def test_a_result_survives_json_and_keeps_its_keys() -> None:
    assert to_plain(RESULT) == PLAIN
    assert from_plain(Result, json.loads(json.dumps(to_plain(RESULT))), "result.json") == RESULT


def test_a_key_whose_default_is_none_is_left_out() -> None:
    plain = to_plain(Result("a", 0.5, {}, (0.0, 1.0)))
    assert "from" not in plain
    assert from_plain(Result, plain, "result.json").base is None


def test_a_whole_number_is_accepted_as_a_float() -> None:
    assert from_plain(Rule, {"on": 1, "classes": {}}, "r").on == 1.0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": 3}, r"result\.json: name must be a text, not 3"),
        ({"name": ""}, r"result\.json: name must not be empty"),
        ({"share": "much"}, r"result\.json: share must be a number, not 'much'"),
        ({"share": True}, r"result\.json: share must be a number, not True"),
        ({"interval": [0.0]}, r"result\.json: interval must be a list of 2"),
        ({"kind": "wide"}, r"result\.json: kind must be one of short, long, not 'wide'"),
        ({"rules": {"x": [{"on": 0.5}]}}, r"result\.json: rules: x: 1: the key 'classes' is missing"),
        ({"rules": []}, r"result\.json: rules must be a table"),
        ({"extra": 1}, r"result\.json has an unknown key 'extra'; it may have name, share"),
    ],
)
def test_a_wrong_value_is_refused_by_file_and_key(change: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        from_plain(Result, {**PLAIN, **change}, "result.json")


def test_unknown_keys_are_accepted_where_the_reader_says_so() -> None:
    assert from_plain(Result, {**PLAIN, "extra": 1}, "result.json", ignore_unknown=True) == RESULT
