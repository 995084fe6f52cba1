"""Writes TOML: Python's standard library only reads it."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence

_BARE = re.compile(r"[A-Za-z0-9_-]+")


def toml_text(document: Mapping[str, object], order: Sequence[str] = ()) -> str:
    """Format a document of texts, numbers, booleans, lists and tables; the tables of `order` come first.

    Comments cannot be kept. Dates, which no configuration has, raise TypeError.
    """
    named = {name: document[name] for name in order if name in document}
    return "\n".join(_table((), {**named, **document})).lstrip("\n") + "\n"


def _table(path: tuple[str, ...], table: Mapping[str, object]) -> Iterator[str]:
    for key, value in table.items():
        if not isinstance(value, Mapping) and not _is_tables(value):
            yield f"{_key(key)} = {_value(value)}"
    for key, value in table.items():
        inner = (*path, key)
        name = ".".join(map(_key, inner))
        if isinstance(value, Mapping):
            # A table of tables alone needs no header.
            if not value or any(not isinstance(each, Mapping) for each in value.values()):
                yield f"\n[{name}]"
            yield from _table(inner, value)
        elif isinstance(value, list) and _is_tables(value):
            for each in value:
                yield f"\n[[{name}]]"
                yield from _table(inner, each)


def _is_tables(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(each, Mapping) for each in value)


def _value(value: object) -> str:
    match value:
        case bool():
            return str(value).lower()
        case int() | float():
            return repr(value)
        case str():
            return _text(value)
        case list():
            return f"[{', '.join(map(_value, value))}]"
        case Mapping():
            return f"{{{', '.join(f'{_key(key)} = {_value(each)}' for key, each in value.items())}}}"
    message = f"{type(value).__name__} has no TOML form here"
    raise TypeError(message)


def _key(key: str) -> str:
    return key if _BARE.fullmatch(key) else _text(key)


def _text(text: str) -> str:
    # JSON escapes as TOML does, except the one control character above the others.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
