"""Signal quality: detects input that cannot be sound, since a dead microphone delivers samples too."""

from collections import deque

import numpy as np

from edge_detector.params import FRONT_END
from edge_detector.types import Block, Float32, SignalQuality

WINDOW_SAMPLES = FRONT_END.sample_rate_hz
"""Samples of one classification: one second."""

_STEP = np.float32(1.0 / 32_768.0)
_FULL_SCALE = np.float32(0.999)
_CLIPPED_SAMPLES = WINDOW_SAMPLES // 100
"""More than one clipped sample in a hundred means too high a gain; a slammed door clips only a few."""

MOST_MAGNITUDE = np.float32(8.0)
"""A larger sample is not sound but damage, or an integer read as a float."""

HOLD_SECONDS: dict[SignalQuality, int] = {"ok": 1, "silent": 10, "flat": 5, "clipped": 3}
"""Consecutive results after which the state changes."""

_CLEAR_SECONDS = 10
"""Time without clipping after which the state is no longer "clipped": loud sounds come in bursts."""


class SignalMonitor:
    """Classifies the 16 kHz blocks of one stream.

    "silent" is digital silence, from a muted or unpowered microphone or a very quiet line. "flat" is a constant value: a
    stuck converter, or only a DC offset. A DC offset with sound is no fault.
    """

    def __init__(self) -> None:
        self.quality: SignalQuality = "ok"
        self._pieces: deque[Float32] = deque()
        self._samples = 0
        self._beyond_samples = 0
        self._last_result: SignalQuality = "ok"
        self._repeats = 0

    def push(self, block: Block, *, beyond_samples: int = 0) -> SignalQuality:
        """Process the next block and return the signal's state. A gap restarts the second and keeps the state.

        `beyond_samples` is the number of samples clipped to full scale before; if they are many, the state changes at once.
        """
        if block.lost_samples:
            self._pieces.clear()
            self._samples = self._beyond_samples = 0
        # Once per second: classifying every block of 30 ms would cost as much as the log-mel spectrogram.
        self._pieces.append(block.samples)
        self._samples += len(block.samples)
        self._beyond_samples += beyond_samples
        if self._beyond_samples >= _CLIPPED_SAMPLES:
            self.quality, self._last_result, self._repeats = "clipped", "clipped", 1
        if self._samples >= WINDOW_SAMPLES:
            samples = np.concatenate(self._pieces)
            complete = len(samples) - len(samples) % WINDOW_SAMPLES
            for start in range(0, complete, WINDOW_SAMPLES):
                self._update(classify(samples[start : start + WINDOW_SAMPLES]))
            self._pieces.clear()
            self._pieces.append(samples[complete:])
            self._samples = len(samples) - complete
            self._beyond_samples = 0
        return self.quality

    def _update(self, result: SignalQuality) -> None:
        self._repeats = self._repeats + 1 if result == self._last_result else 1
        self._last_result = result
        needed = _CLEAR_SECONDS if self.quality == "clipped" and result == "ok" else HOLD_SECONDS[result]
        if self._repeats >= needed:
            self.quality = result


def first_invalid_sample(samples: Float32) -> int | None:
    """Return the flat index of the first sample that is not finite or beyond MOST_MAGNITUDE; None if there is none."""
    if not samples.size:
        return None
    # max() propagates NaN, which fails the comparison: one check covers all samples.
    if float(np.abs(samples).max()) <= MOST_MAGNITUDE:
        return None
    return int(np.flatnonzero(~(np.abs(samples) <= MOST_MAGNITUDE))[0])


def within_full_scale(samples: Float32) -> tuple[Float32, int]:
    """Clip the samples to [-1, 1], and count those beyond."""
    beyond = int(np.count_nonzero(np.abs(samples) > 1.0))
    return (np.clip(samples, -1.0, 1.0), beyond) if beyond else (samples, 0)


def classify(samples: Float32) -> SignalQuality:
    """Classify some samples by themselves, preferably a second or more."""
    low, high = samples.min(), samples.max()
    # Two steps, because a resampled constant is not quite constant.
    if high - low <= 2 * _STEP:
        return "silent" if max(-low, high) <= _STEP else "flat"
    if max(-low, high) < _FULL_SCALE:
        return "ok"
    return "clipped" if np.count_nonzero(np.abs(samples) >= _FULL_SCALE) >= _CLIPPED_SAMPLES else "ok"
