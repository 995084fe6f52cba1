"""Detection of messages at which a broker closes the connection, MQTT 3.1.1's only way to refuse a message."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

MAX_CUTS = 3
"""Connections cut at one message before it is given up."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """A message that is given up.

    Attributes:
        key: key of the message.
        limit: its packet size in bytes if no packet as large was ever accepted; then none as large is sent again. Else None.

    """

    key: str
    limit: int | None


class HangUpTracker:
    """Suspects messages that were unacknowledged when a connection ended; then messages are sent one at a time.

    A message is given up if the connection ends three times while it alone is in flight, each time after others were
    acknowledged. An event is given up only if it is also larger than every accepted packet, so that a bad network loses none.

    Attributes:
        limit: packets of this many bytes or more are not sent; None while unknown.
        proven: size of the largest accepted packet in bytes.
        careful: whether a message is suspected, so that messages are sent one at a time.
        any_acknowledged: whether the broker has acknowledged anything on this connection.

    """

    def __init__(self) -> None:
        self.limit: int | None = None
        self.proven = 0
        self.careful = False
        self.any_acknowledged = False
        self._cuts: dict[str, int] = {}

    def reset(self) -> None:
        """Start a new connection; suspicions stay."""
        self.any_acknowledged = False

    def suspects(self, key: str, size: int) -> bool:
        """Return whether a connection may have ended because of a message of this key or packet size in bytes."""
        return self.careful and (key in self._cuts or size > self.proven)

    def is_suspect(self, key: str) -> bool:
        """Return whether a connection ended while this message alone was in flight."""
        return self._cuts.get(key, 0) > 0

    def acknowledged(self, key: str, size: int) -> None:
        """Record the acknowledgement of a message with its packet size in bytes, 0 for a refusal."""
        self.any_acknowledged = True
        self.proven = max(self.proven, size)
        self.forget(key)

    def forget(self, key: str) -> None:
        """Drop the suspicion of a message."""
        self._cuts.pop(key, None)

    @property
    def has_suspects(self) -> bool:
        """Whether any message is suspected by its key."""
        return bool(self._cuts)

    def cut(self, unanswered: Mapping[str, int], events: Collection[str]) -> Verdict | None:
        """Record the end of a connection with the unacknowledged packet sizes by key; returns the message to give up, or None."""
        alone = self.careful and self.any_acknowledged and len(unanswered) == 1
        self.careful = self.careful or bool(unanswered)
        for key, size in unanswered.items():
            self._cuts[key] = cuts = self._cuts.get(key, 0) + alone
            too_large = size > self.proven
            if cuts >= MAX_CUTS and (too_large or key not in events):
                self.forget(key)
                if too_large:
                    self.limit = size if self.limit is None else min(self.limit, size)
                return Verdict(key, self.limit if too_large else None)
        return None

    def clear(self) -> None:
        """Drop all suspicions and send messages together again."""
        self.careful = False
        self._cuts.clear()
