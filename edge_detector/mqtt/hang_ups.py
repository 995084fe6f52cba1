"""Which message a broker hangs up at. MQTT 3.1.1 has no other way to say that a message is too large, or not allowed."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

STRIKES = 3


@dataclass(frozen=True, slots=True)
class Verdict:
    """A message that is given up.

    Attributes:
        key: of the message.
        limit: bytes of its packet if nothing as large was ever taken: then nothing as large is sent again; else None.

    """

    key: str
    limit: int | None


class HangUpTracker:
    """Learns from cut connections. After one, everything goes alone until the broker has taken what was unanswered.

    What is cut three times while it is alone on its way, each time after others had been taken, is given up. An event is only
    where it is larger than all that was ever taken: to be lost for a bad network it is too dear.

    Attributes:
        limit: bytes; packets of this size or more are cut. None while nothing is known.
        proven: bytes of the largest packet that was ever taken.
        careful: whether something is suspected, so that all go alone.
        any_acknowledged: whether the broker has answered for anything on this connection.

    """

    def __init__(self) -> None:
        self.limit: int | None = None
        self.proven = 0
        self.careful = False
        self.any_acknowledged = False
        self._strikes: dict[str, int] = {}

    def reset(self) -> None:
        """A new connection."""
        self.any_acknowledged = False

    def suspects(self, key: str, size: int) -> bool:
        """Whether a connection may have been cut for a message of so many bytes."""
        return self.careful and (key in self._strikes or size > self.proven)

    def is_suspect(self, key: str) -> bool:
        """Whether a connection was cut while this message was alone on its way."""
        return self._strikes.get(key, 0) > 0

    def acknowledged(self, key: str, size: int) -> None:
        """The broker has answered for a message."""
        self.any_acknowledged = True
        self.proven = max(self.proven, size)
        self.forget(key)

    def forget(self, key: str) -> None:
        """A message is not to be sent any more."""
        self._strikes.pop(key, None)

    @property
    def has_suspects(self) -> bool:
        """Whether anything is suspected by name."""
        return bool(self._strikes)

    def cut(self, unanswered: Mapping[str, int], events: Collection[str]) -> Verdict | None:
        """The connection has ended with these unanswered, in bytes by key. Returns what is given up."""
        alone = self.careful and self.any_acknowledged and len(unanswered) == 1
        self.careful = self.careful or bool(unanswered)
        for key, size in unanswered.items():
            self._strikes[key] = strikes = self._strikes.get(key, 0) + alone
            too_large = size > self.proven
            if strikes >= STRIKES and (too_large or key not in events):
                self.forget(key)
                if too_large:
                    self.limit = size if self.limit is None else min(self.limit, size)
                return Verdict(key, self.limit if too_large else None)
        return None

    def clear(self) -> None:
        """Nothing that is suspected is left: all may go together again."""
        self.careful = False
        self._strikes.clear()
