"""Sound through the service as fast as it goes. Memory, open files and threads are read at the end of each hour of sound."""

import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import psutil

from edge_detector.config import Config, MqttConfig, SourceConfig
from edge_detector.demo.soundscape import make_soundscape
from edge_detector.mqtt.address import Broker as Address
from edge_detector.mqtt.outbox import Outbox
from edge_detector.mqtt.sqlite_store import SqliteStore
from edge_detector.params import FRONT_END
from edge_detector.service.factory import load_networks
from edge_detector.service.service import Service
from edge_detector.service.settings_file import SettingsFile
from edge_detector.service.state import State
from edge_detector.types import Block, Message
from tests.support.broker import Broker
from tests.system.soak.report import Reading, disagreement, growth

BLOCK_SAMPLES = 16_000
HOUR_SAMPLES = 3_600 * FRONT_END.sample_rate_hz
LEDGER = "ledger"


class EndlessSoundscape:
    """A source that plays the soundscape over and over, and reads the process's vitals after each hour of it."""

    live = False
    rate_hz = FRONT_END.sample_rate_hz
    stream_id = "soak"
    waiting_seconds = 0.0
    overflows = 0

    def __init__(self, hours: float, reading_hours: float) -> None:
        self._reading_samples = round(reading_hours * HOUR_SAMPLES)
        self._samples = make_soundscape().block.samples
        self._process = psutil.Process()
        self._end_sample = round(hours * HOUR_SAMPLES)
        self.given_samples = 0
        self.ended = False
        self.readings: list[Reading] = []

    def read(self, timeout_seconds: float) -> Block | None:  # noqa: ARG002 - it never has to wait
        if self.given_samples >= self._end_sample:
            self.ended = True
            return None
        at = self.given_samples % len(self._samples)
        samples = self._samples[at : at + min(BLOCK_SAMPLES, self._end_sample - self.given_samples)]
        block = Block(samples, self.given_samples)
        self.given_samples += len(samples)
        if self.given_samples // self._reading_samples > block.first_sample // self._reading_samples:
            self.readings.append(Reading.of(self._process, f"reading {len(self.readings) + 1}"))
        return block

    def close(self) -> None:
        self.ended = True


class LedgerOutbox(Outbox):
    """Writes down what it has committed, in a file of its own: in the database it would make that, and its cache, grow."""

    def __init__(self, folder: Path) -> None:
        super().__init__(lambda: SqliteStore(folder / "outbox.sqlite"), time.monotonic)
        self._ledger = (folder / LEDGER).open("w")

    def commit(self, added: Sequence[Message], delivered: Collection[str] = (), refused: Mapping[str, str] | None = None) -> None:
        super().commit(added, delivered, refused)
        self._ledger.writelines(f"{message.message_id}\n" for message in added)

    def close(self) -> None:
        super().close()
        self._ledger.close()


def soak(hours: float, reading_hours: float = 1.0) -> tuple[dict[str, object], list[str]]:
    """Run the service for so many hours of sound; return figures and problems. Growth is counted from the first reading."""
    source = EndlessSoundscape(hours, reading_hours)
    with Broker("max_queued_messages 0") as broker, tempfile.TemporaryDirectory() as folder:
        outbox = LedgerOutbox(Path(folder))
        command = [sys.executable, "-m", "tests.system.soak.count", broker.host, str(broker.port)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as counter:
            assert counter.stdout is not None
            counter.stdout.readline()
            config = Config(
                node="soak",
                bundle=None,
                sources=(SourceConfig("day", "file", "a soundscape"),),
                mqtt=MqttConfig(host=broker.host, port=broker.port, probabilities="off"),
                overrides={},
            )
            state = State(outbox, SettingsFile(Path(folder) / "settings.json"))
            address = Address(broker.host, broker.port, "soak")
            service = Service(config, load_networks(None), address, state, open_source=lambda _config: source)
            began = time.monotonic()
            service.run(threading.Event(), lambda: None)
            seconds = time.monotonic() - began
            received = json.loads(counter.stdout.readline())
        events = (Path(folder) / LEDGER).read_text().splitlines()
    telemetry = service.telemetry_of("day")
    problems = growth(source.readings) + disagreement(events, received)
    if source.given_samples != telemetry.heard_samples + telemetry.lost_samples:
        problems.append("samples in are not samples heard plus samples lost")
    figures = {
        "hours": hours,
        "seconds": round(seconds, 1),
        "samples_in": source.given_samples,
        "samples_heard": telemetry.heard_samples,
        "samples_lost": telemetry.lost_samples,
        "events_decided": len(events),
        "events_received": len(received),
        "dropped_messages": service.dropped_messages,
        "rss_bytes": [reading.rss_bytes for reading in source.readings],
    }
    return figures, problems
