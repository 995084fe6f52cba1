"""Kills, stops and freezes the broker and kills the service, at random; every event that was decided arrives.

    python -m tests.chaos.delivery --seconds 120

The broker keeps sessions over its crashes (`autosave_on_changes true`), so that what it has acknowledged it still owes.
"""

import argparse
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from edge_detector.types import Message
from tests.chaos.subscriber import PersistentSubscriber
from tests.rigs.broker import Broker
from tests.rigs.waiting import wait_until

TOPIC = "node/cot/event"
CALM_SECONDS = 2.0
OUTAGE_SECONDS = 1.5


@dataclass(slots=True)
class Figures:
    """Of one run."""

    broker_killed: int = 0
    broker_stopped: int = 0
    broker_frozen: int = 0
    daemon_killed: int = 0
    decided: int = 0
    received: int = 0
    duplicates: int = 0
    interrupted: int = 0


class Chaos:
    """One broker, one service, and what happens to them."""

    def __init__(self, folder: Path, broker: Broker, seed: int) -> None:
        self._folder = folder
        self._broker = broker
        self._chance = random.Random(seed)
        self._run = 0
        self.figures = Figures()
        self.misdeeds: tuple[Callable[[], None], ...] = (
            self.kill_broker,
            self.stop_broker,
            self.freeze_broker,
            self.kill_daemon,
            self.kill_daemon,
        )
        self._daemon = self._start_daemon()

    def _start_daemon(self, *, idle: bool = False) -> subprocess.Popen[bytes]:
        self._run += 1
        run = "0" if idle else str(self._run)
        command = [sys.executable, "-m", "tests.chaos.daemon", str(self._folder), str(self._broker.port), run]
        with (self._folder / "log").open("ab") as log:
            return subprocess.Popen(command, stderr=log)

    def decided(self) -> set[str]:
        ledger = self._folder / "ledger"
        text = ledger.read_text() if ledger.exists() else ""
        return set(text[: text.rfind("\n") + 1].splitlines())

    def pause(self, longest_seconds: float) -> None:
        """Let things happen for a while, and at least one event be decided."""
        before = len(self.decided())
        time.sleep(self._chance.random() * longest_seconds)
        wait_until(lambda: len(self.decided()) > before, "an event to be decided", deadline_seconds=60.0)

    def kill_broker(self) -> None:
        self._broker.kill()
        self.pause(OUTAGE_SECONDS)
        self._broker.start()
        self.figures.broker_killed += 1

    def stop_broker(self) -> None:
        self._broker.stop()
        self.pause(OUTAGE_SECONDS)
        self._broker.start()
        self.figures.broker_stopped += 1

    def freeze_broker(self) -> None:
        """Long enough, sometimes, for a keepalive of 2 s to notice."""
        self._broker.freeze()
        self.pause(4 * OUTAGE_SECONDS)
        self._broker.thaw()
        self.figures.broker_frozen += 1

    def kill_daemon(self) -> None:
        self._daemon.kill()
        self._daemon.wait()
        self._daemon = self._start_daemon()
        self.figures.daemon_killed += 1

    def one(self) -> None:
        """One misdeed, at random, after a moment of calm."""
        self.pause(CALM_SECONDS)
        self._chance.choice(self.misdeeds)()

    def end(self) -> None:
        """Stop in good order, and deliver what is left."""
        self._daemon.send_signal(signal.SIGTERM)
        self._daemon.wait(90)
        self._daemon = self._start_daemon(idle=True)
        assert self._daemon.wait(90) == 0, f"not everything could be delivered:\n{(self._folder / 'log').read_text()}"

    def close(self) -> None:
        if self._daemon.poll() is None:
            self._daemon.kill()
        self._daemon.wait()


def check(figures: Figures, decided: set[str], messages: list[Message]) -> None:
    """Whatever was decided has arrived, and what arrived twice is the same."""
    payloads: dict[str, bytes] = {}
    counts: Counter[str] = Counter()
    for message in messages:
        key = json.loads(message.payload)["message_id"]
        assert payloads.setdefault(key, message.payload) == message.payload, f"two messages are called {key}"
        counts[key] += 1
    figures.decided, figures.received = len(decided), len(counts)
    figures.duplicates = counts.total() - len(counts)
    figures.interrupted = sum(b'"interrupted"' in payload for payload in payloads.values())
    missing = decided - set(counts)
    assert not missing, f"{len(missing)} of {len(decided)} decided events did not arrive: {sorted(missing)[:10]}"
    endless = [key for key in counts if key.endswith("/start") and key.replace("/start", "/end") not in counts]
    assert not endless, f"without an end: {endless}"


def rage(folder: Path, seed: int, goes_on: Callable[[Chaos], bool]) -> Figures:
    """Misdeeds for as long as `goes_on`, then peace, then the reckoning."""
    with (
        Broker("autosave_on_changes true", "max_queued_messages 0", persistent=True) as broker,
        PersistentSubscriber(broker.host, broker.port, TOPIC) as subscriber,
    ):
        chaos = Chaos(folder, broker, seed)
        try:
            while goes_on(chaos):
                chaos.one()
            chaos.end()
            wait_until(
                lambda: len({item.payload for item in subscriber.messages}) >= len(chaos.decided()),
                "the last events to reach the subscriber",
                deadline_seconds=30.0,
            )
        except TimeoutError:
            pass  # the reckoning says what is missing
        finally:
            chaos.close()
        check(chaos.figures, chaos.decided(), subscriber.messages)
        return chaos.figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--seed", type=int, default=time.time_ns() % 1_000_000)
    options = parser.parse_args()
    until = time.monotonic() + options.seconds
    with tempfile.TemporaryDirectory(prefix="chaos-") as folder:
        figures = rage(Path(folder), options.seed, lambda _: time.monotonic() < until)
    sys.stdout.write(f"seed {options.seed}: {figures}\n")


if __name__ == "__main__":
    main()
