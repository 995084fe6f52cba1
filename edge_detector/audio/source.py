"""What a source of sound is to the service."""

from typing import Protocol

from edge_detector.types import Block


class Source(Protocol):
    """Where sound comes from.

    Attributes:
        rate_hz: sample rate of the blocks it gives.
        stream_id: names this opening of the source; for a file, its content, so that a replay has the same event ids.
        live: True if it drops its oldest sound when the consumer is slow, and counts it; False if it waits for the consumer.
        waiting_seconds: how much sound has been captured and not been read; 0 for a source that waits for the consumer.
        overflows: how often the sound system lost sound before it got here; 0 for a source that waits for the consumer.
        ended: True once a finite source has given its last block.

    """

    @property
    def rate_hz(self) -> int: ...
    @property
    def stream_id(self) -> str: ...
    @property
    def live(self) -> bool: ...
    @property
    def waiting_seconds(self) -> float: ...
    @property
    def overflows(self) -> int: ...
    @property
    def ended(self) -> bool: ...

    def read(self, timeout_seconds: float) -> Block | None:
        """The next block, or None if none came in time. Raises SourceError when the source is lost."""

    def close(self) -> None:
        """Let go of the device or file. May be called again."""
