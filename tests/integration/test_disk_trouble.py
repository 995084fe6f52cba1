"""The whole service on a state directory that fills up, fails, or is read-only: it goes on, says so, and recovers."""

import json
import re
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from subprocess import Popen

import pytest

from tests.support.broker import Broker
from tests.support.disks import card, fill, remount, small_disk
from tests.support.fake_microphone import FakeMicrophone
from tests.support.inbox import Inbox, subscriber
from tests.support.nursery import one_event, service
from tests.support.waiting import wait_until
from tests.unit.edge_detector.cli.test_run import BASE

EVENT_ID = re.compile(rb"nursery/cot/[0-9a-f]{12}/\d+/[a-z_]+/end")
THRESHOLD = f"{BASE}/cot/threshold/rain"
RECOVERY_SECONDS = 60.0


@dataclass(frozen=True)
class Disk:
    """Where the state lies, what happens to it while the service runs, and how it is put right."""

    folder: Path
    spoil: Callable[[], object]
    mend: Callable[[], object]


@contextmanager
def full(folder: Path) -> Iterator[Disk]:
    with small_disk(folder):
        yield Disk(folder, lambda: fill(folder), (folder / "ballast").unlink)


@contextmanager
def failing(folder: Path) -> Iterator[Disk]:
    with card(folder) as found:
        yield Disk(folder, found.fail, found.repair)


@contextmanager
def hanging(folder: Path) -> Iterator[Disk]:
    with card(folder) as found:
        yield Disk(folder, found.freeze, found.thaw)


@contextmanager
def read_only_from_the_start(folder: Path) -> Iterator[Disk]:
    with small_disk(folder):
        remount(folder, "ro")
        yield Disk(folder, lambda: None, lambda: remount(folder, "rw"))


def troubles(inbox: Inbox) -> list[str]:
    """What the source's health says now."""
    found: list[str] = inbox.json("cot/health")[-1]["troubles"]
    return found


def wait_for_trouble(inbox: Inbox, *words: str) -> float:
    """Seconds until health holds these words, and nothing else where there are none."""
    since = time.monotonic()
    wait_until(
        lambda: all(word in " ".join(troubles(inbox)) for word in words) and bool(words) == bool(troubles(inbox)),
        f"{words or 'no trouble'} in health",
        deadline_seconds=RECOVERY_SECONDS,
    )
    return time.monotonic() - since


def stop(process: Popen[str]) -> str:
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0
    assert process.stderr is not None
    said = process.stderr.read()
    assert "Traceback" not in said
    return said


def restarted_service_delivers_what_was_decided_without_a_broker(
    folder: Path, disk: Disk, broker: Broker, microphone: FakeMicrophone, killed: Popen[str]
) -> None:
    broker.stop()
    seen = set(EVENT_ID.findall(log_of(disk)))
    microphone.play(one_event()[1], latency_milliseconds=200)
    # The end is written after the start has been committed.
    wait_until(lambda: bool(set(EVENT_ID.findall(log_of(disk))) - seen), "an event to be written", deadline_seconds=60.0)
    killed.kill()
    killed.wait()
    (decided, *_) = sorted(set(EVENT_ID.findall(log_of(disk))) - seen)
    broker.start()
    with (
        subscriber(broker.host, broker.port) as inbox,
        service(folder, broker, microphone, state=str(disk.folder), extra="commands = true\n") as process,
    ):
        start = decided.removesuffix(b"/end") + b"/start"
        inbox.wait_for(lambda item: b'"message_id":"' + start + b'"' in item.payload, "the event from before the restart")
        inbox.wait_for_payload(THRESHOLD, b"0.83")
        assert troubles(inbox) == []
        stop(process)


def log_of(disk: Disk) -> bytes:
    """SQLite's write-ahead log."""
    file = disk.folder / "outbox.sqlite-wal"
    return file.read_bytes() if file.exists() else b""


@pytest.mark.parametrize("kind", [full, failing, hanging, read_only_from_the_start])
def test_it_goes_on_says_so_and_recovers(
    tmp_path: Path, broker: Broker, microphone: FakeMicrophone, kind: Callable[[Path], AbstractContextManager[Disk]]
) -> None:
    with (
        kind(tmp_path / "state") as disk,
        subscriber(broker.host, broker.port) as inbox,
        service(tmp_path, broker, microphone, state=str(disk.folder), extra="commands = true\n") as process,
    ):
        inbox.wait_for_payload(f"{BASE}/cot/availability", b"online")
        disk.spoil()
        broker.publish(f"{THRESHOLD}/set", "0.83")
        inbox.wait_for_payload(THRESHOLD, b"0.83")
        settings_seconds = wait_for_trouble(inbox, "the settings cannot be saved")
        microphone.play(one_event()[1], latency_milliseconds=200)
        inbox.wait_for(lambda item: item.topic == f"{BASE}/cot/event", "an event")
        outbox_seconds = wait_for_trouble(inbox, "the settings cannot be saved", "events wait in memory")
        inbox.wait_for(lambda item: b'"event_type":"end"' in item.payload, "its end")
        disk.mend()
        recovery_seconds = wait_for_trouble(inbox)
        figures = {"settings": settings_seconds, "outbox": outbox_seconds, "recovery": recovery_seconds}
        sys.stdout.write(json.dumps({kind.__name__: {name: round(value, 2) for name, value in figures.items()}}) + "\n")
        restarted_service_delivers_what_was_decided_without_a_broker(tmp_path, disk, broker, microphone, process)
