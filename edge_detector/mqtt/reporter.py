"""Decides which messages a source's scores and detections become, and which of them are due."""

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
    """Turns what one source heard into its messages. A class that is off is in none of them.

    Args:
        names: node, source and stream the messages speak of.
        classes: all classes, in the order of the probabilities.
        rules: of each class: those that are not enabled are off.
        rate: how often probabilities are published.
        utc_clock: the current Unix time in seconds.

    Attributes:
        muted: decide, but publish no event that starts from now on.

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
        """Before the first sound: the source is starting and nothing is heard."""
        yield from self.set_health("starting", "ok")
        for index in self._enabled:
            yield messages.class_state(self._names, self._classes[index].slug, on=False)
        yield from self._report_top_class(None)

    def set_rules(self, rules: Sequence[Rule]) -> Iterator[Message]:
        """Other rules hold from now on, and the ends of events that they bring have been reported.

        A class that has been switched on has a state at once. What the broker keeps of one that has been switched off is not
        taken back here: Home Assistant must be told before that its entity is gone.
        """
        before, self._enabled = self._enabled, enabled_indices(rules)
        for index in self._enabled:
            if index not in before:
                yield messages.class_state(self._names, self._classes[index].slug, on=False)
        if self._top and self._top not in {self._classes[index].slug for index in self._enabled}:
            yield from self._report_top_class(self._loudest())

    def start_stream(self, stream_id: str) -> None:
        """A new stream of the same source begins, with samples of its own."""
        self._names = replace(self._names, stream_id=stream_id)
        self._next_level_sample = self._next_probabilities_sample = 0

    def set_health(self, state: SourceState, signal: SignalQuality) -> Iterator[Message]:
        """The state of the source and of its signal, and whether it hears at all, where that is news."""
        if self._source_health != (state, signal):
            self._source_health, self._since_utc_seconds = (state, signal), self._utc_clock()
            yield from self._health()
        available = state == "healthy" and signal != "flat"
        if self._available != available:
            self._available = available
            yield messages.availability(self._names, online=available)

    def set_troubles(self, troubles: Troubles) -> Iterator[Message]:
        """What is wrong with the node as a whole: told with the source's health, at once where that is news."""
        news = troubles.sentences != self._troubles.sentences
        self._troubles = troubles
        if news:
            yield from self._health()

    def close(self) -> Iterator[Message]:
        """A recording has been heard to its end, or the service stops: nobody is listening any more."""
        self._available = False
        yield messages.availability(self._names, online=False)

    def report(self, item: Scores | Detection, anchor: Anchor) -> Iterator[Message]:
        """The messages that `item` makes due."""
        if isinstance(item, Scores):
            yield from self._report_scores(item, anchor)
        else:
            yield from self._report_detection(item, anchor)

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
        """The class with the highest newest probability of those whose start was told and whose end was not."""
        top = max(self._announced, key=lambda index: float(self._newest[index]), default=None)
        return None if top is None else self._classes[top].slug

    def _report_top_class(self, slug: str | None) -> Iterator[Message]:
        if slug != self._top:
            self._top = slug
            yield messages.top_class(self._names, slug)

    def _report_detection(self, detection: Detection, anchor: Anchor) -> Iterator[Message]:
        index = detection.class_index
        started = isinstance(detection, EventStart)
        # Who was told of a start is told of its end, muted or not.
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


def top_classes(scores: Scores, classes: Sequence[SoundClass], enabled: Sequence[int], count: int) -> list[tuple[str, float]]:
    """The `count` most probable of the enabled classes: label and probability, most probable first."""
    order = sorted(enabled, key=lambda index: -float(scores.probabilities[index]))[:count]
    return [(classes[index].label, float(scores.probabilities[index])) for index in order]
