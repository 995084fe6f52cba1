"""Table of the classes that may be in a recording by its label, written by hand, with the reason for each row.

A class may be in a recording if the label is the class, implies it or commonly comes with it. A class for which this is uncertain
is not in the table, and an event of it counts as false.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from convert.audio.kinds import KINDS
from convert.embedder.yamnet import NAMES_BY_MID
from convert.files import read_json
from convert.plain_data import from_plain
from convert.recipe import RECIPES
from convert.records.classes import classes_from_json
from edge_detector.class_names import slug_of
from edge_detector.errors import UsageError

MAY_HOLD = RECIPES / "other_sounds.json"
DEFAULT_CLASSES = RECIPES / "default_classes.json"


@dataclass(frozen=True, slots=True)
class MayHold:
    """The table.

    Attributes:
        rows: classes by label; a label without a row has the class of its own name alone.
        anything: labels of recordings that may hold any sound.
        sorted_by: classes by AudioSet label, as a slug; recordings sorted by YAMNet are called KIND_LABEL.

    """

    rows: Mapping[str, frozenset[str]]
    anything: frozenset[str] = frozenset()
    sorted_by: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def classes(self, label: str) -> frozenset[str]:
        """Return the classes that may be in a recording of this label, its own included."""
        kind, _, name = label.partition("_")
        by_sorting = self.sorted_by.get(name, frozenset()) if kind in KINDS else frozenset()
        return self.rows.get(label, frozenset()) | by_sorting | {label}


@dataclass(frozen=True, slots=True)
class _Row:
    """Classes that may be in recordings of a label, and the reason."""

    classes: tuple[str, ...]
    because: str


@dataclass(frozen=True, slots=True)
class _Table:
    """The file: reasons by label for recordings of any sound, and rows by label."""

    anything: Mapping[str, str]
    may_hold: Mapping[str, _Row]


def read_may_hold(path: Path, slugs: Collection[str]) -> MayHold:
    """Read a table.

    Args:
        path: JSON: {"anything": {LABEL: REASON}, "may_hold": {LABEL: {"classes": [SLUG, …], "because": REASON}}}.
        slugs: classes that it may name, beside those of the default bundle.

    Raises:
        UsageError: it has another form, or names a class that does not exist.

    """
    content = from_plain(_Table, read_json(path), str(path))
    default = read_json(DEFAULT_CLASSES)
    known = {*slugs, *default}
    for label, row in content.may_hold.items():
        if unknown := sorted(set(row.classes) - known):
            raise UsageError(f"{path}: {label} may hold {unknown[0]!r}, which is no class; check its spelling")
    if both := sorted(set(content.anything) & set(content.may_hold)):
        raise UsageError(f'{path} has {both[0]} both under "anything" and under "may_hold"; keep one')
    sorted_by: dict[str, set[str]] = {}
    for sound in classes_from_json(list(default), default):
        for name in {*sound.audioset, *NAMES_BY_MID.get(sound.mid or "", ())}:
            sorted_by.setdefault(slug_of(name), set()).add(sound.slug)
    return MayHold(
        {label: frozenset(row.classes) for label, row in content.may_hold.items()},
        frozenset(content.anything),
        {name: frozenset(found) for name, found in sorted_by.items()},
    )
