"""A terminal in memory: a program runs on a pseudo-terminal, and pyte shows what stands on the screen.

`Dialogue` also types, as a person would.
"""

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import pyte

ROWS = 60
INTERRUPT = "\x03"
"""What Ctrl-C types."""
END_OF_INPUT = "\x04"


def screen(columns: int, text: str) -> list[str]:
    """The lines on a screen after this output, without those that are empty at its end."""
    shown = pyte.Screen(columns, ROWS)
    pyte.Stream(shown).feed(text.replace("\n", "\r\n"))
    return _lines(shown)


def run_on_terminal(
    command: Sequence[str], columns: int, *, environment: Mapping[str, str] | None = None, folder: Path | None = None
) -> tuple[int, list[str], str]:
    """Exit code, the lines on the screen, and the whole output of a program on a terminal of this width."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, columns, 0, 0))
    variables = {"TERM": "xterm-256color", **os.environ, **(environment or {})}
    variables.pop("COLUMNS", None)
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=variables, cwd=folder) as process:
        os.close(theirs)
        output = b""
        while chunk := _read(ours):
            output += chunk
    os.close(ours)
    shown = pyte.Screen(columns, ROWS)
    pyte.ByteStream(shown).feed(output)
    return process.returncode, _lines(shown), output.decode()


class Dialogue:
    """A program on a terminal of its own, which is its controlling terminal, so that Ctrl-C and hidden input work.

    Attributes:
        output: all that was shown so far, with control sequences.

    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        folder: Path | None = None,
        columns: int = 100,
        deadline_seconds: float = 60.0,
    ) -> None:
        self._terminal, theirs = pty.openpty()
        self._columns = columns
        self._deadline_seconds = deadline_seconds
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, columns, 0, 0))
        variables = {"TERM": "xterm-256color", **os.environ, **(environment or {})}
        variables.pop("COLUMNS", None)
        script = "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execvp(sys.argv[1], sys.argv[1:])"
        self._process = subprocess.Popen(
            [sys.executable, "-c", script, *command],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env=variables,
            cwd=folder,
            start_new_session=True,
        )
        os.close(theirs)
        self.output = ""
        self._answered = 0
        """Characters of the output that an `expect` has passed."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        os.close(self._terminal)

    def expect(self, text: str) -> str:
        """Wait until `text` is shown after what was expected before; returns the output from there up to it."""
        give_up_at = time.monotonic() + self._deadline_seconds
        while (at := self.output.find(text, self._answered)) < 0:
            if not self._receive(give_up_at - time.monotonic()):
                message = f"{text!r} was not shown; the last of what was: {self.output[-2_000:]!r}"
                raise AssertionError(message)
        passed = self.output[self._answered : at]
        self._answered = at + len(text)
        return passed

    def type(self, text: str) -> None:
        """Type `text`; a line ends with a line feed."""
        os.write(self._terminal, text.encode())

    def answer(self, question: str, text: str = "") -> str:
        """Wait for the question and answer with a line; returns what was shown before the question."""
        shown = self.expect(question)
        self.type(f"{text}\n")
        return shown

    def finish(self) -> tuple[int, str]:
        """Wait for the end; returns the exit code, and what was shown after what was expected."""
        give_up_at = time.monotonic() + self._deadline_seconds
        while self._receive(give_up_at - time.monotonic()):
            pass
        return self._process.wait(max(1.0, give_up_at - time.monotonic())), self.output[self._answered :]

    def _receive(self, seconds: float) -> bool:
        """Whether something more was shown within these seconds, and before the program's end."""
        if seconds <= 0.0 or not select.select([self._terminal], [], [], seconds)[0]:
            return False
        received = _read(self._terminal)
        self.output += received.decode(errors="replace").replace("\r\n", "\n")
        return bool(received)


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65_536)
    except OSError:  # Linux reports the end of a pseudo-terminal as an error
        return b""


def _lines(shown: pyte.Screen) -> list[str]:
    lines = [line.rstrip() for line in shown.display]
    while lines and not lines[-1]:
        lines.pop()
    return lines
