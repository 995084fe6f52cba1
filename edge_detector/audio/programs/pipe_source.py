"""The samples a program writes, as a live source."""

import logging
import time
import uuid
from collections import deque
from collections.abc import Callable

import numpy as np

from edge_detector.audio.programs.child import SAMPLE_BYTES, Child
from edge_detector.audio.programs.pace import BURST_SECONDS, Pace
from edge_detector.errors import SourceError
from edge_detector.params import FRONT_END
from edge_detector.types import Block

LOG = logging.getLogger(__name__)

_MOST_FRAMES = 4_096
_FAST_SECONDS = 6.0
"""So much sound beyond the burst that a stream begins with: it comes faster than real time."""
_FULL_SCALE = np.float32(32_768.0)


def _nothing_lost(_line: str) -> int:
    return 0


class PipeSource:
    """Blocks of what a child writes: 16 kHz s16le, of which one channel is listened to.

    Args:
        name: what is listened to, as it stands in errors.
        child: has just been started. It is killed if this constructor fails.
        channels: how many there are.
        channel: which one is listened to, from 0.
        start_seconds: the first sound must come within this time, or it is an error.
        stall_seconds: without sound for this long the source counts as lost.
        ring_seconds: how much sound may wait before the oldest is dropped, a hop of it at once: a gap in every second would
            leave no window whole. None: it is the program that waits.
        lost_samples: how many were lost according to a line of its words; may raise SourceError.
        paced: read no faster than the clock goes, but for a short burst at the beginning; then it is the program that waits.

    Raises:
        SourceError: the program ended, or gave no sound.

    """

    rate_hz = FRONT_END.sample_rate_hz

    def __init__(
        self,
        name: str,
        child: Child,
        *,
        channels: int = 1,
        channel: int = 0,
        start_seconds: float,
        stall_seconds: float,
        ring_seconds: float | None = None,
        lost_samples: Callable[[str], int] = _nothing_lost,
        paced: bool = False,
    ) -> None:
        self.name = name
        self.stream_id = uuid.uuid4().hex[:12]
        self._child = child
        self._channels, self._channel = channels, channel
        self._frame_bytes = SAMPLE_BYTES * channels
        self._stall_seconds = stall_seconds
        self._ring_bytes = None if ring_seconds is None else round(ring_seconds * self.rate_hz) * self._frame_bytes
        self._lost_samples_of = lost_samples
        self._carry = b""
        self._read_bytes = 0
        self._gaps: deque[tuple[int, int]] = deque()
        self._next_sample = 0
        self._lost_samples = 0
        self.overflows = 0
        self._ended = self._closed = self._finite = False
        self._ahead_seconds = 0.0
        self._said_fast = False
        self._heard_at = time.monotonic()
        try:
            self._await_first_sound(start_seconds)
        except BaseException:
            self.close()
            raise
        self._began_at = time.monotonic()
        self._pace = Pace(time.monotonic) if paced else None

    @property
    def live(self) -> bool:
        """Whether it is worth opening again once it has ended; False for a recording that was heard to its end."""
        return not self._finite

    @property
    def ended(self) -> bool:
        """True once closed, or once the program has done all it had to."""
        return self._ended

    @property
    def waiting_seconds(self) -> float:
        """How much sound waits to be read."""
        if self._closed:
            return 0.0
        waiting_seconds = self._seconds(self._child.waiting_bytes)
        return waiting_seconds if self._pace is None else self._pace.behind_seconds(waiting_seconds)

    def read(self, timeout_seconds: float) -> Block | None:
        """The next block, or None. Raises SourceError once the program has failed or fallen silent."""
        if self._ended:
            return None
        if self._pace is not None:
            self._look_how_fast()
            early_seconds = self._pace.wait_seconds()
            time.sleep(min(early_seconds, timeout_seconds))
            if early_seconds > timeout_seconds:
                return None
            timeout_seconds -= early_seconds
        patience_seconds = self._heard_at + self._stall_seconds - time.monotonic()
        came = self._child.wait_for_sound(min(timeout_seconds, max(0.0, patience_seconds)))
        self._take_note()
        if not came:
            self._refuse_if_stalled()
            return None
        self._heard_at = time.monotonic()
        self._drop_excess()
        data = self._read(self._bytes_to_next_gap())
        if not data:
            self._end()
            return None
        if self._pace is not None:
            self._pace.take(self._seconds(len(data)), self._seconds(self._child.waiting_bytes))
        return self._block(data)

    def close(self) -> None:
        """End the program; may be called again."""
        self._ended = True
        if not self._closed:
            self._closed = True
            self._child.close()

    def _await_first_sound(self, start_seconds: float) -> None:
        came = self._child.wait_for_sound(start_seconds)
        self._take_note()
        if not came:
            raise SourceError(f"{self.name} gave no sound within {start_seconds:g} s; is it in use elsewhere?")
        if not self._child.waiting_bytes:
            self._refuse_ending("cannot be heard")
            raise SourceError(f"{self.name} cannot be heard: it ended before its first sample")

    def _take_note(self) -> None:
        for line in self._child.new_lines():
            if lost := self._lost_samples_of(line):
                # A program loses sound after what it has written so far.
                written = self._read_bytes + self._child.waiting_bytes
                self._gaps.append((written - written % self._frame_bytes, lost))
                self.overflows += 1

    def _drop_excess(self) -> None:
        if self._ring_bytes is None or (excess := self._child.waiting_bytes - self._ring_bytes) <= 0:
            return
        excess += FRONT_END.patch_step_samples * self._frame_bytes
        # Whole frames, beginning with the one of which a part was read.
        excess += -(self._read_bytes + excess) % self._frame_bytes
        dropped_from = self._read_bytes - len(self._carry)
        self._carry = b""
        while excess > 0 and (data := self._read(excess)):
            excess -= len(data)
        self._lost_samples += (self._read_bytes - dropped_from) // self._frame_bytes

    def _bytes_to_next_gap(self) -> int:
        while self._gaps and self._gaps[0][0] <= self._read_bytes:
            self._lost_samples += self._gaps.popleft()[1]
        most = _MOST_FRAMES * self._frame_bytes
        return min(most, self._gaps[0][0] - self._read_bytes) if self._gaps else most

    def _read(self, most_bytes: int) -> bytes:
        data = self._child.read(most_bytes)
        self._read_bytes += len(data)
        return data

    def _block(self, data: bytes) -> Block | None:
        data = self._carry + data
        whole = len(data) - len(data) % self._frame_bytes
        data, self._carry = data[:whole], data[whole:]
        if not data:
            return None
        samples = np.frombuffer(data, "<i2").reshape(-1, self._channels)[:, self._channel].astype(np.float32) / _FULL_SCALE
        lost, self._lost_samples = self._lost_samples, 0
        first_sample = self._next_sample + lost
        self._next_sample = first_sample + len(samples)
        return Block(samples, first_sample, lost)

    def _seconds(self, sound_bytes: int) -> float:
        return sound_bytes / self._frame_bytes / self.rate_hz

    def _look_how_fast(self) -> None:
        came_seconds = self._seconds(self._read_bytes + self._child.waiting_bytes)
        self._ahead_seconds = max(self._ahead_seconds, came_seconds - (time.monotonic() - self._began_at))
        fast_seconds = BURST_SECONDS + min(_FAST_SECONDS, self._seconds(self._child.pipe_bytes) / 2.0)
        if self._ahead_seconds > fast_seconds and not self._said_fast:
            self._said_fast = True
            LOG.warning("%s: sound comes faster than real time; it is heard at the speed of the clock, and waits", self.name)

    def _is_finite(self) -> bool:
        """Whether a stream that has ended well was a recording."""
        return False

    def _refuse_if_stalled(self) -> None:
        seconds = time.monotonic() - self._heard_at
        if seconds >= self._stall_seconds:
            raise SourceError(f"{self.name} was lost: no sound from it for {seconds:.1f} s")

    def _end(self) -> None:
        self._refuse_ending("was lost")
        self._finite = self._is_finite()
        self._ended = True

    def _refuse_ending(self, what: str) -> None:
        code, words = self._child.ending()
        if code:
            raise SourceError(f"{self.name} {what}: its program ended with exit code {code}: {words}")
