"""Records as plain mappings, to change them."""

from convert.records.protobuf import Message, SequenceExample


def decoded(content: bytes) -> SequenceExample:
    found = Message(content)
    context = {name: found.context(name) for name in found.context_names}
    return SequenceExample(context, {name: found.rows(name) for name in found.list_names})
