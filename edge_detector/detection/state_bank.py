"""The state bank: R staggered states, so that one row has always processed exactly the last R frames."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from edge_detector.params import EMBEDDING_SIZE
from edge_detector.types import Codes, Float32


@dataclass(frozen=True, slots=True)
class StateBank:
    """Recurrent states of one phase of one source, before or after a step (docs/reference.md, YouTube-8M's models).

    Attributes:
        states: one float32 (R, …) array per state tensor of the model.
        steps: number since the start or the last gap.
        recent: codes uint8 (n, 128) of the last frames, the newest last, for taught classes; empty without any.

    """

    states: tuple[Float32, ...]
    steps: int = 0
    recent: Codes = field(default_factory=lambda: np.zeros((0, EMBEDDING_SIZE), np.uint8))

    @classmethod
    def empty(cls, rows: int, row_shapes: Sequence[tuple[int, ...]]) -> "StateBank":
        """Return all-zero states with `rows` = R rows, each of the given shape."""
        return cls(tuple(np.zeros((rows, *shape), np.float32) for shape in row_shapes))

    @property
    def rows(self) -> int:
        """R, the longest context in frames that the model was trained on."""
        return len(self.states[0])

    @property
    def next_row(self) -> int:
        """Row to read after the next step: it will have processed the last R frames, or all since the start."""
        return (self.steps + 1) % self.rows

    @property
    def age_frames(self) -> int:
        """Frames that the row read last has processed: 1 to R, 0 before the first step."""
        return min(self.steps, self.rows)

    def with_due_row_zeroed(self) -> "StateBank":
        """Return the bank for the next step, with the due row reset to zero."""
        due = self.steps % self.rows
        copies = tuple(state.copy() for state in self.states)
        for state in copies:
            state[due] = 0.0
        return replace(self, states=copies)

    def stepped(self, states: tuple[Float32, ...]) -> "StateBank":
        """Return the bank after a step that returned `states`."""
        return replace(self, states=states, steps=self.steps + 1)

    def remembering(self, codes: Codes, frames: int) -> "StateBank":
        """Return the bank with codes uint8 (128,) as its newest; the last `frames` are kept."""
        return replace(self, recent=np.concatenate([self.recent, codes[np.newaxis]])[-frames:])
