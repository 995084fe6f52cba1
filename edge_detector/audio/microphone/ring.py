"""A bounded ring of captured sound, between the thread that captures and the one that listens."""

import threading
from collections import deque
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Chunk:
    """Captured bytes.

    Attributes:
        data: whole frames, as captured.
        first_sample: index of its first frame since the ring began, lost ones counted in.
        lost_samples: frames lost directly before it.

    """

    data: bytes
    first_sample: int
    lost_samples: int


class CaptureRing:
    """Drops its oldest chunks, whole, when the reader is slow, and counts what was lost.

    It drops many at once: a reader that is always a little too slow would else find a gap every few chunks, and no window whole.
    The writer only ever waits for the few instructions the reader holds the lock.

    Args:
        capacity_samples: frames held at most; a single larger chunk is still kept.
        drop_samples: frames dropped at once, at least, where there are as many.
        frame_bytes: bytes per frame, all channels.

    """

    def __init__(self, capacity_samples: int, *, drop_samples: int, frame_bytes: int) -> None:
        self._capacity_samples = capacity_samples
        self._drop_samples = drop_samples
        self._frame_bytes = frame_bytes
        self._changed = threading.Condition()
        self._chunks: deque[tuple[int, bytes]] = deque()
        self._written_to = 0
        self._read_to = 0
        self._waiting_samples = 0
        self._dropped_samples = 0
        self._closed = False

    @property
    def waiting_samples(self) -> int:
        """Frames written and not yet read."""
        return self._waiting_samples

    @property
    def dropped_samples(self) -> int:
        """Frames dropped so far because the reader was slow."""
        return self._dropped_samples

    def write(self, data: bytes, *, lost_samples: int = 0) -> None:
        """Add whole frames; `lost_samples` were lost on the way here, directly before them."""
        samples = len(data) // self._frame_bytes
        with self._changed:
            if self._closed or not samples:
                self._written_to += lost_samples
                return
            self._chunks.append((self._written_to + lost_samples, data))
            self._written_to += lost_samples + samples
            self._waiting_samples += samples
            if self._waiting_samples > self._capacity_samples:
                self._drop()
            self._changed.notify()

    def read(self, timeout_seconds: float) -> Chunk | None:
        """Take the oldest chunk, waiting for one; None if none came in time or the ring was closed."""
        with self._changed:
            self._changed.wait_for(lambda: bool(self._chunks) or self._closed, timeout_seconds)
            if not self._chunks:
                return None
            first_sample, data = self._chunks.popleft()
            samples = len(data) // self._frame_bytes
            lost_samples = first_sample - self._read_to
            self._read_to = first_sample + samples
            self._waiting_samples -= samples
            return Chunk(data, first_sample, lost_samples)

    def _drop(self) -> None:
        dropped = 0
        while (dropped < self._drop_samples or self._waiting_samples > self._capacity_samples) and len(self._chunks) > 1:
            _, oldest = self._chunks.popleft()
            samples = len(oldest) // self._frame_bytes
            dropped += samples
            self._waiting_samples -= samples
        self._dropped_samples += dropped

    def close(self) -> None:
        """Take no more, forget what waits, and wake the reader."""
        with self._changed:
            self._closed = True
            self._chunks.clear()
            self._waiting_samples = 0
            self._changed.notify_all()
