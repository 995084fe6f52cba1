"""What a threshold would have done: events under rules, counted on stored probabilities by the detector's own decider."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from edge_detector.detection.event_counter import EventCounter
from edge_detector.detection.hysteresis import Rule
from edge_detector.history.probabilities import PROBABILITIES, Column, StoredBlock
from edge_detector.params import FRONT_END

_SAMPLES_OF_MS = FRONT_END.sample_rate_hz // 1_000


@dataclass(frozen=True, slots=True)
class Counts:
    """Events that start within a time under each of some rules, and the hours of sound that it has of the class."""

    events: Sequence[int]
    hours: float


def count(blocks: Iterable[StoredBlock], slug: str, rules: Sequence[Rule], since_ms: int, until_ms: int) -> Counts:
    """Return what the rules make of a class in the blocks of one source, which are in the order of writing.

    The time is in Unix milliseconds; a block that begins after `until_ms` is of a clock that was wrong.
    """
    stretch = _Stretch(rules)
    events, covered_ms = [0] * len(rules), 0.0
    for block in blocks:
        begin_ms, end_ms = block.place.start_ms, block.place.start_ms + block.span_samples / _SAMPLES_OF_MS
        if end_ms < since_ms or begin_ms > until_ms or (column := block.column(slug)) is None:
            continue
        covered_ms += end_ms + block.place.hop_samples / _SAMPLES_OF_MS - max(begin_ms, since_ms)
        since_sample = block.place.first_sample + (since_ms - begin_ms) * _SAMPLES_OF_MS
        for number, starts in enumerate(stretch.push(block, column)):
            # From the block's own time, since the clock may have been set between two blocks.
            events[number] += sum(start >= since_sample for start in starts)
    return Counts(tuple(events), covered_ms / 3.6e6)


class _Stretch:
    """Counters of one stream, which go on from block to block while nothing is missing between them."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._rules = rules
        self._counters: Sequence[EventCounter] = ()
        self._next: tuple[int, int] | None = None

    def push(self, block: StoredBlock, column: Column) -> list[list[int]]:
        """Return for each rule the first samples of the events that start in the block."""
        place = block.place
        if self._next is None or place.stream_ms != self._next[0]:
            self._counters = [EventCounter(rule) for rule in self._rules]
        elif place.after_gap or place.number != self._next[1]:
            for counter in self._counters:
                counter.gap()
        self._next = place.stream_ms, place.number + block.windows
        if not any(counter.needs(column.peak) for counter in self._counters):
            return []
        read = column.read()
        if read is None:
            self._next = None
            return []
        steps, values = read
        first_samples = place.first_sample + np.cumsum(steps, dtype=np.int64) * place.hop_samples
        probabilities, end_samples = PROBABILITIES[values], first_samples + place.window_samples
        return [counter.push(probabilities, first_samples, end_samples) for counter in self._counters]
