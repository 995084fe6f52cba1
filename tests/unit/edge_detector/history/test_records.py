"""The history's records say what the MQTT messages say."""

import json
from dataclasses import replace
from datetime import datetime

import pytest

from edge_detector.history.records import RecordedEvent, recorded_event, rfc3339
from edge_detector.mqtt.messages import interrupted
from edge_detector.types import EventEnd, EventStart
from tests.support.history import NOON_MS, message_of

START, END = message_of(EventStart(0, 16_008, 0.5)), message_of(EventEnd(0, 16_008, 92_808, 0.987_654_3, "ended"))


def test_a_start_opens_an_event_and_its_end_completes_it() -> None:
    identity = "nursery/cot/0123456789ab/16008/rain"
    opened = RecordedEvent(identity, "cot", "rain", "Rain", NOON_MS + 1_000, None, 0.5, None, "system")
    assert recorded_event(START) == opened
    assert opened.duration_seconds is None
    ended = recorded_event(END)
    assert ended == replace(opened, end_ms=NOON_MS + 5_800, peak=0.987654, end_reason="ended")
    assert ended.duration_seconds == 4.8


@pytest.mark.parametrize("message", [START, END])
def test_times_are_those_of_the_message_to_the_millisecond(message: object) -> None:
    payload = json.loads(START.payload if message is START else END.payload)
    event = recorded_event(START if message is START else END)
    assert rfc3339(event.start_ms) == payload["start"]
    assert (rfc3339(event.end_ms) if event.end_ms is not None else None) == payload["end"]
    assert datetime.fromisoformat(payload["start"]).timestamp() * 1e3 == event.start_ms


def test_an_interrupted_event_has_no_end_time() -> None:
    event = recorded_event(interrupted(START, 0.0))
    assert (event.end_ms, event.end_reason) == (None, "interrupted")
    assert event.id == recorded_event(START).id


@pytest.mark.parametrize(
    "payload",
    [
        *(b"", b"[]", b"{}", b"17", b"null"),
        START.payload.replace(b'"cot"', b"17"),
        START.payload.replace(b"2026-", b"1926-"),
        START.payload.replace(b'"start":"2026', b'"start":"in 2026'),
        START.payload.replace(b"0.5,", b"null,"),
    ],
)
def test_a_message_that_describes_no_event_is_refused(payload: bytes) -> None:
    assert payload != START.payload
    with pytest.raises(ValueError, match=r"describes no event|1926|JSON|Expecting|isoformat"):
        recorded_event(replace(START, payload=payload))
