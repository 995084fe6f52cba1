"""Worker of one source: from blocks to messages, across every loss and return of the source."""

import logging
from collections.abc import Callable, Iterable, Sequence

from edge_detector.audio.sample_clock import Anchor
from edge_detector.audio.source import Source
from edge_detector.detection.hysteresis import Rule
from edge_detector.errors import BundleError, SourceError, unforeseen
from edge_detector.mqtt.reporter import Reporter
from edge_detector.mqtt.telemetry import SourceTelemetry
from edge_detector.mqtt.troubles import Troubles
from edge_detector.repeat_limit import message_key
from edge_detector.service.logs import EACH
from edge_detector.service.source_clips import SourceClips
from edge_detector.service.stream import StreamProcessor
from edge_detector.service.supervisor import SourceStateChange, SourceSupervisor, StreamOpened
from edge_detector.types import Block, Detection, EndReason, Message, Scores, SignalQuality

LOG = logging.getLogger(__name__)

LASTING_SECONDS = 30.0
"""Time in one state after which a change of its reason is logged."""


class SourceWorker:
    """Connects a supervised source to a reporter. Each stream gets a new processor with fresh states.

    Args:
        name: the source's name.
        supervisor: keeps the source open.
        build_processor: builds the processor of a stream that has just been opened, with these rules.
        reporter: turns scores and detections into messages.
        publish: publishes a message.
        on_hop: called for each hop with its scores and the samples' UTC anchor.
        clips: clips of the published events, or None.

    """

    def __init__(
        self,
        name: str,
        supervisor: SourceSupervisor,
        build_processor: Callable[[Source, Sequence[Rule]], StreamProcessor],
        reporter: Reporter,
        *,
        rules: Sequence[Rule],
        publish: Callable[[Message], None],
        on_hop: Callable[[Scores, Anchor], None],
        clips: SourceClips | None = None,
    ) -> None:
        self.name = name
        self._supervisor = supervisor
        self._build_processor = build_processor
        self._reporter = reporter
        self._rules = tuple(rules)
        self._publish = publish
        self._on_hop = on_hop
        self._clips = clips
        self._processor: StreamProcessor | None = None
        self._warned: tuple[str, ...] = ()
        self._told: SourceStateChange | None = None
        self._broken_since_seconds: float | None = None
        self._has_listened = False
        self._heard_samples = self._lost_samples = self._skipped_phases = self._overflows = 0

    @property
    def active(self) -> bool:
        """Whether more sound may arrive."""
        return not self._supervisor.ended

    @property
    def live(self) -> bool:
        """Whether sound is lost unless it is read in time."""
        return self._processor is None or self._processor.source.live

    @property
    def overdue(self) -> bool:
        """Whether opening or closing the source hangs, which only a restart cures."""
        return self._supervisor.overdue

    @property
    def state(self) -> SourceStateChange:
        """Current state of the source."""
        return self._supervisor.change

    @property
    def signal_quality(self) -> SignalQuality:
        """Signal of the open stream; "ok" while there is none."""
        return self._processor.signal_quality if self._processor is not None else "ok"

    @property
    def telemetry(self) -> SourceTelemetry:
        """Counters over all streams so far."""
        processor = self._processor
        anchor = processor.anchor if processor is not None else None
        return SourceTelemetry(
            state=self._supervisor.change.state,
            clock=anchor.clock if anchor is not None else "system",
            drift_ppm=round(processor.drift_ppm, 1) if processor is not None else 0.0,
            heard_samples=self._heard_samples + (processor.heard_samples if processor is not None else 0),
            lost_samples=self._lost_samples + (processor.lost_samples if processor is not None else 0),
            skipped_phases=self._skipped_phases + (processor.detector.skipped_phases if processor is not None else 0),
            overflows=self._overflows + (processor.source.overflows if processor is not None else 0),
        )

    def start(self) -> None:
        """Publish the source's initial state, before its first block."""
        self._send(self._reporter.initial_state())

    def step(self, timeout_seconds: float) -> None:
        """Process the next block or state change. An error loses this source's stream and affects no other source."""
        try:
            self._step(timeout_seconds)
        except (SourceError, BundleError) as error:
            # A network that returns NaN ends the stream too; the next one starts with fresh states.
            self._supervisor.fail(str(error))
        except Exception as error:
            # No error of one source may end the others. The reason names the line of an unforeseen error.
            LOG.debug("%s: unforeseen", self.name, exc_info=True)
            self._supervisor.fail(unforeseen(error))

    def _step(self, timeout_seconds: float) -> None:
        self._tell_lasting_reason()
        match self._supervisor.step(timeout_seconds):
            case Block() as block if self._processor is not None:
                self._process(self._processor, block)
            case StreamOpened(source):
                self._reporter.start_stream(source.stream_id)
                self._processor = self._build_processor(source, self._rules)
                self._warned = ()
                self._warn(source)
            case SourceStateChange() as change:
                self._on_state_change(change)
            case None if not self.active and self._processor is not None:
                LOG.info("%s: end of the recording", self.name)
                self._warn(self._processor.source)
                self._end("ended")
                self._send(self._reporter.close())

    def _process(self, processor: StreamProcessor, block: Block) -> None:
        self._report(processor, processor.push(block))
        if self._clips is not None:
            self._clips.cut()
        self._send(self._reporter.set_health(self._supervisor.change.state, processor.signal_quality))

    def set_troubles(self, troubles: Troubles) -> None:
        """Publish what is wrong with the node as a whole."""
        self._send(self._reporter.set_troubles(troubles))

    def apply_settings(self, rules: Sequence[Rule], *, muted: bool) -> None:
        """Apply other rules, which may switch classes on or off, and mute or unmute; no sound is lost."""
        self._rules = tuple(rules)
        self._reporter.muted = muted
        if self._processor is not None:
            self._report(self._processor, self._processor.detector.use_rules(self._rules))
        if self._clips is not None:
            self._clips.use_rules(self._rules)
        # After the report: an event of a class that is now off ends first.
        self._send(self._reporter.set_rules(self._rules))

    def close(self) -> None:
        """End open events, publish that the source has ended, and close it. May be called again."""
        self._end("shutdown")
        self._send(self._reporter.close())
        self._supervisor.close()

    def wait_closed(self, timeout_seconds: float) -> bool:
        """Wait for the device to close, after `close`; False if that takes longer."""
        return self._supervisor.wait_closed(timeout_seconds)

    def _warn(self, source: Source) -> None:
        """Log each warning of a recording once."""
        warnings = tuple(getattr(source, "warnings", ()))
        for warning in warnings:
            if warning not in self._warned:
                LOG.warning("%s: %s", self.name, warning)
        self._warned = warnings

    def _on_state_change(self, change: SourceStateChange) -> None:
        self._tell(change)
        if change.stream_is_over:
            self._end("source_lost")
        self._send(self._reporter.set_health(change.state, self.signal_quality))

    def _tell(self, change: SourceStateChange) -> None:
        """Log a state that has begun: what is wrong, or that the source is heard."""
        if change.state == "healthy":
            again = " again" if self._has_listened else ""
            broken_since_seconds, self._broken_since_seconds = self._broken_since_seconds, None
            after = "" if broken_since_seconds is None else f", after {change.since_seconds - broken_since_seconds:.1f} s"
            rate_hz = self._processor.source.rate_hz if self._processor is not None else 0
            LOG.info("%s: listening%s at %d Hz%s", self.name, again, rate_hz, after)
            self._has_listened, self._told = True, None
        elif change.reason is not None and (self._told is None or self._told.state != change.state):
            LOG.warning("%s: %s: %s", self.name, change.state, change.reason)
            self._told = change
            if self._broken_since_seconds is None:
                self._broken_since_seconds = change.since_seconds

    def _tell_lasting_reason(self) -> None:
        """Log another reason for the same state once that has lasted: right after a loss, a failed opening is no news."""
        told, change = self._told, self._supervisor.change
        if told is None or change.state != told.state or self._supervisor.state_seconds < LASTING_SECONDS:
            return
        if message_key(change.reason or "") != message_key(told.reason or ""):
            LOG.warning("%s: still %s: %s", self.name, change.state, change.reason)
            self._told = change

    def _end(self, end_reason: EndReason) -> None:
        processor, self._processor = self._processor, None
        if processor is None:
            return
        try:
            self._report(processor, processor.finish(end_reason))
        except BundleError as error:
            LOG.warning("%s: %s", self.name, error)
        if self._clips is not None:
            self._clips.finish()
        self._heard_samples += processor.heard_samples
        self._lost_samples += processor.lost_samples
        self._skipped_phases += processor.detector.skipped_phases
        self._overflows += processor.source.overflows

    def _report(self, processor: StreamProcessor, items: Iterable[Scores | Detection]) -> None:
        for item in items:
            anchor = processor.anchor
            if anchor is None:
                continue
            if isinstance(item, Scores):
                self._on_hop(item, anchor)
            messages = list(self._reporter.report(item, anchor))
            if messages and not isinstance(item, Scores):
                LOG.info("%s: %s", self.name, self._reporter.summary(item), extra=EACH)
                if self._clips is not None:
                    self._clips.report(item, messages, anchor)
            self._send(messages)

    def _send(self, messages: Iterable[Message]) -> None:
        for message in messages:
            self._publish(message)
