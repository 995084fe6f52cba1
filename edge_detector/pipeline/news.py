"""What a keeper hands out: a stream that begins, its blocks, and every change of state."""

from dataclasses import dataclass
from typing import TypeAlias

from edge_detector.core.wire import SourceState
from edge_detector.pipeline.protocols import Source
from edge_detector.types import Block


@dataclass(frozen=True, slots=True)
class Opened:
    """A new stream begins: every block until the next `Opened` is `source`'s, counted from its own sample 0.

    Blocks come from the keeper, and it is the keeper that closes; `source` is here for its rate, stream id and waiting sound.
    """

    source: Source


@dataclass(frozen=True, slots=True)
class SourceChange:
    """The source is in another state, or in the same one for another reason.

    Attributes:
        state: "starting" until the first attempt has succeeded or failed; "healthy" while blocks come; "stalled", open and
            briefly without one; "reconnecting", closed and tried again and again; "failed", beyond the keeper's help: an
            opening or closing that hangs, or a recording that cannot be read.
        reason: one sentence for people; None where nothing is wrong.
        since_seconds: when the state was entered, by the keeper's clock.

    """

    state: SourceState
    reason: str | None
    since_seconds: float

    @property
    def stream_is_over(self) -> bool:
        """Whether the events of the last stream must end now."""
        return self.state in ("reconnecting", "failed")


Kept: TypeAlias = Opened | Block | SourceChange
