"""Strict reader of nested tables (TOML, JSON): every key must be known, typed and in range, or the error names it.

Used in place of a schema library for its error messages, and to need no dependency on a Raspberry Pi.
"""

import difflib
import math
import re
from collections.abc import Mapping, Sequence

from edge_detector.errors import EdgeDetectorError
from edge_detector.plain_text import is_plain

SLUG = re.compile(r"[a-z0-9_]+")
MAX_SLUG_CHARACTERS = 64
MOST_SHOWN_CHARACTERS = 200
MOST_NESTED = 32
MISSING = object()
"""Default of a key that is required."""


def shown(name: object) -> str:
    """Format an untrusted name for one line of text."""
    text = str(name)
    return text if text.isprintable() else repr(text)


def with_suggestion(problem: str, name: str, known: Sequence[str], rest: str) -> str:
    """Return "PROBLEM; REST", with the known name that is nearest to `name` between them if one is near."""
    longer = [each for each in known if len(name) > 1 and each.startswith(name)]
    near = longer or difflib.get_close_matches(name[:MAX_SLUG_CHARACTERS], known, n=1)
    return f"{problem}; did you mean {near[0]!r}? {rest[0].upper()}{rest[1:]}" if near else f"{problem}; {rest}"


def _value(value: object) -> str:
    try:
        text = repr(value)
    except ValueError:  # Python does not format integers of thousands of digits
        return "(a very long number)"
    return text if len(text) <= MOST_SHOWN_CHARACTERS else f"{text[:MOST_SHOWN_CHARACTERS]}…"


def _is_deep(value: object) -> bool:
    level: list[object] = [value]
    for _ in range(MOST_NESTED):
        level = [
            inner
            for each in level
            if isinstance(each, Mapping | list)
            for inner in (each if isinstance(each, list) else each.values())
        ]
    return bool(level)


def _is_pair(item: object) -> bool:
    match item:
        case [str(first), None | str()]:
            return bool(first)
    return False


class StrictTable:
    """A mapping being read: each method reads one key, and `reject_unknown` rejects keys that were not read."""

    def __init__(self, data: object, where: str, error: type[EdgeDetectorError]) -> None:
        if not isinstance(data, Mapping):
            raise error(f"{where} must be a table of keys and values, not {repr(data)[:MOST_SHOWN_CHARACTERS]}")
        self._data = data
        self._where = where
        self._error = error
        self._read_keys: list[str] = []

    def key_error(self, key: str, problem: str) -> EdgeDetectorError:
        """Return the error for a problem of `key` that the caller found."""
        return self._error(f"{self._where}: {key} = {_value(self._data.get(key))} {problem}")

    def table_error(self, problem: str) -> EdgeDetectorError:
        """Return the error for the whole table, or for a value that must not be shown."""
        return self._error(f"{self._where}: {problem}")

    def _read(self, key: str, default: object) -> object:
        self._read_keys.append(key)
        value = self._data.get(key, default)
        if value is MISSING:
            raise self._error(f"{self._where}: the key {key!r} is missing")
        return value

    def has(self, key: str) -> bool:
        """Return whether the key is present, and mark it as known."""
        self._read_keys.append(key)
        return key in self._data

    def text(self, key: str, default: object = MISSING, *, choices: Sequence[str] = ()) -> str:
        """Read a non-empty string, one of `choices` if given."""
        value = self._read(key, default)
        one_of = f"one of {', '.join(choices)}"
        if not isinstance(value, str) or not value or "\0" in value:
            raise self.key_error(key, "must be a non-empty text" + (f", {one_of}" if choices else ""))
        if choices and value not in choices:
            raise self.key_error(key, f"must be {one_of}")
        return value

    def line(self, key: str, *, most: int = MOST_SHOWN_CHARACTERS) -> str:
        """Read one non-empty line of at most `most` characters, without control characters."""
        value = self.text(key)
        if not is_plain(value) or len(value) > most:
            raise self.key_error(key, f"must be one line of at most {most} characters, without control characters")
        return value

    def optional_line(self, key: str) -> str | None:
        """Read a line as `line` does, or None if the key is absent or null."""
        return None if self._read(key, None) is None else self.line(key)

    def slug(self, key: str, default: object = MISSING, *, refused: Sequence[str] = (), most: int | None = None) -> str:
        """Read a name for a topic: lower-case letters, digits and underscores."""
        value = self.text(key, default)
        if not SLUG.fullmatch(value):
            raise self.key_error(key, "may only have lower-case letters, digits and underscores")
        if most is not None and len(value) > most:
            raise self.key_error(key, f"may have {most} characters at most")
        if value in refused:
            raise self.key_error(key, "is reserved for topics; choose another name")
        return value

    def optional_text(self, key: str, *, example: str | None = None) -> str | None:  # noqa: ARG002 - for the schema
        """Read a string, or None if the key is absent or null. `example` is a value for which the caller's own checks pass."""
        return None if self._read(key, None) is None else self.text(key)

    def number(
        self,
        key: str,
        default: object = MISSING,
        *,
        low: float = -math.inf,
        high: float = math.inf,
        choices: Sequence[float] = (),
    ) -> float:
        """Read a finite number in [low, high], one of `choices` if given."""
        value = self._read(key, default)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.key_error(key, "must be a finite number")
        try:
            finite = math.isfinite(value)
        except OverflowError:  # integers are unlimited in TOML and JSON
            finite = False
        if not finite:
            raise self.key_error(key, "must be a finite number")
        if not low <= value <= high:
            raise self.key_error(key, f"must be between {low:g} and {high:g}")
        if choices and value not in choices:
            raise self.key_error(key, f"must be one of {', '.join(f'{choice:g}' for choice in choices)}")
        return float(value)

    def optional_number(self, key: str, *, low: float, high: float) -> float | None:
        """Read a finite number in [low, high], or None if the key is absent."""
        return self.number(key, low=low, high=high) if self.has(key) else None

    def integer(self, key: str, default: object = MISSING, *, low: int, high: int) -> int:
        """Read an integer in [low, high]."""
        value = self._read(key, default)
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise self.key_error(key, f"must be a whole number between {low} and {high}")
        return value

    def flag(self, key: str, default: object = MISSING) -> bool:
        """Read true or false."""
        value = self._read(key, default)
        if not isinstance(value, bool):
            raise self.key_error(key, "must be true or false")
        return value

    def optional_flag(self, key: str) -> bool | None:
        """Read true or false, or None if the key is absent."""
        return self.flag(key) if self.has(key) else None

    def table(self, key: str) -> "StrictTable":
        """Read a nested table; empty if the key is absent."""
        return StrictTable(self._read(key, {}), f"{self._where} [{key}]", self._error)

    def tables(self, key: str) -> list["StrictTable"]:
        """Read a list of tables; empty if the key is absent."""
        value = self._read(key, [])
        if isinstance(value, Mapping):
            raise self.table_error(f"{key} is a list of tables; write [[{key}]] in place of [{key}]")
        if not isinstance(value, list):
            raise self.key_error(key, "must be a list of tables")
        return [StrictTable(item, f"{self._where} [{key} {number}]", self._error) for number, item in enumerate(value, 1)]

    def named_tables(self, key: str) -> dict[str, "StrictTable"]:
        """Read a table of tables, by name; empty if the key is absent."""
        value = self._read(key, {})
        if not isinstance(value, Mapping):
            raise self.key_error(key, "must be a table of tables")
        return {str(name): StrictTable(item, f"{self._where} [{key}.{shown(name)}]", self._error) for name, item in value.items()}

    def integers(self, key: str) -> tuple[int, ...]:
        """Read a list of positive integers."""
        value = self._read(key, MISSING)
        if not isinstance(value, list) or not all(type(item) is int and item > 0 for item in value):
            raise self.key_error(key, "must be a list of positive whole numbers")
        return tuple(value)

    def texts(self, key: str) -> tuple[str, ...]:
        """Read a list of non-empty strings; empty if the key is absent."""
        value = self._read(key, [])
        if not isinstance(value, list) or not all(isinstance(item, str) and item for item in value):
            raise self.key_error(key, "must be a list of texts")
        return tuple(value)

    def pairs(self, key: str) -> tuple[tuple[str, str | None], ...]:
        """Read a list of pairs, each a non-empty string and a string or null; empty if the key is absent."""
        value = self._read(key, [])
        if not isinstance(value, list) or not all(map(_is_pair, value)):
            raise self.key_error(key, "must be a list of pairs of texts")
        return tuple((first, second) for first, second in value)

    def slugs(self, key: str) -> tuple[str, ...]:
        """Read a list of names for topics; the key must be such a name too."""
        value = self._read(key, MISSING)
        if not isinstance(value, list) or not all(isinstance(item, str) and SLUG.fullmatch(item) for item in (key, *value)):
            raise self.key_error(key, "must be a list of names, all of lower-case letters, digits and underscores")
        return tuple(value)

    def free(self, key: str) -> Mapping[str, object]:
        """Read a table with arbitrary keys: figures and credits for display only."""
        value = self._read(key, {})
        if not isinstance(value, Mapping):
            raise self.key_error(key, "must be a table")
        if _is_deep(value):
            raise self.table_error(f"{key} is nested more than {MOST_NESTED} deep")
        return dict(value)

    def raw(self) -> Mapping[str, object]:
        """Return the whole table unchecked, for a later reader."""
        return dict(self._data)

    def reject_unknown(self) -> None:
        """Reject every key that was not read."""
        for key in self._data:
            if key not in self._read_keys:
                known = sorted(set(self._read_keys))
                problem = f"{self._where}: unknown key {_value(key)}"
                raise self._error(with_suggestion(problem, str(key), known, f"known here: {', '.join(known)}"))
