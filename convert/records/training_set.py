"""Records to learn from, streamed: shuffled through a buffer, in batches, the same for the same seed and epoch."""

import itertools
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from convert.records.batches import padded
from convert.records.damage import Damage
from convert.records.files import read_dataset, record_files
from convert.records.forms import Form, Record
from edge_detector.errors import UsageError
from edge_detector.types import Codes, Float32

SHUFFLED_RECORDS = 10_000

Target = Literal["frame", "last"]
"""What is learnt: what sounds in each frame, or the labels of the whole, read after the last frame."""


@dataclass(frozen=True, slots=True)
class Lesson:
    """A batch with its targets.

    Attributes:
        codes: uint8 (n, frames, 128), zero where padded; dequantised float32 where any of the records holds means.
        lengths: int32 (n,), frames of each.
        targets: float32 (n, frames, classes), or (n, classes) for the last frame.
        known: float32 like the targets, 0 where the target is unknown and nothing is learnt, 1 elsewhere.

    """

    codes: Codes | Float32
    lengths: NDArray[np.int32]
    targets: Float32
    known: Float32


class TrainingSet:
    """Files of records, of which a buffer and a batch are in memory.

    Args:
        paths: files, or folders with .tfrecord files.
        classes: V; every label must be below it.
        context: frames that an example is cut to.
        target: which targets its batches carry.
        skip: pass over damaged records and count them, instead of an error.
        buffer: records that an epoch's order is drawn from at a time.
        without_folds: records that were made from clips of these folds are left out.

    Attributes:
        left_out: those of these folds that a record was left out for, among the records read so far.

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
    ) -> None:
        self.files = tuple(file for path in paths for file in record_files(path))
        self.target: Target = target
        self.damage = Damage(skip=skip)
        self._form = Form(classes=classes, min_frames=1)
        self._classes, self._context, self._buffer = classes, context, buffer
        self._without_folds = frozenset(without_folds)
        self.left_out: set[int] = set()
        self._held: dict[Path, list[Record]] = {}

    @cached_property
    def examples(self) -> int:
        """How many usable records there are. Every one is read for it once, before anything is learnt from them."""
        held: dict[Path, list[Record]] = {file: [] for file in self.files}
        count = 0
        for file in self.files:
            for record in self._read(file, self.damage):
                count += 1
                if count > self._buffer:
                    held.clear()
                else:
                    held[file].append(record)
        # What the buffer would hold anyway is not read again in each epoch.
        self._held = held
        if not count:
            raise UsageError(f"{self.files[0]} holds no record with a frame; make it with: python -m convert embed")
        return count

    def has_frame_labels(self) -> bool:
        """Whether the first record says what sounds in each frame."""
        first = next(self._records(self.files, self.damage.repeated()), None)
        return first is not None and first.frame_labels is not None

    def in_order(self, size: int) -> Iterator[Lesson]:
        """All records once, as they stand in the files."""
        return self._lessons(self._records(self.files, self.damage.repeated()), size)

    def shuffled(self, size: int, seed: int, epoch: int) -> Iterator[Lesson]:
        """All records once, in the order of this seed and epoch."""
        rng = np.random.default_rng([seed, epoch])
        files = [self.files[int(index)] for index in rng.permutation(len(self.files))]
        return self._lessons(_drawn(self._records(files, self.damage.repeated()), self._buffer, rng), size)

    def _records(self, files: Iterable[Path], damage: Damage) -> Iterator[Record]:
        return itertools.chain.from_iterable(self._held.get(file) or self._read(file, damage) for file in files)

    def _read(self, file: Path, damage: Damage) -> Iterator[Record]:
        for record in read_dataset(file, self._form, damage):
            if met := self._without_folds.intersection(record.folds):
                self.left_out |= met
            else:
                yield record

    def _lessons(self, records: Iterator[Record], size: int) -> Iterator[Lesson]:
        while kept := list(itertools.islice(records, size)):
            yield self._lesson(kept)

    def _lesson(self, records: Sequence[Record]) -> Lesson:
        codes, lengths = padded(records, self._context)
        longest = codes.shape[1]
        if self.target == "last":
            targets = self._whole(records)
            return Lesson(codes, lengths, targets, self._known_of_whole(records, lengths))
        return Lesson(codes, lengths, self._by_frame(records, lengths, longest), self._known(records, lengths, longest))

    def _whole(self, records: Sequence[Record]) -> Float32:
        targets = np.zeros((len(records), self._classes), np.float32)
        for row, record in enumerate(records):
            # A record whose frames are labelled is, for its last frame, what sounds then.
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


def _drawn(records: Iterator[Record], buffer: int, rng: np.random.Generator) -> Iterator[Record]:
    """The records in random order, as far as a buffer of them allows: all orders are equally likely when it holds all."""
    held = list(itertools.islice(records, buffer))
    for record in records:
        place = int(rng.integers(len(held)))
        drawn, held[place] = held[place], record
        yield drawn
    for place in rng.permutation(len(held)):
        yield held[int(place)]
