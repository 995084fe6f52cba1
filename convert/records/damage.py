"""Records that cannot be used: an error that names file and byte, or, by choice, passed over and counted."""

import io
import sys
from collections import Counter
from typing import TextIO

from edge_detector.errors import EdgeDetectorError

SHOWN = 5


class DamagedRecordError(EdgeDetectorError):
    """A record that cannot be used.

    Args:
        kind: a few words that are the same for all damage of this kind.
        message: the sentence for the user, with file and byte position.

    """

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class Damage:
    """What a reader does about a damaged record.

    Args:
        skip: pass over it and count it; otherwise it is raised.
        stream: where the first few of those passed over are named (stderr).

    """

    def __init__(self, *, skip: bool = False, stream: TextIO | None = None) -> None:
        self._skip, self._stream = skip, stream
        self._counts: Counter[str] = Counter()

    def met(self, error: DamagedRecordError) -> None:
        """Raise it, or count it."""
        if not self._skip:
            raise error
        self._counts[error.kind] += 1
        if self.skipped <= SHOWN:
            more = "; further ones are only counted" if self.skipped == SHOWN else ""
            print(f"skipped: {error}{more}", file=self._stream or sys.stderr, flush=True)

    def repeated(self) -> "Damage":
        """For another reading of the same records, whose damage has been named and counted."""
        return Damage(skip=self._skip, stream=io.StringIO())

    @property
    def skipped(self) -> int:
        """Records passed over."""
        return self._counts.total()

    @property
    def kinds(self) -> dict[str, int]:
        """Records passed over, by kind of damage."""
        return dict(sorted(self._counts.items()))
