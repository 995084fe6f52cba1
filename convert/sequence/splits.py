"""Records parted into those to learn from, to stop by and to measure on: the same parts on every machine, by their ids."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from convert.audio.clips import NO_FOLD, fold_and_source
from convert.progress import Progress
from convert.records.classes import ClassName
from convert.records.damage import Damage
from convert.records.files import Form, Record, find_embedder, read_dataset, write_dataset
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
class SplitPlan:
    """How records are parted.

    Attributes:
        by: "segments": a share of the recordings is measured on. "folds": each fold once, of clips called FOLD-SOURCE-TAKE.
        folds: which ones are measured on; empty for all.
        test: records of their own to measure on; `records` then only part into those to learn from and to stop by.
        test_share: share of the segments to measure on.
        validation_share: share of the others to stop by.

    """

    by: Literal["segments", "folds"] = "segments"
    folds: tuple[int, ...] = ()
    test: Path | None = None
    test_share: float = 0.25
    validation_share: float = 0.15


def share_of(name: str) -> float:
    """A number in [0, 1) that a name always has."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:6], "big") / 2**48


def source_of(name: str) -> str:
    """What a recording must share a part with: takes of one source stay together, AudioSet's videos are their own source."""
    return fold_and_source(name)[1]


def write_splits(records: Path, parting: SplitPlan, classes: Sequence[ClassName], folder: Path, damage: Damage) -> list[Split]:
    """Write the parts of each split to the folder, streaming. Raises UsageError where a part would be empty."""
    wanted = Form(classes=len(classes), min_frames=1)
    names = _names(records, parting, wanted, damage)
    progress = Progress("compare: split file", 3 * len(names))
    splits = []
    for number, name in enumerate(names):
        paths: dict[Part, Path] = {part: folder / name / f"{part}.tfrecord" for part in PARTS}
        for step, (part, path) in enumerate(paths.items(), 3 * number + 1):
            source = parting.test if parting.test is not None and part == "test" else records
            # Damage was named and counted before; a file of its own for tests has its first reading here.
            first_reading = source == parting.test and number == 0
            found = read_dataset(source, wanted, damage if first_reading else damage.repeated())
            chosen = found if source == parting.test else _chosen(found, _rule(parting, name), part)
            if not write_dataset(path, chosen, classes, made_of=find_embedder(source)):
                raise UsageError(f"split {name} leaves no record in {source} for {part}; change the shares, or give more records")
            progress.update(step)
        splits.append(Split(name, paths["train"], paths["validation"], paths["test"]))
    progress.close()
    return splits


def _names(records: Path, parting: SplitPlan, form: Form, damage: Damage) -> list[str]:
    """Names of the splits. Reads all records once, so that damage is met before anything is trained."""
    if parting.by == "folds" and parting.test is None:
        there = _folds(records, form, damage)
        folds = parting.folds or sorted(there)
        if missing := [fold for fold in folds if fold not in there]:
            raise UsageError(f"{records} has no fold {missing[0]}; it has {sorted(there)}")
        return [f"fold-{fold}" for fold in folds]
    if parting.folds:
        raise UsageError("--folds are for --split folds")
    for _ in read_dataset(records, form, damage):
        pass
    return ["all"]


def _folds(source: Path, form: Form, damage: Damage) -> set[int]:
    found = set()
    for record in read_dataset(source, form, damage):
        fold = fold_and_source(record.video_id)[0]
        if fold == NO_FOLD:
            raise UsageError(f"{source}: {record.video_id!r} is not FOLD-SOURCE-TAKE; give --split segments")
        found.add(fold)
    if len(found) == 1:
        raise UsageError(f"{source} has only fold {next(iter(found))}; give --split segments, or records of more folds")
    return found


def _rule(parting: SplitPlan, name: str) -> Callable[[str], Part]:
    def part(video_id: str) -> Part:
        source = source_of(video_id)
        if parting.test is None:
            in_fold = f"fold-{fold_and_source(source)[0]}" == name
            if in_fold if parting.by == "folds" else share_of(source) < parting.test_share:
                return "test"
        return "validation" if share_of(f"validation {source}") < parting.validation_share else "train"

    return part


def _chosen(records: Iterator[Record], rule: Callable[[str], Part], part: Part) -> Iterator[Record]:
    return (record for record in records if rule(record.video_id) == part)
