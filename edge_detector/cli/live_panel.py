"""Live display of a terminal: a panel of lines that is redrawn in place, below the lines that stay."""

import os
import re
import shutil
import textwrap
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TextIO

LEAST_COLUMNS = 20
METER_FLOOR_DBFS = -80.0
_INDENT = "    "
_LABEL_SHARE = 0.4
_MOST_LABEL = 24
_COLOURS = re.compile(r"\x1b\[\d*m")
_GREEN, _RESET = "\x1b[32m", "\x1b[0m"


@dataclass(frozen=True, slots=True)
class ClassRow:
    """One class of the panel: its name, probability and `on` threshold."""

    label: str
    probability: float
    threshold: float


@dataclass(frozen=True, slots=True)
class Style:
    """What a terminal can show.

    Attributes:
        columns: its width.
        colour: green for classes at or above their threshold.
        blocks: draw bars as blocks, else in ASCII.

    """

    columns: int
    colour: bool = False
    blocks: bool = True


def moves_cursor(stream: TextIO, environment: Mapping[str, str] = os.environ) -> bool:
    """Whether the stream is a terminal on which a panel can be drawn; TERM=dumb is none."""
    return stream.isatty() and environment.get("TERM", "dumb") != "dumb"


def terminal_columns() -> int:
    """Return the width of standard output's terminal now; COLUMNS takes precedence."""
    return shutil.get_terminal_size().columns


def style_of(columns: int, encoding: str, environment: Mapping[str, str] = os.environ) -> Style:
    """Return the style of a terminal; NO_COLOR is followed (no-color.org)."""
    return Style(max(columns, LEAST_COLUMNS), colour=not environment.get("NO_COLOR"), blocks="utf" in encoding.lower())


def width_of(text: str) -> int:
    """Return the columns that a text takes; East Asian wide characters take two, combining ones none."""
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def fitted(text: str, columns: int) -> str:
    """Return the text, cut and with an ellipsis if it takes more than `columns`."""
    if width_of(text) <= columns:
        return text
    kept = ""
    for character in text:
        if width_of(kept + character) > columns - 1:
            break
        kept += character
    return f"{kept}…"


def level_line(head: str, level_dbfs: float, style: Style, tail: str = "") -> str:
    """Return a line of a clock or another head, a meter of the level from -80 dBFS, the level, and a tail."""
    level = f"{level_dbfs:6.1f} dBFS"
    room = style.columns - 1 - width_of(head) - width_of(level) - width_of(tail) - (4 if tail else 2) - 2
    share = min(1.0, max(0.0, 1.0 - level_dbfs / METER_FLOOR_DBFS))
    meter = f"  {_bar(share, min(40, room), style)}" if room > 3 else ""  # noqa: PLR2004 - a shorter bar shows nothing
    return fitted(f"{head}{meter}  {level}{f'  {tail}' if tail else ''}", style.columns - 1)


def class_lines(rows: Sequence[ClassRow], style: Style) -> list[str]:
    """Return a line for each class: name, probability, and a bar with a mark at the threshold."""
    label_columns = min(_MOST_LABEL, max(6, round(_LABEL_SHARE * style.columns)))
    room = style.columns - 1 - label_columns - len(" 0.00  ")
    lines = []
    for row in rows:
        label = fitted(row.label, label_columns)
        head = f"{label}{' ' * (label_columns - width_of(label))} {row.probability:.2f}"
        bar = _marked(_bar(row.probability, min(50, room), style), row.threshold) if room > 3 else ""  # noqa: PLR2004 - as above
        line = fitted(f"{head}  {bar}".rstrip(), style.columns - 1)
        lines.append(f"{_GREEN}{line}{_RESET}" if style.colour and row.probability >= row.threshold else line)
    return lines


def _bar(share: float, columns: int, style: Style) -> str:
    filled = round(share * columns)
    full, empty = ("█", "·") if style.blocks else ("#", ".")
    return full * filled + empty * (columns - filled)


def _marked(bar: str, threshold: float) -> str:
    at = min(len(bar) - 1, round(threshold * len(bar)))
    return f"{bar[:at]}|{bar[at + 1 :]}"


class Panel:
    """Draws on a terminal that moves its cursor. The width is asked for at each drawing, so that a resize needs no signal.

    On anything else only the lines that stay are written.

    Args:
        stream: the terminal, a file or a pipe.
        columns: returns the terminal's width.
        live: it is a terminal that moves its cursor.

    """

    def __init__(self, stream: TextIO, columns: Callable[[], int], *, live: bool) -> None:
        self._stream = stream
        self._columns = columns
        self.live = live
        self._drawn: list[int] = []

    @classmethod
    def on(cls, stream: TextIO) -> "Panel":
        """Return the panel of a standard stream."""
        return cls(stream, terminal_columns, live=moves_cursor(stream))

    @property
    def style(self) -> Style:
        """What the terminal can show now."""
        return style_of(self._columns(), self._stream.encoding)

    def draw(self, lines: Sequence[str]) -> None:
        """Replace the panel by these lines, each narrower than the terminal."""
        self._stream.write(self._erased() + "\n".join(lines))
        self._drawn = [width_of(_COLOURS.sub("", line)) for line in lines]
        self._stream.flush()

    def print(self, text: str) -> None:
        """Write text that stays, wrapped between words; it replaces the panel until the next drawing."""
        lines = [text]
        if self.live:
            columns = max(LEAST_COLUMNS, self._columns()) - 1
            lines = textwrap.wrap(text, columns, subsequent_indent=_INDENT, break_long_words=False, break_on_hyphens=False)
        self._stream.write(self._erased() + "".join(f"{line}\n" for line in lines))
        self._drawn = []
        self._stream.flush()

    def clear(self) -> None:
        """Erase the panel, before the program ends or writes elsewhere."""
        self._stream.write(self._erased())
        self._drawn = []
        self._stream.flush()

    def _erased(self) -> str:
        """Return the control sequence that erases the panel; a narrower terminal has wrapped its lines."""
        if not self._drawn:
            return ""
        columns = max(1, self._columns())
        above = sum(max(1, -(-width // columns)) for width in self._drawn) - 1
        return "\r" + (f"\x1b[{above}A" if above else "") + "\x1b[J"
