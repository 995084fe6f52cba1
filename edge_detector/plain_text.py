"""Text of others on a terminal or in a log: one line that moves no cursor."""

import unicodedata
from contextlib import suppress

_DIRECTIONS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Turn the direction of the text around them, and so its meaning."""


def is_plain(text: str) -> bool:
    """Whether a text is one line that moves no cursor: without control characters, half characters and changes of direction."""
    return not any(each in _DIRECTIONS or unicodedata.category(each) in {"Cc", "Cs", "Zl", "Zp"} for each in text)


def without_controls(text: str) -> str:
    """A text of several sources for a terminal or a log, its control characters written out.

    Names of files are read as UTF-8, whatever the locale; their other bytes are written out too.
    """
    if is_plain(text):
        return text
    with suppress(UnicodeEncodeError):
        text = text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return "".join(each if is_plain(each) else repr(each)[1:-1] for each in text)
