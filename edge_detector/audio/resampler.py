"""To 16 kHz by soxr, as a stream: bitwise the same however the sound is cut into blocks."""

import numpy as np
import soxr

from edge_detector.params import FRONT_END
from edge_detector.types import Block, Float32

_QUALITY = "HQ"


class StreamResampler:
    """One object per source. At 16 kHz blocks pass unchanged.

    The output index is time: after a gap it starts anew at the input's index, converted and rounded. What soxr held back at a
    gap (at most 40 ms at 44.1 and 48 kHz, 115 ms at 8 kHz) is lost with it: it cannot be finished without what followed.
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
        """What can be given out now, or None."""
        if self._passes_through:
            return block
        if block.lost_samples:
            self._start_anew_at(block.first_sample)
        return self._give(self._stream.resample_chunk(np.ascontiguousarray(block.samples, np.float32)))

    def finish(self) -> Block | None:
        """What was held back, once the source has ended. Nothing may be pushed afterwards."""
        if self._passes_through:
            return None
        return self._give(self._stream.resample_chunk(np.zeros(0, np.float32), last=True))

    def _start_anew_at(self, source_sample: int) -> None:
        # In integers: after weeks at 192 kHz a float product would be off by more than rounding.
        doubled = 2 * source_sample * FRONT_END.sample_rate_hz + self._rate_hz
        sample = doubled // (2 * self._rate_hz)
        # Two gaps may come before anything is given out in between, and the loss of one sample may round to none.
        given_to = self._next_sample - self._lost_samples
        self._next_sample = max(sample, given_to + 1)
        self._lost_samples = self._next_sample - given_to
        self._stream = self._new_stream()

    def _give(self, samples: Float32) -> Block | None:
        if not len(samples):
            return None
        block = Block(samples, self._next_sample, self._lost_samples)
        self._next_sample += len(samples)
        self._lost_samples = 0
        return block
