"""Names of clips: the id of an event's clip, and the name of its file."""

import hashlib
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

_ID_CHARACTERS = 16
_MOST_CHARACTERS = 64
"""Of the source's name in a file name; the longest slug."""
_ID = re.compile(rf"[0-9a-f]{{{_ID_CHARACTERS}}}")
_NAME = re.compile(
    rf"(?P<start>\d{{8}}T\d{{6}}\.\d{{3}}Z)-(?P<source>[a-z0-9_]+)-(?P<slug>[a-z0-9_]+)-(?P<id>{_ID.pattern})\.flac", re.ASCII
)
_START = "%Y%m%dT%H%M%S.%fZ"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class ClipName:
    """The facts in the name of a clip's file.

    Attributes:
        id: see `clip_id`.
        start_ms: start of the event in Unix milliseconds.
        source: name of its source, shortened to 64 characters.
        slug: name of its class.

    """

    id: str
    start_ms: int
    source: str
    slug: str

    @property
    def file_name(self) -> str:
        """Name of the file: 20261129T160512.345Z-cot-dog_barking-0123456789abcdef.flac, which sorts by time."""
        start = (_EPOCH + timedelta(milliseconds=self.start_ms)).strftime(_START)
        # %f has six digits. A hyphen separates, since names of sources and classes may have underscores.
        return f"{start[:-4]}Z-{self.source}-{self.slug}-{self.id}.flac"


def clip_name(event_id: str, start_utc_seconds: float, source: str, slug: str) -> ClipName:
    """Return the name of the clip of an event that started at this Unix time."""
    return ClipName(clip_id(event_id), round(1e3 * start_utc_seconds), source[:_MOST_CHARACTERS], slug[:_MOST_CHARACTERS])


def clip_id(event_id: str) -> str:
    """Return the id of an event's clip: 16 hexadecimal digits, which follow from the event's id."""
    return hashlib.sha256(event_id.encode()).hexdigest()[:_ID_CHARACTERS]


def is_clip_id(text: str) -> bool:
    """Whether `text` can be the id of a clip."""
    return _ID.fullmatch(text) is not None


def clip_id_of(file_name: str) -> str | None:
    """Return the id in the name of a clip's file; None for the name of another file."""
    found = _NAME.fullmatch(file_name)
    return None if found is None else found["id"]


def parse_clip_name(file_name: str) -> ClipName | None:
    """Return the facts in the name of a clip's file; None for a file that is no clip."""
    found = _NAME.fullmatch(file_name)
    if found is None:
        return None
    try:
        start = datetime.fromisoformat(found["start"])  # strptime takes ten times as long, and a page asks for all names
    except ValueError:  # month 13
        return None
    return ClipName(found["id"], (start - _EPOCH) // timedelta(milliseconds=1), found["source"], found["slug"])
