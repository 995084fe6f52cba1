"""Standard streams and exit codes of every command: a system error becomes one sentence and an exit code.

Handles closed streams, a full disk, names that are not UTF-8 and the C locale.
"""

import io
import os
import sys
import threading
from codecs import register_error
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TextIO

from edge_detector.errors import EdgeDetectorError
from edge_detector.plain_text import without_controls

_READ, _WRITE, _ERRORS = 0, 1, 2
_MAX_NAME_CHARACTERS = 200


def run_guarded(program: str, action: Callable[[], int]) -> int:
    """Run a command and return its exit code; an error is one sentence on standard error and exit code 1 or 2."""
    install_streams()
    try:
        code = action()
        flush_output()
    except BrokenPipeError:
        # The reader has closed the pipe, as `head` does: no error, and none from Python's flush at exit.
        _discard_output()
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


def install_streams() -> None:
    """Install robust standard output and error streams; streams that were replaced already stay."""
    _occupy_closed()
    register_error("as_bytes", _as_bytes)
    if sys.stdout is sys.__stdout__:
        sys.stdout = _Output(
            io.FileIO(_WRITE, "w", closefd=False) if sys.stdout is not None else _Closed(), _encoding(sys.stdout)
        )
    if sys.stderr is sys.__stderr__:
        # A separate descriptor, so that silencing libraries that write to 2 does not silence this stream.
        own = os.dup(_ERRORS) if sys.stderr is not None else os.open(os.devnull, os.O_WRONLY)
        errors = io.BufferedWriter(_BestEffortErrors(own, "w"), buffer_size=1)
        sys.stderr = io.TextIOWrapper(errors, _encoding(sys.stderr), errors="as_bytes", line_buffering=True)


_STDERR_LOCK = threading.Lock()


@contextmanager
def discarded_native_messages() -> Iterator[None]:
    """Discard what libraries write to descriptor 2 meanwhile; this program writes elsewhere. One thread at a time."""
    with _STDERR_LOCK:
        try:
            kept = os.dup(_ERRORS)
        except OSError:
            yield
            return
        try:
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, _ERRORS)
            os.close(null)
            yield
        finally:
            os.dup2(kept, _ERRORS)
            os.close(kept)


def flush_output() -> None:
    """Flush standard output. Raises OutputError or BrokenPipeError."""
    if sys.stdout is not None:
        sys.stdout.flush()


class OutputError(EdgeDetectorError):
    """Standard output cannot be written."""


class _Output(io.TextIOWrapper):
    """Standard output whose errors are OutputError.

    Errors are converted above the buffer: below it, a signal handled after the write would send the bytes twice.
    """

    def __init__(self, raw: io.RawIOBase, encoding: str) -> None:
        super().__init__(io.BufferedWriter(raw), encoding, errors="as_bytes", line_buffering=raw.isatty())

    def write(self, text: str) -> int:
        with _output_errors():
            return super().write(text)

    def flush(self) -> None:
        with _output_errors():
            super().flush()


@contextmanager
def _output_errors() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        _discard_output()
        raise OutputError(f"standard output cannot be written: {error.strerror}; send it to another place") from error


class _Closed(io.RawIOBase):
    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return _WRITE

    def write(self, data: object) -> int:
        # The interpreter calls it again at exit; the error is raised only once.
        if not self._reported:
            self._reported = True
            raise OutputError("standard output is closed; send it to a file, or to /dev/null")
        return len(memoryview(data))  # type: ignore[arg-type]

    _reported = False


class _BestEffortErrors(io.FileIO):
    """Standard error that ignores write errors, which cannot be reported anywhere."""

    def write(self, data: object) -> int:
        with suppress(OSError):
            return super().write(data)  # type: ignore[arg-type]
        return len(memoryview(data))  # type: ignore[arg-type]


def _encoding(stream: TextIO | None) -> str:
    """Return the stream's encoding, or UTF-8 for ASCII, as in cron and containers: labels and names are not ASCII."""
    encoding = (stream.encoding if stream is not None else None) or "utf-8"
    return "utf-8" if encoding.lower().replace("-", "") in ("ascii", "usascii", "ansi_x3.41968", "utf8") else encoding


def _occupy_closed() -> None:
    """Open /dev/null in place of each closed stream, or the next opened file would take its descriptor."""
    for descriptor in (_READ, _WRITE, _ERRORS):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)


def _as_bytes(error: UnicodeError) -> tuple[bytes, int]:
    """Encode what the encoding lacks: a file name's bytes as UTF-8 if they are, else as escapes."""
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
        return f"a name or text holds characters that cannot be written ({error}); rename it"
    problem = error.strerror or str(error)
    if error.filename is None:
        return f"a system call failed: {problem}; try again, or see the system's log"
    name = os.fsdecode(error.filename) if isinstance(error.filename, str | bytes) else str(error.filename)
    if len(name) > _MAX_NAME_CHARACTERS:
        name = f"{name[:_MAX_NAME_CHARACTERS]}…"
    return f"{name} cannot be used: {problem}; check its name and permissions, or give another"


def _discard_output() -> None:
    with suppress(OSError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, _WRITE)
        os.close(null)
