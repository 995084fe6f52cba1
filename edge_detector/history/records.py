"""Recorded events, read from the MQTT messages of their starts and ends, so that both have the same ids and times."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from edge_detector.bounded_files import parse_json
from edge_detector.types import Message

_EPOCH = datetime.fromtimestamp(0, UTC)
_MILLISECOND = timedelta(milliseconds=1)
FIRST_MS, LAST_MS = 0, 253_402_300_799_000
"""Times that the history accepts: 1970 to 9999."""


@dataclass(frozen=True, slots=True)
class RecordedEvent:
    """An event as its newest message describes it. Times are Unix milliseconds.

    Attributes:
        id: identifier in the MQTT messages.
        end_ms: None while the event is open, and where a crash interrupted it.
        peak: highest probability so far, in [0, 1].
        end_reason: as in the MQTT message of the end; None while the event is open.
        clock: origin of the times: "system", "stepped" (a clock that was just set) or "file".

    """

    id: str
    source: str
    slug: str
    label: str
    start_ms: int
    end_ms: int | None
    peak: float
    end_reason: str | None
    clock: str

    @property
    def duration_seconds(self) -> float | None:
        """Length, or None where the end is not known."""
        return None if self.end_ms is None else (self.end_ms - self.start_ms) / 1_000


def recorded_event(message: Message) -> RecordedEvent:
    """Return the event that a start or end message describes. Raises ValueError if it describes none."""
    try:
        payload = dict(parse_json(message.payload))
        texts = {name: _text(payload[name]) for name in ("id", "source", "slug", "label", "clock")}
        end, end_reason = payload["end"], payload["end_reason"]
        return RecordedEvent(
            **texts,
            start_ms=milliseconds(_text(payload["start"])),
            end_ms=None if end is None else milliseconds(_text(end)),
            peak=float(payload["peak_probability"]),
            end_reason=None if end_reason is None else _text(end_reason),
        )
    except (TypeError, KeyError) as error:
        raise ValueError(f"{message.message_id} describes no event: {error}") from error


def record(event: RecordedEvent) -> dict[str, object]:
    """Return an event under the keys of its MQTT message, for JSON and CSV."""
    return {
        "start": rfc3339(event.start_ms),
        "end": None if event.end_ms is None else rfc3339(event.end_ms),
        "duration_seconds": event.duration_seconds,
        "peak_probability": event.peak,
        "source": event.source,
        "slug": event.slug,
        "label": event.label,
        "end_reason": event.end_reason,
        "clock": event.clock,
        "id": event.id,
    }


def rfc3339(milliseconds: int) -> str:
    """Format Unix milliseconds as MQTT messages have them: 2026-01-31T23:59:59.999Z."""
    moment = _EPOCH + timedelta(milliseconds=milliseconds)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


RECORD_KEYS = tuple(record(RecordedEvent("", "", "", "", 0, None, 0.0, None, "")))


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not text")
    return value


def milliseconds(text: str) -> int:
    """Return the Unix milliseconds of a date and time in RFC 3339. Raises ValueError, and TypeError without an offset."""
    since_epoch_ms = (datetime.fromisoformat(text) - _EPOCH) // _MILLISECOND
    if not FIRST_MS <= since_epoch_ms <= LAST_MS:
        raise ValueError(f"{text} is outside the history's times")
    return since_epoch_ms
