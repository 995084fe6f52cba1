"""Freezes the wire: other people's automations depend on every key and topic here. New keys may be added, none may change."""

import json
from dataclasses import replace
from urllib.parse import unquote

import numpy as np
import pytest

from edge_detector.audio.sample_clock import Anchor
from edge_detector.detection.bundle import SoundClass
from edge_detector.detection.hysteresis import Rule
from edge_detector.mqtt import messages
from edge_detector.mqtt.runtime_settings import RuntimeSettings, Settings, SourceDefaults
from edge_detector.mqtt.telemetry import Inventory, Period, SourceTelemetry, Telemetry
from edge_detector.mqtt.troubles import Troubles
from edge_detector.types import EventEnd, EventStart, Message, Scores

NAMES = messages.Names("edge_detector/nursery", "nursery", "cot", "5f2a9c01b3de")
CLASSES = (SoundClass("baby_cry", "Baby cry", "/t/dd00002", {}), SoundClass("rain", "Régen", None, {}))
ANCHOR = Anchor(0, 1_767_225_600.0, "system")


def test_probabilities() -> None:
    scores = Scores(np.array([0.25, 1.0], np.float32), 3, 7, 107_520, 123_120, 5, -31.26)
    message = messages.probabilities(NAMES, CLASSES, scores, ANCHOR, ANCHOR.at(123_120) + 0.0321)
    assert (message.topic, message.qos, message.retained) == ("edge_detector/nursery/cot/probabilities", 0, False)
    assert json.loads(message.payload) == {
        "v": 1,
        "time": "2026-01-01T00:00:07.695Z",
        "seq": 7,
        "first_sample": 107_520,
        "window_seconds": 0.975,
        "state_age_frames": 3,
        "lost_samples": 5,
        "latency_ms": 32.1,
        "level_dbfs": -31.3,
        "probabilities": {"baby_cry": 0.25, "rain": 1.0},
    }


def test_an_event_names_its_clip_only_where_clips_are_stored() -> None:
    for detection in (EventStart(0, 16_000, 0.5), EventEnd(0, 16_000, 32_000, 0.5, "ended")):
        without = json.loads(messages.event(NAMES, CLASSES, detection, ANCHOR, 0.0).payload)
        with_clips = json.loads(messages.event(replace(NAMES, clips=True), CLASSES, detection, ANCHOR, 0.0).payload)
        # The first 16 hexadecimal digits of the SHA-256 of the event's id, so that an old event's clip is still found.
        assert with_clips == {**without, "clip": "e43ecbb79f505f11"}


def test_the_start_of_an_event() -> None:
    message = messages.event(NAMES, CLASSES, EventStart(0, 16_000, 0.5), ANCHOR, ANCHOR.at(32_000))
    assert (message.topic, message.qos, message.retained) == ("edge_detector/nursery/cot/event", 1, False)
    identity = "nursery/cot/5f2a9c01b3de/16000/baby_cry"
    assert json.loads(message.payload) == {
        "v": 1,
        "message_id": f"{identity}/start",
        "id": identity,
        "event_type": "start",
        "label": "Baby cry",
        "slug": "baby_cry",
        "mid": "/t/dd00002",
        "start": "2026-01-01T00:00:01.000Z",
        "end": None,
        "duration_seconds": None,
        "peak_probability": 0.5,
        "end_reason": None,
        "source": "cot",
        "node": "nursery",
        "lost_samples": 0,
        "clock": "system",
        "published": "2026-01-01T00:00:02.000Z",
    }


def test_the_end_of_an_event_has_the_id_of_its_start() -> None:
    end = EventEnd(1, 16_000, 47_200, 0.875, "gap", lost_samples=320)
    payload = json.loads(messages.event(NAMES, CLASSES, end, Anchor(0, 0.0, "file"), 9.0).payload)
    assert payload["message_id"] == payload["id"] + "/end" == "nursery/cot/5f2a9c01b3de/16000/rain/end"
    assert (payload["event_type"], payload["end_reason"], payload["lost_samples"]) == ("end", "gap", 320)
    assert (payload["end"], payload["duration_seconds"]) == ("1970-01-01T00:00:02.950Z", 1.95)
    assert (payload["label"], payload["mid"], payload["clock"]) == ("Régen", None, "file")


def test_with_a_page_an_event_has_a_link_to_itself_until_its_end_whatever_ends_it() -> None:
    names = replace(NAMES, page_url="http://nursery.local:8080")
    link = "http://nursery.local:8080/#event=nursery%2Fcot%2F5f2a9c01b3de%2F16000%2Fbaby_cry"
    start = messages.event(names, CLASSES, EventStart(0, 16_000, 0.5), ANCHOR, 9.0)
    end = messages.event(names, CLASSES, EventEnd(0, 16_000, 47_200, 0.5, "ended"), ANCHOR, 9.0)
    for message in (start, end, messages.interrupted(start, 9.0)):
        payload = json.loads(message.payload)
        assert payload["url"] == link
        assert unquote(link.partition("#event=")[2]) == payload["id"]
    without = json.loads(messages.event(NAMES, CLASSES, EventStart(0, 16_000, 0.5), ANCHOR, 9.0).payload)
    assert json.loads(start.payload) == {**without, "url": link}


def test_a_recording_has_no_latency() -> None:
    scores = Scores(np.array([0.0, 0.0], np.float32), 1, 0, 0, 15_600, 0, -120.0)
    message = messages.probabilities(NAMES, CLASSES, scores, Anchor(0, 0.0, "file"), 99.0)
    assert json.loads(message.payload)["latency_ms"] is None


@pytest.mark.parametrize(
    ("message", "topic", "payload", "qos"),
    [
        (messages.status("edge_detector/nursery", online=True), "edge_detector/nursery/status", b"online", 1),
        (messages.status("edge_detector/nursery", online=False), "edge_detector/nursery/status", b"offline", 1),
        (messages.availability(NAMES, online=False), "edge_detector/nursery/cot/availability", b"offline", 1),
        (messages.class_state(NAMES, "rain", on=True), "edge_detector/nursery/cot/class/rain", b"ON", 1),
        (messages.class_state(NAMES, "rain", on=False), "edge_detector/nursery/cot/class/rain", b"OFF", 1),
        (messages.level(NAMES, -31.26), "edge_detector/nursery/cot/level", b"-31.3", 0),
        (messages.top_class(NAMES, "rain"), "edge_detector/nursery/cot/top_class", b"rain", 0),
        (messages.top_class(NAMES, None), "edge_detector/nursery/cot/top_class", b"none", 0),
        (
            messages.health(NAMES, "healthy", "silent", 0.0),
            "edge_detector/nursery/cot/health",
            b'{"v":1,"state":"healthy","signal":"silent","since":"1970-01-01T00:00:00.000Z","troubles":[]}',
            1,
        ),
        (
            messages.health(NAMES, "stalled", "ok", 0.0, Troubles("the disk is full", ("no",))),
            "edge_detector/nursery/cot/health",
            b'{"v":1,"state":"stalled","signal":"ok","since":"1970-01-01T00:00:00.000Z","troubles":["the disk is full","no"]}',
            1,
        ),
        (messages.forgotten("edge_detector/nursery/cot/health"), "edge_detector/nursery/cot/health", b"", 1),
    ],
)
def test_retained_topics(message: Message, topic: str, payload: bytes, qos: int) -> None:
    assert message == Message(topic, payload, 1 if qos else 0, retained=True)


def test_no_payload_contains_nan() -> None:
    scores = Scores(np.array([np.nan, 0.0], np.float32), 1, 0, 0, 15_600, 0, -120.0)
    with pytest.raises(ValueError, match="not JSON compliant"):
        messages.probabilities(NAMES, CLASSES, scores, ANCHOR, 0.0)


def test_an_interrupted_event_ends_with_the_identity_of_its_start() -> None:
    start = messages.event(NAMES, CLASSES, EventStart(0, 16_000, 0.5), ANCHOR, ANCHOR.at(32_000))
    message = messages.interrupted(start, ANCHOR.at(160_000))
    end = json.loads(message.payload)
    assert (message.topic, message.message_id) == (start.topic, end["message_id"])
    assert end["id"] == json.loads(start.payload)["id"]
    assert (end["message_id"], end["event_type"], end["end_reason"]) == (f"{end['id']}/end", "end", "interrupted")
    assert (end["end"], end["duration_seconds"], end["published"]) == (None, None, "2026-01-01T00:00:10.000Z")


def test_telemetry() -> None:
    period = Period(60.0, 0.01, 1.0, 18.0, None)
    telemetry = Telemetry(
        period=period,
        inventory=Inventory("1.2.3", "default 1.0.0", 64 * "a", None, restart_needed=True),
        rss_bytes=70_000_000,
        outbox_depth=0,
        dropped_messages=5,
        dropped_events=1,
        refused_messages=2,
        refused_commands=4,
        reconnects=3,
        sources={"cot": SourceTelemetry("healthy", "system", 3.5, 960_000, 0, 0, 6)},
        troubles=Troubles(refused_topics={"edge_detector/nursery/cot/level": "Not authorized"}),
    )
    message = messages.telemetry("edge_detector/nursery", telemetry, 0.0)
    assert (message.topic, message.qos, message.retained) == ("edge_detector/nursery/telemetry", 0, True)
    assert json.loads(message.payload) == {
        "v": 1,
        "time": "1970-01-01T00:00:00.000Z",
        "uptime_seconds": 60.0,
        "real_time_factor": 0.01,
        "cpu_percent": 1.0,
        "latency_ms_p50": 18.0,
        "latency_ms_p99": None,
        "rss_bytes": 70_000_000,
        "outbox_depth": 0,
        "dropped_messages": 5,
        "dropped_events": 1,
        "refused_messages": 2,
        "refused_commands": 4,
        "reconnects": 3,
        "version": "1.2.3",
        "bundle": "default 1.0.0",
        "bundle_sha256": 64 * "a",
        "configuration_sha256": None,
        "restart_needed": True,
        "sources": {
            "cot": {
                "state": "healthy",
                "clock": "system",
                "drift_ppm": 3.5,
                "heard_samples": 960_000,
                "lost_samples": 0,
                "skipped_phases": 0,
                "overflows": 6,
            }
        },
        "troubles": ["the broker refuses edge_detector/nursery/cot/level (Not authorized); check its access rules"],
    }


def test_retained_topics_lists_every_retained_topic_of_a_source() -> None:
    told = [
        messages.availability(NAMES, online=True),
        messages.health(NAMES, "healthy", "ok", 0.0),
        messages.level(NAMES, 0.0),
        messages.top_class(NAMES, None),
        messages.class_state(NAMES, "rain", on=False),
        *RuntimeSettings(NAMES.base, {"cot": SourceDefaults({"rain": Rule(0.5, 0.3)})}, Settings()).answers(),
    ]
    assert {message.topic for message in told} == set(messages.retained_topics(NAMES.base, "cot", ["rain"]))
