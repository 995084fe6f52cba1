"""A finished set of record files, as embed and compose report it."""

from dataclasses import dataclass
from pathlib import Path

from convert.records.damage import Damage
from convert.records.shards import Shard, Work, make_all, planned
from edge_detector.errors import UsageError


@dataclass(frozen=True, slots=True)
class RecordSet:
    """A set of record files.

    Attributes:
        output: file, or folder of files.
        records: number of records.
        files: number of files.
        files_made_before: number of files that an earlier run had finished.
        skipped: number of recordings that could not be used.
        clips: number of recordings.
        labels: slugs of the classes.

    """

    output: Path
    records: int
    files: int
    files_made_before: int
    skipped: int
    clips: int
    labels: tuple[str, ...]

    def describe(self) -> str:
        """Format the counts as text."""
        before = f", {self.files_made_before} of them made before" if self.files_made_before else ""
        files = f" in {self.files} files{before}" if self.files > 1 else ""
        skipped = f"; {self.skipped} recordings were skipped" if self.skipped else ""
        return f"{self.output}: {self.records} records of {self.clips} recordings{files}{skipped}"


def write_record_set(work: Work, output: Path, shards: int | None, damage: Damage) -> RecordSet:
    """Write one file, or `shards` files into a folder; finished shards are kept.

    Raises UsageError for a folder without `shards`, and for a folder with other records.
    """
    if output.is_dir() and not shards:
        raise UsageError(f"{output} is a folder; give --shards N with it, or name a file")
    unusable = damage.skipped
    files = planned(output, work, shards) if shards else [Shard(output, range(work.total))]
    counts = make_all(files, work, damage, keep=bool(shards))
    return RecordSet(
        output=output,
        records=counts.records,
        files=len(files),
        files_made_before=counts.files_made_before,
        skipped=counts.skipped + unusable,
        clips=work.recordings,
        labels=tuple(each.slug for each in work.classes),
    )
