"""Cuts recordings of single sounds out of a stream, triggered by level or by command."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from edge_detector.audio.signal_quality import classify
from edge_detector.levels import LEVEL_FLOOR_DBFS, level_dbfs
from edge_detector.params import FRONT_END
from edge_detector.types import Block, Float32

Problem: TypeAlias = Literal["silent", "flat", "clipped", "quiet", "gap"]

WINDOW_SECONDS = 0.05
WINDOW_SAMPLES = round(WINDOW_SECONDS * FRONT_END.sample_rate_hz)
LONGEST_PRE_ROLL_SECONDS = 1.0
PRE_ROLL_SHARE = 0.2
SETTLING_SECONDS = 1.0
"""Time over which the background level is measured before it can trigger."""

ROOM_SECONDS = 10.0
ROOM_SHARE = 0.2
"""Quantile of the levels of the last ROOM_SECONDS that is the background level: it ignores current sounds."""

QUIETEST_ROOM_DBFS = -70.0
"""Floor of the background level, for a muted line or digital silence in a recording."""

QUIET_DBFS = -55.0
"""Minimum level of a recording's loudest window; below it is mostly microphone noise."""

SHORTEST_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Recording:
    """One recording of the sound, 16 kHz.

    Attributes:
        samples: float32 (n,).
        peak_dbfs: level of its loudest 0.05 s.
        problem: why it is unfit for training, or None.

    """

    samples: Float32
    peak_dbfs: float
    problem: Problem | None

    @property
    def seconds(self) -> float:
        """Length in seconds."""
        return len(self.samples) / FRONT_END.sample_rate_hz


class Segmenter:
    """Cuts 16 kHz blocks into recordings, which start a little before their trigger.

    Args:
        seconds: length of a recording.
        louder_by_db: trigger level above the background; None for manual trigger by `begin` only.

    """

    def __init__(self, seconds: float, louder_by_db: float | None) -> None:
        self._recording_windows = max(round(seconds / WINDOW_SECONDS), 1)
        self._louder_by_db = louder_by_db
        pre_roll_seconds = min(LONGEST_PRE_ROLL_SECONDS, PRE_ROLL_SHARE * seconds)
        self._pre_roll: deque[Float32] = deque(maxlen=round(pre_roll_seconds / WINDOW_SECONDS))
        self._levels: deque[float] = deque(maxlen=round(ROOM_SECONDS / WINDOW_SECONDS))
        self._recording: list[Float32] | None = None
        self._carry = np.zeros(0, np.float32)
        self._armed = True
        self.level_dbfs = LEVEL_FLOOR_DBFS

    @property
    def room_dbfs(self) -> float:
        """Background level, without occasional sounds."""
        if not self._levels:
            return QUIETEST_ROOM_DBFS
        levels = sorted(self._levels)
        return max(levels[int(ROOM_SHARE * len(levels))], QUIETEST_ROOM_DBFS)

    @property
    def recorded_seconds(self) -> float | None:
        """Seconds recorded so far; None between recordings."""
        return None if self._recording is None else len(self._recording) * WINDOW_SECONDS

    def begin(self) -> None:
        """Start a recording now, whatever the level; no effect during a recording."""
        if self._recording is None:
            self._recording = list(self._pre_roll)
            self._armed = False

    def push(self, block: Block) -> Iterator[Recording]:
        """Yield the recordings that `block` completes or a gap interrupts."""
        if block.lost_samples:
            self._carry = np.zeros(0, np.float32)
            self._pre_roll.clear()
            if self._recording is not None:
                yield self._finished("gap")
        samples = np.concatenate([self._carry, block.samples])
        complete = len(samples) - len(samples) % WINDOW_SAMPLES
        self._carry = samples[complete:]
        for window in samples[:complete].reshape(-1, WINDOW_SAMPLES):
            self._push_window(window)
            if self._recording is not None and len(self._recording) >= self._recording_windows:
                yield self._finished(None)

    def finish(self) -> Iterator[Recording]:
        """Yield the unfinished recording at the end of the source, if it is at least SHORTEST_SECONDS long."""
        if (self.recorded_seconds or 0.0) >= SHORTEST_SECONDS:
            yield self._finished(None)

    def _push_window(self, window: Float32) -> None:
        self.level_dbfs = window_dbfs(window)
        settled = len(self._levels) * WINDOW_SECONDS >= SETTLING_SECONDS
        louder_by_db = self.level_dbfs - self.room_dbfs
        self._levels.append(self.level_dbfs)
        if self._louder_by_db is not None and settled:
            if louder_by_db < self._louder_by_db:
                self._armed = True
            elif self._armed:
                self.begin()
        if self._recording is None:
            self._pre_roll.append(window)
        else:
            self._recording.append(window)

    def _finished(self, problem: Problem | None) -> Recording:
        windows, self._recording = self._recording or [], None
        self._pre_roll.clear()
        samples = np.concatenate([np.zeros(0, np.float32), *windows])
        peak_dbfs = max(map(window_dbfs, windows), default=LEVEL_FLOOR_DBFS)
        return Recording(samples, peak_dbfs, problem or _problem(samples, peak_dbfs))


def window_dbfs(window: Float32) -> float:
    """Return the level of some samples without their DC offset."""
    # Variance, not power, because simple sound cards have a DC offset.
    return level_dbfs(float(np.var(window, dtype=np.float64)))


def _problem(samples: Float32, peak_dbfs: float) -> Problem | None:
    quality = classify(samples)
    if quality != "ok":
        return quality
    return "quiet" if peak_dbfs < QUIET_DBFS else None
