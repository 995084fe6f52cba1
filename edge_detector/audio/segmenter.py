"""Cuts takes of one sound out of a stream: a take begins when it becomes clearly louder than the room, or when told."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from edge_detector.audio.signal_quality import judge
from edge_detector.levels import LEVEL_FLOOR_DBFS, level_dbfs
from edge_detector.params import FRONT_END
from edge_detector.types import Block, Float32

Problem: TypeAlias = Literal["silent", "flat", "clipped", "quiet", "gap"]

WINDOW_SECONDS = 0.05
WINDOW_SAMPLES = round(WINDOW_SECONDS * FRONT_END.sample_rate_hz)
LONGEST_PRE_ROLL_SECONDS = 1.0
PRE_ROLL_SHARE = 0.2
SETTLING_SECONDS = 1.0
"""So long is the room listened to before a sound can be louder than it."""

ROOM_SECONDS = 10.0
ROOM_SHARE = 0.2
"""The room's level is the one that this share of the last seconds stays below: pauses count, what sounds now does not."""

QUIETEST_ROOM_DBFS = -70.0
"""Below it everything is louder than the room: a muted line, or a recording with digital silence in it."""

QUIET_DBFS = -55.0
"""A take whose loudest window stays below it would teach the noise of the microphone."""

SHORTEST_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Recording:
    """One recording of the sound, 16 kHz.

    Attributes:
        samples: float32 (n,).
        peak_dbfs: level of its loudest 0.05 s.
        problem: why it is not fit to learn from, or None.

    """

    samples: Float32
    peak_dbfs: float
    problem: Problem | None

    @property
    def seconds(self) -> float:
        """Its length."""
        return len(self.samples) / FRONT_END.sample_rate_hz


class Segmenter:
    """Takes 16 kHz blocks, gives takes. A take starts a little before the sound that began it.

    Args:
        seconds: length of a take.
        louder_by_db: how far above the room a sound begins one; None for never, only `begin` does.

    """

    def __init__(self, seconds: float, louder_by_db: float | None) -> None:
        self._take_windows = max(round(seconds / WINDOW_SECONDS), 1)
        self._louder_by_db = louder_by_db
        pre_roll_seconds = min(LONGEST_PRE_ROLL_SECONDS, PRE_ROLL_SHARE * seconds)
        self._before: deque[Float32] = deque(maxlen=round(pre_roll_seconds / WINDOW_SECONDS))
        self._levels: deque[float] = deque(maxlen=round(ROOM_SECONDS / WINDOW_SECONDS))
        self._take: list[Float32] | None = None
        self._carry = np.zeros(0, np.float32)
        self._armed = True
        self.level_dbfs = LEVEL_FLOOR_DBFS

    @property
    def room_dbfs(self) -> float:
        """Level of the room without what sounds now and then in it."""
        if not self._levels:
            return QUIETEST_ROOM_DBFS
        levels = sorted(self._levels)
        return max(levels[int(ROOM_SHARE * len(levels))], QUIETEST_ROOM_DBFS)

    @property
    def take_seconds(self) -> float | None:
        """How much of a take there is already; None between takes."""
        return None if self._take is None else len(self._take) * WINDOW_SECONDS

    def begin(self) -> None:
        """Begin a take now, whatever the level; nothing happens while there is one."""
        if self._take is None:
            self._take = list(self._before)
            self._armed = False

    def push(self, block: Block) -> Iterator[Recording]:
        """Yield the takes that `block` completes, and the one that a gap spoils."""
        if block.lost_samples:
            self._carry = np.zeros(0, np.float32)
            self._before.clear()
            if self._take is not None:
                yield self._finished("gap")
        samples = np.concatenate([self._carry, block.samples])
        whole = len(samples) - len(samples) % WINDOW_SAMPLES
        self._carry = samples[whole:]
        for window in samples[:whole].reshape(-1, WINDOW_SAMPLES):
            self._push_window(window)
            if self._take is not None and len(self._take) >= self._take_windows:
                yield self._finished(None)

    def finish(self) -> Iterator[Recording]:
        """Yield what there is of the last take, once the source has ended, if it is long enough to be of use."""
        if (self.take_seconds or 0.0) >= SHORTEST_SECONDS:
            yield self._finished(None)

    def _push_window(self, window: Float32) -> None:
        self.level_dbfs = _level_dbfs(window)
        settled = len(self._levels) * WINDOW_SECONDS >= SETTLING_SECONDS
        louder_by_db = self.level_dbfs - self.room_dbfs
        self._levels.append(self.level_dbfs)
        if self._louder_by_db is not None and settled:
            if louder_by_db < self._louder_by_db:
                self._armed = True
            elif self._armed:
                self.begin()
        if self._take is None:
            self._before.append(window)
        else:
            self._take.append(window)

    def _finished(self, problem: Problem | None) -> Recording:
        windows, self._take = self._take or [], None
        self._before.clear()
        samples = np.concatenate([np.zeros(0, np.float32), *windows])
        peak_dbfs = max(map(_level_dbfs, windows), default=LEVEL_FLOOR_DBFS)
        return Recording(samples, peak_dbfs, problem or _problem(samples, peak_dbfs))


def _level_dbfs(window: Float32) -> float:
    # Variance, not power: a constant offset, as cheap sound cards have, is not loud.
    return level_dbfs(float(np.var(window, dtype=np.float64)))


def _problem(samples: Float32, peak_dbfs: float) -> Problem | None:
    verdict = judge(samples)
    if verdict != "ok":
        return verdict
    return "quiet" if peak_dbfs < QUIET_DBFS else None
