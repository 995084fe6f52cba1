"""Rate limit for repeated log messages: a source that is down for a month must not fill the log."""

import re
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

BURST = 5
"""Messages of one key that pass without delay; ..."""
EVERY_SECONDS = 300.0
"""... then one passes in this time."""
REMEMBERED = 500
"""Keys remembered."""

_SUBJECT = re.compile(r"[\w.-]+: ")
_CHANGING = re.compile(r"(?<![A-Za-z])0x[0-9a-fA-F]+|\d+(?:[.,]\d+)*")


def message_key(text: str) -> str:
    """Return a message with pointers and numbers replaced by #; its subject, such as a source's name, stays."""
    subject = _SUBJECT.match(text)
    start = subject.end() if subject is not None else 0
    return text[:start] + _CHANGING.sub("#", text[start:])


@dataclass(slots=True)
class _Bucket:
    allowed: float
    at_seconds: float
    suppressed: int = 0


class RepeatLimit:
    """Token bucket for each key: BURST messages, then one each EVERY_SECONDS. Not thread-safe.

    Args:
        clock: seconds, monotonic.

    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()

    def __len__(self) -> int:
        """Return the number of remembered keys, at most 500."""
        return len(self._buckets)

    def allow(self, key: str) -> int | None:
        """Return None to suppress a message of this key, else the number suppressed since the last one that passed."""
        now = self._clock()
        bucket = self._buckets.setdefault(key, _Bucket(BURST, now))
        self._buckets.move_to_end(key)
        if len(self._buckets) > REMEMBERED:
            self._buckets.popitem(last=False)
        bucket.allowed = min(BURST, bucket.allowed + (now - bucket.at_seconds) / EVERY_SECONDS)
        bucket.at_seconds = now
        if bucket.allowed < 1.0:
            bucket.suppressed += 1
            return None
        bucket.allowed -= 1.0
        suppressed, bucket.suppressed = bucket.suppressed, 0
        return suppressed
