"""The whole service with its page under attack, and without: its messages, events, latency, memory and files."""

import json
import socket
import statistics
import threading
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from itertools import pairwise
from pathlib import Path
from subprocess import Popen
from types import TracebackType
from typing import Any, Self

import psutil

from edge_detector.mqtt.address import Broker as Address
from edge_detector.mqtt.client import subscription
from edge_detector.types import Message
from edge_detector.web.connection_limits import ACCEPTED_AT_ONCE, ConnectionLimits
from tests.support.broker import Broker, free_port
from tests.support.fake_microphone import FakeMicrophone
from tests.support.inbox import Inbox
from tests.support.nursery import service, short_event
from tests.support.page_attack import attacked
from tests.support.page_client import PageClient, basic
from tests.support.waiting import wait_until

BASE = "edge_detector/nursery"
PASSWORD = "correct horse"  # noqa: S105 - of tests alone
MOST_ADDED_BYTES = 20_000_000
MOST_ADDED_FILES = ConnectionLimits().in_total + 4 * ACCEPTED_AT_ONCE
WATCHDOG_SECONDS = 6.0
SETTLE_SECONDS = 60.0


class TimedInbox(Inbox):
    """Knows when each message came, and how long ago the window of probabilities had ended."""

    def __init__(self) -> None:
        super().__init__()
        self.latencies_ms: list[float] = []
        self.at_seconds: list[float] = []

    def receive(self, message: Message) -> None:
        if message.topic.endswith("/probabilities"):
            window_end = datetime.fromisoformat(json.loads(message.payload)["time"]).timestamp()
            self.latencies_ms.append((time.time() - window_end) * 1e3)
        self.at_seconds.append(time.monotonic())
        super().receive(message)


@dataclass(frozen=True, slots=True)
class Phase:
    """What came while one sound was played.

    Attributes:
        events: classes of starts and ends.
        latencies_ms: from the end of a window to the receipt of its probabilities.
        most_bytes, most_files: memory and file descriptors of the service.
        page_seconds: how long a user waited for the state of the node; None if it did not come.
        answers: of the attack, by kind and status.

    """

    events: tuple[tuple[str, str], ...]
    latencies_ms: Sequence[float]
    cpu_percent: float
    most_bytes: int
    most_files: int
    page_seconds: float | None
    answers: Counter[str]

    @staticmethod
    def together(phases: Sequence["Phase"]) -> "Phase":
        """Several phases as one, with the longest wait of a user."""
        waits = [phase.page_seconds for phase in phases if phase.page_seconds is not None]
        return Phase(
            tuple(event for phase in phases for event in phase.events),
            [latency_ms for phase in phases for latency_ms in phase.latencies_ms],
            statistics.mean(phase.cpu_percent for phase in phases),
            max(phase.most_bytes for phase in phases),
            max(phase.most_files for phase in phases),
            max(waits, default=None),
            sum((phase.answers for phase in phases), Counter()),
        )

    @property
    def refused(self) -> int:
        """Requests that the page refused."""
        return sum(number for kind, number in self.answers.items() if kind[-3:].startswith("4"))

    def __str__(self) -> str:
        """Return the figures as one line."""
        windows = sorted(self.latencies_ms)
        page = "none" if self.page_seconds is None else f"{self.page_seconds:.2f} s"
        return (
            f"{len(windows)} windows, latency p50 {statistics.median(windows):.1f} ms, p90 {windows[int(0.9 * len(windows))]:.1f}"
            f" ms, max {windows[-1]:.1f} ms; CPU {self.cpu_percent:.0f} %, {self.most_bytes / 1e6:.1f} MB, "
            f"{self.most_files} files; an answer took {page}; {dict(sorted(self.answers.items()))}"
        )


class Attacked:
    """A service with a page and a password, and everything that it tells broker and systemd; use it as a context manager."""

    def __init__(self, folder: Path, broker: Broker, microphone: FakeMicrophone) -> None:
        self._folder = folder
        self._broker = broker
        self._microphone = microphone
        self._stack = ExitStack()
        self.port = free_port()
        self.page = PageClient(self.port, basic(PASSWORD))
        self.inbox = TimedInbox()
        self.fed_at_seconds: list[float] = []
        self.files = 0

    def __enter__(self) -> Self:
        password = self._folder / "password"
        password.write_text(PASSWORD)
        password.chmod(0o600)
        systemd = self._stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
        systemd.bind(str(self._folder / "notify"))
        threading.Thread(target=self._listen, args=(systemd,), daemon=True).start()
        address = Address(self._broker.host, self._broker.port, "test-attacked")
        self._stack.enter_context(subscription(address, f"{BASE}/#", self.inbox.receive))
        web = f'[web]\nlisten = "0.0.0.0:{self.port}"\npassword_file = "{password}"\n'
        state, notify = str(self._folder / "state"), str(self._folder / "notify")
        running = service(self._folder, self._broker, self._microphone, state=state, notify=notify, extra=web)
        self.process: Popen[str] = self._stack.enter_context(running)
        self._seen = psutil.Process(self.process.pid)
        self.page.wait()
        self.inbox.wait_for(lambda item: item.topic.endswith("/probabilities"), "a window")
        self.files = self._seen.num_fds()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self._stack.close()

    @property
    def open_files(self) -> int:
        """File descriptors of the service now."""
        return int(self._seen.num_fds())

    def quiet(self) -> Phase:
        """Play a sound."""
        return self._phase()

    def attack(self) -> Phase:
        """Play a sound during an attack."""
        with attacked(self.port, self.page.headers["Authorization"]) as answers:
            phase = self._phase()
        phase.answers.update(answers)
        return phase

    def _phase(self) -> Phase:
        before = self.inbox.json("cot/event")
        first_window, cpu_before, since_seconds = len(self.inbox.latencies_ms), self._cpu_seconds, time.monotonic()
        self._microphone.play(short_event()[1], latency_milliseconds=200)
        most_bytes = most_files = 0

        def has_ended() -> bool:
            nonlocal most_bytes, most_files
            most_bytes = max(most_bytes, self._seen.memory_info().rss)
            most_files = max(most_files, self._seen.num_fds())
            events = self.inbox.json("cot/event")[len(before) :]
            return any(event["event_type"] == "end" for event in events)

        wait_until(has_ended, "the end of an event")
        cpu_percent = 100.0 * (self._cpu_seconds - cpu_before) / (time.monotonic() - since_seconds)
        page_seconds = self._answer_seconds()
        latencies_ms = tuple(self.inbox.latencies_ms[first_window:])
        events = tuple((event["event_type"], event["slug"]) for event in self.inbox.json("cot/event")[len(before) :])
        return Phase(events, latencies_ms, cpu_percent, most_bytes, most_files, page_seconds, Counter())

    @property
    def _cpu_seconds(self) -> float:
        times = self._seen.cpu_times()
        return float(times.user + times.system)

    def _answer_seconds(self) -> float | None:
        since_seconds = time.monotonic()
        try:
            answer = self.page.ask("GET", "/api/node")
        except OSError:
            return None
        return time.monotonic() - since_seconds if answer.status == HTTPStatus.OK else None

    def _listen(self, systemd: socket.socket) -> None:
        try:
            while True:
                if b"WATCHDOG=1" in systemd.recv(4_096):
                    self.fed_at_seconds.append(time.monotonic())
        except OSError:
            return


def gaps(probabilities: Sequence[dict[str, Any]]) -> list[tuple[int, int]]:
    """Sequence numbers between which a window is missing."""
    return [(a["seq"], b["seq"]) for a, b in pairwise(probabilities) if b["seq"] != a["seq"] + 1]


def require_unharmed(node: Attacked, quiet: Phase, attack: Phase) -> None:
    """Require that an attack has cost detection nothing, and leaves nothing behind."""
    assert gaps(node.inbox.json("cot/probabilities")) == []
    assert all(event["lost_samples"] == 0 for event in node.inbox.json("cot/event"))
    assert attack.events == quiet.events
    assert attack.most_bytes - quiet.most_bytes < MOST_ADDED_BYTES
    assert attack.most_files <= node.files + MOST_ADDED_FILES
    assert all(later - earlier < WATCHDOG_SECONDS for earlier, later in pairwise(node.fed_at_seconds))
    wait_until(lambda: node.open_files <= node.files, "the files of the attack to be closed", deadline_seconds=SETTLE_SECONDS)
    (source,) = node.page.get("/api/health")["sources"]
    assert (source["state"], source["lost_samples"]) == ("healthy", 0)
