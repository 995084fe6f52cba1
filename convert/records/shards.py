"""Sets of records in numbered files; each file is complete or absent, so that an interrupted run resumes."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from convert.progress import Progress
from convert.records.damage import Damage, DamagedRecordError
from convert.records.files import Record, read_sidecar, sidecar, write_dataset
from edge_detector.class_names import ClassName
from edge_detector.errors import UsageError


@dataclass(frozen=True, slots=True)
class Work:
    """Records to make.

    Attributes:
        what: origin of one record, for the progress.
        total: number of records.
        recordings: number of recordings that they are made of.
        classes: classes of their labels.
        made_of: all facts that they depend on; files with other facts do not belong to the set.
        make: returns record `number`, independent of earlier ones; raises DamagedRecordError if it cannot be made.

    """

    what: str
    total: int
    recordings: int
    classes: Sequence[ClassName]
    made_of: Mapping[str, object]
    make: Callable[[int], Record]


@dataclass(frozen=True, slots=True)
class Shard:
    """One file of the set, with the records `numbers`."""

    path: Path
    numbers: range


def planned(folder: Path, work: Work, count: int) -> list[Shard]:
    """Return the files FOLDER/NAME-00000-of-000NN.tfrecord, each with every NN-th record; NAME is that of the folder.

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


@dataclass(frozen=True, slots=True)
class ShardCounts:
    """Counts of all files: records, files finished by an earlier run, and recordings skipped."""

    records: int
    files_made_before: int
    skipped: int


def make_all(shards: Sequence[Shard], work: Work, damage: Damage, *, keep: bool) -> ShardCounts:
    """Write every file, or with `keep` the missing ones."""
    progress = Progress(f"embed: {work.what}", sum(len(shard.numbers) for shard in shards))
    records = made_before = skipped = done = 0
    for shard in shards:
        before = done
        if keep and is_complete(shard.path):
            made_before += 1
        else:
            made = _records(shard, work, damage, progress, before)
            write_dataset(shard.path, made, work.classes, made_of=work.made_of, damage=damage)
        done = before + len(shard.numbers)
        progress.update(done)
        facts = read_sidecar(shard.path)
        records += facts.records
        skipped += sum(facts.skipped.values())
    progress.close()
    return ShardCounts(records, made_before, skipped)


def is_complete(path: Path) -> bool:
    """Return whether a file has the size that its JSON file names."""
    return path.exists() and sidecar(path).exists() and read_sidecar(path).bytes == path.stat().st_size


def _require_same(path: Path, work: Work) -> None:
    held = read_sidecar(path).made_of or {}
    if changed := [name for name, value in work.made_of.items() if held.get(name) != value]:
        different = ", ".join(changed)
        raise UsageError(f"{path} differs in {different} from these records; remove {path.parent}, or give another folder")


def _records(shard: Shard, work: Work, damage: Damage, progress: Progress, before: int) -> Iterator[Record]:
    for place, number in enumerate(shard.numbers):
        try:
            yield work.make(number)
        except DamagedRecordError as error:
            damage.handle(error)
        progress.update(before + place)
