"""Damaged records: an error that names file and byte, or, on request, a count."""

import io
import sys
from collections import Counter
from dataclasses import dataclass
from typing import TextIO

from edge_detector.errors import EdgeDetectorError

SHOWN = 5


class DamagedRecordError(EdgeDetectorError):
    """A record that cannot be used.

    Args:
        kind: short name, the same for all errors of this kind.
        message: error for the user, with file and byte position.

    """

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


@dataclass(frozen=True, slots=True, order=True)
class Damaged:
    """A recording that cannot be used: the id that its record would have, kind of damage, and the error's sentence."""

    name: str
    kind: str
    sentence: str


class Damage:
    """Handling of damaged records by a reader.

    Args:
        skip: count them; otherwise the first is raised.
        stream: gets the errors of the first few (stderr).

    Attributes:
        sentences: errors of the first few.

    """

    def __init__(self, *, skip: bool = False, stream: TextIO | None = None) -> None:
        self._skip, self._stream = skip, stream
        self._counts: Counter[str] = Counter()
        self.sentences: list[str] = []

    def handle(self, error: DamagedRecordError) -> None:
        """Raise the error, or count and report it."""
        if not self._skip:
            raise error
        self._counts[error.kind] += 1
        if self.skipped <= SHOWN:
            self.sentences.append(str(error))
            more = "; further ones are only counted" if self.skipped == SHOWN else ""
            print(f"skipped: {error}{more}", file=self._stream or sys.stderr, flush=True)

    def silenced(self) -> "Damage":
        """Return a copy for reading the same records again, whose damage is already reported."""
        return Damage(skip=self._skip, stream=io.StringIO())

    @property
    def skipped(self) -> int:
        """Number of damaged records."""
        return self._counts.total()

    @property
    def kinds(self) -> dict[str, int]:
        """Number of damaged records by kind."""
        return dict(sorted(self._counts.items()))
