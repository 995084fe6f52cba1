"""Whether what a microphone gives can be sound at all: a dead one delivers samples as punctually as a live one."""

from collections import deque

import numpy as np

from edge_detector.params import FRONT_END
from edge_detector.types import Block, Float32, SignalQuality

WINDOW_SAMPLES = FRONT_END.sample_rate_hz
"""One verdict a second."""

_STEP = np.float32(1.0 / 32_768.0)
_FULL_SCALE = np.float32(0.999)
_CLIPPED_SAMPLES = WINDOW_SAMPLES // 100
"""A door that slams clips a few samples; a microphone that is turned up too far, more than one in a hundred."""

MOST_MAGNITUDE = np.float32(8.0)
"""A sample beyond it is not loud sound: it is a whole number that was taken for a float, or damage."""

HOLD_SECONDS: dict[SignalQuality, int] = {"ok": 1, "silent": 10, "flat": 5, "clipped": 3}
"""So many verdicts in a row make it the signal's state."""

_CLEAR_SECONDS = 10
"""A clipped signal is one until it has not clipped for this long: loud sounds come in bursts."""


class SignalMonitor:
    """Watches the 16 kHz blocks of one stream.

    "silent" is digital silence, as a muted or unpowered microphone gives; it may also be a very quiet line. "flat" is a
    value that does not move: a stuck converter, or nothing but a DC offset. A DC offset under sound that moves is no fault.
    """

    def __init__(self) -> None:
        self.signal: SignalQuality = "ok"
        self._pieces: deque[Float32] = deque()
        self._samples = 0
        self._beyond_samples = 0
        self._verdict: SignalQuality = "ok"
        self._in_a_row = 0

    def push(self, block: Block, *, beyond_samples: int = 0) -> SignalQuality:
        """Take the next block; returns the signal's state. A gap begins the second anew and keeps the state.

        `beyond_samples` of it were cut to full scale on their way here. Where those are many, that is no guess: it is told
        at once.
        """
        if block.lost_samples:
            self._pieces.clear()
            self._samples = self._beyond_samples = 0
        # Judged a second at a time: a look at every block of 30 ms would cost as much as the log-mel spectrogram's share.
        self._pieces.append(block.samples)
        self._samples += len(block.samples)
        self._beyond_samples += beyond_samples
        if self._beyond_samples >= _CLIPPED_SAMPLES:
            self.signal, self._verdict, self._in_a_row = "clipped", "clipped", 1
        if self._samples >= WINDOW_SAMPLES:
            samples = np.concatenate(self._pieces)
            whole = len(samples) - len(samples) % WINDOW_SAMPLES
            for start in range(0, whole, WINDOW_SAMPLES):
                self._take(judge(samples[start : start + WINDOW_SAMPLES]))
            self._pieces.clear()
            self._pieces.append(samples[whole:])
            self._samples = len(samples) - whole
            self._beyond_samples = 0
        return self.signal

    def _take(self, verdict: SignalQuality) -> None:
        self._in_a_row = self._in_a_row + 1 if verdict == self._verdict else 1
        self._verdict = verdict
        needed = _CLEAR_SECONDS if self.signal == "clipped" and verdict == "ok" else HOLD_SECONDS[verdict]
        if self._in_a_row >= needed:
            self.signal = verdict


def first_nonsense(samples: Float32) -> int | None:
    """Flat index of the first sample that no sound can be: not finite, or beyond MOST_MAGNITUDE; None without one."""
    if not samples.size:
        return None
    # NaN is not less than anything, and max() hands it on: a single look tells that all is well.
    if float(np.abs(samples).max()) <= MOST_MAGNITUDE:
        return None
    return int(np.flatnonzero(~(np.abs(samples) <= MOST_MAGNITUDE))[0])


def within_full_scale(samples: Float32) -> tuple[Float32, int]:
    """The samples cut to [-1, 1], and how many were beyond."""
    beyond = int(np.count_nonzero(np.abs(samples) > 1.0))
    return (np.clip(samples, -1.0, 1.0), beyond) if beyond else (samples, 0)


def judge(samples: Float32) -> SignalQuality:
    """The verdict on some sound taken by itself, best of a second or more."""
    low, high = samples.min(), samples.max()
    # Two steps: what the resampler makes of a constant is not quite one.
    if high - low <= 2 * _STEP:
        return "silent" if max(-low, high) <= _STEP else "flat"
    if max(-low, high) < _FULL_SCALE:
        return "ok"
    return "clipped" if np.count_nonzero(np.abs(samples) >= _FULL_SCALE) >= _CLIPPED_SAMPLES else "ok"
