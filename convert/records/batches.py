"""Padded batches of records; one batch is in memory."""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from convert.records.forms import Record
from edge_detector.detection.embedding import dequantise
from edge_detector.types import Codes, Float32

MAX_FRAMES = 300
"""Largest number of frames of an example in YouTube-8M's models."""

FRAMES_STEP = 10
"""Lengths are padded to a multiple of this, so that graphs are traced for few shapes."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Examples of equal padded length.

    Attributes:
        codes: uint8 (n, T, width), zero where padded; dequantised float32 if any record holds means.
        frames: int32 (n,), frames of each example, at most T.
        labels: bool (n, V).
        ids: names of the examples.

    """

    codes: Codes | Float32
    frames: NDArray[np.int32]
    labels: NDArray[np.bool_]
    ids: tuple[str, ...]


def batches(records: Iterable[Record], classes: int, size: int, max_frames: int = MAX_FRAMES) -> Iterator[Batch]:
    """Yield batches of at most `size` records in their order, each cut to `max_frames`; their labels are below `classes`."""
    source = iter(records)
    while kept := list(itertools.islice(source, size)):
        labels = np.zeros((len(kept), classes), np.bool_)
        for row, record in enumerate(kept):
            labels[row, list(record.labels)] = True
        yield Batch(*padded(kept, max_frames), labels, tuple(record.video_id for record in kept))


def padded(records: Sequence[Record], max_frames: int) -> tuple[Codes | Float32, NDArray[np.int32]]:
    """Return the frames of records (n, T, width), zero where padded, and the number of frames of each (n,).

    Frames are uint8 codes, or dequantised float32 if any record holds means, which are not quantised.
    """
    frames = np.array([min(len(record.codes), max_frames) for record in records], np.int32)
    if all(record.means is not None for record in records):
        longest = 1
    else:
        longest = min(-(-max(int(frames.max()), 1) // FRAMES_STEP) * FRAMES_STEP, max_frames)
    exact = any(record.means is not None for record in records)
    codes = np.zeros((len(records), longest, records[0].codes.shape[1]), np.float32 if exact else np.uint8)
    for row, (record, count) in enumerate(zip(records, frames, strict=True)):
        codes[row, :count] = _exact(record)[:count] if exact else record.codes[:count]
    return codes, frames


def _exact(record: Record) -> Float32:
    return dequantise(record.codes) if record.means is None else record.means[np.newaxis]
