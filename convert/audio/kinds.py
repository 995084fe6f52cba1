"""Kinds of sound, by part of AudioSet's ontology; negatives and thresholds are balanced over them."""

from collections.abc import Sequence

from edge_detector.class_names import slug_of
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
"""First label and kind of each section of AudioSet's list, which has the order of its ontology."""

KINDS = tuple(dict.fromkeys(kind for _, kind in FIRST_LABELS))
OTHER = "other"
"""Kind of a label that does not begin with a kind."""


def folder_names(labels: Sequence[str]) -> tuple[str, ...]:
    """Return a folder name for each of AudioSet's labels, in their order: KIND_LABEL.

    Raises UsageError if the first label of a kind is missing or in another order.
    """
    starts = [labels.index(first) if first in labels else -1 for first, _ in FIRST_LABELS]
    if starts != sorted(starts) or starts[0] != 0:
        raise UsageError("the labels are not AudioSet's in their own order; give YAMNet's list as it is")
    kinds: list[str] = []
    for (_, kind), start, end in zip(FIRST_LABELS, starts, [*starts[1:], len(labels)], strict=True):
        kinds += [kind] * (end - start)
    return tuple(f"{kind}_{slug_of(label)}" for kind, label in zip(kinds, labels, strict=True))


def kind_of(folder: str) -> str:
    """Return the kind that a folder's name begins with: animal for `animal_cat`; speech and music are kinds of their own."""
    kind = folder.partition("_")[0]
    return kind if kind in (*KINDS, "speech", "music") else OTHER
