"""Live source of the samples that a child process writes."""

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
"""Sound beyond the initial burst that means a stream faster than real time."""
_FULL_SCALE = np.float32(32_768.0)


def _nothing_lost(_line: str) -> int:
    return 0


class PipeSource:
    """Blocks of one channel of a child's output: 16 kHz s16le.

    Args:
        name: name of the source in errors.
        child: a child just started; it is killed if this constructor fails.
        channels: channel count.
        channel: channel to read, from 0.
        start_seconds: time limit for the first sound.
        stall_seconds: time without sound after which the source counts as lost.
        ring_seconds: sound that may wait before the oldest is dropped, at least a hop at once, since a gap in every second
            would interrupt every window. None: the child waits.
        lost_samples: returns the samples lost according to a line of standard error; may raise SourceError.
        paced: read no faster than real time after a short initial burst; the child waits.

    Raises:
        SourceError: the child ended, or delivered no sound.

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
        self._fast_reported = False
        self._last_sound_at = time.monotonic()
        try:
            self._wait_for_first_sound(start_seconds)
        except BaseException:
            self.close()
            raise
        self._began_at = time.monotonic()
        self._pace = Pace(time.monotonic) if paced else None

    @property
    def live(self) -> bool:
        """True if the source should be reopened once it has ended; False for a recording read to its end."""
        return not self._finite

    @property
    def ended(self) -> bool:
        """True once closed, or once the child has ended without error."""
        return self._ended

    @property
    def waiting_seconds(self) -> float:
        """Seconds of sound waiting to be read; of a paced source, only those overdue."""
        if self._closed:
            return 0.0
        waiting_seconds = self._seconds(self._child.waiting_bytes)
        return waiting_seconds if self._pace is None else self._pace.behind_seconds(waiting_seconds)

    def read(self, timeout_seconds: float) -> Block | None:
        """Read the next block, or None. Raises SourceError once the child has failed or stalled."""
        if self._ended:
            return None
        if self._pace is not None:
            self._check_speed()
            early_seconds = self._pace.wait_seconds()
            time.sleep(min(early_seconds, timeout_seconds))
            if early_seconds > timeout_seconds:
                return None
            timeout_seconds -= early_seconds
        remaining_seconds = self._last_sound_at + self._stall_seconds - time.monotonic()
        came = self._child.wait_for_sound(min(timeout_seconds, max(0.0, remaining_seconds)))
        self._read_messages()
        if not came:
            self._raise_if_stalled()
            return None
        self._last_sound_at = time.monotonic()
        self._drop_excess()
        data = self._read(self._bytes_to_next_gap())
        if not data:
            self._end()
            return None
        if self._pace is not None:
            self._pace.consume(self._seconds(len(data)), self._seconds(self._child.waiting_bytes))
        return self._block(data)

    def close(self) -> None:
        """Kill the child; may be called again."""
        self._ended = True
        if not self._closed:
            self._closed = True
            self._child.close()

    def _wait_for_first_sound(self, start_seconds: float) -> None:
        came = self._child.wait_for_sound(start_seconds)
        self._read_messages()
        if not came:
            raise SourceError(f"{self.name} delivered no sound within {start_seconds:g} s; is it in use elsewhere?")
        if not self._child.waiting_bytes:
            self._raise_if_failed("cannot be opened")
            raise SourceError(f"{self.name} cannot be opened: it ended before its first sample")

    def _read_messages(self) -> None:
        for line in self._child.new_lines():
            if lost := self._lost_samples_of(line):
                # The loss is after what the child has written so far.
                written = self._read_bytes + self._child.waiting_bytes
                self._gaps.append((written - written % self._frame_bytes, lost))
                self.overflows += 1

    def _drop_excess(self) -> None:
        if self._ring_bytes is None or (excess := self._child.waiting_bytes - self._ring_bytes) <= 0:
            return
        excess += FRONT_END.patch_step_samples * self._frame_bytes
        # Whole frames, from the one that was read in part.
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
        complete = len(data) - len(data) % self._frame_bytes
        data, self._carry = data[:complete], data[complete:]
        if not data:
            return None
        samples = np.frombuffer(data, "<i2").reshape(-1, self._channels)[:, self._channel].astype(np.float32) / _FULL_SCALE
        lost, self._lost_samples = self._lost_samples, 0
        first_sample = self._next_sample + lost
        self._next_sample = first_sample + len(samples)
        return Block(samples, first_sample, lost)

    def _seconds(self, sound_bytes: int) -> float:
        return sound_bytes / self._frame_bytes / self.rate_hz

    def _check_speed(self) -> None:
        came_seconds = self._seconds(self._read_bytes + self._child.waiting_bytes)
        self._ahead_seconds = max(self._ahead_seconds, came_seconds - (time.monotonic() - self._began_at))
        fast_seconds = BURST_SECONDS + min(_FAST_SECONDS, self._seconds(self._child.pipe_bytes) / 2.0)
        if self._ahead_seconds > fast_seconds and not self._fast_reported:
            self._fast_reported = True
            LOG.warning("%s: sound arrives faster than real time; it is read in real time, and the rest waits", self.name)

    def _is_finite(self) -> bool:
        """Return whether a stream that ended without error was a recording."""
        return False

    def _raise_if_stalled(self) -> None:
        seconds = time.monotonic() - self._last_sound_at
        if seconds >= self._stall_seconds:
            raise SourceError(f"{self.name} was lost: no sound for {seconds:.1f} s")

    def _end(self) -> None:
        self._raise_if_failed("was lost")
        self._finite = self._is_finite()
        self._ended = True

    def _raise_if_failed(self, problem: str) -> None:
        code, reason = self._child.ending()
        if code:
            raise SourceError(f"{self.name} {problem}: its program ended with exit code {code}: {reason}")
