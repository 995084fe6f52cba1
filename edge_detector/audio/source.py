"""Interface of audio sources."""

from typing import Protocol

from edge_detector.types import Block


class Source(Protocol):
    """A source of audio blocks.

    Attributes:
        rate_hz: sample rate of the blocks.
        stream_id: identifies this opening of the source, or a file's content, so that a replay has the same event ids.
        live: True if the source drops and counts its oldest sound for a slow reader; False if it waits for the reader.
        waiting_seconds: sound captured and not yet read; 0 for a source that waits for the reader.
        overflows: losses in the sound system, counted; 0 for a source that waits for the reader.
        ended: True after the last block of a finite source.

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
        """Read the next block, or None on timeout. Raises SourceError if the source is lost."""

    def close(self) -> None:
        """Release the device or file; may be called again."""
