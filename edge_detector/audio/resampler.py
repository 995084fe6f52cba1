"""Streaming resampler to 16 kHz by soxr; bitwise independent of the block sizes."""

import numpy as np
import soxr

from edge_detector.params import FRONT_END
from edge_detector.types import Block, Float32

_QUALITY = "HQ"


class StreamResampler:
    """Resampler of one source. At 16 kHz, blocks pass unchanged.

    After a gap the output index restarts at the input's index, converted and rounded. Sound buffered in soxr at a gap (at most
    40 ms at 44.1 and 48 kHz, 115 ms at 8 kHz) is lost with it, because its completion needs the samples that follow.
    """

    def __init__(self, rate_hz: int) -> None:
        self._rate_hz = rate_hz
        self._passes_through = rate_hz == FRONT_END.sample_rate_hz
        self._next_sample = 0
        self._lost_samples = 0
        if not self._passes_through:
            self._stream = self._new_stream()

    def _new_stream(self) -> soxr.ResampleStream:
        return soxr.ResampleStream(self._rate_hz, FRONT_END.sample_rate_hz, 1, dtype="float32", quality=_QUALITY)

    def push(self, block: Block) -> Block | None:
        """Resample a block; return what is complete, or None."""
        if self._passes_through:
            return block
        if block.lost_samples:
            self._restart_at(block.first_sample)
        return self._output_block(self._stream.resample_chunk(np.ascontiguousarray(block.samples, np.float32)))

    def finish(self) -> Block | None:
        """Return the buffered rest at the end of the source, or None. No `push` may follow."""
        if self._passes_through:
            return None
        return self._output_block(self._stream.resample_chunk(np.zeros(0, np.float32), last=True))

    def _restart_at(self, source_sample: int) -> None:
        # Integers: after weeks at 192 kHz the error of a float product exceeds rounding.
        doubled = 2 * source_sample * FRONT_END.sample_rate_hz + self._rate_hz
        sample = doubled // (2 * self._rate_hz)
        # Two gaps may come without output in between, and the loss of one sample may round to zero.
        output_end = self._next_sample - self._lost_samples
        self._next_sample = max(sample, output_end + 1)
        self._lost_samples = self._next_sample - output_end
        self._stream = self._new_stream()

    def _output_block(self, samples: Float32) -> Block | None:
        if not len(samples):
            return None
        block = Block(samples, self._next_sample, self._lost_samples)
        self._next_sample += len(samples)
        self._lost_samples = 0
        return block
