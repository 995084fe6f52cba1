"""Ring of the newest sound of one stream, as int16 samples at the source's rate."""

from collections import deque

import numpy as np

from edge_detector.types import Block, Float32, Int16

_FULL_SCALE = np.float32(32_768.0)


class Ring:
    """Keeps the newest blocks of a stream. Its arrays are read-only, so that clips may share them.

    Lost samples take no memory and push nothing out: `capacity_samples` counts samples that were received.

    Attributes:
        capacity_samples: received samples, at least, that are kept before the newest block if there were as many; they may be
            one block more.

    """

    def __init__(self, capacity_samples: int) -> None:
        self.capacity_samples = capacity_samples
        self._chunks: deque[tuple[int, Int16]] = deque()
        self._gaps: deque[int] = deque()
        self._held_samples = 0
        self.end_sample = 0
        """Index one past the newest sample since the stream opened."""

    @property
    def first_sample(self) -> int:
        """Index of the oldest sample that is kept."""
        return self._chunks[0][0] if self._chunks else self.end_sample

    @property
    def held_samples(self) -> int:
        """Samples that are kept."""
        return self._held_samples

    def push(self, block: Block) -> None:
        """Drop the oldest blocks beyond the capacity, and add the next one, which may be of any length."""
        while self._chunks and self._held_samples - len(self._chunks[0][1]) >= self.capacity_samples:
            self._held_samples -= len(self._chunks.popleft()[1])
        while self._gaps and self._gaps[0] < self.first_sample:
            self._gaps.popleft()
        if block.first_sample > self.end_sample and self._chunks:
            self._gaps.append(self.end_sample)
        self._chunks.append((block.first_sample, _int16(block.samples)))
        self._held_samples += len(block.samples)
        self.end_sample = block.first_sample + len(block.samples)

    def next_gap(self, sample: int) -> int | None:
        """Return the index of the first lost sample of the first gap that begins at `sample` or later; None without a gap."""
        return next((gap for gap in self._gaps if gap >= sample), None)

    def slices(self, first_sample: int, end_sample: int) -> tuple[tuple[Int16, ...], int]:
        """Return these samples, in order, and how many of them are zeros in place of samples that are not there."""
        found: list[Int16] = []
        missing = 0
        at = first_sample
        for begin, samples in self._chunks:
            end = begin + len(samples)
            if end <= at:
                continue
            if begin >= end_sample:
                break
            if begin > at:
                found.append(_silence(begin - at))
                missing += begin - at
                at = begin
            found.append(samples[at - begin : end_sample - begin])
            at = min(end, end_sample)
        if at < end_sample:
            found.append(_silence(end_sample - at))
            missing += end_sample - at
        return tuple(found), missing


def _int16(samples: Float32) -> Int16:
    scaled = samples * _FULL_SCALE  # exact for a microphone, whose samples are int16 / 32768
    np.clip(np.rint(scaled, out=scaled), -_FULL_SCALE, _FULL_SCALE - 1, out=scaled)
    converted: Int16 = scaled.astype(np.int16)
    converted.flags.writeable = False
    return converted


def _silence(count: int) -> Int16:
    silence = np.zeros(count, np.int16)
    silence.flags.writeable = False
    return silence
