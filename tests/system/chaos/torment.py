"""Takes the broker, the microphone and the service's process away at random, each on a thread of its own.

What was taken away comes back after a while, and is left alone until the service has recovered: the microphone is announced
as healthy, and a new event has arrived. A microphone comes back only after its outage has been announced.
"""

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from datetime import datetime
from random import Random

from edge_detector.mqtt.messages import rfc3339
from tests.support.broker import Broker
from tests.support.fake_microphone import FakeMicrophone
from tests.support.service import Service
from tests.system.chaos.outages import Outage, broker_outages, microphone_outages, shuffled
from tests.system.chaos.subscriber import PersistentSubscriber

BROKER_CALM_SECONDS, BROKER_OUTAGE_SECONDS = 10.0, 6.0
MICROPHONE_CALM_SECONDS, MICROPHONE_OUTAGE_SECONDS = 15.0, 12.0
SERVICE_CALM_SECONDS, SERVICE_OUTAGE_SECONDS = 40.0, 2.0
"""How long each is left alone, and taken away, at most."""

MOST_KILLS_IN_A_ROW = 3

TROUBLED = ("stalled", "reconnecting", "failed")
RECENT = 50
"""Messages of a topic that are looked at to see what is the case now."""

POLL_SECONDS = 0.1
DEADLINE_SECONDS = 120.0
"""Others may strike while one waits, each for at most so long as its outage and its recovery take."""


@dataclass(slots=True)
class Record:
    """What was done, and what came of it.

    Attributes:
        outages: how often each came to pass.
        announced_seconds, recovery_seconds: from the beginning of a microphone's outage to its announcement, and from its end to
            being healthy, as the service itself dates them; only where nobody killed the service meanwhile.
        deaf: from the beginning of an outage of the microphone or the service to its being healthy, in Unix time.

    """

    outages: Counter[str] = field(default_factory=Counter)
    announced_seconds: list[float] = field(default_factory=list)
    recovery_seconds: list[float] = field(default_factory=list)
    deaf: list[tuple[float, float]] = field(default_factory=list)


class Torment:
    """Use `rage` once.

    Args:
        subscriber: gets everything that the service says.
        goes_on: whether a tormentor is to strike again, given how often it has.
        haste: calms and outages are so many times shorter.

    """

    def __init__(
        self,
        service: Service,
        broker: Broker,
        microphone: FakeMicrophone,
        subscriber: PersistentSubscriber,
        *,
        seed: int,
        goes_on: Callable[[int], bool],
        haste: float = 1.0,
    ) -> None:
        self._service = service
        self._broker = broker
        self._microphone = microphone
        self._subscriber = subscriber
        self._seed = seed
        self._goes_on = goes_on
        self._haste = haste
        self._failed = threading.Event()
        self._life: int | None = 0
        self.record = Record()

    def rage(self) -> None:
        """Returns when each tormentor has had enough, and raises what the first to fail raised."""
        tormentors = (self._torment_broker, self._torment_microphone, self._torment_service)
        with ThreadPoolExecutor() as pool:
            running = [pool.submit(tormentor) for tormentor in tormentors]
            done, others = wait(running, return_when=FIRST_EXCEPTION)
            if others:
                self._failed.set()
            for torment in (*done, *others):
                torment.result()

    def await_hearing(self, after: float) -> float:
        """When it was said, after that moment, that the microphone is healthy, and that it is available. Both in Unix time."""
        return self._await_health(after, ("healthy",), b"online")

    def _torment_broker(self) -> None:
        chance = Random(f"broker {self._seed}")
        for outage in self._strikes(broker_outages(self._broker), chance, BROKER_CALM_SECONDS):
            outage.begin()
            self._pass_time(chance, BROKER_OUTAGE_SECONDS)
            outage.end()
            self._await_event(time.time())

    def _torment_microphone(self) -> None:
        chance = Random(f"microphone {self._seed}")
        for outage in self._strikes(microphone_outages(self._microphone), chance, MICROPHONE_CALM_SECONDS):
            life, gone_at = self._life, time.time()
            outage.begin()
            self._pass_time(chance, MICROPHONE_OUTAGE_SECONDS)
            announced_at = self._await_health(gone_at, TROUBLED, b"offline")
            if life is not None and self._life == life:
                self.record.announced_seconds.append(announced_at - gone_at)
            life, back_at = self._life, time.time()
            outage.end()
            healthy_at = self.await_hearing(back_at)
            if life is not None and self._life == life:
                self.record.recovery_seconds.append(healthy_at - back_at)
            self.record.deaf.append((gone_at, healthy_at))
            self._await_event(healthy_at)

    def _torment_service(self) -> None:
        chance = Random(f"service {self._seed}")
        outages = (Outage("service killed", self._kill, self._service.start),)
        for life, outage in enumerate(self._strikes(outages, chance, SERVICE_CALM_SECONDS), start=1):
            gone_at = back_at = time.time()
            for _ in range(chance.randint(1, MOST_KILLS_IN_A_ROW)):  # but for the first time it is still starting
                outage.begin()
                self._pass_time(chance, SERVICE_OUTAGE_SECONDS)
                back_at = time.time()
                outage.end()
                self._pass_time(chance, SERVICE_OUTAGE_SECONDS)
            healthy_at = self.await_hearing(back_at)
            self._life = life
            self.record.deaf.append((gone_at, healthy_at))
            self._await_event(healthy_at)

    def _kill(self) -> None:
        self._service.check_alive()
        self._life = None
        self._service.kill()

    def _strikes(self, outages: Sequence[Outage], chance: Random, longest_calm_seconds: float) -> Iterator[Outage]:
        for done, outage in enumerate(shuffled(outages, chance)):
            if not self._goes_on(done):
                return
            self._pass_time(chance, longest_calm_seconds)
            yield outage
            self.record.outages[outage.name] += 1

    def _await_health(self, after: float, states: Sequence[str], availability: bytes) -> float:
        since: list[float] = []

        def said() -> bool:
            health = [json.loads(message.payload) for message in self._subscriber.messages("health")[-RECENT:]]
            since[:] = [_unix(item["since"]) for item in health if item["state"] in states and item["since"] >= rfc3339(after)]
            return bool(since) and self._subscriber.latest()["availability"] == availability

        self._await(said, f"{' or '.join(states)} in health, and {availability.decode()}")
        return min(since)

    def _await_event(self, after: float) -> None:
        def heard() -> bool:
            events = [json.loads(message.payload) for message in self._subscriber.messages("event")[-RECENT:]]
            return any(event["event_type"] == "start" and event["published"] >= rfc3339(after) for event in events)

        self._await(heard, "an event after the recovery")

    def _await(self, holds: Callable[[], bool], what: str) -> None:
        give_up_at = time.monotonic() + DEADLINE_SECONDS
        while not holds():
            assert time.monotonic() < give_up_at, f"waited {DEADLINE_SECONDS:g} s in vain for: {what}"
            self._pause(POLL_SECONDS)

    def _pass_time(self, chance: Random, longest_seconds: float) -> None:
        self._pause(chance.uniform(0.0, longest_seconds) / self._haste)

    def _pause(self, seconds: float) -> None:
        assert not self._failed.wait(seconds), "another tormentor has failed"


def _unix(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
