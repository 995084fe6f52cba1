"""Limits of connections, and counts of them."""

from dataclasses import dataclass

BACKLOG = 128
"""Connections that wait to be accepted."""
ACCEPTED_AT_ONCE = 16
"""Connections accepted before the first of them is looked at; each takes a file descriptor until it is refused."""


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """Limits of connections.

    Attributes:
        of_address, in_total: connections that are open at once.
        headers_seconds: until the headers of a request are complete, since the connection or the last response.
        idle_seconds: between two requests of a connection.
        stalled_seconds: in which a client takes nothing of a response that waits for it.

    """

    of_address: int = 32
    in_total: int = 128
    headers_seconds: float = 10.0
    idle_seconds: int = 5
    stalled_seconds: float = 30.0


@dataclass(slots=True)
class ConnectionCounts:
    """Counts of connections, written by the page's thread.

    Attributes:
        open: connections that are open.
        refused: closed at once, since there were too many.
        cut: closed, since the client was too slow.

    """

    open: int = 0
    refused: int = 0
    cut: int = 0
