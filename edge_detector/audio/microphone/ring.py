"""Bounded buffer of captured sound, between the capturing and the reading thread."""

import threading
from collections import deque
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Chunk:
    """Captured bytes.

    Attributes:
        data: whole frames, as captured.
        first_sample: index of its first frame since the start of the ring, lost frames included.
        lost_samples: frames lost directly before it.

    """

    data: bytes
    first_sample: int
    lost_samples: int


class CaptureRing:
    """Drops and counts its oldest chunks when the reader is slow.

    It drops many at once: otherwise a slightly slow reader would have a gap every few chunks, in every window. The writer waits
    only while the reader holds the lock, for a few instructions.

    Args:
        capacity_samples: most frames held; a single larger chunk is still kept.
        drop_samples: least frames dropped at once, if there are as many.
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
        """Remove and return the oldest chunk, waiting for one; None on timeout or if the ring is closed."""
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
        """Stop accepting chunks, discard the waiting ones, and wake the reader."""
        with self._changed:
            self._closed = True
            self._chunks.clear()
            self._waiting_samples = 0
            self._changed.notify_all()
