"""What classes are called: by machines, by people, and by AudioSet."""

import csv
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_detector.errors import EdgeDetectorError, UsageError

CSV_COLUMNS = ("index", "mid", "display_name")


@dataclass(frozen=True, slots=True)
class ClassName:
    """One class.

    Attributes:
        slug: lower-case letters, digits and underscores; what it is called in topics and on command lines.
        label: for people.
        mid: AudioSet's identifier, or None.
        audioset: names of the AudioSet labels that it is made of; empty where that is not said.

    """

    slug: str
    label: str
    mid: str | None = None
    audioset: tuple[str, ...] = ()


def slug_of(name: str) -> str:
    """A name as a slug: `Dog bark` is dog_bark, `Türklingel` turklingel; empty where it has no letter a to z and no digit."""
    plain = unicodedata.normalize("NFKD", name.casefold()).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "_", plain).strip("_")


def named(name: str) -> ClassName:
    """A class by its name alone: a slug becomes a label, any other name stays the label of its slug."""
    # The name of a folder may be any bytes; a label is text.
    name = name.encode(errors="surrogateescape").decode(errors="replace")
    slug = slug_of(name)
    return ClassName(slug, slug.replace("_", " ").capitalize() if name == slug else name)


def numbered(count: int) -> tuple[ClassName, ...]:
    """Classes of which only the number is known."""
    return tuple(named(f"class_{index}") for index in range(count))


def read_class_names(path: Path) -> tuple[ClassName, ...]:
    """AudioSet's class_labels_indices.csv, or a file like it: columns index, mid and display_name, 0 and up in their order."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
    except FileNotFoundError as error:
        raise UsageError(f"{path} does not exist; AudioSet's is called class_labels_indices.csv") from error
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


def as_json(classes: Sequence[ClassName]) -> dict[str, dict[str, Any]]:
    """Labels, identifiers and AudioSet labels by slug, as files of classes hold them."""
    return {
        each.slug: {"label": each.label, "mid": each.mid} | ({"audioset": list(each.audioset)} if each.audioset else {})
        for each in classes
    }


def from_json(labels: Sequence[str], names: Mapping[str, Any]) -> tuple[ClassName, ...]:
    """Classes by their slugs, with what such a file says about them."""
    return tuple(_described(slug, names.get(slug, {})) for slug in labels)


def _described(slug: str, about: Mapping[str, Any]) -> ClassName:
    audioset = about.get("audioset", [])
    if not isinstance(audioset, list) or not all(isinstance(name, str) for name in audioset):
        raise UsageError(f'the class {slug} has an "audioset" that is not a list of names; write ["Dog", "Bark"]')
    return ClassName(slug, str(about.get("label", named(slug).label)), about.get("mid"), tuple(audioset))
