"""Records in padded batches, as models take them, without ever holding more than one batch."""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from convert.data.record_forms import Record
from edge_detector.types import Codes, Float32

MAX_FRAMES = 300
"""Frames of an example that YouTube-8M's models look at."""

FRAMES_STEP = 10
"""Lengths are padded to a multiple of it, so that graphs meet few different shapes."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Examples side by side.

    Attributes:
        codes: uint8 (n, T, width), zero where padded; float32 (n, 1, width) where all its records hold means.
        frames: int32 (n,), how many each has, at most T.
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
        yield Batch(*_padded(kept, max_frames), labels, tuple(record.video_id for record in kept))


def _padded(kept: Sequence[Record], max_frames: int) -> tuple[Codes | Float32, NDArray[np.int32]]:
    means = [record.means for record in kept if record.means is not None]
    if len(means) == len(kept):
        return np.stack(means)[:, np.newaxis], np.ones(len(kept), np.int32)
    frames = np.array([min(len(record.codes), max_frames) for record in kept], np.int32)
    longest = -(-max(int(frames.max()), 1) // FRAMES_STEP) * FRAMES_STEP
    codes = np.zeros((len(kept), min(longest, max_frames), kept[0].codes.shape[1]), np.uint8)
    for row, record in enumerate(kept):
        codes[row, : frames[row]] = record.codes[: frames[row]]
    return codes, frames
