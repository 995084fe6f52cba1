"""Records parted for training and for measuring: by their ids, or by folds."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from convert.records.damage import Damage
from convert.records.files import Record, read_classes, read_dataset
from convert.sequence.splits import Split, SplitPlan, SplitSettings, share_of, source_of, write_splits
from edge_detector.errors import UsageError
from tests.support.stub_model import many, says, written


def clips() -> Iterator[Record]:
    """FOLD-SOURCE-TAKE: three folds of ten sources with two takes."""
    for fold in (1, 2, 3):
        for source in range(10):
            for take in "AB":
                yield says([255, source, 0], (source % 3,), f"{fold}-{1000 * fold + source}-{take}")


def plan(folds: tuple[int, ...] = (), test: tuple[Path, ...] = ()) -> SplitPlan:
    return SplitPlan(folds, test, SplitSettings(0.25, 0.15))


def names(path: Path) -> set[str]:
    return {record.video_id for record in read_dataset(path)}


def split(tmp_path: Path, records: Iterator[Record], its_plan: SplitPlan) -> list[Split]:
    source = written(tmp_path / "records.tfrecord", records)
    return write_splits(source, its_plan, read_classes(source), tmp_path / "splits", Damage())


def test_segments_are_split_by_their_ids_into_disjoint_parts(tmp_path: Path) -> None:
    (only,) = split(tmp_path, many(400), plan())
    parts = [names(path) for path in (only.train, only.validation, only.test)]
    assert sum(map(len, parts)) == 400
    assert len(set.union(*parts)) == 400
    assert [len(part) for part in parts] == pytest.approx([255, 45, 100], abs=25)
    assert parts[2] == {f"clip{number}" for number in range(400) if share_of(f"clip{number}") < 0.25}


def test_a_name_has_the_same_share_everywhere() -> None:
    assert share_of("Y4bNQqkLVps") == pytest.approx(0.2458693, abs=1e-7)


def test_each_fold_is_measured_once_and_takes_of_one_source_stay_together(tmp_path: Path) -> None:
    splits = split(tmp_path, clips(), plan((1, 2, 3)))
    assert [found.name for found in splits] == ["fold-1", "fold-2", "fold-3"]
    for number, found in enumerate(splits, 1):
        assert {name[0] for name in names(found.test)} == {str(number)}
        sources = [{source_of(name) for name in names(path)} for path in (found.train, found.validation, found.test)]
        assert not sources[0] & sources[1]
        assert sum(map(len, sources)) == 30


@pytest.mark.parametrize(
    ("name", "source"),
    [("1-100032-A", "1-100032"), ("Y4bNQqk-VpsA", "Y4bNQqk-VpsA"), ("-1-2-3", "-1-2-3"), ("scene-000001", "scene-000001")],
)
def test_only_clips_have_a_source_of_their_own(name: str, source: str) -> None:
    assert source_of(name) == source


def test_separate_test_records_are_used_whole(tmp_path: Path) -> None:
    own = written(tmp_path / "own.tfrecord", iter([says([1], (0,), "x"), says([2], (1,), "y")]))
    (only,) = split(tmp_path, many(60), plan(test=(own,)))
    assert names(only.test) == {"x", "y"}
    assert len(names(only.train) | names(only.validation)) == 60


@pytest.mark.parametrize(
    ("records", "its_plan", "what"),
    [
        (list(many(20)), plan((1, 2)), "'clip0' is not FOLD-SOURCE-TAKE"),
        ([record for record in clips() if record.video_id[0] == "1"], plan((1, 2)), "only fold 1"),
        (list(many(1)), plan(), "leaves no record"),
        (list(clips()), plan((4, 1)), r"has no fold 4; it has \[1, 2, 3\]"),
        (list(clips()), plan((1,), (Path("own.tfrecord"),)), "--folds and --test both choose"),
    ],
)
def test_records_that_cannot_be_split_are_refused(tmp_path: Path, records: list[Record], its_plan: SplitPlan, what: str) -> None:
    with pytest.raises(UsageError, match=what):
        split(tmp_path, iter(records), its_plan)
