"""Which classes may be in a recording by its label: a table that a person wrote, with the reason for each row.

A class may be in a recording if the label is the class, implies it or commonly comes with it. Where that is uncertain the table
leaves the class out, and an event of it counts as false.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import convert
from convert.audio.kinds import KINDS
from convert.embedder.yamnet import NAMES_BY_MID
from convert.files import read_json
from convert.records.classes import from_json, slug_of
from edge_detector.errors import UsageError

RECIPES = Path(convert.__file__).parent / "recipes"
MAY_HOLD = RECIPES / "other_sounds.json"
DEFAULT_CLASSES = RECIPES / "default_classes.json"


@dataclass(frozen=True, slots=True)
class MayHold:
    """The table.

    Attributes:
        rows: classes by label; a label without a row has the class of its own name alone.
        anything: labels of recordings that may hold any sound.
        sorted_by: classes by the AudioSet label, as a slug, that YAMNet may have sorted a recording by: KIND_LABEL.

    """

    rows: Mapping[str, frozenset[str]]
    anything: frozenset[str] = frozenset()
    sorted_by: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def classes(self, label: str) -> frozenset[str]:
        """Classes that may be in a recording of this label, its own among them."""
        kind, _, name = label.partition("_")
        by_sorting = self.sorted_by.get(name, frozenset()) if kind in KINDS else frozenset()
        return self.rows.get(label, frozenset()) | by_sorting | {label}


def read_may_hold(path: Path, slugs: Collection[str]) -> MayHold:
    """Read a table.

    Args:
        path: JSON: {"anything": {LABEL: REASON}, "may_hold": {LABEL: {"classes": [SLUG, …], "because": REASON}}}.
        slugs: classes that it may name, beside those of the default bundle.

    Raises:
        UsageError: it has another form, or names a class that does not exist.

    """
    content = read_json(path)
    anything, rows = content.get("anything"), content.get("may_hold")
    if set(content) != {"anything", "may_hold"} or not isinstance(anything, dict) or not isinstance(rows, dict):
        raise UsageError(f'{path} must have an object "anything" and an object "may_hold", and no other key')
    default = read_json(DEFAULT_CLASSES)
    known = {*slugs, *default}
    table = {label: _classes(path, label, row) for label, row in rows.items()}
    for label, classes in table.items():
        if unknown := sorted(classes - known):
            raise UsageError(f"{path}: {label} may hold {unknown[0]!r}, which is no class; see to its spelling")
    if both := sorted(set(anything) & set(table)):
        raise UsageError(f'{path} has {both[0]} both under "anything" and under "may_hold"; keep one')
    sorted_by: dict[str, set[str]] = {}
    for sound in from_json(list(default), default):
        for name in {*sound.audioset, *NAMES_BY_MID.get(sound.mid or "", ())}:
            sorted_by.setdefault(slug_of(name), set()).add(sound.slug)
    return MayHold(table, frozenset(anything), {name: frozenset(found) for name, found in sorted_by.items()})


def _classes(path: Path, label: str, row: object) -> frozenset[str]:
    classes = row.get("classes") if isinstance(row, dict) and set(row) == {"classes", "because"} else None
    if not isinstance(classes, list) or not all(isinstance(slug, str) for slug in classes):
        raise UsageError(f'{path}: {label} must have "classes", a list of slugs, and "because", the reason')
    return frozenset(classes)
