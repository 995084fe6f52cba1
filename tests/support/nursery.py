"""The whole service of a node called nursery as a process, with a fake microphone, and something for it to hear."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from edge_detector.demo.soundscape import make_soundscape
from tests.support.broker import Broker
from tests.support.fake_microphone import FakeMicrophone


@contextmanager
def service(
    folder: Path,
    broker: Broker,
    microphone: FakeMicrophone,
    *,
    source: str = "cot",
    extra: str = "",
    notify: str = "",
    state: str = "",
) -> Iterator[subprocess.Popen[str]]:
    config = folder / "edge.toml"
    mqtt = f'[mqtt]\nhost = "{broker.host}"\nport = {broker.port}\n'
    config.write_text(f'[node]\nname = "nursery"\n[[source]]\nname = "{source}"\nhop = 0.48\n{mqtt}{extra}')
    environment = {**os.environ, **microphone.environment, "NOTIFY_SOCKET": notify, "STATE_DIRECTORY": state}
    command = [sys.executable, "-m", "edge_detector", "run", "--config", str(config)]
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


def one_event() -> tuple[str, bytes]:
    """Slug and samples of the soundscape's first event, with quiet after it."""
    soundscape = make_soundscape()
    event = soundscape.events[0]
    samples = np.concatenate([soundscape.samples[event.first_sample : event.end_sample], np.zeros(64_000, np.int16)])
    return event.slug, samples.astype("<i2").tobytes()


def short_event() -> tuple[str, bytes]:
    """Slug and samples of its first two seconds, with more quiet, for tests that wait for the end."""
    slug, pcm = one_event()
    return slug, pcm[:64_000] + bytes(160_000)
