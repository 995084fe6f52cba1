"""Kinds of sound, by the part of AudioSet's ontology that a label is in: what negatives and thresholds are balanced over."""

from collections.abc import Sequence

from convert.records.classes import slug_of
from edge_detector.errors import UsageError

FIRST_LABELS = (
    ("Speech", "human"),
    ("Animal", "animal"),
    ("Music", "instrument"),
    ("Wind", "nature"),
    ("Vehicle", "machine"),
    ("Door", "household"),
    ("Mechanisms", "machine"),
    ("Explosion", "effect"),
    ("Wood", "household"),
    ("Sonar", "effect"),
    ("Hum", "noise"),
    ("Zing", "effect"),
    ("Silence", "noise"),
)
"""The first label of each stretch of AudioSet's list, which is in the order of its ontology, and the kind of the stretch."""

KINDS = tuple(dict.fromkeys(kind for _, kind in FIRST_LABELS))
OTHER = "other"
"""Of a label that is not named after a kind."""


def folder_names(labels: Sequence[str]) -> tuple[str, ...]:
    """For each of AudioSet's labels, in the list's order, what a folder of such sound is called: its kind and its name.

    Raises UsageError where the list lacks the first label of a kind, or has it in another order.
    """
    starts = [labels.index(first) if first in labels else -1 for first, _ in FIRST_LABELS]
    if starts != sorted(starts) or starts[0] != 0:
        raise UsageError("the labels are not AudioSet's in their own order; give YAMNet's list as it is")
    kinds: list[str] = []
    for (_, kind), start, end in zip(FIRST_LABELS, starts, [*starts[1:], len(labels)], strict=True):
        kinds += [kind] * (end - start)
    return tuple(f"{kind}_{slug_of(label)}" for kind, label in zip(kinds, labels, strict=True))


def kind_of(folder: str) -> str:
    """The kind that a folder's label begins with: `animal_cat` is of the kind animal, speech and music are their own."""
    kind = folder.partition("_")[0]
    return kind if kind in (*KINDS, "speech", "music") else OTHER
