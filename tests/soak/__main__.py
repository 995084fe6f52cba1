"""`make soak`: a day of sound through the service as fast as it goes, with events every minute; nothing may grow or be lost.

Memory, open files and threads are read at the end of each hour of sound; the first is for warming up.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import psutil

from edge_detector.cli.build import load_ears
from edge_detector.cli.service import Service
from edge_detector.cli.state import open_state
from edge_detector.core.config import Config, MqttConfig, SourceConfig
from edge_detector.core.soundscape import make_soundscape
from edge_detector.edges.mqtt import Broker as Address
from edge_detector.params import FRONT_END
from edge_detector.types import Block
from tests.rigs.broker import Broker

BLOCK_SAMPLES = 16_000
HOUR_SAMPLES = 3_600 * FRONT_END.sample_rate_hz
MEMORY_GROWTH = 0.02


class EndlessSoundscape:
    """A source that plays the soundscape over and over, and reads the process's vitals after each hour of it."""

    live = False
    rate_hz = FRONT_END.sample_rate_hz
    stream_id = "soak"
    waiting_seconds = 0.0

    def __init__(self, hours: float) -> None:
        self._samples = make_soundscape().block.samples
        self._process = psutil.Process()
        self._end_sample = round(hours * HOUR_SAMPLES)
        self.given_samples = 0
        self.ended = False
        self.hours: list[dict[str, int]] = []

    def read(self, timeout_seconds: float) -> Block | None:  # noqa: ARG002 - it never has to wait
        if self.given_samples >= self._end_sample:
            self.ended = True
            return None
        at = self.given_samples % len(self._samples)
        samples = self._samples[at : at + min(BLOCK_SAMPLES, self._end_sample - self.given_samples)]
        block = Block(samples, self.given_samples)
        if self.given_samples // HOUR_SAMPLES < (self.given_samples + len(samples)) // HOUR_SAMPLES:
            self._note()
        self.given_samples += len(samples)
        return block

    def close(self) -> None:
        self.ended = True

    def _note(self) -> None:
        vitals = {
            "rss_bytes": self._process.memory_info().rss,
            "open_files": len(os.listdir("/proc/self/fd")),  # noqa: PTH208 - Path.iterdir would open one more
            "threads": self._process.num_threads(),
        }
        self.hours.append(vitals)
        sys.stderr.write(f"hour {len(self.hours)}: {vitals}\n")


def soak(hours: float) -> dict[str, object]:
    """Run the service for so many hours of sound; what was seen."""
    source = EndlessSoundscape(hours)
    with Broker("max_queued_messages 0") as broker, tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "tests.soak.count", broker.host, str(broker.port)]
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
            state = open_state(Path(folder), config.outbox)
            address = Address(broker.host, broker.port, "soak")
            service = Service(config, load_ears(None), address, state, open_source=lambda _config: source)
            began = time.monotonic()
            service.run(threading.Event(), lambda: None)
            seconds = time.monotonic() - began
            received = json.loads(counter.stdout.readline())
    vitals = service.vitals_of("day")
    return {
        "hours": hours,
        "seconds": round(seconds, 1),
        "samples_in": source.given_samples,
        "samples_heard": vitals.heard_samples,
        "samples_lost": vitals.lost_samples,
        "dropped": service.dropped_messages,
        "received": received,
        "by_hour": source.hours,
    }


def problems(seen: dict[str, object]) -> list[str]:
    """What went wrong, one sentence each."""
    found = []
    by_hour = seen["by_hour"]
    assert isinstance(by_hour, list)
    first, last = by_hour[0], by_hour[-1]
    if last["rss_bytes"] > (1 + MEMORY_GROWTH) * first["rss_bytes"]:
        found.append(f"memory grew from {first['rss_bytes']} to {last['rss_bytes']} bytes")
    found += [
        f"{name} went from {first[name]} to {last[name]}" for name in ("open_files", "threads") if first[name] != last[name]
    ]
    received = seen["received"]
    assert isinstance(received, dict)
    if not received["starts"] or received["starts"] != received["ends"] or received["open"] or seen["dropped"]:
        found.append(f"events do not add up: {received}, {seen['dropped']} dropped")
    if seen["samples_in"] != int(str(seen["samples_heard"])) + int(str(seen["samples_lost"])):
        found.append("samples in are not samples heard plus samples lost")
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hours", type=float, default=24.0)
    seen = soak(parser.parse_args().hours)
    sys.stdout.write(json.dumps({key: value for key, value in seen.items() if key != "by_hour"}) + "\n")
    for problem in problems(seen):
        sys.stdout.write(f"PROBLEM: {problem}\n")
    return bool(problems(seen))


if __name__ == "__main__":
    sys.exit(main())
