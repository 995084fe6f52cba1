"""Names of classes: slugs, labels for people, and AudioSet's identifiers and labels."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from convert.plain_data import from_plain
from edge_detector.class_names import ClassName, named, slug_of
from edge_detector.errors import EdgeDetectorError, UsageError

CSV_COLUMNS = ("index", "mid", "display_name")


def numbered(count: int) -> tuple[ClassName, ...]:
    """Return `count` classes named class_0, class_1 and so on."""
    return tuple(named(f"class_{index}") for index in range(count))


def read_class_names(path: Path) -> tuple[ClassName, ...]:
    """Read a file like AudioSet's class_labels_indices.csv: columns index (0 and up, in order), mid and display_name."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
    except FileNotFoundError as error:
        raise UsageError(f"{path} does not exist; AudioSet's file is class_labels_indices.csv") from error
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise EdgeDetectorError(f"{path} is not a readable CSV file") from error
    if not rows or not set(CSV_COLUMNS) <= set(rows[0]):
        raise EdgeDetectorError(f"{path} needs the columns {', '.join(CSV_COLUMNS)} and a row for each class")
    classes = tuple(ClassName(slug_of(row["display_name"] or ""), row["display_name"], row["mid"] or None) for row in rows)
    for number, (row, each) in enumerate(zip(rows, classes, strict=True)):
        if row["index"] != str(number) or not each.slug:
            raise EdgeDetectorError(f"{path}: row {number} must have the index {number} and a name with a letter or digit")
    if len({each.slug for each in classes}) < len(classes):
        raise EdgeDetectorError(f"{path} names two classes alike; give each its own name")
    return classes


@dataclass(frozen=True, slots=True)
class _Row:
    """A class in a JSON file, under its slug."""

    label: str | None = None
    mid: str | None = None
    audioset: tuple[str, ...] = ()


def classes_to_json(classes: Sequence[ClassName]) -> Mapping[str, Mapping[str, object]]:
    """Return label, identifier and AudioSet labels by slug, the content of a JSON file of classes."""
    return {
        each.slug: {"label": each.label, "mid": each.mid} | ({"audioset": list(each.audioset)} if each.audioset else {})
        for each in classes
    }


def classes_from_json(labels: Sequence[str], names: Mapping[str, object]) -> tuple[ClassName, ...]:
    """Return the classes of some slugs, described by the content of a JSON file of classes. Raises UsageError."""
    return tuple(_described(slug, names.get(slug, {})) for slug in labels)


def _described(slug: str, content: object) -> ClassName:
    row = from_plain(_Row, content, f"the class {slug}", ignore_unknown=True)
    return ClassName(slug, named(slug).label if row.label is None else row.label, row.mid, row.audioset)
