"""A fleet on one mosquitto: what each node costs the broker, and what happens when the broker comes back.

Run `python -m tests.benchmarks.fleet`; `--nodes 50` is quicker. The nodes are the service's own publishers with its own messages,
in a few processes: they hear nothing, and what these processes cannot send in time is not the broker's limit. The daemons are
whole ones, each on a recording in real time.
"""

import argparse
import json
import logging
import multiprocessing
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import psutil

from edge_detector import __version__
from edge_detector.audio.dump import Dump
from edge_detector.audio.sample_clock import Anchor
from edge_detector.demo.soundscape import make_soundscape
from edge_detector.detection.classes import enabled_classes
from edge_detector.mqtt import home_assistant, messages
from edge_detector.mqtt.address import Broker as Address
from edge_detector.mqtt.client import packet_bytes, subscription
from edge_detector.mqtt.home_assistant import Device, birth_topic
from edge_detector.mqtt.name_conflict import own_filters
from edge_detector.mqtt.publisher import Publisher
from edge_detector.mqtt.reporter import Reporter
from edge_detector.mqtt.runtime_settings import RuntimeSettings, Settings, SourceDefaults
from edge_detector.mqtt.telemetry import PERIOD_SECONDS, Inventory, Period, SourceTelemetry, Telemetry
from edge_detector.mqtt.troubles import NO_TROUBLES
from edge_detector.params import FRONT_END
from edge_detector.service.factory import LoadedBundle, load_networks
from edge_detector.types import Message, ProbabilityRate, Scores
from tests.support.broker import Broker
from tests.support.waiting import wait_until

SOURCE = "mic"
HOP_SAMPLES = FRONT_END.patch_step_samples
HOP_SECONDS = HOP_SAMPLES / FRONT_END.sample_rate_hz
RATES: tuple[ProbabilityRate, ...] = ("hop", "second", "off")
STEADY_SECONDS = 60.0
SETTLE_SECONDS = 3.0
DAEMONS_SECONDS = 60.0
AWAY_SECONDS = 15.0
LONGEST_SECONDS = 120.0
"""Longest wait for all nodes to connect and to tell their states."""
WATCH_SECONDS = 0.1
NODES_A_PROCESS = 250
"""Each node has three files open, and paho waits with select, which takes 1,024."""


def device(networks: LoadedBundle, node: str, *, sources: int = 1, commands: bool = False) -> Device:
    """The node as Home Assistant gets it, with the classes that are switched on as shipped and a link to the page."""
    classes = enabled_classes(networks.classes, networks.rules[1])
    names = (SOURCE,) if sources == 1 else tuple(f"{SOURCE}{number}" for number in range(sources))
    return Device(
        node=node,
        base=f"edge_detector/{node}",
        version=__version__,
        bundle=f"{networks.manifest.name} {networks.manifest.version}",
        sources=dict.fromkeys(names, classes),
        commands=commands,
        page_url=f"http://{node}.local:8080",
    )


def inventory(networks: LoadedBundle) -> Inventory:
    manifest = networks.manifest
    return Inventory(__version__, f"{manifest.name} {manifest.version}", networks.manifest_sha256, 64 * "0", restart_needed=False)


class Node:
    """The publisher of one node with one source and what it sends; there is no sound.

    Attributes:
        sent_messages, sent_bytes: handed to the publisher since the last `take`.

    """

    def __init__(self, networks: LoadedBundle, host: str, port: int, name: str) -> None:
        self._networks = networks
        self._base = f"edge_detector/{name}"
        self._names = messages.Names(self._base, name, SOURCE, "0123456789ab", "01234567", f"http://{name}.local:8080")
        self._random = np.random.default_rng(len(name))
        self._hops = 0
        self._anchor = Anchor(0, time.time(), "system")
        self.use(RATES[0])
        self.sent_messages = self.sent_bytes = 0
        self._greeting = messages.status(self._base, online=True)
        self.publisher = Publisher(
            Address(host, port, name),
            last_will=messages.status(self._base, online=False),
            greeting=self._greeting,
            subscriptions=(birth_topic(),),
            own_filters=own_filters(self._base),
        )
        self.states = tuple(self._states(device(networks, name)))
        for message in self.states:
            self.publisher.publish(message)

    def use(self, rate: ProbabilityRate) -> None:
        """Publish probabilities at this rate from now on."""
        self._reporter = Reporter(self._names, self._networks.classes, self._networks.rules[1], rate, time.time)

    @property
    def has_told_all(self) -> bool:
        """Whether the broker has acknowledged every state on this connection."""
        return self.publisher.has_published([self._greeting.topic, *(state.topic for state in self.states)])

    def hop(self) -> None:
        """Send what a window of sound gives."""
        shape = len(self._networks.classes)
        first = self._hops * HOP_SAMPLES
        scores = Scores(self._random.random(shape, np.float32), 10, self._hops, first, first + FRONT_END.patch_samples, 0, -43.2)
        for message in self._reporter.report(scores, self._anchor):
            self._send(message)
        self._hops += 1
        if self._hops % round(PERIOD_SECONDS / HOP_SECONDS) == 0:
            self._send(self._telemetry())

    def take(self) -> tuple[int, int]:
        """Messages and bytes sent since the last call."""
        sent = self.sent_messages, self.sent_bytes
        self.sent_messages = self.sent_bytes = 0
        return sent

    def _send(self, message: Message) -> None:
        self.publisher.publish(message)
        self.sent_messages += 1
        self.sent_bytes += packet_bytes(message)

    def _states(self, device: Device) -> Iterator[Message]:
        yield from self._reporter.initial_state()
        yield from self._reporter.set_health("healthy", "ok")
        yield messages.level(self._names, -43.2)
        yield self._telemetry()
        slugs = (sound.slug for sound in self._networks.classes)
        defaults = {SOURCE: SourceDefaults(dict(zip(slugs, self._networks.rules[1], strict=True)))}
        yield from RuntimeSettings(self._base, defaults, Settings(), commands=False).answers()
        yield from home_assistant.discovery(device)

    def _telemetry(self) -> Message:
        figures = Telemetry(
            period=Period(86_400.123, 0.012345, 1.234, 20.1, 35.2),
            inventory=inventory(self._networks),
            rss_bytes=78_000_000,
            outbox_depth=0,
            dropped_messages=0,
            dropped_events=0,
            refused_messages=0,
            refused_commands=0,
            reconnects=0,
            sources={SOURCE: SourceTelemetry("healthy", "system", 12.3, 1_382_400_000, 0, 0, 0)},
            troubles=NO_TROUBLES,
        )
        return messages.telemetry(self._base, figures, time.time())


class Clock:
    """Gives each node its hops in time, evenly spread, on a thread of its own."""

    def __init__(self, nodes: Sequence[Node]) -> None:
        self._nodes = nodes
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        due_seconds, step_seconds = time.monotonic(), HOP_SECONDS / len(self._nodes)
        while True:
            for node in self._nodes:
                if self._stop.wait(max(0.0, due_seconds - time.monotonic())):
                    return
                node.hop()
                due_seconds += step_seconds


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def cpu_seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def entities(networks: LoadedBundle) -> None:
    """Print what a node costs Home Assistant."""
    for sources in (1, 4):
        for commands in (False, True):
            told = home_assistant.discovery(device(networks, "node_001", sources=sources, commands=commands))
            components = [entity for message in told for entity in json.loads(message.payload)["cmps"].values()]
            shown = sum(entity.get("en", True) for entity in components)
            size = sum(len(message.payload) for message in told)
            say(
                f"discovery, {sources} sources, commands {'on' if commands else 'off'}: {len(told)} messages, {size} bytes,"
                f" {len(components)} entities, {shown} of them on by default"
            )


@contextmanager
def everything_subscriber(broker: Broker) -> Iterator[None]:
    """A client that receives all messages, in a process of its own."""
    command = ["mosquitto_sub", "-h", broker.host, "-p", str(broker.port), "-t", "#"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        try:
            yield
        finally:
            process.terminate()


def serve_group(pipe: Connection, host: str, port: int, names: Sequence[str]) -> None:
    """Be these nodes, in a process of its own, until the pipe says "end"."""
    logging.disable()  # of all nodes at once
    networks = load_networks(None)
    nodes = [Node(networks, host, port, name) for name in names]
    clock: Clock | None = None
    pipe.send(sum(packet_bytes(message) for message in nodes[0].states))
    while (command := pipe.recv())[0] != "end":
        match command:
            case ("start", _):
                for node in nodes:
                    node.publisher.start()
                clock = Clock(nodes)
            case ("use", rate):
                for node in nodes:
                    node.use(rate)
            case ("take", _):
                taken = [node.take() for node in nodes]
                dropped = sum(node.publisher.dropped_messages for node in nodes)
                pipe.send((sum(each[0] for each in taken), sum(each[1] for each in taken), dropped))
            case ("watch", (connects, since)):
                pipe.send(watch(nodes, connects, since))
    if clock is not None:
        clock.close()


def watch(nodes: Sequence[Node], connects: int, since: float) -> tuple[list[float], list[float]]:
    """Seconds until each node was connected for the so-manyth time, and until the broker had all its states."""
    connected: dict[int, float] = {}
    told: dict[int, float] = {}
    while len(told) < len(nodes) and time.monotonic() < since + LONGEST_SECONDS:
        time.sleep(WATCH_SECONDS)
        now = time.monotonic() - since
        for number, node in enumerate(nodes):
            if number not in connected and node.publisher.wait_connected(0.0) and node.publisher.reconnects >= connects:
                connected[number] = now
            if number in connected and number not in told and node.has_told_all:
                told[number] = now
    return list(connected.values()), list(told.values())


class Group:
    """Nodes in processes of their own."""

    def __init__(self, stack: ExitStack, broker: Broker, names: Sequence[str]) -> None:
        spawn = multiprocessing.get_context("spawn")
        self._count = len(names)
        self._pipes: list[Connection] = []
        for first in range(0, len(names), NODES_A_PROCESS):
            ours, theirs = spawn.Pipe()
            part = names[first : first + NODES_A_PROCESS]
            process = spawn.Process(target=serve_group, args=(theirs, broker.host, broker.port, part), daemon=True)
            process.start()
            stack.callback(process.join)
            stack.callback(ours.send, ("end", None))
            self._pipes.append(ours)
        self.state_bytes = max(int(pipe.recv()) for pipe in self._pipes)

    def tell(self, command: str, value: object = None) -> None:
        """Tell all processes."""
        for pipe in self._pipes:
            pipe.send((command, value))

    def take(self) -> tuple[int, int, int]:
        """Messages and bytes since the last call, and messages dropped since the start."""
        self.tell("take")
        sent, size, dropped = (sum(part) for part in zip(*(pipe.recv() for pipe in self._pipes), strict=True))
        return sent, size, dropped

    def watch(self, connects: int, since: float) -> str:
        """Wait until all nodes have told their states, and return how long it took, in words."""
        self.tell("watch", (connects, since))
        answers = [pipe.recv() for pipe in self._pipes]
        connected, told = (sorted(moment for answer in answers for moment in answer[part]) for part in (0, 1))
        if len(told) < self._count:
            sys.exit(f"{self._count - len(told)} nodes have not told their states within {LONGEST_SECONDS:.0f} s")
        peak = max(sum(second <= moment < second + 1.0 for moment in connected) for second in connected)
        return (
            f"connected from {connected[0]:.1f} to {connected[-1]:.1f} s, median {statistics.median(connected):.1f}, at most"
            f" {peak} within a second; all states told after {told[-1]:.1f} s"
        )


def steady(group: Group, broker: Broker) -> None:
    """Print messages and the broker's CPU and memory at each rate."""
    process = psutil.Process(broker.process.pid)
    for rate in RATES:
        group.tell("use", rate)
        time.sleep(SETTLE_SECONDS)  # with a new reporter each node sends its level at once
        with ExitStack() as stack:
            for listener in ("nobody", "one subscriber of #"):
                if listener != "nobody":
                    stack.enter_context(everything_subscriber(broker))
                    time.sleep(SETTLE_SECONDS)  # it gets the retained messages first
                group.take()
                before, since = cpu_seconds(process), time.monotonic()
                time.sleep(STEADY_SECONDS)
                seconds = time.monotonic() - since
                percent = 100.0 * (cpu_seconds(process) - before) / seconds
                sent, size, dropped = group.take()
                say(
                    f'probabilities = "{rate}", {listener} listens: {sent / seconds:.0f} messages/s, {size / seconds / 1e3:.0f}'
                    f" kB/s; broker {percent:.1f} % of a core, {process.memory_info().rss / 1e6:.1f} MB; {dropped} dropped so far"
                )


def fleet(count: int) -> None:
    """Print what so many nodes cost a broker."""
    with Broker("log_type none") as broker, ExitStack() as stack:
        group = Group(stack, broker, [f"node_{number:03}" for number in range(count)])
        say(f"retained: {group.state_bytes} bytes a node, {count * group.state_bytes / 1e6:.1f} MB of {count} nodes")
        since = time.monotonic()
        group.tell("start")
        say(f"{count} nodes start together: {group.watch(0, since)}")
        steady(group, broker)
        group.tell("use", RATES[0])
        broker.stop()
        time.sleep(AWAY_SECONDS)
        broker.start()
        say(f"after {AWAY_SECONDS:.0f} s without the broker: {group.watch(1, time.monotonic())}")
        say(f"the broker took {cpu_seconds(psutil.Process(broker.process.pid)):.2f} s of CPU for it")


def daemons(count: int) -> None:
    """Print CPU and memory of whole daemons."""
    sizes: list[int] = []

    def receive(message: Message) -> None:
        if message.topic.endswith("/probabilities"):
            sizes.append(packet_bytes(message))

    with tempfile.TemporaryDirectory() as name, Broker("log_type none") as broker, ExitStack() as stack:
        folder = Path(name)
        dump = Dump(folder / "sound.wav", FRONT_END.sample_rate_hz)
        samples = make_soundscape().block.samples
        for _ in range(round(3.0 * DAEMONS_SECONDS * FRONT_END.sample_rate_hz / len(samples)) + 1):
            dump.write(make_soundscape().block)
        dump.close()
        stack.enter_context(subscription(Address(broker.host, broker.port, "bench"), "#", receive))
        processes = []
        for number in range(count):
            config = folder / f"{number}.toml"
            source = f'[[source]]\nname = "{SOURCE}"\nkind = "file"\ndevice = "{folder}/sound.wav"\nreal_time = true\n'
            node = f'[node]\nname = "node_{number:03}"\n[detection]\nclass_list = 2\n'
            config.write_text(f'{node}{source}[mqtt]\nhost = "{broker.host}"\nport = {broker.port}\n')
            command = [sys.executable, "-m", "edge_detector", "run", "--config", str(config)]
            started = stack.enter_context(subprocess.Popen(command, stderr=subprocess.DEVNULL))
            stack.callback(started.terminate)
            processes.append(psutil.Process(started.pid))
        wait_until(lambda: len(sizes) > 3 * count, "probabilities of all daemons")
        before, seen, since = [cpu_seconds(process) for process in processes], len(sizes), time.monotonic()
        time.sleep(DAEMONS_SECONDS)
        seconds = time.monotonic() - since
        percents = [100.0 * (cpu_seconds(process) - start) / seconds for process, start in zip(processes, before, strict=True)]
        memory = [process.memory_full_info() for process in processes]
        window = sizes[seen:]
    say(
        f"{count} daemons, a recording in real time each: {statistics.mean(percents):.2f} % of a core (most {max(percents):.2f}),"
        f" {statistics.mean(each.rss for each in memory) / 1e6:.0f} MB resident,"
        f" {statistics.mean(each.uss for each in memory) / 1e6:.0f} MB their own;"
        f" {len(window) / seconds / count:.2f} probabilities/s each, of {statistics.mean(window):.0f} bytes"
    )


def main() -> None:
    """Print all figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, default=500)
    parser.add_argument("--daemons", type=int, default=5)
    options = parser.parse_args()
    networks = load_networks(None)
    entities(networks)
    daemons(options.daemons)
    fleet(options.nodes)


if __name__ == "__main__":
    main()
