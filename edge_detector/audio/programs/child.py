"""A program that writes s16le samples to its standard output, read without a thread: the pipe is the ring."""

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
"""The most an unprivileged process may ask for: 32 s of 16 kHz mono. A program that is not read from waits when it is full."""
_KILL_SECONDS = 2.0
_WORDS_BYTES = 65_536
_KEPT_LINES = 20
_LAST_LINES = 2
"""ffmpeg names the cause in the last line but one."""
_POINTER = re.compile(r"(?: ?@ ?)?\b0x[0-9a-fA-F]+")
_FIRST_TO_BE_KILLED = "1000"


class Child:
    """The running program. Its words on standard error come line by line; their last ones explain its end.

    Args:
        command: program and arguments; no shell.
        install: what to tell whoever does not have the program.
        words: what to keep of a line of its words: without secrets, and empty if there is nothing to keep.
        variables: of our environment it gets these besides the few that every program needs.
        memory_bytes: how much it may ask for, all its own data together; more is refused to it. None: no limit.

    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        install: str,
        words: Callable[[str], str] = str,
        variables: Sequence[str] = (),
        memory_bytes: int | None = None,
    ) -> None:
        self._words_of = words
        try:
            # A session of its own: Ctrl-C in a terminal is for us to answer.
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
        self._sound, self._words = self._process.stdout, self._process.stderr
        self._limit(memory_bytes)
        self._partial_line = b""
        self._last_lines: list[str] = []
        self._new_lines: list[str] = []
        os.set_blocking(self._words.fileno(), False)
        with suppress(OSError):
            fcntl.fcntl(self._sound.fileno(), fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        self.pipe_bytes = fcntl.fcntl(self._sound.fileno(), fcntl.F_GETPIPE_SZ)
        self._poll = select.poll()
        self._poll.register(self._sound.fileno(), select.POLLIN)
        self._poll.register(self._words.fileno(), select.POLLIN)

    @property
    def waiting_bytes(self) -> int:
        """Bytes written and not yet read."""
        count = array.array("i", [0])
        fcntl.ioctl(self._sound.fileno(), termios.FIONREAD, count)
        return count[0]

    def wait_for_sound(self, timeout_seconds: float) -> bool:
        """Whether there is something to read, be it the end. Meanwhile its words are collected, or it would wait for us."""
        give_up_at = time.monotonic() + timeout_seconds
        while True:
            ready = dict(self._poll.poll(max(0.0, give_up_at - time.monotonic()) * 1_000.0))
            if self._words.fileno() in ready:
                self._collect()
            if self._sound.fileno() in ready:
                return True
            if time.monotonic() >= give_up_at:
                return False

    def read(self, most_bytes: int) -> bytes:
        """What has been written; empty at the end. Waits if there is nothing."""
        return os.read(self._sound.fileno(), most_bytes)

    def new_lines(self) -> list[str]:
        """What it has said since the last call."""
        lines, self._new_lines = self._new_lines, []
        return lines

    def _collect(self) -> None:
        arrived = self._words.read(_WORDS_BYTES)
        if arrived == b"":
            with suppress(KeyError):
                self._poll.unregister(self._words.fileno())
        *whole, self._partial_line = (self._partial_line + (arrived or b""))[-_WORDS_BYTES:].split(b"\n")
        lines = [words for line in whole if (words := self._kept(line))]
        self._last_lines = (self._last_lines + lines)[-_LAST_LINES:]
        self._new_lines = (self._new_lines + lines)[-_KEPT_LINES:]

    def _kept(self, line: bytes) -> str:
        return self._words_of(_POINTER.sub("", line.decode(errors="replace").strip()))

    def _limit(self, memory_bytes: int | None) -> None:
        # From here, as it begins: a function between fork and exec is not safe beside our threads. One that has ended already
        # needs no limit any more.
        try:
            resource.prlimit(self._process.pid, resource.RLIMIT_CORE, (0, 0))
            if memory_bytes is not None:
                resource.prlimit(self._process.pid, resource.RLIMIT_DATA, (memory_bytes, memory_bytes))
        except ProcessLookupError:
            pass
        except OSError as error:
            LOG.warning("the memory of %s cannot be limited: %s", self._process.args, error.strerror)
        # Where memory runs out all the same, it is this program that the kernel ends, and not the service.
        with suppress(OSError):
            Path(f"/proc/{self._process.pid}/oom_score_adj").write_text(_FIRST_TO_BE_KILLED, encoding="ascii")

    def ending(self) -> tuple[int | None, str]:
        """Exit code and last words of a program that has closed its output."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_KILL_SECONDS)
        self._collect()
        words = [*self._last_lines, self._kept(self._partial_line)]
        return self._process.returncode, "; ".join(filter(None, words)) or "it did not say why"

    def close(self) -> None:
        """Kill it; may be called again. Not asked to end: it may be what hangs."""
        if self._process.poll() is None:
            self._process.kill()
            # One that the kernel holds in a device call is left behind; it dies when that call returns.
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(_KILL_SECONDS)
        self._sound.close()
        self._words.close()
