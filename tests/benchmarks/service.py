"""Memory and latency of the running service, and the memory of YAMNet's bare loop in a process of its own."""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import psutil

from edge_detector.mqtt.address import Broker as Address
from edge_detector.mqtt.client import subscription
from edge_detector.types import Message
from tests.support.broker import Broker
from tests.support.fake_microphone import FakeMicrophone

WINDOWS = 20

_YAMNET_LOOP = """
import sys, numpy as np
from edge_detector.detection.tflite import interpreter_class
interpreter = interpreter_class()(model_path=sys.argv[1], num_threads=1)
interpreter.allocate_tensors()
entry, output = interpreter.get_input_details()[0]["index"], interpreter.get_output_details()[0]["index"]
window = np.zeros(15600, np.float32)
for _ in range(20):
    interpreter.set_tensor(entry, window); interpreter.invoke(); interpreter.get_tensor(output)
print(open("/proc/self/statm").read().split()[1])
"""


@dataclass(frozen=True, slots=True)
class Service:
    """What the service costs while it runs."""

    memory_bytes: int
    all_latencies_milliseconds: tuple[float, ...]

    @property
    def latency_milliseconds(self) -> float:
        """The median."""
        return statistics.median(self.all_latencies_milliseconds)


def measure_service(bundle: Path | None) -> Service:
    """Run the service on the fake microphone for some windows. The microphone's clock is the machine's own."""
    latencies: list[float] = []
    enough = threading.Event()

    def receive(message: Message) -> None:
        if message.topic.endswith("/probabilities"):
            window_end = datetime.fromisoformat(json.loads(message.payload)["time"]).timestamp()
            latencies.append((time.time() - window_end) * 1e3)
            if len(latencies) >= WINDOWS:
                enough.set()

    with FakeMicrophone() as microphone, Broker() as broker, tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "edge.toml"
        path = f'[bundle]\npath = "{bundle.resolve()}"\n' if bundle else ""
        config.write_text(f'{path}[mqtt]\nhost = "{broker.host}"\nport = {broker.port}\n')
        command = [sys.executable, "-m", "edge_detector", "run", "--config", str(config)]
        with (
            subscription(Address(broker.host, broker.port, "bench"), "#", receive),
            subprocess.Popen(command, env={**os.environ, **microphone.environment}, stderr=subprocess.DEVNULL) as process,
        ):
            if not enough.wait(WINDOWS + 30):
                sys.exit("the service did not publish")
            memory_bytes = psutil.Process(process.pid).memory_info().rss
            process.terminate()
    return Service(memory_bytes, tuple(latencies))


def yamnet_memory_bytes(model: Path) -> int:
    """Resident memory of a process that does nothing but call YAMNet."""
    command = [sys.executable, "-c", _YAMNET_LOOP, str(model)]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    return int(result.stdout) * os.sysconf("SC_PAGE_SIZE")
