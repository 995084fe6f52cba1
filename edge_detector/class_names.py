"""Names of classes: slugs, labels for people, and AudioSet's identifiers and labels."""

import re
import unicodedata
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ClassName:
    """One class.

    Attributes:
        slug: lower-case letters, digits and underscores; the name in topics and on command lines.
        label: name for people.
        mid: AudioSet's identifier, or None.
        audioset: names of the AudioSet labels that it consists of; empty if unknown.

    """

    slug: str
    label: str
    mid: str | None = None
    audioset: tuple[str, ...] = ()


def slug_of(name: str) -> str:
    """Convert a name to a slug: `Dog bark` to dog_bark, `Türklingel` to turklingel; empty without a letter a to z or a digit."""
    plain = unicodedata.normalize("NFKD", name.casefold()).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "_", plain).strip("_")


def named(name: str) -> ClassName:
    """Make a class of a name: a slug gets a capitalised label, any other name is the label."""
    # A folder's name may be any bytes; a label is text.
    name = name.encode(errors="surrogateescape").decode(errors="replace")
    slug = slug_of(name)
    return ClassName(slug, slug.replace("_", " ").capitalize() if name == slug else name)
