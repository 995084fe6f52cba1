"""A set of records in numbered files, each whole or absent, so that what was interrupted goes on where it was."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from convert.files import read_json
from convert.progress import Progress
from convert.records.classes import ClassName
from convert.records.damage import Damage, DamagedRecordError
from convert.records.files import Record, sidecar, write_dataset
from edge_detector.errors import UsageError


@dataclass(frozen=True, slots=True)
class Work:
    """Records to make.

    Attributes:
        what: for the progress: what one is made of.
        total: how many.
        recordings: from how many recordings.
        classes: what their labels mean.
        made_of: everything they depend on, by name; files of other things do not belong to the set.
        make: record `number`, whatever was made before; raises DamagedRecordError where there is none.

    """

    what: str
    total: int
    recordings: int
    classes: Sequence[ClassName]
    made_of: Mapping[str, Any]
    make: Callable[[int], Record]


@dataclass(frozen=True, slots=True)
class Shard:
    """One file of the set, with the records `numbers`."""

    path: Path
    numbers: range


def planned(folder: Path, work: Work, count: int) -> list[Shard]:
    """The files: FOLDER/NAME-00000-of-000NN.tfrecord, NAME as the folder is called, each with every NN-th record.

    Raises UsageError for a folder with other records than this set's.
    """
    name = folder.resolve().name
    shards = [
        Shard(folder / f"{name}-{number:05d}-of-{count:05d}.tfrecord", range(number, work.total, count))
        for number in range(count)
    ]
    mine = {shard.path for shard in shards}
    if other := sorted(set(folder.glob("*.tfrecord")) - mine):
        raise UsageError(f"{other[0]} is not one of these {count} shards; remove it, or give another folder")
    for shard in shards:
        if shard.path.exists() and sidecar(shard.path).exists():
            _require_same(shard.path, work)
    return shards


def make_all(shards: Sequence[Shard], work: Work, damage: Damage, *, keep: bool) -> dict[str, Any]:
    """Write every file, or with `keep` those that are not there; counts of all, by name."""
    progress = Progress(f"embed: {work.what}", sum(len(shard.numbers) for shard in shards))
    counts = {"records": 0, "files": len(shards), "files_made_before": 0, "skipped": 0}
    done = 0
    for shard in shards:
        before = done
        if keep and is_whole(shard.path):
            counts["files_made_before"] += 1
        else:
            records = _records(shard, work, damage, progress, before)
            write_dataset(shard.path, records, work.classes, made_of=work.made_of, damage=damage)
        done = before + len(shard.numbers)
        progress.update(done)
        facts = read_json(sidecar(shard.path))
        counts["records"] += int(facts["records"])
        counts["skipped"] += sum(facts["skipped"].values())
    progress.close()
    return counts


def is_whole(path: Path) -> bool:
    """Whether a file was written to its end, which its JSON says, and has not lost anything since."""
    return path.exists() and sidecar(path).exists() and read_json(sidecar(path)).get("bytes") == path.stat().st_size


def _require_same(path: Path, work: Work) -> None:
    held = read_json(sidecar(path)).get("made_of", {})
    if changed := [name for name, value in work.made_of.items() if held.get(name) != value]:
        different = ", ".join(changed)
        raise UsageError(f"{path} differs in {different} from what is asked for; remove {path.parent}, or give another folder")


def _records(shard: Shard, work: Work, damage: Damage, progress: Progress, before: int) -> Iterator[Record]:
    for place, number in enumerate(shard.numbers):
        try:
            yield work.make(number)
        except DamagedRecordError as error:
            damage.met(error)
        progress.update(before + place)
