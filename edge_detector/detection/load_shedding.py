"""What is left out when the machine cannot keep up: phases of the hop first, which harms no state that is kept."""

from edge_detector.params import FRONT_END

BEHIND_HOPS = 2.0
"""More sound waiting than this many hops: too much."""
CALM_SECONDS = 30.0
"""After this long without a backlog, one step less is left out."""


class LoadShedder:
    """Halves the number of phases that run while sound piles up, and brings them back when it no longer does.

    With one phase left there is nothing more to leave out: then the source's ring drops its oldest hop, which is a gap.
    """

    def __init__(self, hops_per_patch: int) -> None:
        self._levels = hops_per_patch.bit_length() - 1
        self._hop_seconds = FRONT_END.patch_step_samples / FRONT_END.sample_rate_hz / hops_per_patch
        self._calm_since_sample: int | None = None
        self._raised_at_sample: int | None = None
        self.level = 0

    def runs(self, phase: int) -> bool:
        """Whether a phase, counted from 0, is to be run now."""
        return phase % (1 << self.level) == 0

    def observe(self, waiting_seconds: float, sample: int) -> None:
        """Take note of how much sound waits to be heard as 16 kHz sample `sample` is."""
        if waiting_seconds > BEHIND_HOPS * self._hop_seconds:
            self._calm_since_sample = None
            # One patch's time for the last step to show, before the next.
            settled = self._raised_at_sample is None or sample - self._raised_at_sample >= FRONT_END.patch_step_samples
            if self.level < self._levels and settled:
                self.level += 1
                self._raised_at_sample = sample
        elif self._calm_since_sample is None:
            self._calm_since_sample = sample
        elif self.level and sample - self._calm_since_sample >= CALM_SECONDS * FRONT_END.sample_rate_hz:
            self.level -= 1
            self._calm_since_sample = sample
