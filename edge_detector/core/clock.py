"""Ties sample time to UTC, and keeps it tied: a crystal that is 50 ppm off is 4.3 s a day, and a Pi boots with a wrong clock."""

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

    Small errors are slewed away, large ones stepped, and time never steps backwards while an event is open.
    """

    def __init__(self, first: Observation) -> None:
        self.anchor = Anchor(first.sample, first.utc_seconds, "system")
        self.drift_ppm = 0.0
        self._first = first
        self._best = first
        self._newest = first
        self._minute_ends_sample = first.sample + self._minute_samples
        self._settled_sample = first.sample + round(SETTLE_SECONDS * FRONT_END.sample_rate_hz)

    @property
    def _minute_samples(self) -> int:
        return round(OBSERVE_SECONDS * FRONT_END.sample_rate_hz)

    def observe(self, observation: Observation, *, event_open: bool) -> None:
        """Take note of a block that arrived; once a minute, and while the stream is beginning, this moves the anchor."""
        if observation.sample < self._settled_sample and not event_open:
            self._settle(observation)
        before, self._newest = self._newest, observation
        jump_seconds = observation.utc_minus_monotonic_seconds - before.utc_minus_monotonic_seconds
        if abs(jump_seconds) > STEP_SECONDS:
            self._jump(observation, 0.0 if event_open and jump_seconds < 0.0 else jump_seconds)
            return
        if self._best is self._first or observation.lateness_seconds < self._best.lateness_seconds:
            self._best = observation
        if observation.sample < self._minute_ends_sample:
            return
        best, self._best = self._best, observation
        self._minute_ends_sample = observation.sample + self._minute_samples
        self._correct(best, observation.sample, event_open=event_open)

    def _settle(self, observation: Observation) -> None:
        late_seconds = self._first.lateness_seconds - observation.lateness_seconds
        if late_seconds > 0.0:
            self.anchor = replace(self.anchor, utc_seconds=self.anchor.utc_seconds - late_seconds)
            self._first = self._best = observation

    def _jump(self, observation: Observation, seconds: float) -> None:
        """Follow the machine's clock, which was set, at once: until the minute ended every event would have a wrong time."""
        self._best, self._minute_ends_sample = observation, observation.sample + self._minute_samples
        if seconds:
            moved = self.anchor.at(observation.sample) + seconds
            self.anchor = Anchor(observation.sample, moved, "stepped", self.anchor.seconds_per_sample)

    def _correct(self, best: Observation, now_sample: int, *, event_open: bool) -> None:
        seconds_per_sample = self._measured_seconds_per_sample(best)
        error_seconds = best.utc_seconds - self.anchor.at(best.sample)
        if abs(error_seconds) > STEP_SECONDS and not (event_open and error_seconds < 0.0):
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
