"""Taught bundles: the newest and the one in use stay, and a choice is whole or absent."""

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from edge_detector.detection.bundle import MANIFEST
from edge_detector.errors import EdgeDetectorError
from edge_detector.teaching.taught_bundles import CHOICE, REPORT, TaughtBundles

FIRST, SECOND, THIRD = (f"taught-2026112{day}T160512Z" for day in (7, 8, 9))


def made(folder: Path, *names: str) -> TaughtBundles:
    for name in names:
        (folder / name).mkdir()
        (folder / name / MANIFEST).write_text("{}")
    return TaughtBundles(folder)


def test_without_a_folder_there_is_neither_a_bundle_nor_a_choice(tmp_path: Path) -> None:
    bundles = TaughtBundles(tmp_path / "none")
    bundles.sweep(None)
    bundles.choose(None)
    assert (bundles.newest(), bundles.chosen()) == (None, None)


def test_a_bundle_is_named_after_the_time_of_its_teaching(tmp_path: Path) -> None:
    assert TaughtBundles(tmp_path).new_path(1_795_968_312.9).name == "taught-20261129T160512Z"


def test_a_bundle_that_is_taught_after_the_clock_was_set_back_is_the_newest(tmp_path: Path) -> None:
    bundles = made(tmp_path, FIRST, THIRD)
    for second in (13, 14):
        path = bundles.new_path(1_700_000_000.0)
        assert path.name == f"taught-20261129T1605{second}Z"
        made(tmp_path, path.name)
        bundles.sweep(FIRST)
        assert bundles.newest() == path.name


@pytest.mark.parametrize("name", ["taught-99991231T235959Z", "taught-20269999T999999Z"])
def test_a_name_that_is_no_time_of_a_teaching_keeps_none_from_beginning(tmp_path: Path, name: str) -> None:
    assert made(tmp_path, name).new_path(1_795_968_312.9).name == "taught-20261129T160512Z"


@pytest.mark.parametrize("make", [os.mkfifo, Path.mkdir, lambda path: path.symlink_to("/dev/zero")])
def test_what_is_no_file_in_a_bundle_delays_no_choice(tmp_path: Path, make: Callable[[Path], object]) -> None:
    bundles = made(tmp_path, FIRST)
    make(tmp_path / FIRST / "odd")
    with suppress(OSError):
        bundles.choose(FIRST)
    assert bundles.chosen() in (FIRST, None)


def test_a_choice_lasts_until_another_one(tmp_path: Path) -> None:
    bundles = made(tmp_path, FIRST, SECOND)
    for name in (FIRST, SECOND, None, None, FIRST):
        bundles.choose(name)
        assert bundles.chosen() == name
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("content", ["", "{", "[]", '{"bundle": 1}', '{"bundle": "../../etc"}', '{"bundle": "taught-1"}'])
def test_a_damaged_choice_is_one_sentence(tmp_path: Path, content: str) -> None:
    (tmp_path / CHOICE).write_text(content)
    with pytest.raises(EdgeDetectorError, match="switch to a bundle on the page again"):
        TaughtBundles(tmp_path).chosen()


def test_the_bundle_in_use_the_newest_and_what_is_none_stay(tmp_path: Path) -> None:
    bundles = made(tmp_path, FIRST, SECOND, THIRD, "mine", f".{THIRD}.a1b2")
    (tmp_path / ".choice.json").write_text("{")
    bundles.choose(FIRST)
    bundles.sweep(FIRST)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([CHOICE, "mine", FIRST, THIRD])


def test_a_folder_without_a_manifest_is_no_bundle(tmp_path: Path) -> None:
    bundles = made(tmp_path, FIRST)
    (tmp_path / SECOND).mkdir()
    assert bundles.newest() == FIRST


def test_a_report_that_cannot_be_read_is_none(tmp_path: Path) -> None:
    bundles = made(tmp_path, FIRST)
    assert bundles.report(FIRST) is None
    for content, report in (("{", None), ("[]", None), ('{"kept": 3}', {"kept": 3})):
        (tmp_path / FIRST / REPORT).write_text(content)
        assert bundles.report(FIRST) == report
