"""Kills, stops and freezes the broker and kills the service, at random; every event that was decided arrives.

    python -m tests.system.chaos.delivery --seconds 120

Many events a second, without sound. With sound, and a microphone that dies too: tests.system.chaos.everything.
"""

import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.broker import Broker
from tests.support.waiting import wait_until
from tests.system.chaos.command_line import options
from tests.system.chaos.daemon import DRAIN_SECONDS
from tests.system.chaos.outages import Outage, broker_outages, persistent_broker
from tests.system.chaos.reckoning import Deliveries, reckon
from tests.system.chaos.subscriber import PersistentSubscriber

TOPIC = "node/cot/event"
CALM_SECONDS = 2.0
OUTAGE_SECONDS = 3.0
"""At most; a frozen broker is then sometimes noticed by the keepalive of 2 s and sometimes not."""

END_SECONDS = DRAIN_SECONDS + 60.0


@dataclass(frozen=True, slots=True)
class Figures:
    """Of one run."""

    misdeeds: Counter[str]
    deliveries: Deliveries


class Chaos:
    """One broker, one service, and what happens to them."""

    def __init__(self, folder: Path, broker: Broker, seed: int) -> None:
        self._folder = folder
        self._port = broker.port
        self._chance = random.Random(seed)
        self._run = 0
        self._daemon = self._start_daemon()
        self.misdeeds = (*broker_outages(broker, self._hush), Outage("daemon killed", self._replace_daemon, lambda: None))
        self.counts: Counter[str] = Counter()

    def _start_daemon(self, *, idle: bool = False) -> subprocess.Popen[bytes]:
        self._run += 1
        run = "0" if idle else str(self._run)
        command = [sys.executable, "-m", "tests.system.chaos.daemon", str(self._folder), str(self._port), run]
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
        wait_until(lambda: len(self.decided()) > before, "an event to be decided", deadline_seconds=END_SECONDS)

    def do(self, misdeed: Outage) -> None:
        misdeed.begin()
        time.sleep(self._chance.random() * OUTAGE_SECONDS)
        misdeed.end()
        self.counts[misdeed.name] += 1

    def one(self) -> None:
        """One misdeed, at random, after a moment of calm."""
        self.pause(CALM_SECONDS)
        self.do(self._chance.choice(self.misdeeds))

    @contextmanager
    def _hush(self) -> Iterator[None]:
        self._daemon.send_signal(signal.SIGSTOP)
        yield
        self._daemon.send_signal(signal.SIGCONT)

    def _replace_daemon(self) -> None:
        self._daemon.kill()
        self._daemon.wait()
        self._daemon = self._start_daemon()

    def end(self) -> None:
        """Stop in good order, and deliver what is left."""
        self._daemon.send_signal(signal.SIGTERM)
        self._daemon.wait(END_SECONDS)
        self._daemon = self._start_daemon(idle=True)
        assert self._daemon.wait(END_SECONDS) == 0, f"not everything could be delivered:\n{(self._folder / 'log').read_text()}"

    def close(self) -> None:
        if self._daemon.poll() is None:
            self._daemon.kill()
        self._daemon.wait()


def rage(folder: Path, seed: int, goes_on: Callable[[Chaos], bool]) -> Figures:
    """Misdeeds for as long as `goes_on`, then peace, then the reckoning."""
    with persistent_broker() as broker, PersistentSubscriber(broker.host, broker.port, TOPIC) as subscriber:
        chaos = Chaos(folder, broker, seed)
        try:
            while goes_on(chaos):
                chaos.one()
            chaos.end()
            wait_until(
                lambda: len(set(subscriber.messages("event"))) >= len(chaos.decided()),
                "the last events to reach the subscriber",
                deadline_seconds=30.0,
            )
        except TimeoutError:
            pass  # the reckoning says what is missing
        finally:
            chaos.close()
        return Figures(chaos.counts, reckon(chaos.decided(), subscriber.messages("event")))


def main() -> None:
    seed, goes_on = options(__doc__, seconds=120.0)
    with tempfile.TemporaryDirectory(prefix="chaos-") as folder:
        figures = rage(Path(folder), seed, goes_on)
    sys.stdout.write(f"seed {seed}: {figures}\n")


if __name__ == "__main__":
    main()
