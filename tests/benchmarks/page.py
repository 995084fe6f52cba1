"""The page's cost: CPU, memory, latency of MQTT and bytes with no, one, three and twenty browsers.

Run `python -m tests.benchmarks.page`. Two services run side by side on the fake microphone, one of them without a page; browsers
come and go at the other in rounds, so that a machine that slows down slows both. A browser here is a reader of the live stream.
"""

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import psutil

from edge_detector.mqtt.address import Broker as Address
from edge_detector.mqtt.client import subscription
from edge_detector.types import Message
from tests.support.broker import Broker, free_port
from tests.support.fake_microphone import FakeMicrophone

BROWSERS = (0, 1, 3, 20)
WITHOUT, WITH = "without", "with"
_READERS = """
import asyncio, sys
async def read(port, counts, number):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /api/live HTTP/1.1\\r\\nHost: 127.0.0.1\\r\\n\\r\\n")
    while chunk := await reader.read(65536):
        counts[number] += len(chunk)
async def main():
    port, number = int(sys.argv[1]), int(sys.argv[2])
    counts = [0] * number
    tasks = [asyncio.create_task(read(port, counts, n)) for n in range(number)]
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
    print(sum(counts) / number, flush=True)
    for task in tasks:
        task.cancel()
asyncio.run(main())
"""


@dataclass(frozen=True, slots=True)
class Phase:
    """One service over one phase."""

    cpu_percent: float
    rss_mb: float
    latencies_ms: tuple[float, ...]


class Latencies:
    """Time from the end of a window to its receipt, by node, since the last `take`."""

    def __init__(self) -> None:
        self._of: dict[str, list[float]] = defaultdict(list)

    def receive(self, message: Message) -> None:
        _, node, *_, leaf = message.topic.split("/")
        if leaf == "probabilities":
            window_end = datetime.fromisoformat(json.loads(message.payload)["time"]).timestamp()
            self._of[node].append((time.time() - window_end) * 1e3)

    def take(self, node: str) -> tuple[float, ...]:
        return tuple(self._of.pop(node, ()))


def measured(processes: Mapping[str, psutil.Process], latencies: Latencies, seconds: float) -> dict[str, Phase]:
    """Each service over the next seconds, by the name of its node."""
    before = {name: process.cpu_times() for name, process in processes.items()}
    for name in processes:
        latencies.take(name)
    since = time.monotonic()
    time.sleep(seconds)
    took = time.monotonic() - since
    found = {}
    for name, process in processes.items():
        after = process.cpu_times()
        cpu = after.user + after.system - before[name].user - before[name].system
        found[name] = Phase(100 * cpu / took, process.memory_info().rss / 1e6, latencies.take(name))
    return found


@contextmanager
def service(node: str, sources: int, broker: Broker, microphone: FakeMicrophone, web: str) -> Iterator[psutil.Process]:
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "edge.toml"
        tables = "".join(f'[[source]]\nname = "mic{number}"\nkind = "arecord"\n' for number in range(sources))
        mqtt = f'[mqtt]\nhost = "{broker.host}"\nport = {broker.port}\n'
        config.write_text(f'[node]\nname = "{node}"\n{tables}{mqtt}{web}')
        command = [sys.executable, "-m", "edge_detector", "run", "--config", str(config)]
        environment = {**os.environ, **microphone.environment, "STATE_DIRECTORY": folder}
        with subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL) as process:
            try:
                yield psutil.Process(process.pid)
            finally:
                process.terminate()


@contextmanager
def browsers(port: int, number: int) -> Iterator[list[float]]:
    """Let so many browsers read meanwhile; the list has the bytes that each has read, in the mean."""
    each: list[float] = []
    if not number:
        yield each
        return
    with subprocess.Popen(
        [sys.executable, "-c", _READERS, str(port), str(number)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield each
        output, _ = process.communicate("\n")
        each.append(float(output))


def measure(seconds: float, rounds: int, sources: int) -> None:
    found: dict[tuple[str, int], list[Phase]] = defaultdict(list)
    read: dict[int, list[float]] = defaultdict(list)
    latencies = Latencies()
    port = free_port()
    with contextlib.ExitStack() as stack:
        microphone, broker = stack.enter_context(FakeMicrophone()), stack.enter_context(Broker())
        stack.enter_context(subscription(Address(broker.host, broker.port, "bench"), "#", latencies.receive))
        web = f'[web]\nlisten = "127.0.0.1:{port}"\n'
        processes = {
            WITHOUT: stack.enter_context(service(WITHOUT, sources, broker, microphone, "")),
            WITH: stack.enter_context(service(WITH, sources, broker, microphone, web)),
        }
        time.sleep(15.0)  # both have started, and the first windows are past
        for _ in range(rounds):
            for number in BROWSERS:
                with browsers(port, number) as each:
                    time.sleep(2.0)  # they are connected
                    for name, phase in measured(processes, latencies, seconds).items():
                        found[name, number].append(phase)
                read[number].extend(count / (seconds + 2.0) for count in each)
    report(found, read, seconds, rounds, sources)


def report(
    found: dict[tuple[str, int], list[Phase]], read: dict[int, list[float]], seconds: float, rounds: int, sources: int
) -> None:
    lines = [f"{sources} source(s), {rounds} rounds of {seconds:.0f} s for each number of browsers; medians (least to most):"]
    for number in BROWSERS:
        without, with_page = found[WITHOUT, number], found[WITH, number]
        added = [page.cpu_percent - bare.cpu_percent for page, bare in zip(with_page, without, strict=True)]
        memory = [page.rss_mb - bare.rss_mb for page, bare in zip(with_page, without, strict=True)]
        bare_ms = statistics.median([ms for phase in without for ms in phase.latencies_ms])
        page_ms = statistics.median([ms for phase in with_page for ms in phase.latencies_ms])
        rate = f", {statistics.median(read[number]) / 1e3:.1f} kB/s each" if read[number] else ""
        lines.append(
            f"  {number:2} browsers: CPU +{_spread(added)} % of a core, memory +{_spread(memory)} MB, "
            f"latency {page_ms:.1f} ms, without a page {bare_ms:.1f} ms{rate}"
        )
    sys.stdout.write("\n".join(lines) + "\n")


def _spread(values: list[float]) -> str:
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--sources", type=int, default=1)
    options = parser.parse_args()
    measure(options.seconds, options.rounds, options.sources)


if __name__ == "__main__":
    main()
