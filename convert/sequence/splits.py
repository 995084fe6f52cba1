"""Split of records into training, validation and test by their ids: the same split on every machine."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from convert.progress import Progress
from convert.recipe import require_positive, require_share
from convert.records.damage import Damage
from convert.records.files import Form, Record, Records, find_embedder, named_records, read_dataset, write_dataset
from edge_detector.audio.clips import NO_FOLD, fold_and_source
from edge_detector.class_names import ClassName
from edge_detector.errors import UsageError

Part: TypeAlias = Literal["train", "validation", "test"]
PARTS: tuple[Part, ...] = ("train", "validation", "test")


@dataclass(frozen=True, slots=True)
class Split:
    """Three files of records."""

    name: str
    train: Path
    validation: Path
    test: Path


@dataclass(frozen=True, slots=True)
class SplitSettings:
    """Table [splits] of a recipe.

    Attributes:
        test_share: share of the recordings to test on.
        validation_share: share of the others for early stopping.

    """

    test_share: float
    validation_share: float

    def __post_init__(self) -> None:
        """Check the ranges."""
        require_positive(self, "test_share", "validation_share")
        require_share(self, "test_share", "validation_share", below=0.99)


@dataclass(frozen=True, slots=True)
class SplitPlan:
    """Split of records into training, validation and test.

    Attributes:
        folds: test on each of these folds of clips called FOLD-SOURCE-TAKE in turn; empty: on a share of the recordings.
        test: separate records to test on, if any; the others are then split into training and validation only.
        shares: of test and validation.

    """

    folds: tuple[int, ...]
    test: tuple[Path, ...]
    shares: SplitSettings


def share_of(name: str) -> float:
    """Return a number in [0, 1) by the hash of a name."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:6], "big") / 2**48


def source_of(name: str) -> str:
    """Return the source of a recording; takes of one source share a part, each of AudioSet's videos is its own source."""
    return fold_and_source(name)[1]


def write_splits(records: Records, plan: SplitPlan, classes: Sequence[ClassName], folder: Path, damage: Damage) -> list[Split]:
    """Write the parts of each split to the folder, streaming. Raises UsageError where a part would be empty."""
    wanted = Form(classes=len(classes), min_frames=1)
    names = _names(records, plan, wanted, damage)
    progress = Progress("compare: split file", 3 * len(names))
    splits = []
    for number, name in enumerate(names):
        paths: dict[Part, Path] = {part: folder / name / f"{part}.tfrecord" for part in PARTS}
        for step, (part, path) in enumerate(paths.items(), 3 * number + 1):
            source = plan.test if plan.test and part == "test" else records
            # Damage was reported and counted before; a separate test file is read here for the first time.
            first_reading = source == plan.test and number == 0
            found = read_dataset(source, wanted, damage if first_reading else damage.silenced())
            chosen = found if source == plan.test else _chosen(found, _rule(plan, name), part)
            if not write_dataset(path, chosen, classes, made_of=find_embedder(source)):
                raise UsageError(
                    f"split {name} leaves no record in {named_records(source)} for {part}; change its share, or give more records"
                )
            progress.update(step)
        splits.append(Split(name, paths["train"], paths["validation"], paths["test"]))
    progress.close()
    return splits


def _names(records: Records, plan: SplitPlan, form: Form, damage: Damage) -> list[str]:
    """Names of the splits. Reads all records once, so that damage is reported before training."""
    if plan.folds and plan.test:
        raise UsageError("--folds and --test both choose the test records; leave one out")
    if plan.folds:
        there = _folds(records, form, damage)
        if missing := [fold for fold in plan.folds if fold not in there]:
            raise UsageError(f"{named_records(records)} has no fold {missing[0]}; it has {sorted(there)}")
        return [f"fold-{fold}" for fold in plan.folds]
    for _ in read_dataset(records, form, damage):
        pass
    return ["all"]


def _folds(source: Records, form: Form, damage: Damage) -> set[int]:
    found = set()
    for record in read_dataset(source, form, damage):
        fold = fold_and_source(record.video_id)[0]
        if fold == NO_FOLD:
            raise UsageError(f"{named_records(source)}: {record.video_id!r} is not FOLD-SOURCE-TAKE; leave out --folds")
        found.add(fold)
    if len(found) == 1:
        raise UsageError(f"{named_records(source)} has only fold {next(iter(found))}; leave out --folds, or give others")
    return found


def _rule(plan: SplitPlan, name: str) -> Callable[[str], Part]:
    def part(video_id: str) -> Part:
        source = source_of(video_id)
        if not plan.test:
            in_fold = f"fold-{fold_and_source(source)[0]}" == name
            if in_fold if plan.folds else share_of(source) < plan.shares.test_share:
                return "test"
        return "validation" if share_of(f"validation {source}") < plan.shares.validation_share else "train"

    return part


def _chosen(records: Iterator[Record], rule: Callable[[str], Part], part: Part) -> Iterator[Record]:
    return (record for record in records if rule(record.video_id) == part)
