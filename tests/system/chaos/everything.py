"""The real service among a broker, a microphone and a process that die at random, while known sounds play; nothing is lost.

    python -m tests.system.chaos.everything --seconds 600

An event counts as decided once its row is committed: a trigger in the outbox keeps a ledger of that, outside the way of
delivery.
"""

import json
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from random import Random
from statistics import median

from edge_detector.mqtt.messages import rfc3339
from edge_detector.mqtt.sqlite_store import SqliteStore
from tests.support.fake_microphone import FakeMicrophone
from tests.support.service import Service
from tests.support.waiting import wait_until
from tests.system.chaos.command_line import options
from tests.system.chaos.outages import persistent_broker
from tests.system.chaos.reckoning import Deliveries, reckon
from tests.system.chaos.room import Played, Room
from tests.system.chaos.subscriber import PersistentSubscriber
from tests.system.chaos.torment import Record, Torment

NODE = "chaos"
HEARD_LATE_SECONDS = 2.0
MISSED = 0.3
"""Of the sounds that nothing disturbed, so many may be missed, and one in any case: the networks are not on trial here, and on a
busy machine sound breaks up on its way into the microphone."""

LOG_CHARACTERS = 6_000


@dataclass(frozen=True, slots=True)
class Figures:
    """Of one run; `played` counts the sounds that played from beginning to end while the service could hear."""

    record: Record
    deliveries: Deliveries
    played: int
    heard: int

    def __str__(self) -> str:
        """For people."""
        return "\n".join(
            (
                ", ".join(f"{name}: {count}" for name, count in sorted(self.record.outages.items())),
                str(self.deliveries),
                f"microphone away to announced: {_spread(self.record.announced_seconds)}",
                f"microphone back to healthy: {_spread(self.record.recovery_seconds)}",
                f"sounds that nothing disturbed: {self.played}, heard: {self.heard}",
            )
        )


def _spread(seconds: Sequence[float]) -> str:
    return f"median {median(seconds):.1f} s, maximum {max(seconds):.1f} s, of {len(seconds)}" if seconds else "never undisturbed"


def deliver(service: Service, torment: Torment) -> Sequence[str]:
    """Stop in good order; what the broker was too slow to acknowledge, another run delivers. All that was decided."""
    assert service.stop() == 0
    while _waiting(service):
        started_at = time.time()
        service.start()
        torment.await_hearing(started_at)
        assert service.stop() == 0
    return service.decided()


def _waiting(service: Service) -> int:
    assert not list(service.folder.glob("*.damaged")), "the outbox was damaged"
    with closing(SqliteStore(service.folder / "outbox.sqlite")) as store:
        assert not store.open_events(), "an event was left open"
        return store.count()


def _all_said(subscriber: PersistentSubscriber, events: int) -> bool:
    return subscriber.latest()["status"] == b"offline" and len(set(subscriber.messages("event"))) >= events


def check(record: Record, decided: Sequence[str], subscriber: PersistentSubscriber, played: Sequence[Played]) -> Figures:
    """What was decided, and nothing else, has arrived; nothing is left on, and what could be heard was."""
    messages, latest = subscriber.messages("event"), subscriber.latest()
    deliveries = reckon(decided, messages)
    assert len(set(decided)) == len(decided), "an event was decided twice"
    assert deliveries.received == len(decided), "an event arrived that was not decided"
    assert (latest["status"], latest["availability"]) == (b"offline", b"offline")
    assert b"ON" not in latest.values(), f"nobody listens, and yet something is on: {latest}"
    ends = [event for event in (json.loads(message.payload) for message in messages) if event["event_type"] == "end"]
    undisturbed = [sound for sound in played if not any(_overlap(sound, deaf) for deaf in record.deaf)]
    figures = Figures(record, deliveries, len(undisturbed), sum(_heard(sound, ends) for sound in undisturbed))
    assert figures.played - figures.heard <= max(1, MISSED * figures.played), f"it does not hear: {figures}"
    return figures


def _overlap(sound: Played, deaf: tuple[float, float]) -> bool:
    return sound.began_seconds <= deaf[1] and sound.ended_seconds >= deaf[0]


def _heard(sound: Played, ends: Sequence[dict[str, str]]) -> bool:
    """Whether an event of the sound's class covers some of the time in which it played."""
    begin, end = rfc3339(sound.began_seconds), rfc3339(sound.ended_seconds + HEARD_LATE_SECONDS)
    # When an interrupted event really ended nobody knows, and so it has no end but its publication.
    return any(
        event["slug"] == sound.slug and event["start"] <= end and (event["end"] or event["published"]) >= begin for event in ends
    )


def run(seed: int, goes_on: Callable[[int], bool], *, haste: float = 1.0) -> Figures:
    """Torment for as long as `goes_on`, then peace, then the reckoning."""
    with (
        persistent_broker() as broker,
        PersistentSubscriber(broker.host, broker.port, f"edge_detector/{NODE}/#") as subscriber,
        FakeMicrophone() as microphone,
        Room(microphone, Random(f"room {seed}")) as room,
        Service(broker, microphone.environment, node=NODE, mqtt="keepalive_seconds = 2") as service,
    ):
        torment = Torment(service, broker, microphone, subscriber, seed=seed, goes_on=goes_on, haste=haste)
        try:
            torment.record.deaf.append((0.0, torment.await_hearing(0.0)))
            torment.rage()
            decided = deliver(service, torment)
            with suppress(TimeoutError):  # the reckoning says what is missing
                wait_until(lambda: _all_said(subscriber, len(decided)), "the last messages")
            return check(torment.record, decided, subscriber, room.played)
        except AssertionError as failure:
            failure.add_note(f"{torment.record}\nThe service said at last:\n{service.log[-LOG_CHARACTERS:]}")
            raise


def main() -> None:
    seed, goes_on = options(__doc__, seconds=600.0)
    figures = run(seed, goes_on)
    sys.stdout.write(f"seed {seed}\n{figures}\n")


if __name__ == "__main__":
    main()
