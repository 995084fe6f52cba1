"""The log: sentences on stderr, with the level in words for people, or as journald's number."""

import logging
import os
import sys
from collections.abc import Mapping

from edge_detector.core.strict import without_controls

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


def start_logging(environment: Mapping[str, str] = os.environ) -> None:
    """Log from INFO on to stderr."""
    handler = logging.StreamHandler(sys.stderr)
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
