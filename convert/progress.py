"""Progress display: one updating line on a terminal, a plain line every 30 s in a log."""

import shutil
import sys
import time
from typing import TextIO

LOG_EVERY_SECONDS = 30.0
TERMINAL_EVERY_SECONDS = 0.2


class Progress:
    """Progress of one task, written to stderr; stdout has the result."""

    def __init__(self, what: str, total: int | None = None, stream: TextIO | None = None) -> None:
        self._what, self._total = what, total
        self._stream = sys.stderr if stream is None else stream
        self._terminal = self._stream.isatty()
        self._shown = 0.0
        self._width = 0

    def update(self, done: int, note: str = "") -> None:
        """Show `done` of the total, rate-limited."""
        now = time.monotonic()
        last = self._total is not None and done >= self._total
        if now - self._shown < (TERMINAL_EVERY_SECONDS if self._terminal else LOG_EVERY_SECONDS) and not last:
            return
        self._shown = now
        of = "" if self._total is None else f"/{self._total}"
        line = f"{self._what}: {done}{of}{f'  {note}' if note else ''}"
        if self._terminal:
            line = line[: shutil.get_terminal_size().columns - 1]
            print(f"\r{line:<{self._width}}", end="", file=self._stream, flush=True)
            self._width = len(line)
        else:
            print(line, file=self._stream, flush=True)

    def close(self) -> None:
        """End the updating line."""
        if self._terminal and self._width:
            print(file=self._stream, flush=True)
