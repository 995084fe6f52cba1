"""Child process that writes s16le samples to its standard output, read without a thread: the pipe is the buffer."""

import array
import fcntl
import logging
import os
import re
import resource
import select
import subprocess
import termios
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from edge_detector.audio.programs.environment import child_environment
from edge_detector.errors import SourceError

LOG = logging.getLogger(__name__)

SAMPLE_BYTES = 2
_PIPE_BYTES = 1 << 20
"""Largest pipe of an unprivileged process: 32 s of 16 kHz mono. The child waits while it is full."""
_KILL_SECONDS = 2.0
_MAX_STDERR_BYTES = 65_536
_KEPT_LINES = 20
_LAST_LINES = 2
"""ffmpeg gives the cause in the last line but one."""
_POINTER = re.compile(r"(?: ?@ ?)?\b0x[0-9a-fA-F]+")
_OOM_SCORE_MAX = "1000"


class Child:
    """A running child process. Its standard error is read by lines; the last ones explain its end.

    Args:
        command: program and arguments; no shell.
        install: command that installs the program, for the error.
        filter_line: filter for a line of its standard error: removes secrets, returns an empty text to drop the line.
        variables: environment variables passed on besides those of every child.
        memory_bytes: limit of its data segment; None for no limit.

    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        install: str,
        filter_line: Callable[[str], str] = str,
        variables: Sequence[str] = (),
        memory_bytes: int | None = None,
    ) -> None:
        self._filter_line = filter_line
        try:
            # A new session: Ctrl-C in a terminal is for the parent only.
            self._process = subprocess.Popen(  # noqa: S603 - fixed programs, arguments checked by their sources
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0,
                env=child_environment(os.environ, *variables), start_new_session=True,
            )  # fmt: skip
        except FileNotFoundError as error:
            raise SourceError(f"{command[0]} is not installed: {install}") from error
        except OSError as error:
            raise SourceError(f"{command[0]} cannot be run: {error.strerror}") from error
        if self._process.stdout is None or self._process.stderr is None:
            raise AssertionError
        self._stdout, self._stderr = self._process.stdout, self._process.stderr
        self._limit(memory_bytes)
        self._partial_line = b""
        self._last_lines: list[str] = []
        self._new_lines: list[str] = []
        os.set_blocking(self._stderr.fileno(), False)
        with suppress(OSError):
            fcntl.fcntl(self._stdout.fileno(), fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        self.pipe_bytes = fcntl.fcntl(self._stdout.fileno(), fcntl.F_GETPIPE_SZ)
        self._poll = select.poll()
        self._poll.register(self._stdout.fileno(), select.POLLIN)
        self._poll.register(self._stderr.fileno(), select.POLLIN)

    @property
    def waiting_bytes(self) -> int:
        """Bytes written and not yet read."""
        count = array.array("i", [0])
        fcntl.ioctl(self._stdout.fileno(), termios.FIONREAD, count)
        return count[0]

    def wait_for_sound(self, timeout_seconds: float) -> bool:
        """Wait for samples or the end; return False on timeout. Reads standard error too, or the child could block on it."""
        give_up_at = time.monotonic() + timeout_seconds
        while True:
            ready = dict(self._poll.poll(max(0.0, give_up_at - time.monotonic()) * 1_000.0))
            if self._stderr.fileno() in ready:
                self._read_stderr()
            if self._stdout.fileno() in ready:
                return True
            if time.monotonic() >= give_up_at:
                return False

    def read(self, most_bytes: int) -> bytes:
        """Read samples as bytes, waiting for some; empty at the end."""
        return os.read(self._stdout.fileno(), most_bytes)

    def new_lines(self) -> list[str]:
        """Return the lines of standard error since the last call."""
        lines, self._new_lines = self._new_lines, []
        return lines

    def _read_stderr(self) -> None:
        arrived = self._stderr.read(_MAX_STDERR_BYTES)
        if arrived == b"":
            with suppress(KeyError):
                self._poll.unregister(self._stderr.fileno())
        *complete, self._partial_line = (self._partial_line + (arrived or b""))[-_MAX_STDERR_BYTES:].split(b"\n")
        lines = [text for line in complete if (text := self._filtered(line))]
        self._last_lines = (self._last_lines + lines)[-_LAST_LINES:]
        self._new_lines = (self._new_lines + lines)[-_KEPT_LINES:]

    def _filtered(self, line: bytes) -> str:
        return self._filter_line(_POINTER.sub("", line.decode(errors="replace").strip()))

    def _limit(self, memory_bytes: int | None) -> None:
        # Set after the start, because a function between fork and exec is not safe with threads. A child that has ended
        # already needs no limit.
        try:
            resource.prlimit(self._process.pid, resource.RLIMIT_CORE, (0, 0))
            if memory_bytes is not None:
                resource.prlimit(self._process.pid, resource.RLIMIT_DATA, (memory_bytes, memory_bytes))
        except ProcessLookupError:
            pass
        except OSError as error:
            LOG.warning("the memory of %s cannot be limited: %s", self._process.args, error.strerror)
        # If memory runs out anyway, the kernel kills the child first, not the service.
        with suppress(OSError):
            Path(f"/proc/{self._process.pid}/oom_score_adj").write_text(_OOM_SCORE_MAX, encoding="ascii")

    def ending(self) -> tuple[int | None, str]:
        """Return the exit code and the last error lines of a child that has closed its output."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_KILL_SECONDS)
        self._read_stderr()
        lines = [*self._last_lines, self._filtered(self._partial_line)]
        return self._process.returncode, "; ".join(filter(None, lines)) or "it gave no reason"

    def close(self) -> None:
        """Kill the child; may be called again. SIGKILL, because the child may hang."""
        if self._process.poll() is None:
            self._process.kill()
            # A child blocked in a device call is left behind; it dies when the call returns.
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(_KILL_SECONDS)
        self._stdout.close()
        self._stderr.close()
