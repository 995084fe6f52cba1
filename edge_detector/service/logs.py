"""Logging to stderr, with the level as a word, or as a number for journald."""

import json
import logging
import os
import sys
import time
from collections.abc import Mapping
from contextlib import nullcontext
from datetime import UTC, datetime
from typing import TextIO

from edge_detector.plain_text import without_controls
from edge_detector.repeat_limit import RepeatLimit, message_key

LEVELS = ("debug", "info", "warning", "error")
EACH = {"each": True}
"""For `extra`: an entry that is written however often it occurs, such as an event."""
_JOURNAL_LEVELS = {logging.CRITICAL: 2, logging.ERROR: 3, logging.WARNING: 4, logging.INFO: 6, logging.DEBUG: 7}


class PlainFormatter(logging.Formatter):
    """Escapes control characters, since quoted output of programs, brokers and files must not move the terminal's cursor."""

    def format(self, record: logging.LogRecord) -> str:
        """Format the record; only a traceback has several lines."""
        return "\n".join(map(without_controls, super().format(record).split("\n")))


class JournalFormatter(PlainFormatter):
    """Prefixes every line with "<number>", which journald strips and stores as the priority (sd-daemon(3))."""

    def format(self, record: logging.LogRecord) -> str:
        """Format the record, with the level before each line."""
        prefix = f"<{_JOURNAL_LEVELS.get(record.levelno, 6)}>"
        return "\n".join(prefix + line for line in super().format(record).split("\n"))


class JsonFormatter(logging.Formatter):
    """Formats an entry as one line of JSON, for programs that collect logs."""

    def format(self, record: logging.LogRecord) -> str:
        """Format the record; a traceback is in a key of its own."""
        time_text = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        entry = {"time": time_text, "level": record.levelname.lower(), "message": record.getMessage()}
        if record.exc_info:
            entry["traceback"] = self.formatException(record.exc_info)
        return json.dumps(entry, ensure_ascii=False)


class RepeatFilter(logging.Filter):
    """Drops lines that repeat often, and logs how many were dropped."""

    def __init__(self) -> None:
        super().__init__()
        self._limit = RepeatLimit(time.monotonic)

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether to write the record; the handler calls it without a lock of its own. Each EACH record is written."""
        if getattr(record, "each", False):
            return True
        message = record.getMessage()
        dropped = self._limit.allow(f"{record.levelno} {message_key(message)}")
        if dropped:
            record.msg, record.args = f"{message} (and {dropped} similar lines since the last one)", ()
        return dropped is not None


class LockedHandler(logging.StreamHandler[TextIO]):
    """Filters repetitions under its own lock, since several threads log."""

    def handle(self, record: logging.LogRecord) -> bool:
        """Write the record unless the filter drops it."""
        with self.lock or nullcontext():
            return super().handle(record)


def start_logging(environment: Mapping[str, str] = os.environ, *, level: str = "info", as_json: bool = False) -> None:
    """Log to stderr from this level, one of LEVELS, as text or as lines of JSON."""
    handler = LockedHandler(sys.stderr)
    handler.addFilter(RepeatFilter())
    if as_json:
        handler.setFormatter(JsonFormatter())
    elif stderr_is_journal(environment):
        handler.setFormatter(JournalFormatter("%(message)s"))
    else:
        handler.setFormatter(PlainFormatter("%(levelname)s: %(message)s"))
    logging.basicConfig(level=level.upper(), handlers=[handler])


def stderr_is_journal(environment: Mapping[str, str]) -> bool:
    """Whether stderr is connected to journald, by the device and inode in JOURNAL_STREAM."""
    try:
        status = os.fstat(sys.stderr.fileno())
    except (OSError, ValueError):
        return False
    return environment.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"
