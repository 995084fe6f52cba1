"""Count of the events that the detector's own decider starts on stored probabilities of one class."""

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from edge_detector.detection.hysteresis import Decider, Rule
from edge_detector.params import FRONT_END
from edge_detector.types import EventStart, Float32, Scores

Samples: TypeAlias = NDArray[np.int64]

_LONG_AGO = -(1 << 62)


class EventCounter:
    """The events of one stream under one rule, stretch by stretch, at any hop.

    Most windows need no decision: below `off` and past the hold nothing is open or pending.
    """

    def __init__(self, rule: Rule) -> None:
        self._decider = Decider((rule,))
        self._on, self._off = rule.on, rule.off
        self._hold_samples = round(rule.hold_seconds * FRONT_END.sample_rate_hz)
        self._risen_end_sample = _LONG_AGO
        self._matters = False

    def needs(self, peak: float) -> bool:
        """Whether a stretch with this highest probability may start or end an event; one that may not needs no `push`."""
        return self._matters or peak >= self._off

    def push(self, probabilities: Float32, first_samples: Samples, end_samples: Samples) -> list[int]:
        """Return the first sample (16 kHz) of each event that starts in the next windows.

        Of the windows it takes float32 (n,) probabilities, and first and end samples as in `Scores`, each ascending.
        """
        # In double precision, as the decider compares.
        compared = probabilities.astype(np.float64)
        risen = compared >= self._off
        if not (self._matters or risen.any()):
            return []
        newest = np.maximum.accumulate(np.where(risen, end_samples, self._risen_end_sample))
        held = end_samples - newest <= self._hold_samples
        # The first window past the hold ends the event.
        matter = held.copy()
        matter[1:] |= held[:-1]
        matter[0] |= self._matters
        before, self._matters = self._matters, bool(held[-1])
        self._risen_end_sample = int(newest[-1])
        starts = []
        for begin, end in _runs(matter):
            # A run without any window at `on` starts no event, unless it is a part of a longer one.
            is_part = (not begin and before) or (end == len(matter) and self._matters)
            if is_part or (compared[begin:end] >= self._on).any():
                for number in range(begin, end):
                    part = probabilities[number : number + 1]
                    starts += self._decide(part, int(first_samples[number]), int(end_samples[number]))
        return starts

    def gap(self) -> None:
        """End what is open, as a gap in the sound does."""
        for _ in self._decider.close("gap"):
            pass
        self._risen_end_sample, self._matters = _LONG_AGO, False

    def _decide(self, probabilities: Float32, first_sample: int, end_sample: int) -> list[int]:
        scores = Scores(
            probabilities=probabilities,
            state_age_frames=1,
            sequence_number=0,
            first_sample=first_sample,
            end_sample=end_sample,
            lost_samples=0,
            level_dbfs=0.0,
        )
        return [found.first_sample for found in self._decider.decide(scores) if isinstance(found, EventStart)]


def _runs(matter: NDArray[np.bool_]) -> list[list[int]]:
    """Return begin and end of each run of windows that matter."""
    edges = np.flatnonzero(np.diff(matter.astype(np.int8), prepend=0, append=0))
    return edges.reshape(-1, 2).tolist()
