"""What can befall a broker and a microphone."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import TypeVar

from tests.support.broker import Broker
from tests.support.fake_microphone import FakeMicrophone
from tests.support.waiting import wait_until

LOG_BYTES = 1 << 16
SAVE_SECONDS = 60.0
Kind = TypeVar("Kind")


@dataclass(frozen=True, slots=True)
class Outage:
    """Something is taken away, and comes back."""

    name: str
    begin: Callable[[], object]
    end: Callable[[], object]


def persistent_broker() -> Broker:
    """Keeps sessions over its crashes, so that it still owes what it has acknowledged: see `kill_once_saved`."""
    return Broker("autosave_on_changes true", "max_queued_messages 0", persistent=True)


def broker_outages(
    broker: Broker, hush: Callable[[], AbstractContextManager[object]] = nullcontext
) -> tuple[Outage, Outage, Outage]:
    """`hush` keeps others from publishing, where that is so much that the broker would never be done with saving."""

    def kill() -> None:
        with hush():
            kill_once_saved(broker)

    return (
        Outage("broker killed", kill, broker.start),
        Outage("broker stopped", broker.stop, broker.start),
        Outage("broker frozen", broker.freeze, broker.thaw),
    )


def kill_once_saved(broker: Broker) -> None:
    """Mosquitto acknowledges before it saves: killed in between it would lose, all by itself, what others rightly forgot."""

    def frozen_after_saving() -> bool:
        broker.freeze()
        os.waitpid(broker.process.pid, os.WUNTRACED)
        if _has_saved(broker.folder):
            return True
        broker.thaw()
        return False

    wait_until(frozen_after_saving, "mosquitto to have saved what it acknowledged", deadline_seconds=SAVE_SECONDS)
    broker.kill()


def _has_saved(folder: Path) -> bool:
    log, saved, saving = folder / "log", folder / "mosquitto.db", folder / "mosquitto.db.new"
    with log.open("rb") as file:
        file.seek(-min(LOG_BYTES, log.stat().st_size), os.SEEK_END)
        since = file.read().rpartition(b"Saving in-memory database")[2]
    if b"Sending PUBACK to" in since:
        return False
    # It does one thing after another: if it has said anything since it began to save, it is done with that.
    if since.count(b"\n") > 1:
        return True
    return saved.exists() and not saving.exists() and saved.stat().st_ctime_ns > log.stat().st_mtime_ns


def microphone_outages(microphone: FakeMicrophone) -> tuple[Outage, ...]:
    return (
        Outage("microphone unplugged", microphone.unplug, microphone.plug),
        Outage("microphone crashed", microphone.crash, microphone.start),
        Outage("microphone frozen", microphone.freeze, microphone.thaw),
    )


def shuffled(kinds: Sequence[Kind], chance: Random) -> Iterator[Kind]:
    """For ever, in random order; none comes again before all others have come."""
    while True:
        yield from chance.sample(kinds, len(kinds))
