"""The three streams of a process and how a command ends: whatever the system refuses is one sentence and an exit code.

A terminal may be closed, a disk full, a name not UTF-8, the locale C. All of that is met here, for every command.
"""

import io
import os
import sys
from codecs import register_error
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TextIO

from edge_detector.errors import EdgeDetectorError
from edge_detector.plain_text import without_controls

_READ, _WRITE, _ERRORS = 0, 1, 2
_MOST_NAME_CHARACTERS = 200


def run_guarded(program: str, action: Callable[[], int]) -> int:
    """Run a command: its exit code, or one sentence on standard error and 1 or 2."""
    begin()
    try:
        code = action()
        flush_output()
    except BrokenPipeError:
        # Whoever read our output has gone, as `head` does: nothing is wrong, and Python must not complain while flushing.
        _forget_output()
        return 0
    except KeyboardInterrupt:
        return 130
    except (EdgeDetectorError, OSError, UnicodeError) as error:
        with suppress(OutputError, BrokenPipeError):
            flush_output()
        sys.stderr.write(f"{program}: {without_controls(_sentence(error))}\n")
        sys.stderr.flush()
        return error.exit_code if isinstance(error, EdgeDetectorError) else 1
    return code


def begin() -> None:
    """Make the streams fit for any name and any fate; nothing where somebody else has put others in their place."""
    _occupy_closed()
    register_error("as_bytes", _as_bytes)
    if sys.stdout is sys.__stdout__:
        sys.stdout = _Output(
            io.FileIO(_WRITE, "w", closefd=False) if sys.stdout is not None else _Closed(), _encoding(sys.stdout)
        )
    if sys.stderr is sys.__stderr__:
        # A descriptor of our own, so that libraries that write to 2 can be hushed without hushing us.
        own = os.dup(_ERRORS) if sys.stderr is not None else os.open(os.devnull, os.O_WRONLY)
        errors = io.BufferedWriter(_Unheard(own, "w"), buffer_size=1)
        sys.stderr = io.TextIOWrapper(errors, _encoding(sys.stderr), errors="as_bytes", line_buffering=True)


def flush_output() -> None:
    """Write what is still held back. Raises OutputError or BrokenPipeError."""
    if sys.stdout is not None:
        sys.stdout.flush()


class OutputError(EdgeDetectorError):
    """Standard output cannot be written."""


class _Output(io.TextIOWrapper):
    """Standard output, whose errors are sentences.

    They are met here and not below the buffer: a signal that is handled there, after the bytes have gone, sends them twice.
    """

    def __init__(self, raw: io.RawIOBase, encoding: str) -> None:
        super().__init__(io.BufferedWriter(raw), encoding, errors="as_bytes", line_buffering=raw.isatty())

    def write(self, text: str) -> int:
        with _sentence_for_output():
            return super().write(text)

    def flush(self) -> None:
        with _sentence_for_output():
            super().flush()


@contextmanager
def _sentence_for_output() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        _forget_output()
        raise OutputError(f"standard output cannot be written: {error.strerror}; send it to another place") from error


class _Closed(io.RawIOBase):
    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return _WRITE

    def write(self, data: object) -> int:
        # Called once more while the interpreter ends, where nobody is told anything.
        if not self._told:
            self._told = True
            raise OutputError("standard output is closed; send it to a file, or to /dev/null")
        return len(memoryview(data))  # type: ignore[arg-type]

    _told = False


class _Unheard(io.FileIO):
    """Standard error: where it cannot be written either, there is no place left to say so."""

    def write(self, data: object) -> int:
        with suppress(OSError):
            return super().write(data)  # type: ignore[arg-type]
        return len(memoryview(data))  # type: ignore[arg-type]


def _encoding(stream: TextIO | None) -> str:
    """The locale's; UTF-8 where that is none, as in cron and containers, since labels and names are not ASCII."""
    encoding = (stream.encoding if stream is not None else None) or "utf-8"
    return "utf-8" if encoding.lower().replace("-", "") in ("ascii", "usascii", "ansi_x3.41968", "utf8") else encoding


def _occupy_closed() -> None:
    """Open nothing in place of each closed stream, or the next file that is opened would be one, and be written to as such."""
    for descriptor in (_READ, _WRITE, _ERRORS):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)


def _as_bytes(error: UnicodeError) -> tuple[bytes, int]:
    """For what an encoding cannot express: the bytes of a file's name as the text they are, or each as an escape."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    part = error.object[error.start : error.end]
    with suppress(UnicodeEncodeError):
        text = part.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
        return text.encode(error.encoding, "backslashreplace"), error.end
    return part.encode("ascii", "backslashreplace"), error.end


def _sentence(error: EdgeDetectorError | OSError | UnicodeError) -> str:
    if isinstance(error, EdgeDetectorError):
        return str(error)
    if isinstance(error, UnicodeError):
        return f"a name or a text holds what cannot be written ({error}); rename it"
    what = error.strerror or str(error)
    if error.filename is None:
        return f"the system refused something that is needed: {what}; try again, or see its log"
    name = os.fsdecode(error.filename) if isinstance(error.filename, str | bytes) else str(error.filename)
    if len(name) > _MOST_NAME_CHARACTERS:
        name = f"{name[:_MOST_NAME_CHARACTERS]}…"
    return f"{name} cannot be used: {what}; see to its name and permissions, or give another"


def _forget_output() -> None:
    with suppress(OSError):
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, _WRITE)
        os.close(nothing)
