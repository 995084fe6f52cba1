"""Mapping of sample time to UTC. A crystal error of 50 ppm is 4.3 s a day, and a Raspberry Pi boots with a wrong clock."""

from collections.abc import Collection, Hashable
from dataclasses import dataclass, replace
from typing import Literal

from edge_detector.params import FRONT_END

OBSERVE_SECONDS = 60.0
SETTLE_SECONDS = 2.0
"""The first blocks arrive in a burst if the reader starts late; the start time is refined for this long."""
MAX_SLEW = 1e-3
"""Correction at most 1 ms per second of sound, ..."""
STEP_SECONDS = 1.0
"""... unless the error is larger than this: then the anchor is stepped."""
MAX_RATE_ERROR = 5e-3
"""A larger measured rate error is a disturbance, not the crystal's."""


@dataclass(frozen=True, slots=True)
class Anchor:
    """UTC of a sample: 16 kHz sample `sample` was captured at `utc_seconds` (Unix time), with the given sample period.

    `clock` is the origin: "system", the machine's clock; "stepped", the same, but recently set by more than a second, so
    durations in UTC are unreliable; "file", a recording, with times counted from its opening.
    """

    sample: int
    utc_seconds: float
    clock: Literal["system", "stepped", "file"]
    seconds_per_sample: float = 1.0 / FRONT_END.sample_rate_hz

    def at(self, sample: int) -> float:
        """Return the Unix time of a 16 kHz sample index."""
        return self.utc_seconds + (sample - self.sample) * self.seconds_per_sample


@dataclass(frozen=True, slots=True)
class Observation:
    """Arrival of a block: the 16 kHz index after its last sample, and both clocks at that moment, in seconds."""

    sample: int
    monotonic_seconds: float
    utc_seconds: float

    @property
    def utc_minus_monotonic_seconds(self) -> float:
        """Offset between the clocks, constant unless the machine's clock is set."""
        return self.utc_seconds - self.monotonic_seconds

    @property
    def lateness_seconds(self) -> float:
        """Lateness up to a constant; the least late of many blocks is the best time reference."""
        return self.monotonic_seconds - self.sample / FRONT_END.sample_rate_hz


class SampleClock:
    """Anchor of a live source, re-estimated each minute: rate from the monotonic clock, offset from UTC.

    No sample is dated later than its arrival: a burst that arrives faster than real time is dated by its least late block.
    Small errors are slewed, large ones stepped. While events are open, a backward step of UTC is postponed until they close.
    """

    def __init__(self, first: Observation) -> None:
        self.anchor = Anchor(first.sample, first.utc_seconds, "system")
        self.drift_ppm = 0.0
        self._first = first
        self._best = first
        self._newest = first
        self._minute_ends_sample = first.sample + self._minute_samples
        self._settled_sample = first.sample + round(SETTLE_SECONDS * FRONT_END.sample_rate_hz)
        self._postponed_seconds = 0.0
        """Backward step of UTC not yet applied to the anchor: 0 or below."""
        self._postponed_for: frozenset[Hashable] = frozenset()

    @property
    def _minute_samples(self) -> int:
        return round(OBSERVE_SECONDS * FRONT_END.sample_rate_hz)

    def observe(self, observation: Observation, *, open_events: Collection[Hashable] = ()) -> None:
        """Process the arrival of a block. `open_events` holds a unique, stable key for each open event."""
        before, self._newest = self._newest, observation
        jump_seconds = observation.utc_minus_monotonic_seconds - before.utc_minus_monotonic_seconds
        if abs(jump_seconds) > STEP_SECONDS:
            self._follow_step(observation, jump_seconds, open_events)
        elif self._postponed_seconds and self._postponed_for.isdisjoint(open_events):
            self._follow_step(observation, 0.0, ())
        if self._postponed_seconds:
            observation = replace(observation, utc_seconds=observation.utc_seconds - self._postponed_seconds)
        self._refine_start(observation)
        self._limit_to_arrival(observation, before, events_open=bool(open_events))
        if self._best is self._first or observation.lateness_seconds < self._best.lateness_seconds:
            self._best = observation
        if observation.sample < self._minute_ends_sample:
            return
        best, self._best = self._best, observation
        self._minute_ends_sample = observation.sample + self._minute_samples
        self._correct(best, observation.sample, open_events)

    def _refine_start(self, observation: Observation) -> None:
        """Use this block as the start if the first block was later than any crystal error explains."""
        improvement_seconds = self._first.lateness_seconds - observation.lateness_seconds
        elapsed_seconds = max(0.0, observation.monotonic_seconds - self._first.monotonic_seconds)
        crystal_seconds = MAX_RATE_ERROR * elapsed_seconds if observation.sample >= self._settled_sample else 0.0
        if improvement_seconds > crystal_seconds:
            self._first = self._best = observation
            self.drift_ppm = 0.0

    def _limit_to_arrival(self, observation: Observation, before: Observation, *, events_open: bool) -> None:
        latest = observation.utc_seconds
        if events_open:
            # UTC went back by too little to be postponed: sample time pauses until it catches up.
            latest = max(latest, self.anchor.at(before.sample))
        if self.anchor.at(observation.sample) > latest:
            self.anchor = replace(self.anchor, sample=observation.sample, utc_seconds=latest)

    def _follow_step(self, observation: Observation, seconds: float, open_events: Collection[Hashable]) -> None:
        """Apply a step of the machine's clock at once, not at the end of the minute."""
        seconds += self._postponed_seconds
        if seconds < 0.0 and open_events:
            if not self._postponed_seconds:
                self._postponed_for = frozenset(open_events)
            self._postponed_seconds = seconds
        else:
            self._postponed_seconds = 0.0
            moved = self.anchor.at(observation.sample) + seconds
            self.anchor = Anchor(observation.sample, moved, "stepped", self.anchor.seconds_per_sample)
        self._best = replace(observation, utc_seconds=observation.utc_seconds - self._postponed_seconds)
        self._minute_ends_sample = observation.sample + self._minute_samples

    def _correct(self, best: Observation, now_sample: int, open_events: Collection[Hashable]) -> None:
        seconds_per_sample = self._measured_seconds_per_sample(best)
        error_seconds = best.utc_seconds - self.anchor.at(best.sample)
        if abs(error_seconds) > STEP_SECONDS and not (open_events and error_seconds < 0.0):
            utc_seconds = best.utc_seconds + (now_sample - best.sample) * seconds_per_sample
            self.anchor = Anchor(now_sample, utc_seconds, "stepped", seconds_per_sample)
            return
        # The new anchor continues the old one at this sample: from the best block, time would jump.
        slew = max(-MAX_SLEW, min(MAX_SLEW, error_seconds / OBSERVE_SECONDS))
        self.anchor = Anchor(now_sample, self.anchor.at(now_sample), "system", seconds_per_sample * (1.0 + slew))

    def _measured_seconds_per_sample(self, best: Observation) -> float:
        nominal = 1.0 / FRONT_END.sample_rate_hz
        elapsed_samples = best.sample - self._first.sample
        measured = (best.monotonic_seconds - self._first.monotonic_seconds) / elapsed_samples if elapsed_samples > 0 else nominal
        error = measured / nominal - 1.0
        if elapsed_samples < self._minute_samples // 2 or abs(error) > MAX_RATE_ERROR:
            return nominal
        self.drift_ppm = -error * 1e6
        return measured
