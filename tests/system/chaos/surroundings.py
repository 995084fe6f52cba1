"""The real service on a disk that hangs, behind a broker that swallows, hangs up or limits packets, and by a clock that is set.

    python -m tests.system.chaos.surroundings --seconds 600

Known sounds play all the while. Nothing may be lost, and nothing may be silent for more than 30 s without a trouble: while the
broker can be reached, messages go on; while it cannot, the log says so. As root; others have no disk that hangs.
"""

import itertools
import json
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from random import Random

from edge_detector.repeat_limit import BURST
from tests.support.broker import Broker
from tests.support.disks import Card, card
from tests.support.fake_microphone import FakeMicrophone
from tests.support.relay import Mode, Relay
from tests.support.service import Service
from tests.support.waiting import wait_until
from tests.system.chaos.command_line import options
from tests.system.chaos.outages import shuffled
from tests.system.chaos.reckoning import Deliveries, reckon
from tests.system.chaos.room import Room
from tests.system.chaos.subscriber import PersistentSubscriber

NODE = "surroundings"
SILENT_SECONDS = 30.0
TROUBLE_SECONDS = 20.0
"""A hang is a trouble within 10 s; health says so at its next turn, and the machine may be busy."""

OUTAGE_SECONDS = (15.0, 40.0)
CALM_SECONDS = 5.0
CLOCK_STEPS_SECONDS = (3_600.0, -3_600.0, 86_400.0, -7_200.0)
LIMIT_BYTES = 2_000
"""Less than what Home Assistant is told, more than an event."""

DISK_TROUBLE = "would not survive a restart"
AHEAD_SECONDS = 5.0
RECOVERY_SECONDS = 120.0
LOG_CHARACTERS = 6_000


@dataclass(slots=True)
class Record:
    """What was done, and what came of it.

    Attributes:
        outages: how often each came to pass.
        troubled_seconds: from the beginning of each hang of the disk to its trouble in health.
        unreachable: when no message could come, on the monotonic clock.
        steps_back: how often the clock was set back.

    """

    outages: Counter[str] = field(default_factory=Counter)
    troubled_seconds: list[float] = field(default_factory=list)
    unreachable: list[tuple[float, float]] = field(default_factory=list)
    steps_back: int = 0


@dataclass(frozen=True, slots=True)
class Figures:
    """Of one run; `longest_silence_seconds` is between two messages while the broker could be reached."""

    record: Record
    deliveries: Deliveries
    longest_silence_seconds: float
    events_ahead: int

    def __str__(self) -> str:
        """For people."""
        troubled = ", ".join(f"{seconds:.1f}" for seconds in self.record.troubled_seconds)
        return "\n".join(
            (
                ", ".join(f"{name}: {count}" for name, count in sorted(self.record.outages.items())),
                str(self.deliveries),
                f"longest silence of a broker that can be reached: {self.longest_silence_seconds:.1f} s",
                f"disk hangs to trouble: {troubled or 'never'} s",
                f"events dated ahead: {self.events_ahead}, of {self.record.steps_back} steps back",
            )
        )


class Surroundings:
    """What surrounds one service, and what befalls it, one thing at a time."""

    def __init__(
        self,
        service: Service,
        relay: Relay,
        subscriber: PersistentSubscriber,
        *,
        disk: Card | None,
        clock: Path,
        chance: Random,
        outage_seconds: tuple[float, float],
    ) -> None:
        self._service = service
        self._relay = relay
        self._subscriber = subscriber
        self._disk = disk
        self._clock = clock
        self._chance = chance
        self._outage_seconds = outage_seconds
        self.record = Record()

    def strike(self, goes_on: Callable[[int], bool], only: Collection[str]) -> None:
        """One thing after another, each followed by calm and a new event; `only` some of them, or all."""
        kinds: list[tuple[str, Callable[[], None]]] = [
            ("clock set", self._set_clock),
            *((mode.value, lambda mode=mode: self._spoil_broker(mode)) for mode in (Mode.MUTE, Mode.HANG_UP, Mode.LIMIT)),
        ]
        if self._disk is not None:
            kinds.append(("disk hangs", self._hang_disk))
        kinds = [kind for kind in kinds if not only or kind[0] in only]
        for done, (name, strike) in enumerate(shuffled(kinds, self._chance)):
            if not goes_on(done):
                return
            strike()
            self._service.check_alive()
            self.record.outages[name] += 1
            self.await_event()
            time.sleep(self._chance.uniform(0.0, CALM_SECONDS))

    def await_event(self) -> None:
        """Until an event comes that was not there before, and no trouble of the disk is left."""
        before = len(self._subscriber.messages("event"))
        wait_until(
            lambda: len(self._subscriber.messages("event")) > before and DISK_TROUBLE not in self._troubles(),
            "a new event, and no disk that hangs",
            deadline_seconds=RECOVERY_SECONDS,
        )

    def _troubles(self) -> str:
        health = self._subscriber.messages("health")
        return " ".join(json.loads(health[-1].payload)["troubles"]) if health else ""

    def _duration_seconds(self) -> float:
        return self._chance.uniform(*self._outage_seconds)

    def _hang_disk(self) -> None:
        assert self._disk is not None
        began, until = time.monotonic(), time.monotonic() + self._duration_seconds()
        self._disk.freeze()
        try:
            # Not before something is written does anybody meet the hang; the sounds give an event every few seconds.
            wait_until(
                lambda: "disk" in self._troubles(), "the trouble of a disk that hangs", deadline_seconds=2 * TROUBLE_SECONDS
            )
            self.record.troubled_seconds.append(time.monotonic() - began)
            time.sleep(max(0.0, until - time.monotonic()))
        finally:
            self._disk.thaw()

    def _spoil_broker(self, mode: Mode) -> None:
        lines, began = len(self._service.log), time.monotonic()
        self._relay.set(mode)
        try:
            if mode is Mode.LIMIT:
                wait_until(lambda: "homeassistant/" in self._troubles(), "the trouble of a limit", deadline_seconds=60.0)
                self.await_event()
            else:
                # The log repeats a line BURST times, then once in five minutes: later outages of a run add no line of their own.
                wait_until(
                    lambda: "broker" in self._service.log[lines:] or self._service.log.count("lost the broker") >= BURST,
                    "a line about the broker",
                    deadline_seconds=SILENT_SECONDS,
                )
            time.sleep(self._duration_seconds())
        finally:
            self._relay.set(Mode.OPEN)
            if mode is not Mode.LIMIT:
                self.await_event()
            self.record.unreachable.append((began, time.monotonic()))

    def _set_clock(self) -> None:
        step = self._chance.choice(CLOCK_STEPS_SECONDS)
        now = float(self._clock.read_text())
        for offset in (now + step, now):
            self.record.steps_back += offset < float(self._clock.read_text())
            self._clock.write_text(str(offset))
            time.sleep(self._duration_seconds())


@contextmanager
def state_directory(folder: Path) -> Iterator[tuple[Path, Card | None]]:
    """On a card that can hang, where there may be one."""
    if os.geteuid():
        yield folder, None
        return
    with card(folder / "card") as disk:
        yield folder / "card", disk


def longest_silence_seconds(arrivals: list[float], unreachable: list[tuple[float, float]]) -> float:
    """Between two messages, but for what lies within the time in which none could come."""
    gaps = itertools.pairwise(arrivals)
    return max(
        (end - begin for begin, end in gaps if not any(begin <= gone[1] and end >= gone[0] for gone in unreachable)), default=0.0
    )


def check(record: Record, decided: list[str], subscriber: PersistentSubscriber, arrivals: list[float]) -> Figures:
    """Nothing is lost, and nothing was silent."""
    messages = subscriber.messages("event")
    deliveries = reckon(decided, messages)
    events = [json.loads(message.payload) for message in messages]
    ahead = [event for event in events if event["end"] and _unix(event["end"]) > _unix(event["published"]) + AHEAD_SECONDS]
    figures = Figures(
        record, deliveries, longest_silence_seconds(arrivals, record.unreachable), len({event["id"] for event in ahead})
    )
    assert figures.longest_silence_seconds < SILENT_SECONDS, f"silent: {figures}"
    # Only what was open as the clock was set back.
    assert figures.events_ahead <= record.steps_back, f"dated ahead: {figures}"
    return figures


def _unix(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def run(
    seed: int,
    goes_on: Callable[[int], bool],
    *,
    outage_seconds: tuple[float, float] = OUTAGE_SECONDS,
    only: Collection[str] = (),
) -> Figures:
    """Strike for as long as `goes_on`, then peace, then the reckoning."""
    with (
        tempfile.TemporaryDirectory(prefix="surroundings-") as folder,
        state_directory(Path(folder)) as (state, disk),
        Broker() as broker,
        PersistentSubscriber(broker.host, broker.port, f"edge_detector/{NODE}/#") as subscriber,
        Relay(broker.host, broker.port, limit_bytes=LIMIT_BYTES) as relay,
        FakeMicrophone() as microphone,
        Room(microphone, Random(f"room {seed}")),
    ):
        clock = Path(folder) / "clock"
        clock.write_text("0")
        with Service(
            relay, microphone.environment, node=NODE, mqtt="keepalive_seconds = 10", state=state, clock=clock
        ) as service:
            surroundings = Surroundings(
                service,
                relay,
                subscriber,
                disk=disk,
                clock=clock,
                chance=Random(f"surroundings {seed}"),
                outage_seconds=outage_seconds,
            )
            try:
                surroundings.await_event()
                surroundings.strike(goes_on, only)
                arrivals = list(subscriber.arrivals)
                assert service.stop() == 0
                decided = service.decided()
                with suppress(TimeoutError):  # the reckoning says what is missing
                    wait_until(lambda: subscriber.latest()["status"] == b"offline", "the farewell")
                return check(surroundings.record, decided, subscriber, arrivals)
            except (AssertionError, TimeoutError) as failure:
                failure.add_note(f"{surroundings.record}\nThe service said at last:\n{service.log[-LOG_CHARACTERS:]}")
                raise


def main() -> None:
    seed, goes_on = options(__doc__, seconds=600.0)
    figures = run(seed, goes_on)
    sys.stdout.write(f"seed {seed}\n{figures}\n")


if __name__ == "__main__":
    main()
