"""`run`: the service. Sources to detections to MQTT, until SIGTERM or until every file has been heard."""

import logging
import os
import signal
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from types import FrameType

from edge_detector.cli.build import Ears, build_listener, load_ears, open_source
from edge_detector.core import wire
from edge_detector.core.config import Config, MqttConfig, SourceConfig, load_config, parse_config, rules
from edge_detector.edges.mqtt import Broker, Publisher
from edge_detector.edges.notify import notify
from edge_detector.errors import SourceError, UsageError
from edge_detector.pipeline.listener import Listener
from edge_detector.pipeline.reporter import Reporter
from edge_detector.types import Detection, EndReason, Message, Scores

LOG = logging.getLogger(__name__)

POLL_SECONDS = 0.5
SHARED_POLL_SECONDS = 0.02
"""With several sources one waits no longer than this for each, so that none delays another noticeably."""
DRAIN_SECONDS = 4.0


def run(config_path: Path | None) -> int:
    """Load the configuration, or the defaults for None, and serve until told to stop."""
    config = load_config(config_path) if config_path else parse_config({}, "defaults")
    stop = threading.Event()

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, on_signal)
    return serve(config, load_ears(config.bundle), stop)


def serve(config: Config, ears: Ears, stop: threading.Event) -> int:
    """Open every source, publish what is heard until `stop` is set or all sources have ended."""
    base = f"{config.mqtt.base_topic}/{config.node}"
    stations = [Station(source, config, ears, base) for source in config.sources]
    publisher = Publisher(
        broker_of(config.mqtt, f"edge_detector-{config.node}"),
        last_will=wire.status(base, online=False),
        greeting=wire.status(base, online=True),
    )
    publisher.start()
    try:
        for station in stations:
            station.open(publisher)
        notify("READY=1", f"STATUS={len(stations)} source(s), bundle {ears.manifest.name} {ears.manifest.version}")
        wait_seconds = POLL_SECONDS if len(stations) == 1 else SHARED_POLL_SECONDS
        while not stop.is_set() and any(station.active for station in stations):
            for station in stations:
                station.step(publisher, wait_seconds)
            notify("WATCHDOG=1")
    finally:
        notify("STOPPING=1")
        for station in stations:
            station.close(publisher, "shutdown")
        if not publisher.close(wire.status(base, online=False), DRAIN_SECONDS):
            LOG.warning("stopped before the broker had acknowledged everything")
        LOG.info("%d messages dropped, %d refused", publisher.dropped_messages, publisher.refused_messages)
    failures = [station.failure for station in stations if station.failure is not None]
    if failures and not stop.is_set():
        raise failures[0]
    return 0


def broker_of(mqtt: MqttConfig, client_id: str) -> Broker:
    """The broker a configuration names, its password read from its file. Raises UsageError."""
    try:
        password = mqtt.password_file.read_text().rstrip("\n") if mqtt.password_file else None
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"the password file {mqtt.password_file} cannot be read: {error}") from error
    return Broker(
        mqtt.host, mqtt.port, f"{client_id}-{os.getpid()}", mqtt.protocol, mqtt.username, password, mqtt.keepalive_seconds
    )  # fmt: skip


class Station:
    """One source in the service: from closed to open to closed, each change announced."""

    def __init__(self, source: SourceConfig, config: Config, ears: Ears, base: str) -> None:
        self._source = source
        self._config = config
        self._ears = ears
        self._base = base
        self._rules = rules(ears.manifest.classes, source.hops_per_patch, config.overrides)
        self._listener: Listener | None = None
        self._reporter: Reporter | None = None
        self.failure: SourceError | None = None

    @property
    def active(self) -> bool:
        """Whether sound may still come."""
        return self._listener is not None

    def open(self, publisher: Publisher) -> None:
        """Open the source. A source that cannot be opened is announced as failed, and raised. Raises SourceError."""
        names = wire.Names(self._base, self._config.node, self._source.name, "none")
        rate = self._config.mqtt.probabilities
        try:
            source = open_source(self._source)
        except SourceError:
            _publish(publisher, Reporter(names, self._ears.manifest.classes, rate, time.time).closing("failed"))
            raise
        names = wire.Names(self._base, self._config.node, self._source.name, source.stream_id)
        self._reporter = Reporter(names, self._ears.manifest.classes, rate, time.time)
        self._listener = build_listener(source, self._ears, hops_per_patch=self._source.hops_per_patch, rules=self._rules)
        _publish(publisher, self._reporter.opening())
        LOG.info("%s: listening at %d Hz", self._source.name, source.rate_hz)

    def step(self, publisher: Publisher, timeout_seconds: float) -> None:
        """Hear the next block and publish what it completes. A lost source is announced, logged and closed."""
        if self._listener is None:
            return
        try:
            self._report(publisher, self._listener.step(timeout_seconds))
        except SourceError as error:
            LOG.error("%s: %s", self._source.name, error)  # noqa: TRY400 - the sentence is for people, who need no traceback
            self.failure = error
            self.close(publisher, "source_lost")
            return
        if self._listener.ended:
            LOG.info("%s: heard to its end", self._source.name)
            self.close(publisher, "ended")

    def close(self, publisher: Publisher, end_reason: EndReason) -> None:
        """End open events and announce that this source hears no more. May be called again."""
        listener, self._listener = self._listener, None
        if listener is None or self._reporter is None:
            return
        self._report(publisher, listener.close(end_reason), listener)
        _publish(publisher, self._reporter.closing("failed" if end_reason == "source_lost" else None))

    def _report(self, publisher: Publisher, items: Iterable[Scores | Detection], listener: Listener | None = None) -> None:
        listener = listener or self._listener
        for item in items:
            if listener is not None and listener.anchor is not None and self._reporter is not None:
                _publish(publisher, self._reporter.report(item, listener.anchor))


def _publish(publisher: Publisher, messages: Iterable[Message]) -> None:
    for message in messages:
        publisher.publish(message)
