"""When a sentence has been said often enough: a source that is down for a month must not fill the log."""

import re
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

BURST = 5
"""The same sentence so often, as fast as it comes; ..."""
EVERY_SECONDS = 300.0
"""... then once in this time."""
REMEMBERED = 500

_WHO = re.compile(r"[\w.-]+: ")
_CHANGING = re.compile(r"(?<![A-Za-z])0x[0-9a-fA-F]+|\d+(?:[.,]\d+)*")


def gist(text: str) -> str:
    """A sentence without what differs each time it is said: pointers, ports, counts, durations. Who it is about stays."""
    who = _WHO.match(text)
    begin = who.end() if who is not None else 0
    return text[:begin] + _CHANGING.sub("#", text[begin:])


@dataclass(slots=True)
class _Said:
    allowed: float
    at_seconds: float
    passed_over: int = 0


class RepeatLimit:
    """Lets a sentence pass a few times, then seldom. Not to be called by two threads at once.

    Args:
        clock: seconds, monotonic.

    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._said: OrderedDict[str, _Said] = OrderedDict()

    def __len__(self) -> int:
        """How many sentences it remembers; 500 at most."""
        return len(self._said)

    def passes(self, key: str) -> int | None:
        """None if a sentence of this gist is to be passed over now, else how many have been since the last one."""
        now = self._clock()
        said = self._said.setdefault(key, _Said(BURST, now))
        self._said.move_to_end(key)
        if len(self._said) > REMEMBERED:
            self._said.popitem(last=False)
        said.allowed = min(BURST, said.allowed + (now - said.at_seconds) / EVERY_SECONDS)
        said.at_seconds = now
        if said.allowed < 1.0:
            said.passed_over += 1
            return None
        said.allowed -= 1.0
        passed_over, said.passed_over = said.passed_over, 0
        return passed_over
