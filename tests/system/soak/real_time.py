"""The service as a process, listening in real time to a microphone into which known sounds are played.

A round is the soundscape once, about a minute; memory, open files and threads are read after each.
"""

import json
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

import psutil

from edge_detector.demo.soundscape import PROGRAMME, make_soundscape
from edge_detector.mqtt.address import Broker as Address
from edge_detector.mqtt.client import subscription
from edge_detector.params import FRONT_END
from edge_detector.types import Message
from tests.support.broker import Broker
from tests.support.fake_microphone import FakeMicrophone
from tests.support.service import Service
from tests.system.soak.report import Reading, disagreement, growth

START_SECONDS = 60.0
FAREWELL_SECONDS = 30.0
UNEXPLAINED_SECONDS = 1.0
"""Between the clock's account of the sound and the service's, for messages on their way and what the sound system holds."""


@dataclass(slots=True)
class Account:
    """What a subscriber has received, on its own thread. Times by the monotonic clock, in seconds."""

    listening: threading.Event = field(default_factory=threading.Event)
    farewell: threading.Event = field(default_factory=threading.Event)
    began_at: float = 0.0
    told_at: float = 0.0
    telemetry: dict[str, Any] = field(default_factory=dict)
    message_ids: list[str] = field(default_factory=list)
    heard: Counter[str] = field(default_factory=Counter)
    health: list[str] = field(default_factory=list)
    lost_samples: int = 0
    latency_ms: float = 0.0

    def receive(self, message: Message) -> None:
        leaf = message.topic.rpartition("/")[2]
        if leaf == "availability" and message.payload == b"online" and not self.listening.is_set():
            self.began_at = time.monotonic()
            self.listening.set()
        elif leaf == "telemetry":
            self.told_at, self.telemetry = time.monotonic(), json.loads(message.payload)
        elif leaf == "event":
            event = json.loads(message.payload)
            self.message_ids.append(event["message_id"])
            self.heard[event["slug"]] += event["event_type"] == "start"
        elif leaf == "probabilities":
            hop = json.loads(message.payload)
            self.lost_samples += hop["lost_samples"]
            self.latency_ms = hop["latency_ms"]
        elif leaf == "health":
            self.health.append(json.loads(message.payload)["state"])
        elif leaf == "status" and message.payload == b"offline" and self.listening.is_set():
            self.farewell.set()

    @property
    def sound(self) -> dict[str, float]:
        """The sound that went in by the clock, and what became of it by the service's own account."""
        (source,) = self.telemetry["sources"].values()
        seconds = self.told_at - self.began_at
        explained = (source["heard_samples"] + source["lost_samples"]) / FRONT_END.sample_rate_hz
        return {
            "seconds": round(seconds, 3),
            "samples_heard": source["heard_samples"],
            "samples_lost": source["lost_samples"],
            "samples_lost_in_messages": self.lost_samples,
            "seconds_waiting": round(self.latency_ms / 1e3, 3),
            "seconds_unexplained": round(seconds - explained - self.latency_ms / 1e3, 3),
        }


def soak(
    rounds: int, *, warm_up_rounds: int, programme: tuple[tuple[str, float], ...] = PROGRAMME
) -> tuple[dict[str, Any], list[str]]:
    """Play the programme so many times: figures, and what went wrong. Growth counts from the end of the warm-up."""
    soundscape = make_soundscape(programme=programme)
    readings = []
    account = Account()
    with (
        FakeMicrophone() as microphone,
        Broker("max_queued_messages 0") as broker,
        subscription(Address(broker.host, broker.port, "soak-subscriber"), "edge_detector/#", account.receive),
        Service(broker, microphone.environment) as service,
    ):
        assert account.listening.wait(START_SECONDS), f"the service never heard the microphone:\n{service.log}"
        for number in range(rounds):
            player = microphone.play(soundscape.samples.astype("<i2").tobytes(), latency_milliseconds=500)
            assert player.wait() == 0
            readings.append(Reading.of(psutil.Process(service.process.pid), f"round {number + 1}"))
        assert service.stop() == 0, service.log
        assert account.farewell.wait(FAREWELL_SECONDS), "the service never said goodbye"
        events = service.decided()
        sys.stderr.write(service.log)
    played = Counter(event.slug for event in soundscape.events)
    rss_bytes = [reading.rss_bytes for reading in readings]
    figures = {
        "rounds": rounds,
        **account.sound,
        "dropped_messages": account.telemetry["dropped_messages"],
        "health": [state for state, _ in groupby(account.health)],
        "sounds_played": {slug: rounds * count for slug, count in played.items()},
        "events_heard": dict(account.heard),
        "events_decided": len(events),
        "events_received": len(account.message_ids),
        "rss_bytes": rss_bytes,
        "open_files": readings[-1].open_files,
        "threads": readings[-1].threads,
    }
    problems = growth(readings[warm_up_rounds:]) + disagreement(events, account.message_ids) + sound_problems(account.sound)
    if account.telemetry["dropped_messages"]:
        problems.append(f"{account.telemetry['dropped_messages']} messages were dropped")
    return figures, problems


def sound_problems(sound: dict[str, float]) -> list[str]:
    """Where what went in is not what was heard plus what was lost, or a loss was not told; one sentence each."""
    found = []
    if abs(sound["seconds_unexplained"]) > UNEXPLAINED_SECONDS:
        found.append(f"{sound['seconds_unexplained']} s of sound were neither heard nor lost")
    if sound["samples_lost"] != sound["samples_lost_in_messages"]:
        found.append(f"{sound['samples_lost']} samples were lost, but messages tell of {sound['samples_lost_in_messages']}")
    return found
