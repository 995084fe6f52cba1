"""What the pipeline asks of the world."""

from typing import Protocol

from edge_detector.types import Block, Codes, Float32


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


class Resampler(Protocol):
    """Turns blocks at the source's rate into blocks at 16 kHz."""

    def push(self, block: Block) -> Block | None:
        """What can be given out now, or None."""

    def finish(self) -> Block | None:
        """What was held back, once the source has ended."""


class Embedder(Protocol):
    """The embedding network."""

    def embed(self, log_mel: Float32) -> Float32:
        """Raw embedding float32 (128,) of a log-mel patch float32 (96, 64)."""


class SequenceStep(Protocol):
    """One step of the sequence model for all rows of a bank."""

    def step(self, codes: Codes, row: int, states: tuple[Float32, ...]) -> tuple[Float32, tuple[Float32, ...]]:
        """Probabilities float32 (V,) of `row`, and the states after the step."""
