"""tf.train.SequenceExample and Example as bytes, by protobuf's C parser and without TensorFlow, which takes seconds to load.

Messages and field numbers are those of tensorflow/core/example/{example,feature}.proto.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, TypeAlias

import numpy as np
from google.protobuf import descriptor_pb2, descriptor_pool, message, message_factory
from numpy.typing import NDArray

Feature: TypeAlias = tuple[bytes, ...] | tuple[float, ...] | tuple[int, ...]
"""Values of one kind; an empty tuple is a feature without a kind."""

_Field = descriptor_pb2.FieldDescriptorProto
_PACKAGE = ".tensorflow"


class WireError(ValueError):
    """Bytes that are no message of the expected kind, or values that are not allowed.

    Args:
        message: problem, for the user.
        kind: short name, the same for all errors of this kind.

    """

    def __init__(self, message: str, kind: str = "unreadable content") -> None:
        super().__init__(message)
        self.kind = kind


@dataclass(frozen=True, slots=True)
class SequenceExample:
    """Features of the example, and named lists with a feature per frame. Without lists, its bytes are a tf.train.Example."""

    context: Mapping[str, Feature] = field(default_factory=dict)
    feature_lists: Mapping[str, Sequence[Feature]] = field(default_factory=dict)


def encode(example: SequenceExample) -> bytes:
    """Serialise with sorted keys, so that equal examples are equal bytes."""
    content = _MESSAGE()
    for name, values in example.context.items():
        _fill(content.context.feature[name], values)
    for name, rows in example.feature_lists.items():
        features = content.feature_lists.feature_list[name].feature
        for values in rows:
            _fill(features.add(), values)
    # A message that is read is present, even when it is empty: an Example always has its features.
    content.context.SetInParent()
    serialised: bytes = content.SerializeToString(deterministic=True)
    return serialised


class Message:
    """A parsed SequenceExample or Example, whose features are converted when they are asked for; unknown fields are ignored.

    Args:
        content: its bytes. Raises WireError if they are no such message.

    """

    def __init__(self, content: bytes) -> None:
        try:
            parsed = _MESSAGE_READ.FromString(content)
        except message.DecodeError as error:
            text = "the record is neither a SequenceExample nor an Example"
            raise WireError(text) from error
        self._context = parsed.context.feature
        self._lists = parsed.feature_lists.feature_list

    @property
    def context_names(self) -> list[str]:
        """Names of the features of the whole example."""
        return sorted(self._context)

    @property
    def list_names(self) -> list[str]:
        """Names of the lists with a feature per frame."""
        return sorted(self._lists)

    def has_context(self, name: str) -> bool:
        """Return whether there is a feature of this name."""
        return name in self._context

    def has_list(self, name: str) -> bool:
        """Return whether there is a list of this name."""
        return name in self._lists

    def context(self, name: str) -> Feature:
        """Return a feature of the whole example; empty without one."""
        return _values(self._context[name]) if name in self._context else ()

    def rows(self, name: str) -> list[Feature]:
        """Return the features of a list; empty without one. Raises WireError for one that is no feature."""
        if name not in self._lists:
            return []
        try:
            return [_values(_FEATURE.FromString(content)) for content in self._lists[name].feature]
        except message.DecodeError as error:
            text = f"{name} is no list of features"
            raise WireError(text) from error

    def frames(self, name: str, size: int) -> NDArray[np.uint8] | None:
        """Return a list whose features are one string of `size` bytes each, (rows, size); None for any other list."""
        # The features of a list are not parsed: those of equal strings differ only in the strings.
        rows, before = self._lists[name].feature, _bytes_before(size)
        start, length = len(before), len(before) + size
        found = [row[start:] for row in rows if len(row) == length and row.startswith(before)]
        return np.frombuffer(b"".join(found), np.uint8).reshape(-1, size) if len(found) == len(rows) else None


@cache
def _bytes_before(size: int) -> bytes:
    """Return what a serialised feature of one string of `size` bytes has before the string."""
    serialised: bytes = _FEATURE(bytes_list={"value": [bytes(size)]}).SerializeToString()
    return serialised[: len(serialised) - size]


def _fill(feature: Any, values: Feature) -> None:  # noqa: ANN401 - classes of messages are made at run time
    if not values:
        return
    if isinstance(values[0], bytes):
        feature.bytes_list.value.extend(values)
    elif isinstance(values[0], float):
        feature.float_list.value.extend(values)
    else:
        feature.int64_list.value.extend(values)


def _values(feature: Any) -> Feature:  # noqa: ANN401 - as above
    kind = feature.WhichOneof("kind")
    return () if kind is None else tuple(getattr(feature, kind).value)


def _message_class(name: str, *, parse_lists: bool) -> Any:  # noqa: ANN401 - as above
    """Build the class of a message in a pool of its own, so that TensorFlow may register the same messages.

    A message is bytes on the wire: without `parse_lists`, the features of lists are left as they are.
    """
    file = descriptor_pb2.FileDescriptorProto(name="example.proto", package=_PACKAGE[1:], syntax="proto3")
    for values, kind in (("BytesList", _Field.TYPE_BYTES), ("FloatList", _Field.TYPE_FLOAT), ("Int64List", _Field.TYPE_INT64)):
        _add_field(file.message_type.add(name=values), "value", 1, kind, repeated=True)
    feature = file.message_type.add(name="Feature")
    feature.oneof_decl.add(name="kind")
    for number, values in enumerate(("BytesList", "FloatList", "Int64List"), 1):
        added = _add_field(feature, f"{values.removesuffix('List').lower()}_list", number, values)
        added.oneof_index = 0
    of_list = "Feature" if parse_lists else _Field.TYPE_BYTES
    _add_field(file.message_type.add(name="FeatureList"), "feature", 1, of_list, repeated=True)
    _add_map(file.message_type.add(name="Features"), "feature", "Feature")
    _add_map(file.message_type.add(name="FeatureLists"), "feature_list", "FeatureList")
    example = file.message_type.add(name="SequenceExample")
    _add_field(example, "context", 1, "Features")
    _add_field(example, "feature_lists", 2, "FeatureLists")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE[1:]}.{name}"))


def _add_field(owner: Any, name: str, number: int, kind: int | str, *, repeated: bool = False) -> Any:  # noqa: ANN401 - as above
    label = _Field.LABEL_REPEATED if repeated else _Field.LABEL_OPTIONAL
    if isinstance(kind, int):
        return owner.field.add(name=name, number=number, type=kind, label=label)
    type_name = f"{_PACKAGE}.{kind}"
    return owner.field.add(name=name, number=number, type=_Field.TYPE_MESSAGE, type_name=type_name, label=label)


def _add_map(owner: Any, name: str, kind: str) -> None:  # noqa: ANN401 - as above
    """Add map<string, kind> as the nested entry message that it is on the wire."""
    entry = owner.nested_type.add(name=f"{name.title().replace('_', '')}Entry")
    entry.options.map_entry = True
    _add_field(entry, "key", 1, _Field.TYPE_STRING)
    _add_field(entry, "value", 2, kind)
    _add_field(owner, name, 1, f"{owner.name}.{entry.name}", repeated=True)


_MESSAGE = _message_class("SequenceExample", parse_lists=True)
_MESSAGE_READ = _message_class("SequenceExample", parse_lists=False)
_FEATURE = _message_class("Feature", parse_lists=True)
