"""MQTT messages: topics, payloads and times, as pure functions. docs/mqtt.md lists them."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from urllib.parse import quote

from edge_detector.audio.sample_clock import Anchor
from edge_detector.bounded_files import parse_json
from edge_detector.clips.names import clip_id
from edge_detector.detection.bundle import SoundClass
from edge_detector.errors import EdgeDetectorError
from edge_detector.mqtt.telemetry import Telemetry
from edge_detector.mqtt.troubles import NO_TROUBLES, Troubles
from edge_detector.params import FRONT_END
from edge_detector.types import Detection, EventEnd, Message, Scores, SignalQuality, SourceState

PAYLOAD_VERSION = 1
_ENCODER = json.JSONEncoder(allow_nan=False, ensure_ascii=False, separators=(",", ":"))
ONLINE, OFFLINE = "online", "offline"


@dataclass(frozen=True, slots=True)
class Names:
    """Names in topics and payloads.

    Attributes:
        base: topic of the node, edge_detector/<node>.
        instance: random identifier of the process, to detect two nodes with one name.
        page_url: URL of the page, which shows the node's events, or None.
        clips: whether the sound of events is stored on the node; its messages name it and never carry it.

    """

    base: str
    node: str
    source: str
    stream_id: str
    instance: str | None = None
    page_url: str | None = None
    clips: bool = False

    def topic(self, leaf: str) -> str:
        """Return a topic of this source."""
        return f"{self.base}/{self.source}/{leaf}"

    def event_id(self, first_sample: int, slug: str) -> str:
        """Return the permanent identifier of an event; replaying a recording gives the same one."""
        return f"{self.node}/{self.source}/{self.stream_id}/{first_sample}/{slug}"


def rfc3339(utc_seconds: float) -> str:
    """Format a Unix time as UTC with milliseconds, 2026-01-31T23:59:59.999Z."""
    return datetime.fromtimestamp(utc_seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def status(base: str, *, online: bool) -> Message:
    """Return the node's status; the offline status is also the last will."""
    return Message(f"{base}/status", _word(online).encode(), qos=1, retained=True)


def availability(names: Names, *, online: bool) -> Message:
    """Return the availability of a source: whether it delivers usable sound."""
    return Message(names.topic("availability"), _word(online).encode(), qos=1, retained=True)


def health(
    names: Names, state: SourceState, signal: SignalQuality, since_utc_seconds: float, troubles: Troubles = NO_TROUBLES
) -> Message:
    """Return the state of a source and of its signal, the time of the last change, and the troubles of the node."""
    payload = {
        "v": PAYLOAD_VERSION,
        "state": state,
        "signal": signal,
        "since": rfc3339(since_utc_seconds),
        "troubles": troubles.sentences,
        **({} if names.instance is None else {"instance": names.instance}),
    }
    return Message(names.topic("health"), _json(payload), qos=1, retained=True)


def probabilities(names: Names, classes: Sequence[SoundClass], scores: Scores, anchor: Anchor, now_utc_seconds: float) -> Message:
    """Return the probabilities of one hop. The latency of a file is null, since it was recorded earlier."""
    end_utc_seconds = anchor.at(scores.end_sample)
    latency_ms = round(1_000 * (now_utc_seconds - end_utc_seconds), 1) if anchor.clock != "file" else None
    payload = {
        "v": PAYLOAD_VERSION,
        "time": rfc3339(end_utc_seconds),
        "seq": scores.sequence_number,
        "first_sample": scores.first_sample,
        "window_seconds": FRONT_END.patch_samples / FRONT_END.sample_rate_hz,
        "state_age_frames": scores.state_age_frames,
        "lost_samples": scores.lost_samples,
        "latency_ms": latency_ms,
        "level_dbfs": round(scores.level_dbfs, 1),
        "probabilities": {
            sound.slug: round(float(probability), 6) for sound, probability in zip(classes, scores.probabilities, strict=True)
        },
    }
    return Message(names.topic("probabilities"), _json(payload), qos=0, retained=False)


def event(names: Names, classes: Sequence[SoundClass], detection: Detection, anchor: Anchor, now_utc_seconds: float) -> Message:
    """Return the start or the end of an event; both have the same id."""
    sound = classes[detection.class_index]
    identity = names.event_id(detection.first_sample, sound.slug)
    ended = detection if isinstance(detection, EventEnd) else None
    event_type = "end" if ended else "start"
    payload = {
        "v": PAYLOAD_VERSION,
        "message_id": f"{identity}/{event_type}",
        "id": identity,
        "event_type": event_type,
        "label": sound.label,
        "slug": sound.slug,
        "mid": sound.mid,
        "start": rfc3339(anchor.at(detection.first_sample)),
        "end": rfc3339(anchor.at(ended.end_sample)) if ended else None,
        "duration_seconds": round((ended.end_sample - ended.first_sample) / FRONT_END.sample_rate_hz, 3) if ended else None,
        "peak_probability": round(detection.peak_probability, 6),
        "end_reason": ended.end_reason if ended else None,
        "source": names.source,
        "node": names.node,
        "lost_samples": detection.lost_samples,
        "clock": anchor.clock,
        "published": rfc3339(now_utc_seconds),
        **({} if names.page_url is None else {"url": f"{names.page_url}/#event={quote(identity, safe='')}"}),
        **({"clip": clip_id(identity)} if names.clips else {}),
    }
    return Message(names.topic("event"), _json(payload), qos=1, retained=False, message_id=f"{identity}/{event_type}")


def interrupted(started: Message, now_utc_seconds: float) -> Message:
    """Return the end of an event that a crash interrupted, from its start message; the end time is unknown.

    Raises EdgeDetectorError if the stored start cannot be read, as after a bit error on a worn card.
    """
    try:
        start = dict(parse_json(started.payload))
    except (ValueError, TypeError) as error:
        raise EdgeDetectorError(
            f"the stored start of event {started.message_id} cannot be read ({error}); its event is deleted"
        ) from error
    event = (started.message_id or "").removesuffix("/start")
    end = {
        "message_id": f"{event}/end",
        "event_type": "end",
        "end_reason": "interrupted",
        "published": rfc3339(now_utc_seconds),
    }
    return replace(started, payload=_json({**start, **end}), message_id=end["message_id"])


def telemetry(base: str, telemetry: Telemetry, now_utc_seconds: float) -> Message:
    """Return the figures of the service over the last minute."""
    figures = asdict(telemetry)
    period, inventory = figures.pop("period"), figures.pop("inventory")
    troubles = {"troubles": telemetry.troubles.sentences}
    payload = {"v": PAYLOAD_VERSION, "time": rfc3339(now_utc_seconds), **period, **figures, **inventory, **troubles}
    return Message(f"{base}/telemetry", _json(payload), qos=0, retained=True)


def class_state(names: Names, slug: str, *, on: bool) -> Message:
    """Return the state of a class: ON while an event of it lasts."""
    return Message(names.topic(f"class/{slug}"), b"ON" if on else b"OFF", qos=1, retained=True)


def level(names: Names, level_dbfs: float) -> Message:
    """Return the level of the newest window in dBFS."""
    return Message(names.topic("level"), f"{level_dbfs:.1f}".encode(), qos=0, retained=True)


def top_class(names: Names, slug: str | None) -> Message:
    """Return the most probable class with an open event, or "none"."""
    return Message(names.topic("top_class"), (slug or "none").encode(), qos=0, retained=True)


def retained_topics(base: str, source: str, slugs: Iterable[str]) -> Iterator[str]:
    """Yield the retained topics of a source."""
    for leaf in ("availability", "health", "level", "top_class", "mute"):
        yield f"{base}/{source}/{leaf}"
    for slug in slugs:
        yield f"{base}/{source}/class/{slug}"
        yield f"{base}/{source}/threshold/{slug}"


def forgotten(topic: str) -> Message:
    """Return the empty message that deletes the retained message of a topic."""
    return Message(topic, b"", qos=1, retained=True)


def _word(online: bool) -> str:  # noqa: FBT001 - private, and the only argument
    return ONLINE if online else OFFLINE


def _json(payload: Mapping[str, object]) -> bytes:
    return _ENCODER.encode(payload).encode()
