"""Reporter of one source: selects the messages for its scores, detections and states."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from edge_detector.audio.sample_clock import Anchor
from edge_detector.detection.bundle import SoundClass
from edge_detector.detection.classes import enabled_indices
from edge_detector.detection.hysteresis import Rule
from edge_detector.mqtt import messages
from edge_detector.mqtt.troubles import NO_TROUBLES, Troubles
from edge_detector.params import FRONT_END
from edge_detector.types import Detection, EventStart, Float32, Message, ProbabilityRate, Scores, SignalQuality, SourceState

LEVEL_EVERY_SECONDS = 10.0


class Reporter:
    """Converts scores, detections and states of one source into messages; a disabled class is in none of them.

    Args:
        names: node, source and stream in the messages.
        classes: all classes, in the order of the probabilities.
        rules: rule of each class, enabled or not.
        rate: publication rate of probabilities.
        utc_clock: Unix time in seconds.

    Attributes:
        muted: if true, events that start from now on are not published.

    """

    def __init__(
        self,
        names: messages.Names,
        classes: Sequence[SoundClass],
        rules: Sequence[Rule],
        rate: ProbabilityRate,
        utc_clock: Callable[[], float],
    ) -> None:
        self._names = names
        self._classes = classes
        self._enabled = enabled_indices(rules)
        self._rate = rate
        self._utc_clock = utc_clock
        self._source_health: tuple[SourceState, SignalQuality] | None = None
        self._since_utc_seconds = 0.0
        self._troubles = NO_TROUBLES
        self._available: bool | None = None
        self._announced: set[int] = set()
        self.muted = False
        self._top: str | None = ""
        self._newest: Float32 = np.zeros(len(classes), np.float32)
        self._next_level_sample = 0
        self._next_probabilities_sample = 0

    def initial_state(self) -> Iterator[Message]:
        """Yield the states before the first block: the source starts, and no class is detected."""
        yield from self.set_health("starting", "ok")
        for index in self._enabled:
            yield messages.class_state(self._names, self._classes[index].slug, on=False)
        yield from self._report_top_class(None)

    def set_rules(self, rules: Sequence[Rule]) -> Iterator[Message]:
        """Apply other rules; call it after the events that they end have been reported.

        A class that is enabled now gets a state at once. The retained messages of a class that is disabled now are deleted
        elsewhere, since Home Assistant has to remove the entity first.
        """
        before, self._enabled = self._enabled, enabled_indices(rules)
        for index in self._enabled:
            if index not in before:
                yield messages.class_state(self._names, self._classes[index].slug, on=False)
        if self._top and self._top not in {self._classes[index].slug for index in self._enabled}:
            yield from self._report_top_class(self._loudest())

    def start_stream(self, stream_id: str) -> None:
        """Start a new stream of the same source; its samples count from 0."""
        self._names = replace(self._names, stream_id=stream_id)
        self._next_level_sample = self._next_probabilities_sample = 0

    def set_health(self, state: SourceState, signal: SignalQuality) -> Iterator[Message]:
        """Yield health and availability of the source if they have changed."""
        if self._source_health != (state, signal):
            self._source_health, self._since_utc_seconds = (state, signal), self._utc_clock()
            yield from self._health()
        available = state == "healthy" and signal != "flat"
        if self._available != available:
            self._available = available
            yield messages.availability(self._names, online=available)

    def set_troubles(self, troubles: Troubles) -> Iterator[Message]:
        """Yield the source's health if the troubles of the node, which are part of it, have changed."""
        changed = troubles.sentences != self._troubles.sentences
        self._troubles = troubles
        if changed:
            yield from self._health()

    def close(self) -> Iterator[Message]:
        """Yield the end of the source's availability: its recording has ended, or the service stops."""
        self._available = False
        yield messages.availability(self._names, online=False)

    def report(self, item: Scores | Detection, anchor: Anchor) -> Iterator[Message]:
        """Yield the messages for `item`."""
        if isinstance(item, Scores):
            yield from self._report_scores(item, anchor)
        else:
            yield from self._report_detection(item, anchor)

    def summary(self, detection: Detection) -> str:
        """Return what happened, for a log: "Baby crying started, 0.91", "Baby crying ended after 4.8 s, peak 0.99"."""
        label = self._classes[detection.class_index].label
        if isinstance(detection, EventStart):
            return f"{label} started, {detection.peak_probability:.2f}"
        seconds = (detection.end_sample - detection.first_sample) / FRONT_END.sample_rate_hz
        reason = "" if detection.end_reason == "ended" else f", {detection.end_reason}"
        return f"{label} ended after {seconds:.1f} s, peak {detection.peak_probability:.2f}{reason}"

    def _health(self) -> Iterator[Message]:
        if self._source_health is not None:
            yield messages.health(self._names, *self._source_health, self._since_utc_seconds, self._troubles)

    def _report_scores(self, scores: Scores, anchor: Anchor) -> Iterator[Message]:
        if self._rate == "hop" or (self._rate == "second" and scores.end_sample >= self._next_probabilities_sample):
            self._next_probabilities_sample = scores.end_sample + FRONT_END.sample_rate_hz
            classes = [self._classes[index] for index in self._enabled]
            enabled = replace(scores, probabilities=scores.probabilities[list(self._enabled)])
            yield messages.probabilities(self._names, classes, enabled, anchor, self._utc_clock())
        if scores.end_sample >= self._next_level_sample:
            self._next_level_sample = scores.end_sample + round(LEVEL_EVERY_SECONDS * FRONT_END.sample_rate_hz)
            yield messages.level(self._names, scores.level_dbfs)
        self._newest = scores.probabilities
        yield from self._report_top_class(self._loudest())

    def _loudest(self) -> str | None:
        """Return the class with the highest current probability among those with a published open event."""
        top = max(self._announced, key=lambda index: float(self._newest[index]), default=None)
        return None if top is None else self._classes[top].slug

    def _report_top_class(self, slug: str | None) -> Iterator[Message]:
        if slug != self._top:
            self._top = slug
            yield messages.top_class(self._names, slug)

    def _report_detection(self, detection: Detection, anchor: Anchor) -> Iterator[Message]:
        index = detection.class_index
        started = isinstance(detection, EventStart)
        # The end of every published start is published, even when muted.
        if started and not self.muted:
            self._announced.add(index)
        elif index not in self._announced:
            return
        elif not started:
            self._announced.discard(index)
        yield messages.event(self._names, self._classes, detection, anchor, self._utc_clock())
        yield messages.class_state(self._names, self._classes[index].slug, on=started)
        if not self._announced:
            yield from self._report_top_class(None)
