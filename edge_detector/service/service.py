"""The service: workers, publisher and runtime settings around one loop, on the main thread, as is all inference."""

import logging
import queue
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

from edge_detector import __version__
from edge_detector.audio.sample_clock import Anchor
from edge_detector.audio.source import Source
from edge_detector.clips.cutter import ClipTimes
from edge_detector.config import Config, SourceConfig, public_url, rules_by_hop
from edge_detector.config_changes import RulesByHop, applied_changes, postponed_changes
from edge_detector.detection.hysteresis import Rule
from edge_detector.errors import BrokerError, EdgeDetectorError, unforeseen
from edge_detector.mqtt import messages
from edge_detector.mqtt.address import Broker
from edge_detector.mqtt.home_assistant import birth_topic
from edge_detector.mqtt.name_conflict import NameConflict, own_filters
from edge_detector.mqtt.publisher import Publisher
from edge_detector.mqtt.reporter import Reporter
from edge_detector.mqtt.runtime_settings import Accepted, Refusal, RuntimeSettings, Settings, SourceDefaults, command_filters
from edge_detector.mqtt.telemetry import Inventory, SourceTelemetry
from edge_detector.mqtt.tls import describe_connect_error
from edge_detector.params import FRONT_END
from edge_detector.service.discovery import Discovery
from edge_detector.service.factory import LoadedBundle, build_processor, build_supervisor, open_source
from edge_detector.service.health_monitor import HealthMonitor
from edge_detector.service.page_reporter import PageReporter
from edge_detector.service.probability_reporter import ProbabilityReporter
from edge_detector.service.source_clips import SourceClips
from edge_detector.service.source_worker import SourceWorker
from edge_detector.service.state import State
from edge_detector.service.stream import StreamProcessor
from edge_detector.service.systemd import notify
from edge_detector.types import Message, Scores
from edge_detector.web.page import Page
from edge_detector.web.views import NodeView, SourceView

LOG = logging.getLogger(__name__)

POLL_SECONDS = 0.5
SHARED_POLL_SECONDS = 0.02
"""Longest wait for all of several sources together; a microphone delivers 30 ms of sound a turn."""
DRAIN_SECONDS = 2.5
"""Longest wait for acknowledgements of the broker when the service stops."""
RELEASE_SECONDS = 0.5
"""Longest wait after that for all sound devices together to close."""
RECORDS_SECONDS = 0.5
"""Longest wait then for the history and for the clips each, which are written meanwhile."""
WAITING_COMMANDS = 200
SHOW_NODE_SECONDS = 1.0
"""Time between two views of the node for the page."""
MAX_PENDING_MESSAGES = 1_000
"""With more messages pending than this, recordings pause; live sources continue."""

OpenSource = Callable[[SourceConfig], Source]


class Service:
    """Connects the sources to the broker. `run` returns when `stop` is set or every source has ended."""

    def __init__(
        self,
        config: Config,
        networks: LoadedBundle,
        broker: Broker,
        state: State,
        *,
        page: Page | None = None,
        bundle_trouble: str | None = None,
        open_source: OpenSource = open_source,
    ) -> None:
        self._config = config
        self._networks = networks
        self._rules = networks.rules
        self._state = state
        self._base = f"{config.mqtt.base_topic}/{config.node}"
        self._page_url = public_url(config.web, socket.gethostname())
        settings = state.settings.load() if state.settings is not None else Settings()
        self._page = page
        commands = config.mqtt.commands or page is not None
        self._controls = RuntimeSettings(self._base, self._defaults(networks.rules), settings, commands=commands)
        self._page_reporter = self._report_to(page)
        self._probability_reporter = self._report_probabilities()
        self._received: queue.Queue[Message] = queue.Queue(WAITING_COMMANDS)
        self._dropped_commands = 0
        self._show_node_at_seconds = 0.0
        self._unforeseen = 0
        self._hung: str | None = None
        self._name_conflict = NameConflict(self._base, secrets.token_hex(4))
        filters = command_filters(self._base) if config.mqtt.commands else ()
        if config.home_assistant.enabled:
            filters = (*filters, birth_topic(config.home_assistant.prefix))
        self._publisher = Publisher(
            broker,
            last_will=messages.status(self._base, online=False),
            greeting=messages.status(self._base, online=True),
            outbox=state.outbox,
            subscriptions=filters,
            on_message=self._receive,
            own_filters=own_filters(self._base),
            on_own=self._receive_own,
            explain=describe_connect_error,
        )
        self._discovery = Discovery(
            config,
            networks,
            self._controls,
            page_url=self._page_url,
            publish=self._publisher.publish,
            save=self._save,
            published=self._publisher.has_published,
        )
        self._discovery_sent = False
        self._workers = [self._worker(source, open_source) for source in config.sources]
        self._monitor = HealthMonitor(
            self._base,
            Inventory(
                version=__version__,
                bundle=f"{networks.manifest.name} {networks.manifest.version}",
                bundle_sha256=networks.manifest_sha256,
                configuration_sha256=config.sha256,
                restart_needed=False,
            ),
            workers=self._workers,
            publisher=self._publisher,
            state=state,
            page=page,
            refused_commands=lambda: self._controls.refused_commands + self._dropped_commands,
            name_conflict=self._name_conflict,
            bundle_trouble=bundle_trouble,
        )

    def run(self, stop: threading.Event, reload: Callable[[], Config | None]) -> int:
        """Serve until the end; returns the number of sources that failed for good.

        `reload` is called each turn and returns a new configuration or None; it raises EdgeDetectorError for a wrong one.
        Only thresholds, strictness and `enabled` of a new configuration take effect.
        """
        self._announce()
        workers = self._workers
        notify("READY=1", f"STATUS={self._monitor.status}")
        wait_seconds = POLL_SECONDS if len(workers) == 1 else SHARED_POLL_SECONDS / len(workers)
        try:
            while not stop.is_set() and not self.restarting and any(worker.active for worker in workers):
                for worker in workers:
                    if worker.active and self._may_step(worker):
                        worker.step(wait_seconds)
                with self._contained("a command"):
                    self._apply()
                self._reread(reload)
                with self._contained("the state of the node"):
                    self._monitor.poll()
                    self._show_node()
                self._feed_watchdog()
        finally:
            self._close()
        return sum(worker.state.state == "failed" for worker in workers)

    def _feed_watchdog(self) -> None:
        """Notify the watchdog while every thread makes progress; only a restart cures a hung device or thread."""
        if not self._publisher.alive:
            raise BrokerError("a thread of the publisher has ended (see the log); the service exits so that systemd restarts it")
        hung = self._publisher.hung or (self._page.server.hung if self._page is not None else None)
        if hung != self._hung and (hung is None or self._hung is None):
            LOG.error("%s", hung or "every thread makes progress again")
            self._hung = hung
        if hung is None and not any(worker.overdue for worker in self._workers):
            notify("WATCHDOG=1")

    @property
    def restarting(self) -> bool:
        """Whether the page has asked for a restart, with another bundle."""
        return self._page is not None and self._page.commands.restart_requested

    @property
    def dropped_messages(self) -> int:
        """Messages dropped since the start."""
        return self._publisher.dropped_messages

    def telemetry_of(self, source: str) -> SourceTelemetry:
        """Return the counters of one source."""
        return next(worker.telemetry for worker in self._workers if worker.name == source)

    @contextmanager
    def _contained(self, what: str) -> Iterator[None]:
        """Count an unforeseen error instead of stopping the sources; log it at 1, 2, 4, 8… errors."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 - one message must not end the others
            self._unforeseen += 1
            if self._unforeseen.bit_count() == 1:
                LOG.error("%s: %s; %d such errors so far", what, unforeseen(error), self._unforeseen)  # noqa: TRY400 - one line

    def _may_step(self, worker: SourceWorker) -> bool:
        """Whether to read the source now: a recording waits for the broker, a live source does not."""
        if worker.live or self._publisher.backlog <= MAX_PENDING_MESSAGES:
            return True
        time.sleep(SHARED_POLL_SECONDS)
        return False

    def _defaults(self, rules: Mapping[int, tuple[Rule, ...]]) -> dict[str, SourceDefaults]:
        slugs = [sound.slug for sound in self._networks.classes]
        return {
            source.name: SourceDefaults(dict(zip(slugs, rules[source.hops_per_patch], strict=True)))
            for source in self._config.sources
        }

    def _by_slug(self, rules: Mapping[int, tuple[Rule, ...]]) -> RulesByHop:
        slugs = [sound.slug for sound in self._networks.classes]
        return {hops: dict(zip(slugs, of_hop, strict=True)) for hops, of_hop in rules.items()}

    def _worker(self, source: SourceConfig, open_source: OpenSource) -> SourceWorker:
        names = messages.Names(
            *(self._base, self._config.node, source.name, "none", self._name_conflict.instance, self._page_url),
            clips=self._state.clips is not None,
        )
        rules_now = self._controls.rules(source.name)
        reporter = Reporter(names, self._networks.classes, rules_now, self._config.mqtt.probabilities, time.time)

        clips = self._clips_of(source.name)
        on_frames = self._page_reporter.frames_of(source.name) if self._page_reporter is not None else None

        def build(opened: Source, rules: Sequence[Rule]) -> StreamProcessor:
            if clips is not None:
                clips.start_stream(opened.rate_hz, rules)
            return build_processor(
                opened, self._networks, hops_per_patch=source.hops_per_patch, rules=rules, sink=clips, on_frames=on_frames
            )

        reporter.muted = self._controls.muted(source.name)
        return SourceWorker(
            source.name,
            build_supervisor(source, lambda: open_source(source)),
            build,
            reporter,
            rules=rules_now,
            publish=self._publish,
            on_hop=partial(self._record_hop, source.name),
            clips=clips,
        )

    def _clips_of(self, source: str) -> SourceClips | None:
        writer, clips = self._state.clips, self._config.clips
        if writer is None:
            return None
        times = ClipTimes(clips.before_seconds, clips.after_seconds, clips.longest_seconds)
        return SourceClips(source, self._networks.classes, times, writer.put)

    def _announce(self) -> None:
        for message in self._state.interrupted(time.time()):
            self._publish(message)
        if self._controls.remember_announced():
            self._save()
        self._monitor.poll()
        for worker in self._workers:
            worker.start()
        self._discovery.prepare()
        self._publish_settings()
        self._send_discovery_if_due()
        # Last: messages retained by an earlier run must be corrected before the node reports online.
        self._publisher.start()

    def _publish(self, message: Message) -> None:
        """Publish a message, and then hand it to the history and the page if it is an event's."""
        self._publisher.publish(message)
        if message.message_id is None:
            return
        if self._state.history is not None:
            self._state.history.put(message)
        if self._page_reporter is not None:
            self._page_reporter.event(message)

    def _publish_settings(self) -> None:
        """Publish the runtime settings in force."""
        for message in self._controls.answers():
            self._publisher.publish(message)
        self._discovery_sent = False

    def _send_discovery_if_due(self) -> None:
        """Send discovery once, as soon as earlier discovery topics are emptied."""
        if not self._discovery_sent and self._discovery.prepared(time.monotonic()):
            self._send_discovery()

    def _send_discovery(self) -> None:
        self._discovery_sent = True
        self._discovery.announce()
        # After the discovery that removes their entities: Home Assistant logs an error for an empty state.
        for topic in self._controls.stale_topics():
            self._publisher.publish(messages.forgotten(topic))

    def _receive(self, message: Message) -> None:
        try:
            self._received.put_nowait(message)
        except queue.Full:
            self._dropped_commands += 1
            if self._dropped_commands.bit_count() == 1:  # at 1, 2, 4, 8…, so that a flood of commands does not flood the log
                LOG.warning("commands arrive faster than they are applied; %d dropped so far", self._dropped_commands)

    def _receive_own(self, message: Message) -> None:
        if self._name_conflict.handle(message, time.monotonic()):
            self._publisher.contest()

    def _apply(self) -> None:
        now = time.monotonic()
        while not self._received.empty():
            message = self._received.get_nowait()
            self._discovery.handle(message, now)
            if self._config.mqtt.commands:  # with a page, the runtime settings take commands in any case
                self._command(message, now)
        if self._page is not None:
            self._page.commands.carry_out(lambda message: self._command(message, now))
        if self._discovery.due(now):
            self._discovery_sent = False
        self._send_discovery_if_due()

    def _command(self, message: Message, now_seconds: float) -> Accepted | Refusal | None:
        """Carry out a command; None: the message is no command, or exceeds a rate limit that was reported already."""
        result = self._controls.handle(message, now_seconds)
        match result:
            case Refusal(sentence):
                LOG.warning("%s", sentence)
            case Accepted(answer=answer):
                self._save()
                self._use_controls()
                self._publisher.publish(answer)
                self._show_node(at_once=True)
        return result

    def _reread(self, reload: Callable[[], Config | None]) -> None:
        try:
            if (config := reload()) is not None:
                self._use_config(config)
                self._monitor.refused_configuration = None
        except EdgeDetectorError as error:
            sentence = f"the configuration was not reloaded, the previous one stays in force: {error}"
            LOG.error("%s", sentence)  # noqa: TRY400 - the sentence is for people
            self._monitor.refused_configuration = sentence

    def _use_config(self, config: Config) -> None:
        waiting = ", ".join(postponed_changes(self._config, config))
        # A class added since the start has no rule to change.
        added = set(config.definitions) - {sound.slug for sound in self._networks.classes}
        overrides = {slug: values for slug, values in config.overrides.items() if slug not in added}
        changed = replace(self._config, overrides=overrides, strictness=config.strictness, origin=config.origin)
        rules = rules_by_hop(self._networks.classes, changed)
        defaults = self._defaults(rules)
        applied = ", ".join(applied_changes(self._config, changed, self._by_slug(self._rules), self._by_slug(rules)))
        self._config, self._rules = changed, rules
        self._controls.reload(defaults)
        if self._controls.remember_announced():
            self._save()
        self._use_controls()
        self._publish_settings()
        self._monitor.inventory = replace(
            self._monitor.inventory, configuration_sha256=config.sha256, restart_needed=bool(waiting)
        )
        LOG.info("the configuration was reloaded; applied: %s", applied or "nothing, no reloadable key has changed")
        if waiting:
            LOG.warning("these changes of the configuration take effect at the next restart: %s", waiting)

    def _use_controls(self) -> None:
        if self._page_reporter is not None:
            self._page_reporter.rules_changed()
        if self._probability_reporter is not None:
            self._probability_reporter.rules_changed()
        for worker in self._workers:
            worker.apply_settings(self._controls.rules(worker.name), muted=self._controls.muted(worker.name))

    def _report_to(self, page: Page | None) -> PageReporter | None:
        if page is None:
            return None
        defaults = {source.name: source.hops_per_patch for source in self._config.sources}
        return PageReporter(page.feed, self._networks.classes, self._controls.rules, lambda source: self._rules[defaults[source]])

    def _report_probabilities(self) -> ProbabilityReporter | None:
        history = self._state.history
        if history is None or self._page is None:  # only the page reads them, and they wear the flash card
            return None
        sources = {source.name: source.hops_per_patch for source in self._config.sources}
        minimum_age_frames = self._networks.manifest.sequence.minimum_age_frames
        return ProbabilityReporter(sources, self._networks.classes, self._controls.rules, minimum_age_frames, history.put_block)

    def _show_node(self, *, at_once: bool = False) -> None:
        """Hand the state of the node to the page, once a second or at once."""
        if self._page is None or self._page_reporter is None:
            return
        now = time.monotonic()
        if not at_once and now < self._show_node_at_seconds:
            return
        self._show_node_at_seconds = now + SHOW_NODE_SECONDS
        self._page.feed.figures = self._monitor.figures
        self._page.feed.default_rules = self._controls.defaults
        self._page.feed.put_view(self._node_view(self._page_reporter))

    def _node_view(self, reporter: PageReporter) -> NodeView:
        manifest, mqtt = self._networks.manifest, self._config.mqtt
        return NodeView(
            node=self._config.node,
            version=__version__,
            bundle=f"{manifest.name} {manifest.version}",
            broker=f"{mqtt.host}:{mqtt.port}",
            broker_error=self._publisher.last_error,
            history=self._state.history is not None,
            sources=tuple(
                SourceView(
                    name=worker.name,
                    state=worker.state.state,
                    reason=worker.state.reason,
                    signal=worker.signal_quality,
                    muted=self._controls.muted(worker.name),
                    classes=tuple(reporter.classes_of(worker.name)),
                )
                for worker in self._workers
            ),
            troubles=self._monitor.troubles.sentences,
            clips=self._state.clips.kept if self._state.clips is not None else None,
        )

    def _save(self) -> None:
        if self._state.settings is not None:
            self._state.settings.save(self._controls.settings)

    def _record_hop(self, source: str, scores: Scores, anchor: Anchor) -> None:
        if self._page_reporter is not None:
            self._page_reporter.hop(source, scores, anchor)
        if self._probability_reporter is not None:
            self._probability_reporter.hop(source, scores, anchor)
        latency_ms = None if anchor.clock == "file" else 1e3 * (time.time() - anchor.at(scores.end_sample))
        self._monitor.window.record_hop(FRONT_END.patch_step_samples / FRONT_END.sample_rate_hz, latency_ms)

    def _close(self) -> None:
        # A restart with another bundle is none for systemd: the process stays.
        notify("STATUS=starting again with the chosen bundle" if self.restarting else "STOPPING=1")
        release_deadline = time.monotonic() + DRAIN_SECONDS + RELEASE_SECONDS
        for worker in self._workers:
            worker.close()
        if self._page is not None:
            self._page.server.close()
        if self._probability_reporter is not None:
            self._probability_reporter.flush()
        self._state.close_records()
        if not self._discovery_sent:
            self._send_discovery()
        self._monitor.report()
        if not self._publisher.close(messages.status(self._base, online=False), DRAIN_SECONDS):
            LOG.warning("stopped before the broker had acknowledged everything")
        elif self._controls.forget_stale_topics() | self._discovery.forget_removed():
            self._save()
        if self._state.settings is not None:
            self._state.settings.close()
        self._close_outbox()
        self._state.wait_for_records(RECORDS_SECONDS)
        for worker in self._workers:
            worker.wait_closed(max(0.0, release_deadline - time.monotonic()))

    def _close_outbox(self) -> None:
        outbox = self._state.outbox
        if outbox is None:
            return
        outbox.close()
        if outbox.trouble is not None and outbox.depth:
            LOG.error("up to %d events are lost: %s", outbox.depth, outbox.trouble)
