"""The page of `listen --web`: one source, without a broker, a history or a configuration that is changed."""

import time
from collections.abc import Iterator, Sequence

from edge_detector import __version__
from edge_detector.detection.hysteresis import Rule
from edge_detector.mqtt import messages
from edge_detector.mqtt.reporter import Reporter
from edge_detector.mqtt.runtime_settings import Accepted, Refusal, RuntimeSettings, Settings, SourceDefaults
from edge_detector.mqtt.telemetry import SourceTelemetry, TelemetryWindow
from edge_detector.service.factory import LoadedBundle
from edge_detector.service.page_reporter import PageReporter
from edge_detector.service.process import cpu_seconds, rss_bytes
from edge_detector.service.stream import StreamProcessor
from edge_detector.types import Detection, Message, Scores
from edge_detector.web.page import Page
from edge_detector.web.views import NodeFigures, NodeView, SourceView

NODE = "listen"
BASE = f"edge_detector/{NODE}"
SHOW_SECONDS = 1.0


class ListenPage:
    """Shows one source on a page, and applies the thresholds and the mute that are set there, until the program ends.

    Args:
        page: the page.
        networks: the bundle.
        rules: rules of bundle and configuration, one for each class.
        source: name of the source on the page.

    """

    def __init__(self, page: Page, networks: LoadedBundle, rules: Sequence[Rule], source: str) -> None:
        self._page = page
        self._networks = networks
        self._source = source
        defaults = SourceDefaults({sound.slug: rule for sound, rule in zip(networks.classes, rules, strict=True)})
        self._controls = RuntimeSettings(BASE, {source: defaults}, Settings())
        self._to_page = PageReporter(page.feed, networks.classes, self._controls.rules, lambda _source: rules)
        self._window = TelemetryWindow(time.monotonic(), cpu_seconds())
        self._reporter: Reporter | None = None
        self._show_at_seconds = 0.0
        self.on_frames = self._to_page.frames_of(source)

    def begin(self, processor: StreamProcessor) -> None:
        """Begin with the open source."""
        names = messages.Names(BASE, NODE, self._source, processor.source.stream_id)
        self._reporter = Reporter(names, self._networks.classes, self._controls.rules(self._source), "off", time.time)
        self._show(processor)

    def show(self, item: Scores | Detection, processor: StreamProcessor) -> None:
        """Show what the source gives."""
        anchor = processor.anchor
        if anchor is None or self._reporter is None:
            return
        if isinstance(item, Scores):
            self._to_page.hop(self._source, item, anchor)
        for message in self._reporter.report(item, anchor):
            if message.message_id is not None:
                self._to_page.event(message)

    def poll(self, processor: StreamProcessor) -> Iterator[Detection]:
        """Apply commands of the page, show the source's state once a second, and yield the detections that follow."""
        detections: list[Detection] = []

        def handle(message: Message) -> Accepted | Refusal | None:
            result = self._controls.handle(message, time.monotonic())
            if isinstance(result, Accepted):
                detections.extend(processor.detector.use_rules(self.rules))
                if self._reporter is not None:
                    self._reporter.muted = self._controls.muted(self._source)
                self._to_page.rules_changed()
                self._show(processor)
            return result

        self._page.commands.carry_out(handle)
        yield from detections
        if time.monotonic() >= self._show_at_seconds:
            self._show(processor)

    @property
    def rules(self) -> tuple[Rule, ...]:
        """Rules in force, one for each class."""
        return self._controls.rules(self._source)

    def _show(self, processor: StreamProcessor) -> None:
        now = time.monotonic()
        self._show_at_seconds = now + SHOW_SECONDS
        period = self._window.close(now, cpu_seconds()) if self._window.due(now) else None
        previous = self._page.feed.figures
        self._page.feed.figures = NodeFigures(
            rss_bytes=rss_bytes(),
            outbox_depth=0,
            dropped_messages=0,
            dropped_events=0,
            refused_messages=0,
            refused_commands=self._controls.refused_commands,
            reconnects=0,
            history_lost=0,
            lost_blocks=0,
            clips_lost=0,
            period=period or (previous.period if previous is not None else None),
            sources={self._source: self._telemetry(processor)},
        )
        manifest = self._networks.manifest
        source = SourceView(
            name=self._source,
            state="healthy",
            reason=None,
            signal=processor.signal_quality,
            muted=self._controls.muted(self._source),
            classes=tuple(self._to_page.classes_of(self._source)),
        )
        ended = ("the recording has ended; Ctrl-C in the terminal ends this page",) if processor.ended else ()
        self._page.feed.put_view(
            NodeView(
                node=NODE,
                version=__version__,
                bundle=f"{manifest.name} {manifest.version}",
                broker=None,
                broker_error=None,
                history=False,
                sources=(source,),
                troubles=ended,
            )
        )

    def _telemetry(self, processor: StreamProcessor) -> SourceTelemetry:
        anchor = processor.anchor
        return SourceTelemetry(
            state="healthy",
            clock=anchor.clock if anchor is not None else "system",
            drift_ppm=round(processor.drift_ppm, 1),
            heard_samples=processor.heard_samples,
            lost_samples=processor.lost_samples,
            skipped_phases=processor.detector.skipped_phases,
            overflows=processor.source.overflows,
        )
