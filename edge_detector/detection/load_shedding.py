"""Load shedding: skips phases of the hop when the machine cannot keep up, which leaves the other phases intact."""

from edge_detector.params import FRONT_END

BEHIND_HOPS = 2.0
"""Backlog in hops above which phases are skipped."""
CALM_SECONDS = 30.0
"""Time without backlog after which the level falls by one."""


class LoadShedder:
    """Halves the number of running phases while there is a backlog, and restores them afterwards.

    With one phase left nothing more can be skipped: then the source's ring drops its oldest hop, which is a gap.
    """

    def __init__(self, hops_per_patch: int) -> None:
        self._levels = hops_per_patch.bit_length() - 1
        self._hop_seconds = FRONT_END.patch_step_samples / FRONT_END.sample_rate_hz / hops_per_patch
        self._calm_since_sample: int | None = None
        self._raised_at_sample: int | None = None
        self.level = 0

    def runs(self, phase: int) -> bool:
        """Return whether a phase, counted from 0, runs now."""
        return phase % (1 << self.level) == 0

    def observe(self, waiting_seconds: float, sample: int) -> None:
        """Update the level with the backlog in seconds at 16 kHz sample `sample`."""
        if waiting_seconds > BEHIND_HOPS * self._hop_seconds:
            self._calm_since_sample = None
            # The last change needs one patch to take effect before the next.
            settled = self._raised_at_sample is None or sample - self._raised_at_sample >= FRONT_END.patch_step_samples
            if self.level < self._levels and settled:
                self.level += 1
                self._raised_at_sample = sample
        elif self._calm_since_sample is None:
            self._calm_since_sample = sample
        elif self.level and sample - self._calm_since_sample >= CALM_SECONDS * FRONT_END.sample_rate_hz:
            self.level -= 1
            self._calm_since_sample = sample
