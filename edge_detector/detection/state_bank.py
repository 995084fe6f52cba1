"""The sliding bank: R staggered states, so that one of them has always seen exactly the last R frames."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from edge_detector.types import Float32


@dataclass(frozen=True, slots=True)
class StateBank:
    """Recurrent states of one phase of one source, before or after a step.

    Attributes:
        states: one float32 (R, …) array per state tensor of the model, row by row.
        steps: steps since the start or the last gap.

    """

    states: tuple[Float32, ...]
    steps: int = 0

    @classmethod
    def empty(cls, rows: int, row_shapes: Sequence[tuple[int, ...]]) -> "StateBank":
        """All-zero states with `rows` = R rows, each of the given shape."""
        return cls(tuple(np.zeros((rows, *shape), np.float32) for shape in row_shapes))

    @property
    def rows(self) -> int:
        """R, the frames the model was trained on at most."""
        return len(self.states[0])

    @property
    def next_row(self) -> int:
        """The row to read after the next step: the one that will have seen the last R frames, or all since the start."""
        return (self.steps + 1) % self.rows

    @property
    def age_frames(self) -> int:
        """Frames that the row read last has seen: 1 to R, 0 before the first step."""
        return min(self.steps, self.rows)

    def with_due_row_zeroed(self) -> "StateBank":
        """The bank as it must enter the next step: the row whose turn it is starts anew."""
        due = self.steps % self.rows
        fresh = tuple(state.copy() for state in self.states)
        for state in fresh:
            state[due] = 0.0
        return replace(self, states=fresh)

    def stepped(self, states: tuple[Float32, ...]) -> "StateBank":
        """The bank after a step that returned `states`."""
        return StateBank(states, self.steps + 1)
