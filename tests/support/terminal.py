"""A terminal in memory: a program runs on a pseudo-terminal, and pyte shows what stands on the screen."""

import fcntl
import os
import pty
import struct
import subprocess
import termios
from collections.abc import Mapping, Sequence
from pathlib import Path

import pyte

ROWS = 60


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
