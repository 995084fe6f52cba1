import tomllib
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_detector.cli.setup.toml_text import toml_text

TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
"""All that UTF-8 has: quotes, backslashes, control characters."""
SCALARS = st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | TEXTS
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4), max_leaves=20
)


@given(st.dictionaries(TEXTS, VALUES, max_size=6))
def test_what_is_written_is_read_again_as_it_was(document: dict[str, object]) -> None:
    assert with_types(tomllib.loads(toml_text(document))) == with_types(document)


def with_types(value: object) -> object:
    """Each value beside its type: 1, 1.0 and true are equal in Python."""
    match value:
        case dict():
            return {key: with_types(each) for key, each in value.items()}
        case list():
            return [with_types(each) for each in value]
    return (type(value), value)


def test_tables_come_in_the_order_asked_for_and_others_behind() -> None:
    text = toml_text({"b": {"x": 1}, "z": {"y": 'a "b"\\'}, "a": [{"n": "m"}, {}]}, ("a", "b"))
    assert text == '[[a]]\nn = "m"\n\n[[a]]\n\n[b]\nx = 1\n\n[z]\ny = "a \\"b\\"\\\\"\n'


def test_a_date_is_refused() -> None:
    with pytest.raises(TypeError, match="date has no TOML form"):
        toml_text({"when": date(2026, 11, 29)})
