"""Questions on a terminal. Ctrl-C raises KeyboardInterrupt, the end of input EOFError."""

import select
import sys
import termios
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from edge_detector.cli.doctor import Finding
from edge_detector.cli.live_panel import Panel
from edge_detector.plain_text import is_plain

NONE = "-"
"""Answer that removes what would be kept by Enter."""
POLL_SECONDS = 0.2


def say(text: str) -> None:
    """Print a sentence, wrapped between words."""
    Panel.on(sys.stdout).print(text)


def heading(text: str) -> None:
    """Print the heading of some questions."""
    sys.stdout.write(f"\n{text}\n")
    sys.stdout.flush()


def show(findings: Sequence[Finding]) -> None:
    """Print findings in the form of `doctor`, with a remedy where one is needed."""
    for finding in findings:
        lines = finding.line().splitlines()
        for line in lines[:1] if finding.verdict == "good" else lines:
            say(line)


def ask(question: str, default: str | None = None) -> str:
    """Return the answer, one line; Enter gives the default, or an empty text without one."""
    while True:
        answer = _line(f"{question}{'' if default is None else f' [{default}]'}: ").strip()
        if is_plain(answer):
            return answer or default or ""
        say("that has characters that cannot be used; type it again")


def ask_optional(question: str, default: str | None) -> str | None:
    """Return the answer, or None; Enter gives the default, and NONE gives None."""
    answer = ask(question if default is None else f"{question}, {NONE} for none", default)
    return None if answer in ("", NONE) else answer


def ask_yes(question: str, *, default: bool) -> bool:
    """Return whether the answer is yes."""
    while True:
        answer = ask(f"{question} [{'Y/n' if default else 'y/N'}]").casefold()
        if answer in ("", "y", "yes", "n", "no"):
            return answer[0] == "y" if answer else default
        say("answer y or n")


def ask_hidden(question: str) -> str:
    """Return an answer that is not shown while it is typed."""
    while True:
        with _no_echo():
            answer = _line(f"{question}: ")
        sys.stdout.write("\n")
        if is_plain(answer):
            return answer
        say("that has characters that cannot be used; type it again")


def _line(prompt: str) -> str:
    """Return a line without its end. `input` and `getpass` would miss a Ctrl-C just before they begin to read."""
    sys.stdout.write(prompt)
    sys.stdout.flush()
    while not select.select([sys.stdin], [], [], POLL_SECONDS)[0]:
        pass
    line = sys.stdin.readline()
    if not line:
        raise EOFError
    return line.removesuffix("\n")


@contextmanager
def _no_echo() -> Iterator[None]:
    before = termios.tcgetattr(sys.stdin)
    hidden = [*before]
    hidden[3] &= ~termios.ECHO
    termios.tcsetattr(sys.stdin, termios.TCSAFLUSH, hidden)
    try:
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)
