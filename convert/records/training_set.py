"""Streamed training records: shuffled through a buffer and batched; equal seed and epoch give equal batches."""

import itertools
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from convert.fingerprint import joined_digest
from convert.records.batches import padded
from convert.records.damage import Damage
from convert.records.files import read_dataset, record_files
from convert.records.forms import Features, Form, Record
from convert.records.tfrecord import Summary, summarise
from edge_detector.errors import UsageError
from edge_detector.types import Codes, Float32

SHUFFLED_RECORDS = 10_000

Target = Literal["frame", "last"]
"""Target of training: the labels of each frame, or the labels of the record, after its last frame."""


@dataclass(frozen=True, slots=True)
class TrainingBatch:
    """Padded records with their targets.

    Attributes:
        codes: uint8 (n, frames, 128), zero where padded; dequantised float32 if any record holds means.
        lengths: int32 (n,), frames of each record.
        targets: float32 (n, frames, classes), or (n, classes) for the last frame.
        known: float32 like the targets, 0 for an unknown target, which has no loss, and 1 otherwise.

    """

    codes: Codes | Float32
    lengths: NDArray[np.int32]
    targets: Float32
    known: Float32


class TrainingSet:
    """Files of records; one buffer and one batch are in memory.

    Args:
        paths: files, or folders with .tfrecord files.
        classes: number of classes V; labels are below it.
        context: largest number of frames of an example; longer ones are cut.
        target: kind of the targets.
        skip: count damaged records instead of raising an error.
        buffer: number of records that are shuffled together.
        without_folds: folds; records of their clips are left out.
        frame_level: the model needs frames, and refuses means.
        features: what is read of each frame.

    Attributes:
        left_out: folds in `without_folds` whose records were left out so far.

    """

    def __init__(
        self,
        paths: Sequence[Path],
        classes: int,
        context: int,
        target: Target,
        *,
        skip: bool = False,
        buffer: int = SHUFFLED_RECORDS,
        without_folds: Collection[int] = (),
        frame_level: bool = False,
        features: Features = "audio",
    ) -> None:
        self.files = tuple(file for path in paths for file in record_files(path))
        self.target: Target = target
        self.damage = Damage(skip=skip)
        self._reported: set[Path] = set()
        self._form = Form(classes=classes, frame_level=frame_level, min_frames=1, features=features)
        self._classes, self._context, self._buffer = classes, context, buffer
        self._without_folds = frozenset(without_folds)
        self.left_out: set[int] = set()
        self._held: dict[Path, list[Record]] = {}

    @cached_property
    def _summaries(self) -> tuple[Summary, ...]:
        return tuple(summarise(file, self.damage.silenced()) for file in self.files)

    @property
    def digest(self) -> str:
        """Digest of the content of all files."""
        return joined_digest(each.digest for each in self._summaries)

    @cached_property
    def examples(self) -> int:
        """Number of records; those that turn out to be damaged are among them. Raises UsageError without a usable record.

        Only their lengths are read, and the first record, unless folds are left out.
        """
        if self._without_folds:
            count = sum(1 for _ in self._records(self.files))
        else:
            usable = any(True for file in self.files for _ in self._read(file, self.damage.silenced()))
            count = sum(each.records for each in self._summaries) if usable else 0
        if not count:
            raise UsageError(f"{self.files[0]} holds no record with a frame; make it with: python -m convert embed")
        return count

    def has_frame_labels(self) -> bool:
        """Return whether the first record has labels for every frame."""
        first = next((record for file in self.files for record in self._read(file, self.damage.silenced())), None)
        return first is not None and first.frame_labels is not None

    def in_order(self, size: int) -> Iterator[TrainingBatch]:
        """Yield all records once, in the order of the files."""
        return self._batches(self._records(self.files), size)

    def shuffled(self, size: int, seed: int, epoch: int) -> Iterator[TrainingBatch]:
        """Yield all records once, in the order of this seed and epoch."""
        rng = np.random.default_rng([seed, epoch])
        files = [self.files[int(index)] for index in rng.permutation(len(self.files))]
        return self._batches(_shuffled(self._records(files), self._buffer, rng), size)

    def _records(self, files: Sequence[Path]) -> Iterator[Record]:
        """Yield the records of all files; those that fit into the buffer stay in memory, so that later epochs read no file."""
        if self._held:
            yield from itertools.chain.from_iterable(self._held[file] for file in files)
            return
        held: dict[Path, list[Record]] | None = {file: [] for file in files}
        count = 0
        for file in files:
            # A damaged record is reported and counted once.
            for record in self._read(file, self.damage.silenced() if file in self._reported else self.damage):
                count += 1
                if count > self._buffer:
                    held = None
                if held is not None:
                    held[file].append(record)
                yield record
            self._reported.add(file)
        self._held = held or {}

    def _read(self, file: Path, damage: Damage) -> Iterator[Record]:
        for record in read_dataset(file, self._form, damage):
            if met := self._without_folds.intersection(record.folds):
                self.left_out |= met
            else:
                yield record

    def _batches(self, records: Iterator[Record], size: int) -> Iterator[TrainingBatch]:
        while kept := list(itertools.islice(records, size)):
            yield self._batch(kept)

    def _batch(self, records: Sequence[Record]) -> TrainingBatch:
        codes, lengths = padded(records, self._context)
        longest = codes.shape[1]
        if self.target == "last":
            targets = self._whole(records)
            return TrainingBatch(codes, lengths, targets, self._known_of_whole(records, lengths))
        return TrainingBatch(codes, lengths, self._by_frame(records, lengths, longest), self._known(records, lengths, longest))

    def _whole(self, records: Sequence[Record]) -> Float32:
        targets = np.zeros((len(records), self._classes), np.float32)
        for row, record in enumerate(records):
            # With labels for every frame, those of the last frame count.
            found = (
                record.labels if record.frame_labels is None else record.frame_labels[min(len(record.codes), self._context) - 1]
            )
            targets[row, list(found)] = 1.0
        return targets

    def _by_frame(self, records: Sequence[Record], lengths: NDArray[np.int32], longest: int) -> Float32:
        targets = np.zeros((len(records), longest, self._classes), np.float32)
        for row, (record, length) in enumerate(zip(records, lengths, strict=True)):
            for frame, found in enumerate((record.frame_labels or (record.labels,) * int(length))[:length]):
                targets[row, frame, list(found)] = 1.0
        return targets

    def _known_of_whole(self, records: Sequence[Record], lengths: NDArray[np.int32]) -> Float32:
        known = np.ones((len(records), self._classes), np.float32)
        for row, (record, length) in enumerate(zip(records, lengths, strict=True)):
            if record.frame_unknown:
                known[row, list(record.frame_unknown[length - 1])] = 0.0
        return known

    def _known(self, records: Sequence[Record], lengths: NDArray[np.int32], longest: int) -> Float32:
        known = np.ones((len(records), longest, self._classes), np.float32)
        for row, (record, length) in enumerate(zip(records, lengths, strict=True)):
            for frame, unknown in enumerate((record.frame_unknown or ())[:length]):
                known[row, frame, list(unknown)] = 0.0
        return known


def _shuffled(records: Iterator[Record], buffer: int, rng: np.random.Generator) -> Iterator[Record]:
    """Yield the records in random order through a buffer; all orders are equally likely if the buffer holds all records."""
    held = list(itertools.islice(records, buffer))
    for record in records:
        place = int(rng.integers(len(held)))
        drawn, held[place] = held[place], record
        yield drawn
    for place in rng.permutation(len(held)):
        yield held[int(place)]
