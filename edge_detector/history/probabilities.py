"""Probabilities of the past: blocks of some minutes of one source, how they are collected, and their form on disk.

A block on disk names all that it holds, so that it can be read alone:

    magic, 4 bytes | length of the rest, 4 | CRC-32 of the rest, 4 | _HEAD | source | one zlib stream:
        highest byte of each class | slugs, separated by zero bytes | steps, one byte a window | bytes of each class in turn

A probability p is the byte round(255 p).
"""

import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from edge_detector.history.records import FIRST_MS, LAST_MS
from edge_detector.params import FRONT_END
from edge_detector.types import Float32, Scores

if TYPE_CHECKING:
    from zlib import _Decompress as Decompress

BLOCK_SECONDS = 300.0
BLOCK_BYTES = 1 << 16
"""Size of a block in memory; one of very many classes is shorter than `BLOCK_SECONDS`."""
MOST_STEP = 255
PROBABILITIES: Float32 = (np.arange(256) / 255).astype(np.float32)
"""Probability of each byte."""
MAGIC = b"EDP1"
_FRAME = struct.Struct("<4sII")
_HEAD = struct.Struct("<HHHI?7q")
"""Bytes of the source, windows, classes, bytes of the slugs, gap, and the numbers of a block in their order."""
_MOST_BODY_BYTES = 1 << 22

Bytes: TypeAlias = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class BlockPlace:
    """Where a block belongs. Samples are at 16 kHz.

    Attributes:
        source: name of the source.
        stream_ms: Unix milliseconds of its stream's first window, which no other stream of the source has.
        number: windows of the stream before this block.
        start_ms: Unix milliseconds of its first window.
        first_sample: of its first window.
        hop_samples: unit of the steps from window to window.
        window_samples: length of each window.
        after_gap: whether sound was lost just before it.

    """

    source: str
    stream_ms: int
    number: int
    start_ms: int
    first_sample: int
    hop_samples: int
    window_samples: int
    after_gap: bool


@dataclass(frozen=True, slots=True)
class Block:
    """Consecutive windows of a source.

    Attributes:
        slugs: the classes.
        steps: uint8 (windows,), hops since the window before, 0 for the first.
        values: uint8 (windows, classes), round(255 p).

    """

    place: BlockPlace
    slugs: tuple[str, ...]
    steps: Bytes
    values: Bytes


class BlockCollector:
    """Collects the probabilities of one source into blocks. A block begins after a gap, and with other classes.

    Args:
        source: name of the source.
        hops_per_patch: k of hop = 0.96 s / k.
        minimum_age_frames: windows of younger states are left out, as the decider leaves them out.

    """

    def __init__(self, source: str, hops_per_patch: int, minimum_age_frames: int) -> None:
        self._source = source
        self._hop_samples = FRONT_END.patch_step_samples // hops_per_patch
        self._minimum_age_frames = minimum_age_frames
        self._indices: NDArray[np.intp] = np.zeros(0, np.intp)
        self._slugs: tuple[str, ...] = ()
        self._place: BlockPlace | None = None
        self._values: Bytes = np.zeros((1, 0), np.uint8)
        self._steps: Bytes = np.zeros(1, np.uint8)
        self._filled = 0
        self._newest_sample = self._stream_ms = self._number = 0
        self._has_gap = False

    def use_classes(self, indices: Sequence[int], slugs: Sequence[str]) -> Iterator[Block]:
        """Collect these classes from now on, by their indices in the scores; yields what is collected of others."""
        if tuple(slugs) == self._slugs:
            return
        yield from self.flush()
        self._indices, self._slugs = np.array(indices, np.intp), tuple(slugs)
        hops = round(BLOCK_SECONDS * FRONT_END.sample_rate_hz / self._hop_samples)
        windows = max(1, min(hops, BLOCK_BYTES // (len(slugs) + 1)))
        self._values, self._steps = np.zeros((windows, len(slugs)), np.uint8), np.zeros(windows, np.uint8)

    def add(self, scores: Scores, utc_seconds: float) -> Iterator[Block]:
        """Add a window, whose first sample is of this Unix time; yields the blocks that are complete with it."""
        if scores.sequence_number == 0:
            yield from self.flush()
            self._stream_ms, self._number, self._has_gap = _milliseconds(utc_seconds), 0, False
        self._has_gap |= scores.lost_samples > 0
        if scores.state_age_frames < self._minimum_age_frames or not self._slugs:
            return
        if not self._continues(scores):
            yield from self.flush()
        if self._place is None:
            self._place = BlockPlace(
                self._source,
                self._stream_ms,
                self._number,
                _milliseconds(utc_seconds),
                scores.first_sample,
                self._hop_samples,
                scores.end_sample - scores.first_sample,
                after_gap=self._has_gap,
            )
            self._newest_sample, self._has_gap = scores.first_sample, False
        self._steps[self._filled] = (scores.first_sample - self._newest_sample) // self._hop_samples
        self._values[self._filled] = np.rint(scores.probabilities[self._indices] * 255.0)
        self._filled += 1
        self._number += 1
        self._newest_sample = scores.first_sample
        if self._filled == len(self._steps):
            yield from self.flush()

    def flush(self) -> Iterator[Block]:
        """Yield what is collected, if there is anything."""
        place, self._place = self._place, None
        windows, self._filled = self._filled, 0
        if place is not None:
            # Copies, since the next block is collected in the same memory.
            yield Block(place, self._slugs, self._steps[:windows].copy(), self._values[:windows].copy())

    def _continues(self, scores: Scores) -> bool:
        """Whether a window fits into the block: the last ones of a recording are shorter, and those after a gap new."""
        place = self._place
        if place is None:
            return True
        steps, rest = divmod(scores.first_sample - self._newest_sample, self._hop_samples)
        is_even = not rest and 0 < steps <= MOST_STEP and scores.end_sample - scores.first_sample == place.window_samples
        return is_even and not self._has_gap


def _milliseconds(utc_seconds: float) -> int:
    return round(min(max(1e3 * utc_seconds, FIRST_MS), LAST_MS))


@dataclass(frozen=True, slots=True)
class StoredBlock:
    """A valid block as it lies on disk; `column` unpacks one class of it.

    Attributes:
        windows: their number, 1 at least.
        span_samples: from the first window's first sample to the last one's.

    """

    place: BlockPlace
    windows: int
    span_samples: int
    _classes: int
    _slug_bytes: int
    _packed: memoryview

    def column(self, slug: str) -> "Column | None":
        """Return the column of a class; None if the block has none."""
        return _column(self._packed, slug, self._classes, self._slug_bytes, self.windows)


class Column:
    """One class of a block: its highest probability `peak`, and on demand all of them."""

    def __init__(self, peak: float, index: int, windows: int, unpacking: "Decompress") -> None:
        self.peak = peak
        self._index = index
        self._windows = windows
        self._unpacking = unpacking

    def read(self) -> tuple[Bytes, Bytes] | None:
        """Return steps and bytes of the class, both uint8 (windows,), once; None if the block is none of this program."""
        # Nothing behind the class is unpacked.
        size = (self._index + 2) * self._windows
        try:
            content = self._unpacking.decompress(self._unpacking.unconsumed_tail, size)
        except zlib.error:
            return None
        if len(content) != size:
            return None
        values = np.frombuffer(content, np.uint8)
        return values[: self._windows], values[size - self._windows :]


def _column(packed: memoryview, slug: str, classes: int, slug_bytes: int, windows: int) -> Column | None:
    unpacking = zlib.decompressobj()
    try:
        head = unpacking.decompress(packed, classes + slug_bytes)
    except zlib.error:
        return None
    slugs = head[classes:].split(b"\0")
    name = slug.encode()
    if len(head) != classes + slug_bytes or len(slugs) != classes or name not in slugs:
        return None
    index = slugs.index(name)
    return Column(float(PROBABILITIES[head[index]]), index, windows, unpacking)


def encode(block: Block) -> bytes:
    """Return the form of a block on disk."""
    place = block.place
    source, slugs = place.source.encode(), b"\0".join(slug.encode() for slug in block.slugs)
    windows, classes = block.values.shape
    span_samples = int(block.steps.sum(dtype=np.int64)) * place.hop_samples
    numbers = (
        *(place.after_gap, place.stream_ms, place.number, place.start_ms, place.first_sample),
        *(place.hop_samples, place.window_samples, span_samples),
    )
    head = _HEAD.pack(len(source), windows, classes, len(slugs), *numbers)
    content = b"".join(
        (block.values.max(axis=0).tobytes(), slugs, block.steps.tobytes(), np.ascontiguousarray(block.values.T).tobytes())
    )
    rest = b"".join((head, source, zlib.compress(content)))
    return _FRAME.pack(MAGIC, len(rest), zlib.crc32(rest)) + rest


def decode(content: bytes, source: str) -> Iterator[StoredBlock]:
    """Yield the valid blocks of a source in a file's content; whatever else is in it is passed over."""
    view, name = memoryview(content), source.encode()
    position = content.find(MAGIC)
    while position >= 0:
        found = _valid_at(view, position)
        if found is None:
            # The beginning of a block that was torn, or of none.
            position = content.find(MAGIC, position + 1)
            continue
        if (block := _block(found, name)) is not None:
            yield block
        position = content.find(MAGIC, position + _FRAME.size + len(found))


def _valid_at(view: memoryview, position: int) -> memoryview | None:
    """Return what follows the frame of a block, if it is as it was written."""
    if len(view) - position < _FRAME.size + _HEAD.size:
        return None
    _, length, checksum = _FRAME.unpack_from(view, position)
    begin = position + _FRAME.size
    if not _HEAD.size <= length <= min(_MOST_BODY_BYTES, len(view) - begin):
        return None
    rest = view[begin : begin + length]
    return rest if zlib.crc32(rest) == checksum else None


def _block(rest: memoryview, source: bytes) -> StoredBlock | None:
    """Return the block if it is of this source."""
    source_bytes, windows, classes, slug_bytes, after_gap, *numbers = _HEAD.unpack_from(rest)
    stream_ms, number, start_ms, first_sample, hop_samples, window_samples, span_samples = numbers
    packed_at = _HEAD.size + source_bytes
    if not windows or rest[_HEAD.size : packed_at] != source:
        return None
    place = BlockPlace(
        source.decode(), stream_ms, number, start_ms, first_sample, hop_samples, window_samples, after_gap=after_gap
    )
    return StoredBlock(place, windows, span_samples, classes, slug_bytes, rest[packed_at:])
