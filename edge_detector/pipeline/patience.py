"""When something is late, and when it is tried again."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class KeeperTimes:
    """How patient a keeper is, in seconds.

    Attributes:
        first_delay: before the first new attempt; doubled from attempt to attempt up to `longest_delay`, and jittered.
        open, close: an opening or closing that takes longer hangs.
        stall: without a block for this long a healthy source is stalled ...
        lost: ... and for this long, lost, if it has not said so itself.
        steady: a source that was healthy for this long begins with `first_delay` again when it is lost.

    """

    first_delay: float = 0.5
    longest_delay: float = 10.0
    open: float = 45.0
    close: float = 10.0
    stall: float = 1.0
    lost: float = 15.0
    steady: float = 3.0
