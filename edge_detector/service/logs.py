"""The log: sentences on stderr, with the level in words for people, or as journald's number."""

import logging
import os
import sys
import time
from collections.abc import Mapping
from contextlib import nullcontext
from typing import TextIO

from edge_detector.plain_text import without_controls
from edge_detector.repeat_limit import RepeatLimit, gist

_JOURNAL_LEVELS = {logging.CRITICAL: 2, logging.ERROR: 3, logging.WARNING: 4, logging.INFO: 6, logging.DEBUG: 7}


class PlainFormatter(logging.Formatter):
    """Writes control characters out: programs, brokers and files are quoted, and none of them may move the terminal's cursor."""

    def format(self, record: logging.LogRecord) -> str:
        """The record; only a traceback has lines."""
        return "\n".join(map(without_controls, super().format(record).split("\n")))


class JournalFormatter(PlainFormatter):
    """Begins every line with "<number>", which journald takes off and keeps as the entry's priority (sd-daemon(3))."""

    def format(self, record: logging.LogRecord) -> str:
        """The record, each of its lines with its level."""
        prefix = f"<{_JOURNAL_LEVELS.get(record.levelno, 6)}>"
        return "\n".join(prefix + line for line in super().format(record).split("\n"))


class RepeatFilter(logging.Filter):
    """Passes over what has been logged often, and says how many lines that were."""

    def __init__(self) -> None:
        super().__init__()
        self._limit = RepeatLimit(time.monotonic)

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is to be written; called by the handler, which locks nothing meanwhile."""
        message = record.getMessage()
        passed_over = self._limit.passes(f"{record.levelno} {gist(message)}")
        if passed_over:
            record.msg, record.args = f"{message} (and {passed_over} times like this since the last line of it)", ()
        return passed_over is not None


class LockedHandler(logging.StreamHandler[TextIO]):
    """Counts repetitions under its own lock: several threads log."""

    def handle(self, record: logging.LogRecord) -> bool:
        """Write the record, unless it is passed over."""
        with self.lock or nullcontext():
            return super().handle(record)


def start_logging(environment: Mapping[str, str] = os.environ) -> None:
    """Log from INFO on to stderr."""
    handler = LockedHandler(sys.stderr)
    handler.addFilter(RepeatFilter())
    into_journal = stderr_is_journal(environment)
    handler.setFormatter(JournalFormatter("%(message)s") if into_journal else PlainFormatter("%(levelname)s: %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])


def stderr_is_journal(environment: Mapping[str, str]) -> bool:
    """Whether what is written to stderr goes straight to journald, which says so by device and inode."""
    try:
        status = os.fstat(sys.stderr.fileno())
    except (OSError, ValueError):
        return False
    return environment.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"
