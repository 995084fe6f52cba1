"""Events for the history, as MQTT messages and as records, and a history of any size."""

from collections.abc import Iterator
from pathlib import Path

from edge_detector.audio.sample_clock import Anchor
from edge_detector.detection.bundle import SoundClass
from edge_detector.history.records import RecordedEvent
from edge_detector.history.store import HistoryStore
from edge_detector.mqtt import messages
from edge_detector.types import Detection, Message

NOON_MS = 1_795_953_600_000
"""2026-11-29T12:00Z."""
MINUTE_MS = 60_000
CLASSES = tuple(f"class_{number:02}" for number in range(20))
SOURCES = ("cot", "kitchen")
_BATCH = 5_000


def recorded(number: int, *, start_ms: int = NOON_MS, ended: bool = True, **names: str) -> RecordedEvent:
    """An event, by its number."""
    slug, source = names.get("slug", "rain"), names.get("source", "cot")
    end_ms, reason = (start_ms + 4_800, "ended") if ended else (None, None)
    identity = f"nursery/{source}/0123456789ab/{number}/{slug}"
    return RecordedEvent(identity, source, slug, slug.capitalize(), start_ms, end_ms, 0.875, reason, "system")


def one_a_minute(count: int, until_ms: int = NOON_MS) -> Iterator[RecordedEvent]:
    """This many events, of all sources and classes, the oldest first; the higher its number, the rarer is a class."""
    for number in range(count):
        # Multiples of 7919 spread over the classes; the square makes the first ones frequent.
        rank = number * 7_919 % 10_007 / 10_007
        slug, source = CLASSES[int(rank * rank * len(CLASSES))], SOURCES[number % 2]
        yield recorded(number, start_ms=until_ms - (count - number) * MINUTE_MS, slug=slug, source=source)


def fill(store: HistoryStore, count: int, until_ms: int = NOON_MS) -> None:
    """Put `one_a_minute` into a store, in large batches."""
    batch: list[RecordedEvent] = []
    for event in one_a_minute(count, until_ms):
        batch.append(event)
        if len(batch) == _BATCH:
            store.apply(batch)
            batch.clear()
    store.apply(batch)


def open_store(path: Path, *, days: int = 36_500, megabytes: int = 10_000) -> HistoryStore:
    """A store that keeps everything."""
    return HistoryStore(path, days=days, megabytes=megabytes)


SOUNDS = tuple(SoundClass(slug, slug.capitalize(), None, {}) for slug in ("rain", "siren"))


def message_of(detection: Detection, source: str = "cot") -> Message:
    """The message of a detection of one of SOUNDS, in a stream that began at noon."""
    names = messages.Names("edge_detector/nursery", "nursery", source, "0123456789ab")
    return messages.event(names, SOUNDS, detection, Anchor(0, NOON_MS / 1e3, "system"), NOON_MS / 1e3)
