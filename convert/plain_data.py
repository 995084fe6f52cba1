"""Frozen dataclasses to and from the plain values of JSON and TOML; errors name the file and the key.

Own code: dacite, the nearest library, has neither keys that are no Python names nor errors that name the file.
"""

import types
import typing
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar, Union, cast

from edge_detector.errors import UsageError

T = TypeVar("T")
KEY = "key"
MOST_SHOWN_CHARACTERS = 80


def to_plain(value: object) -> Any:  # noqa: ANN401 - plain values are of any kind
    """Convert dataclasses to dicts, tuples to lists and paths to texts, at any depth.

    A field that is None is left out if None is its default, and kept as null otherwise. `metadata={KEY: "from"}` gives a field
    a key that is no Python name.
    """
    if is_dataclass(value) and not isinstance(value, type):
        return {_key(each): to_plain(getattr(value, each.name)) for each in fields(value) if not _is_left_out(each, value)}
    if isinstance(value, Mapping):
        return {str(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value


def from_plain(kind: type[T], data: object, where: str, *, ignore_unknown: bool = False) -> T:
    """Build a dataclass from plain values, checked against its annotations.

    Fields may be of str, int, float, bool, Literal, Mapping[str, X], tuple[X, ...], tuple[X, Y], X | None, object and
    dataclasses of these. A whole number is accepted as a float. A ValueError of `__post_init__` becomes the error.

    Args:
        kind: dataclass.
        data: value that a JSON or TOML parser returned.
        where: file, for errors.
        ignore_unknown: accept keys that the dataclass does not have.

    Raises UsageError for a missing, unknown or wrong value.
    """
    return cast("T", _convert(kind, data, where, ignore_unknown=ignore_unknown))


def _key(field: "Field[Any]") -> str:
    return str(field.metadata.get(KEY, field.name))


def _is_left_out(field: "Field[Any]", value: object) -> bool:
    return field.default is None and getattr(value, field.name) is None


def _wrong(where: str, data: object, wanted: str) -> UsageError:
    text = repr(data)
    return UsageError(
        f"{where} must be {wanted}, not {text if len(text) <= MOST_SHOWN_CHARACTERS else text[:MOST_SHOWN_CHARACTERS] + '…'}"
    )


def _convert(kind: Any, data: object, where: str, *, ignore_unknown: bool) -> object:  # noqa: ANN401 - an annotation
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if is_dataclass(kind):
        return _dataclass(kind, data, where, ignore_unknown=ignore_unknown)
    if origin in (Union, types.UnionType):
        rest = next(each for each in arguments if each is not types.NoneType)
        return None if data is None else _convert(rest, data, where, ignore_unknown=ignore_unknown)
    if origin is tuple:
        return _tuple(arguments, data, where, ignore_unknown=ignore_unknown)
    if origin is Mapping:
        if not isinstance(data, Mapping):
            raise _wrong(where, data, "a table of keys and values")
        pairs = data.items()
        return {str(key): _convert(arguments[1], item, f"{where}: {key}", ignore_unknown=ignore_unknown) for key, item in pairs}
    return _single(kind, arguments, data, where)


def _single(kind: Any, arguments: tuple[Any, ...], data: object, where: str) -> object:  # noqa: ANN401 - an annotation
    if kind is object:
        return data
    if arguments:
        if data not in arguments or isinstance(data, bool):
            raise _wrong(where, data, f"one of {', '.join(map(str, arguments))}")
        return data
    if kind is float and type(data) is int:
        return float(data)
    if type(data) is not kind:
        names = {int: "a whole number", float: "a number", str: "a text", bool: "true or false"}
        raise _wrong(where, data, names[kind])
    return data


def _tuple(arguments: tuple[Any, ...], data: object, where: str, *, ignore_unknown: bool) -> tuple[object, ...]:
    if not isinstance(data, list | tuple):
        raise _wrong(where, data, "a list")
    kinds = (arguments[0],) * len(data) if arguments[1:] == (Ellipsis,) else arguments
    if len(kinds) != len(data):
        raise _wrong(where, data, f"a list of {len(kinds)}")
    pairs = enumerate(zip(kinds, data, strict=True), 1)
    return tuple(_convert(kind, item, f"{where}: {number}", ignore_unknown=ignore_unknown) for number, (kind, item) in pairs)


def _dataclass(kind: Any, data: object, where: str, *, ignore_unknown: bool) -> object:  # noqa: ANN401 - an annotation
    if not isinstance(data, Mapping):
        raise _wrong(where, data, "a table of keys and values")
    hints = typing.get_type_hints(kind)
    by_key = {_key(each): each for each in fields(kind) if each.init}
    if not ignore_unknown and (unknown := [key for key in data if key not in by_key]):
        raise UsageError(f"{where} has an unknown key {unknown[0]!r}; it may have {', '.join(by_key)}")
    values = {}
    for key, each in by_key.items():
        if key in data:
            values[each.name] = _convert(hints[each.name], data[key], f"{where}: {key}", ignore_unknown=ignore_unknown)
        elif each.default is MISSING and each.default_factory is MISSING:
            raise UsageError(f"{where}: the key {key!r} is missing")
    try:
        return kind(**values)
    except ValueError as error:
        raise UsageError(f"{where}: {error}") from error
