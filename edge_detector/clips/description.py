"""The comment in a clip's FLAC file: which event it holds, and where in the clip the event is."""

import re
from dataclasses import dataclass

from edge_detector.plain_text import without_controls

_COMMENT = re.compile(
    r".*, which starts (?P<start>-?\d{1,6}\.\d{3}) s after the beginning(; (?P<after>\d{1,6}\.\d{3}) s follow its end)? *",
    re.ASCII | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class EventPart:
    """Where in a clip its event is.

    Attributes:
        start_seconds: from the clip's beginning to the event's start; below 0 where the clip begins after it.
        after_seconds: from the event's end to the clip's; 0 where the clip ends before the event, and where it is not known.

    """

    start_seconds: float
    after_seconds: float


def comment_of(event_id: str, part: EventPart) -> str:
    """Return the comment of a clip; times to a millisecond."""
    start = f"{without_controls(event_id)}, which starts {part.start_seconds:.3f} s after the beginning"
    return f"{start}; {part.after_seconds:.3f} s follow its end"


def parse_comment(text: str) -> EventPart | None:
    """Return where the event is; None for another comment. That of an older version lacks what follows the event."""
    found = _COMMENT.fullmatch(text)
    return None if found is None else EventPart(float(found["start"]), float(found["after"] or 0.0))
