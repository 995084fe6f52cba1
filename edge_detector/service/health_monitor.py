"""Health of the node: telemetry each minute, troubles as soon as they change."""

import time
from collections.abc import Callable, Sequence

from edge_detector.mqtt import messages
from edge_detector.mqtt.name_conflict import NameConflict
from edge_detector.mqtt.publisher import Publisher
from edge_detector.mqtt.telemetry import Inventory, Period, Telemetry, TelemetryWindow
from edge_detector.mqtt.troubles import NO_TROUBLES, Troubles
from edge_detector.service.process import cpu_seconds, rss_bytes
from edge_detector.service.source_worker import SourceWorker
from edge_detector.service.state import State
from edge_detector.service.systemd import notify
from edge_detector.web.page import Page
from edge_detector.web.views import NodeFigures


class HealthMonitor:
    """Reports telemetry and troubles, on the main thread; only reads values that other threads replace atomically.

    Args:
        base: the node's topic.
        inventory: what runs on the node.
        workers: each publishes the node's troubles with its source's health.
        publisher: publishes the telemetry; supplies outbox and refusal counters.
        state: its settings file is saved again after a failure; its history and its clips have troubles.
        page: its troubles are the node's; None without a page.
        refused_commands: returns the number of refused commands.
        name_conflict: detects another client that publishes as this node.
        bundle_trouble: why the chosen bundle is not in use, or None.

    Attributes:
        inventory: as given; replaced after each reload.
        refused_configuration: why the last reload of the configuration failed; None if it succeeded.

    """

    def __init__(
        self,
        base: str,
        inventory: Inventory,
        *,
        workers: Sequence[SourceWorker],
        publisher: Publisher,
        state: State,
        page: Page | None,
        refused_commands: Callable[[], int],
        name_conflict: NameConflict,
        bundle_trouble: str | None = None,
    ) -> None:
        self._base = base
        self.inventory = inventory
        self._workers = workers
        self._publisher = publisher
        self._settings = state.settings
        self._history = state.history
        self._clips = state.clips
        self._page = page
        self._refused_commands = refused_commands
        self._persistence_trouble = state.persistence_trouble
        self._name_conflict = name_conflict
        self._bundle_trouble = bundle_trouble
        self._troubles = NO_TROUBLES
        self.refused_configuration: str | None = None
        self._period: Period | None = None
        self.window = TelemetryWindow(time.monotonic(), cpu_seconds())

    @property
    def troubles(self) -> Troubles:
        """Current troubles of the node."""
        return self._troubles

    @property
    def figures(self) -> NodeFigures:
        """Counters now, and the figures of the last whole minute."""
        publisher = self._publisher
        return NodeFigures(
            rss_bytes=rss_bytes(),
            outbox_depth=publisher.outbox.depth,
            dropped_messages=publisher.dropped_messages,
            dropped_events=publisher.dropped_events,
            refused_messages=publisher.refused_messages,
            refused_commands=self._refused_commands(),
            reconnects=publisher.reconnects,
            history_lost=self._history.lost if self._history is not None else 0,
            lost_blocks=self._history.lost_blocks if self._history is not None else 0,
            clips_lost=self._clips.lost if self._clips is not None else 0,
            period=self._period,
            sources={worker.name: worker.telemetry for worker in self._workers},
        )

    @property
    def status(self) -> str:
        """Status line for systemd."""
        healthy = sum(worker.state.state == "healthy" for worker in self._workers)
        sources = f"{healthy} of {len(self._workers)} sources healthy; bundle {self.inventory.bundle}"
        connection = filter(None, [self._publisher.last_error])
        return "; ".join((sources, *connection, *self._troubles.sentences))

    def poll(self) -> None:
        """Publish whatever is due; call often."""
        if self._settings is not None:
            self._settings.run_maintenance()
        self._poll_troubles()
        if self.window.due(time.monotonic()):
            self.report()

    def report(self) -> None:
        """Publish telemetry now."""
        publisher = self._publisher
        self._period = self.window.close(time.monotonic(), cpu_seconds())
        telemetry = Telemetry(
            period=self._period,
            inventory=self.inventory,
            rss_bytes=rss_bytes(),
            outbox_depth=publisher.outbox.depth,
            dropped_messages=publisher.dropped_messages,
            dropped_events=publisher.dropped_events,
            refused_messages=publisher.refused_messages,
            refused_commands=self._refused_commands(),
            reconnects=publisher.reconnects,
            sources={worker.name: worker.telemetry for worker in self._workers},
            troubles=self._troubles,
        )
        publisher.publish(messages.telemetry(self._base, telemetry, time.time()))
        notify(f"STATUS={self.status}")

    def _poll_troubles(self) -> None:
        settings = self._settings.troubles if self._settings is not None else ()
        of_page = self._page.server.trouble if self._page is not None else None
        service = tuple(filter(None, [self._persistence_trouble, self._bundle_trouble, self.refused_configuration, of_page]))
        publisher = self._publisher
        broker = (*publisher.troubles, *filter(None, [self._name_conflict.trouble(time.monotonic())]))
        outbox = publisher.outbox
        history = self._history.troubles if self._history is not None else ()
        clips = self._clips.troubles if self._clips is not None else ()
        troubles = Troubles(outbox.trouble, settings, publisher.refused_topics, service, outbox.damage, broker, history, clips)
        if troubles != self._troubles:
            self._troubles = troubles
            for worker in self._workers:
                worker.set_troubles(troubles)
            notify(f"STATUS={self.status}")
