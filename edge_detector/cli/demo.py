"""`demo`: the service on a synthetic soundscape, with an embedded broker and a printing subscriber."""

import json
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from edge_detector.audio.dump import Dump
from edge_detector.config import Config, HomeAssistantConfig, MqttConfig, SourceConfig
from edge_detector.demo.broker import demo_broker
from edge_detector.demo.soundscape import PlannedEvent, make_soundscape
from edge_detector.errors import BrokerError
from edge_detector.mqtt.client import subscription
from edge_detector.mqtt.credentials import broker_of, temporary_client_id
from edge_detector.params import FRONT_END
from edge_detector.service.factory import load_networks
from edge_detector.service.service import Service
from edge_detector.service.state import State
from edge_detector.types import Message

NODE, SOURCE = "demo", "soundscape"
LINE_CHARACTERS = 160
FAREWELL_SECONDS = 10.0


@dataclass(slots=True)
class _Printer:
    """Prints each message as it arrives, on the subscriber's thread, and keeps the ends of events."""

    write: Callable[[str], object]
    ends: list[dict[str, object]] = field(default_factory=list)
    messages: int = 0
    farewell: threading.Event = field(default_factory=threading.Event)

    def receive(self, message: Message) -> None:
        text = f"{message.topic} {message.payload.decode()}"
        is_event = message.topic.endswith("/event")
        self.write((text if is_event or len(text) <= LINE_CHARACTERS else text[: LINE_CHARACTERS - 1] + "…") + "\n")
        self.messages += 1
        if is_event:
            payload = json.loads(message.payload)
            if payload["event_type"] == "end":
                self.ends.append(payload)
        if message.topic.endswith("/status") and message.payload == b"offline":
            self.farewell.set()


def run(*, real_time: bool = False) -> int:
    """Play the soundscape through the service and print what a subscriber receives; ends by itself."""
    soundscape = make_soundscape()
    seconds = len(soundscape.samples) / FRONT_END.sample_rate_hz
    sys.stdout.write(
        f"A soundscape of {seconds:.0f} s, synthesised by this program, goes through both networks to an embedded MQTT broker.\n"
        "What a subscriber to edge_detector/# receives:\n\n"
    )
    printer = _Printer(sys.stdout.write)
    with tempfile.TemporaryDirectory() as folder, demo_broker() as (host, port):
        recording = Path(folder) / "soundscape.wav"
        dump = Dump(recording, FRONT_END.sample_rate_hz)
        dump.write(soundscape.block)
        dump.close()
        config = Config(
            node=NODE,
            bundle=None,
            sources=(SourceConfig(SOURCE, "file", str(recording), real_time=real_time),),
            mqtt=MqttConfig(host=host, port=port),
            overrides={},
            home_assistant=HomeAssistantConfig(enabled=False),
        )
        with subscription(broker_of(config.mqtt, temporary_client_id("demo-subscriber")), "edge_detector/#", printer.receive):
            broker = broker_of(config.mqtt, temporary_client_id("demo"))
            service = Service(config, load_networks(config.bundle, config), broker, State(outbox=None, settings=None))
            service.run(threading.Event(), lambda: None)
            if not printer.farewell.wait(FAREWELL_SECONDS):
                raise BrokerError(f"the last message did not arrive within {FAREWELL_SECONDS:g} s")
    sys.stdout.write(_summary(printer, soundscape.events))
    return 0


def _summary(printer: _Printer, planned: Sequence[PlannedEvent]) -> str:
    lines = [f"\n{printer.messages} messages. Sounds of the soundscape, and the events detected:"]
    for event in planned:
        ends = [end for end in printer.ends if end["slug"] == event.slug and _overlaps(event, end)]
        start_seconds, end_seconds = (sample / FRONT_END.sample_rate_hz for sample in (event.first_sample, event.end_sample))
        found = ", ".join(f"{end['duration_seconds']} s, peak {end['peak_probability']:.2f}" for end in ends) or "not detected"
        lines.append(f"  {start_seconds:5.1f} to {end_seconds:5.1f} s  {event.slug:<16} {found}")
    false = [end for end in printer.ends if not any(end["slug"] == event.slug and _overlaps(event, end) for event in planned)]
    lines.append(f"  false detections: {', '.join(str(end['slug']) for end in false) or 'none'}")
    return "\n".join(lines) + "\n"


def _overlaps(event: PlannedEvent, end: dict[str, object]) -> bool:
    first_sample = int(str(end["id"]).split("/")[-2])
    duration = end["duration_seconds"]
    seconds = duration if isinstance(duration, float) else 0.0
    return bool(first_sample < event.end_sample and first_sample + seconds * FRONT_END.sample_rate_hz > event.first_sample)
