"""Valid content with something wrong in it."""

import json
from collections.abc import Iterator
from typing import Any, TypeAlias

from hypothesis import strategies as st

Tree: TypeAlias = Any
"""What JSON or TOML can hold."""

LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=20),
    st.sampled_from(["", "\n", "../../etc/passwd", "/", "+", "#", "\0", "\x1b[2J", "9" * 30, 2**63, -1, 10**400, 0.0, 1e-320]),
)
TREES = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4))


def damaged_trees(whole: Tree) -> st.SearchStrategy[Tree]:
    """A valid tree with one to four places replaced, removed or added to."""
    places = list(walk(whole, ()))

    def damage(hurts: list[tuple[int, str, str, Tree]]) -> Tree:
        tree = json.loads(json.dumps(whole))
        for place, how, key, value in hurts:
            hurt(tree, places[place], how, key, value)
        return tree

    one = st.tuples(
        st.integers(0, len(places) - 1), st.sampled_from(["replace", "remove", "add"]), st.text(max_size=10), TREES
    )  # fmt: skip
    return st.lists(one, min_size=1, max_size=4).map(damage)


def walk(tree: Tree, path: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in items:
        yield (*path, key)
        yield from walk(value, (*path, key))


def hurt(tree: Tree, path: tuple[Any, ...], how: str, new_key: str, value: Tree) -> None:
    for key in path[:-1]:
        try:
            tree = tree[key]
        except (KeyError, IndexError, TypeError):
            return
    last = path[-1]
    if isinstance(tree, dict):
        tree[new_key if how == "add" else last] = value
        if how == "remove":
            del tree[last]
    elif isinstance(tree, list) and isinstance(last, int) and last < len(tree):
        tree[last] = value


def damaged_bytes(whole: bytes) -> st.SearchStrategy[bytes]:
    """Valid content cut short, with bytes overwritten or with bytes put in; early bytes, the headers, more often."""

    def damage(cut: int, changes: list[tuple[int, bytes, bool]]) -> bytes:
        content = bytearray(whole[:cut])
        for at, new, overwrite in changes:
            content[at : at + (len(new) if overwrite else 0)] = new
        return bytes(content)

    early = st.one_of(st.integers(0, min(100, len(whole))), st.integers(0, len(whole)))
    change = st.tuples(early, st.binary(min_size=1, max_size=8), st.booleans())
    return st.builds(damage, st.one_of(st.just(len(whole)), early), st.lists(change, max_size=4))
