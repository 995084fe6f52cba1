"""The table of what may be in a recording of other sounds, and what is refused as one."""

import json
from pathlib import Path
from typing import Any

import pytest

from convert.evaluation.may_hold import DEFAULT_CLASSES, MAY_HOLD, MayHold, read_may_hold
from convert.evaluation.other_sounds import TEN
from edge_detector.errors import UsageError


def test_the_table_names_only_classes_that_exist_and_says_why() -> None:
    content = json.loads(MAY_HOLD.read_text(encoding="utf-8"))
    classes = json.loads(DEFAULT_CLASSES.read_text(encoding="utf-8"))
    for label, row in content["may_hold"].items():
        assert set(row["classes"]) <= set(classes), label
        assert row["classes"] == sorted(set(row["classes"])), label
        assert row["because"].strip(), label
        assert label not in classes or label in row["classes"], "a label that is a class may hold it"


def test_of_esc_10s_classes_a_recording_may_hold_its_own_and_four_more() -> None:
    table = read_may_hold(MAY_HOLD, ())
    own = {slug: {slug} for slug in TEN}
    more = {"around_dogs": {"dog_bark"}, "chicken": {"rooster"}, "household": {"rain"}, "thunder": {"rain"}}
    assert {label: found for label in table.rows if (found := table.classes(label) & set(TEN))} == own | more


def test_the_table_has_a_row_for_every_folder_of_other_sounds(data: Path) -> None:
    table = read_may_hold(MAY_HOLD, ())
    assert {folder.name for folder in (data / "check").iterdir()} == table.rows.keys() | table.anything


def test_a_label_without_a_row_may_hold_the_class_of_its_name_alone() -> None:
    assert MayHold({"thunder": frozenset({"rain"})}).classes("cat") == {"cat"}
    assert MayHold({"thunder": frozenset({"rain"})}).classes("thunder") == {"rain", "thunder"}


def test_a_recording_sorted_by_a_label_of_yamnet_may_hold_the_classes_made_of_it() -> None:
    table = read_may_hold(MAY_HOLD, ())
    assert {"dog_bark"} == table.classes("animal_bark") & set(TEN) == table.classes("animal_dog") & set(TEN)
    assert "rooster" in table.classes("animal_crowing_cock_a_doodle_doo")
    assert not table.classes("street_dog") & set(TEN), "a street is no kind"


@pytest.mark.parametrize(
    ("content", "what"),
    [
        ({"may_hold": {}}, "the key 'anything' is missing"),
        ({"anything": [], "may_hold": {}}, "anything must be a table of keys and values"),
        ({"anything": {}, "may_hold": {}, "more": 1}, "has an unknown key 'more'"),
        ({"anything": {}, "may_hold": {"thunder": ["rain"]}}, "thunder must be a table of keys and values"),
        ({"anything": {}, "may_hold": {"thunder": {"classes": ["rain"]}}}, "thunder: the key 'because' is missing"),
        ({"anything": {}, "may_hold": {"thunder": {"classes": ["rian"], "because": "."}}}, "may hold 'rian', which is no class"),
        ({"anything": {"x": "."}, "may_hold": {"x": {"classes": [], "because": "."}}}, "has x both under"),
    ],
)
def test_a_table_of_another_form_is_refused(content: dict[str, Any], what: str, tmp_path: Path) -> None:
    path = tmp_path / "table.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(UsageError, match=what):
        read_may_hold(path, ["kettle"])


def test_a_table_may_name_classes_that_only_the_bundle_has(tmp_path: Path) -> None:
    path = tmp_path / "table.json"
    path.write_text('{"anything": {}, "may_hold": {"kitchen": {"classes": ["kettle"], "because": "."}}}', encoding="utf-8")
    assert read_may_hold(path, ["kettle"]).classes("kitchen") == {"kettle", "kitchen"}
