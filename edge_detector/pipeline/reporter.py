"""Decides which messages a source's scores and detections become, and which of them are due."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from edge_detector.core import wire
from edge_detector.core.bundle import SoundClass
from edge_detector.core.clock import Anchor
from edge_detector.core.logmel import LEVEL_FLOOR_DBFS
from edge_detector.params import FRONT_END
from edge_detector.types import Detection, EventStart, Message, ProbabilityRate, Scores

LEVEL_EVERY_SECONDS = 10.0


class Reporter:
    """Turns what one source heard into its messages.

    Args:
        names: node, source and stream the messages speak of.
        classes: the bundle's classes, in the order of the probabilities.
        rate: how often probabilities are published.
        utc_clock: the current Unix time in seconds.

    """

    def __init__(
        self,
        names: wire.Names,
        classes: Sequence[SoundClass],
        rate: ProbabilityRate,
        utc_clock: Callable[[], float],
    ) -> None:
        self._names = names
        self._classes = classes
        self._rate = rate
        self._utc_clock = utc_clock
        self._open: set[int] = set()
        self._health: tuple[wire.SourceState, wire.Signal] | None = None
        self._top: str | None = ""
        self._next_level_sample = 0
        self._next_probabilities_sample = 0

    def opening(self) -> Iterator[Message]:
        """Before the first sound: the source is starting and nothing is heard."""
        yield wire.availability(self._names, online=False)
        yield from self.health("starting", "ok")
        for sound in self._classes:
            yield wire.class_state(self._names, sound.slug, on=False)

    def closing(self, state: wire.SourceState | None = None) -> Iterator[Message]:
        """After the last sound: the source hears no more, because of `state` if that is a fault."""
        if state is not None:
            yield from self.health(state, self._health[1] if self._health else "ok")
        yield wire.availability(self._names, online=False)

    def health(self, state: wire.SourceState, signal: wire.Signal) -> Iterator[Message]:
        """The source's state, if it is news."""
        if self._health != (state, signal):
            self._health = (state, signal)
            yield wire.health(self._names, state, signal, self._utc_clock())

    def report(self, item: Scores | Detection, anchor: Anchor) -> Iterator[Message]:
        """The messages that `item` makes due."""
        if isinstance(item, Scores):
            yield from self._report_scores(item, anchor)
        else:
            yield from self._report_detection(item, anchor)

    def _report_scores(self, scores: Scores, anchor: Anchor) -> Iterator[Message]:
        if self._health is None or self._health[0] != "healthy":
            yield wire.availability(self._names, online=True)
        # Only exact digital silence is told apart so far: no room is that quiet, so the microphone is muted or dead.
        yield from self.health("healthy", "silent" if scores.level_dbfs <= LEVEL_FLOOR_DBFS else "ok")
        if self._rate == "hop" or (self._rate == "second" and scores.end_sample >= self._next_probabilities_sample):
            self._next_probabilities_sample = scores.end_sample + FRONT_END.sample_rate_hz
            yield wire.probabilities(self._names, self._classes, scores, anchor, self._utc_clock())
        if scores.end_sample >= self._next_level_sample:
            self._next_level_sample = scores.end_sample + round(LEVEL_EVERY_SECONDS * FRONT_END.sample_rate_hz)
            yield wire.level(self._names, scores.level_dbfs)
        top = max(self._open, key=lambda index: float(scores.probabilities[index]), default=None)
        slug = None if top is None else self._classes[top].slug
        if slug != self._top:
            self._top = slug
            yield wire.top_class(self._names, slug)

    def _report_detection(self, detection: Detection, anchor: Anchor) -> Iterator[Message]:
        started = isinstance(detection, EventStart)
        (self._open.add if started else self._open.discard)(detection.class_index)
        yield wire.event(self._names, self._classes, detection, anchor, self._utc_clock())
        yield wire.class_state(self._names, self._classes[detection.class_index].slug, on=started)


def top_classes(scores: Scores, classes: Sequence[SoundClass], count: int) -> list[tuple[str, float]]:
    """The `count` most probable classes: label and probability, most probable first."""
    order = np.argsort(-scores.probabilities, kind="stable")[:count]
    return [(classes[index].label, float(scores.probabilities[index])) for index in order]
