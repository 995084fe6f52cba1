"""A finished set of record files, as embed and compose report it."""

from dataclasses import dataclass
from pathlib import Path


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
        damaged: list of the recordings that could not be used; None without any, and of composed sequences.

    """

    output: Path
    records: int
    files: int
    files_made_before: int
    skipped: int
    clips: int
    labels: tuple[str, ...]
    damaged: Path | None = None

    def describe(self) -> str:
        """Format the counts as text."""
        before = f", {self.files_made_before} of them made before" if self.files_made_before else ""
        files = f" in {self.files} files{before}" if self.files > 1 else ""
        listed = f", listed in {self.damaged}" if self.damaged else ""
        skipped = f"; {self.skipped} recordings were skipped{listed}" if self.skipped else ""
        return f"{self.output}: {self.records} records of {self.clips} recordings{files}{skipped}"
