"""Names of classes: slugs, labels for people, and AudioSet's identifiers and labels."""

import re
import unicodedata
from dataclasses import dataclass

from edge_detector.files import BACKGROUND_FOLDER, NEGATIVES_FOLDER
from edge_detector.plain_text import is_plain
from edge_detector.schema import MAX_SLUG_CHARACTERS, MOST_SHOWN_CHARACTERS


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


def label_problem(label: str) -> str | None:
    """Return why a label cannot name a folder of recordings, as a sentence with its remedy; None if it can."""
    if not _is_folder_name(label) or not 1 <= len(slug_of(label)) <= MAX_SLUG_CHARACTERS:
        allowed = (
            f"one line of at most {MAX_SLUG_CHARACTERS} characters with a letter a to z or digit, without / and a leading dot"
        )
        return f"{label[:MOST_SHOWN_CHARACTERS]!r} cannot be a label, which becomes a folder: give {allowed}"
    # teach compares letters and digits alone.
    words = {"".join(filter(str.isalnum, label)).casefold(), slug_of(label)}
    if BACKGROUND_FOLDER in words:
        problem = f"the folder {BACKGROUND_FOLDER} is kept for the room, and cannot be a label"
        return f"{problem}; record the room with --background MINUTES, or give the sound another name"
    if NEGATIVES_FOLDER in words:
        problem = f"the folder {NEGATIVES_FOLDER} is kept for wrong detections, and cannot be a label"
        return f"{problem}; give the sound another name"
    return None


def _is_folder_name(label: str) -> bool:
    return is_plain(label) and len(label) <= MAX_SLUG_CHARACTERS and "/" not in label and not label.startswith(".")
