"""tf.train.SequenceExample and Example on the wire: the few protobuf messages they consist of, written and read.

Field numbers are those of tensorflow/core/example/{example,feature}.proto.
"""

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

Feature: TypeAlias = tuple[bytes, ...] | tuple[float, ...] | tuple[int, ...]
"""One kind of value throughout; an empty tuple is a feature without a kind."""

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_BYTES_LIST, _FLOAT_LIST, _INT64_LIST = 1, 2, 3


class WireError(ValueError):
    """Bytes that are no protobuf message of the expected kind, or one that says something impossible.

    Args:
        message: what is wrong, for the user.
        kind: a few words, the same for all errors of this kind.

    """

    def __init__(self, message: str, kind: str = "unreadable content") -> None:
        super().__init__(message)
        self.kind = kind


@dataclass(frozen=True, slots=True)
class SequenceExample:
    """Features of the whole, and named lists of features, one per frame. Without lists, its bytes are a tf.train.Example."""

    context: Mapping[str, Feature] = field(default_factory=dict)
    feature_lists: Mapping[str, Sequence[Feature]] = field(default_factory=dict)


def encode(example: SequenceExample) -> bytes:
    """Serialise; keys in sorted order, so equal examples are equal bytes."""
    context = b"".join(_entry(name, _feature(value)) for name, value in sorted(example.context.items()))
    lists = b"".join(
        _entry(name, b"".join(_field(1, _feature(value)) for value in values))
        for name, values in sorted(example.feature_lists.items())
    )
    return _field(1, context) + (_field(2, lists) if lists else b"")


def decode(content: bytes) -> SequenceExample:
    """Parse; unknown fields are passed over. Raises WireError."""
    try:
        context: dict[str, Feature] = {}
        lists: dict[str, list[Feature]] = {}
        for number, value in _fields(content):
            for inner, entry in _fields(_as_bytes(value)):
                if inner != 1:
                    continue
                name, body = _key_and_value(_as_bytes(entry))
                if number == 1:
                    context[name] = _read_feature(body)
                elif number == 2:  # noqa: PLR2004 - field feature_lists
                    lists[name] = [_read_feature(_as_bytes(item)) for tag, item in _fields(body) if tag == 1]
    except (IndexError, struct.error, UnicodeDecodeError) as error:
        message = "the record is neither a SequenceExample nor an Example"
        raise WireError(message) from error
    return SequenceExample(context, lists)


def _varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    out = bytearray()
    while value > 0x7F:  # noqa: PLR2004 - seven bits a byte
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _field(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | _BYTES) + _varint(len(content)) + content


def _entry(name: str, value: bytes) -> bytes:
    return _field(1, _field(1, name.encode()) + _field(2, value))


def _feature(values: Feature) -> bytes:
    if not values:
        return b""
    if isinstance(values[0], bytes):
        return _field(_BYTES_LIST, b"".join(_field(1, bytes(value)) for value in values))
    if isinstance(values[0], float):
        return _field(_FLOAT_LIST, _field(1, struct.pack(f"<{len(values)}f", *values)))
    return _field(_INT64_LIST, _field(1, b"".join(_varint(int(value)) for value in values)))


def _read_varint(content: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = content[position]
        position += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:  # noqa: PLR2004 - the continuation bit
            return value & ((1 << 64) - 1), position
        if shift > 63:  # noqa: PLR2004 - a varint has at most ten bytes
            message = "a number in the record is too long"
            raise WireError(message)


def _fields(content: bytes) -> Iterator[tuple[int, bytes | int]]:
    position = 0
    while position < len(content):
        tag, position = _read_varint(content, position)
        kind = tag & 7
        if kind == _VARINT:
            value, position = _read_varint(content, position)
            yield tag >> 3, value
            continue
        if kind == _BYTES:
            length, position = _read_varint(content, position)
        elif kind in (_FIXED32, _FIXED64):
            length = 4 if kind == _FIXED32 else 8
        else:
            message = f"the record has a field of unknown kind {kind}"
            raise WireError(message)
        if position + length > len(content):
            message = "a field of the record reaches past its end"
            raise WireError(message)
        yield tag >> 3, content[position : position + length]
        position += length


def _as_bytes(value: bytes | int) -> bytes:
    if isinstance(value, int):
        message = "the record has a number where a message is expected"
        raise WireError(message)
    return value


def _key_and_value(entry: bytes) -> tuple[str, bytes]:
    name, body = "", b""
    for number, value in _fields(entry):
        if number == 1:
            name = _as_bytes(value).decode()
        elif number == 2:  # noqa: PLR2004 - a map entry's value
            body = _as_bytes(value)
    return name, body


def _read_feature(content: bytes) -> Feature:
    for kind, body in _fields(content):
        values = [value for number, value in _fields(_as_bytes(body)) if number == 1]
        if kind == _BYTES_LIST:
            return tuple(_as_bytes(value) for value in values)
        if kind == _FLOAT_LIST:
            packed = b"".join(_as_bytes(value) for value in values)
            return struct.unpack(f"<{len(packed) // 4}f", packed)
        if kind == _INT64_LIST:
            return tuple(number for value in values for number in _integers(value))
    return ()


def _integers(value: bytes | int) -> Iterator[int]:
    """One unpacked number, or all of a packed run."""
    if isinstance(value, int):
        yield _signed(value)
        return
    position = 0
    while position < len(value):
        number, position = _read_varint(value, position)
        yield _signed(number)


def _signed(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value
