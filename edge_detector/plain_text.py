"""Sanitising of untrusted text for terminals and logs."""

import unicodedata
from contextlib import suppress

_DIRECTIONS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Bidirectional controls, which reorder the text around them."""


def is_plain(text: str) -> bool:
    """Return whether a text is one line without control characters, surrogates and bidirectional controls."""
    return not any(each in _DIRECTIONS or unicodedata.category(each) in {"Cc", "Cs", "Zl", "Zp"} for each in text)


def without_controls(text: str) -> str:
    """Escape control characters in a text for a terminal or a log.

    File names are decoded as UTF-8 whatever the locale; their other bytes are escaped too.
    """
    if is_plain(text):
        return text
    with suppress(UnicodeEncodeError):
        text = text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return "".join(each if is_plain(each) else repr(each)[1:-1] for each in text)
