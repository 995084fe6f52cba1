"""Ties sample time to UTC, and keeps it tied: a crystal that is 50 ppm off is 4.3 s a day, and a Pi boots with a wrong clock."""

from collections.abc import Collection, Hashable
from dataclasses import dataclass, replace
from typing import Literal

from edge_detector.params import FRONT_END

OBSERVE_SECONDS = 60.0
SETTLE_SECONDS = 2.0
"""A stream's first blocks come late, and all at once, when whoever hears them was not ready: so long is its beginning sought."""
MAX_SLEW = 1e-3
"""Correction at most 1 ms per second of sound, ..."""
STEP_SECONDS = 1.0
"""... unless UTC is off by more than this: then it is set."""
MAX_RATE_ERROR = 5e-3
"""A measured rate further than this from the nominal one is a hiccup, not a crystal."""


@dataclass(frozen=True, slots=True)
class Anchor:
    """The 16 kHz sample `sample` was captured at `utc_seconds` (Unix time), its neighbours `seconds_per_sample` apart.

    `clock` says where that comes from: "system", the machine's clock; "stepped", the same, but set by more than a second not
    long ago, so durations in UTC are not to be trusted; "file", a recording, whose times count from when it was opened.
    """

    sample: int
    utc_seconds: float
    clock: Literal["system", "stepped", "file"]
    seconds_per_sample: float = 1.0 / FRONT_END.sample_rate_hz

    def at(self, sample: int) -> float:
        """Unix time of a 16 kHz sample index."""
        return self.utc_seconds + (sample - self.sample) * self.seconds_per_sample


@dataclass(frozen=True, slots=True)
class Observation:
    """When a block arrived: the 16 kHz index just after its last sample, and both clocks at that moment, in seconds."""

    sample: int
    monotonic_seconds: float
    utc_seconds: float

    @property
    def utc_minus_monotonic_seconds(self) -> float:
        """Constant, unless the machine's clock is set."""
        return self.utc_seconds - self.monotonic_seconds

    @property
    def lateness_seconds(self) -> float:
        """How late it arrived, up to a constant: the least late block of many tells the time best."""
        return self.monotonic_seconds - self.sample / FRONT_END.sample_rate_hz


class SampleClock:
    """The anchor of a live source, re-estimated each minute: its rate by the monotonic clock, its offset by UTC.

    No sample is dated later than it arrived: a stream's burst, heard faster than it was made, is dated by its least late block.
    Small errors are slewed away, large ones stepped. UTC that is set back while events are open applies once those have closed.
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
        """How far UTC was set back without the anchor having followed: 0 or below."""
        self._postponed_for: frozenset[Hashable] = frozenset()

    @property
    def _minute_samples(self) -> int:
        return round(OBSERVE_SECONDS * FRONT_END.sample_rate_hz)

    def observe(self, observation: Observation, *, open_events: Collection[Hashable] = ()) -> None:
        """Take note of a block that arrived, while these events are open; each is known by a value that stays its own."""
        before, self._newest = self._newest, observation
        jump_seconds = observation.utc_minus_monotonic_seconds - before.utc_minus_monotonic_seconds
        if abs(jump_seconds) > STEP_SECONDS:
            self._jump(observation, jump_seconds, open_events)
        elif self._postponed_seconds and self._postponed_for.isdisjoint(open_events):
            self._jump(observation, 0.0, ())
        if self._postponed_seconds:
            observation = replace(observation, utc_seconds=observation.utc_seconds - self._postponed_seconds)
        self._on_acknowledged_message(observation)
        self._forbid_the_future(observation, before, events_open=bool(open_events))
        if self._best is self._first or observation.lateness_seconds < self._best.lateness_seconds:
            self._best = observation
        if observation.sample < self._minute_ends_sample:
            return
        best, self._best = self._best, observation
        self._minute_ends_sample = observation.sample + self._minute_samples
        self._correct(best, observation.sample, open_events)

    def _on_acknowledged_message(self, observation: Observation) -> None:
        """Measure from another beginning, if the first block came later than any crystal explains."""
        less_late_seconds = self._first.lateness_seconds - observation.lateness_seconds
        elapsed_seconds = max(0.0, observation.monotonic_seconds - self._first.monotonic_seconds)
        crystal_seconds = MAX_RATE_ERROR * elapsed_seconds if observation.sample >= self._settled_sample else 0.0
        if less_late_seconds > crystal_seconds:
            self._first = self._best = observation
            self.drift_ppm = 0.0

    def _forbid_the_future(self, observation: Observation, before: Observation, *, events_open: bool) -> None:
        latest = observation.utc_seconds
        if events_open:
            # UTC that went back by too little to be postponed: time stands still meanwhile.
            latest = max(latest, self.anchor.at(before.sample))
        if self.anchor.at(observation.sample) > latest:
            self.anchor = replace(self.anchor, sample=observation.sample, utc_seconds=latest)

    def _jump(self, observation: Observation, seconds: float, open_events: Collection[Hashable]) -> None:
        """Follow the machine's clock, which was set, at once: until the minute ended every event would have a wrong time."""
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
        # The new line begins where the old one is now, not where the best block was: else time would jump there.
        slew = max(-MAX_SLEW, min(MAX_SLEW, error_seconds / OBSERVE_SECONDS))
        self.anchor = Anchor(now_sample, self.anchor.at(now_sample), "system", seconds_per_sample * (1.0 + slew))

    def _measured_seconds_per_sample(self, best: Observation) -> float:
        nominal = 1.0 / FRONT_END.sample_rate_hz
        heard = best.sample - self._first.sample
        measured = (best.monotonic_seconds - self._first.monotonic_seconds) / heard if heard > 0 else nominal
        error = measured / nominal - 1.0
        if heard < self._minute_samples // 2 or abs(error) > MAX_RATE_ERROR:
            return nominal
        self.drift_ppm = -error * 1e6
        return measured
