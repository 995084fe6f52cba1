"""What a teacher says of sound that nobody labelled: that it is none of the classes, or that it may be one."""

from pathlib import Path

import numpy as np

from convert.data.classes import ClassName
from convert.data.clips import UNSORTED
from convert.data.peer import EXAMPLE_STEP_SAMPLES, NAMES_BY_MID, Peer
from edge_detector.params import FRONT_END
from edge_detector.types import Float32

OTHER = "other"
LABELS = (OTHER, UNSORTED)
CLEARED_BELOW = 0.05
"""A recording is none of the classes if no window of it gives any of them this score; of the 320 clips of ESC-10's folds 1 to 4,
which all are one, YAMNet would so clear 5."""


class Sorter:
    """Gives a recording one of two labels: OTHER, or UNSORTED where YAMNet hears in it any class that its table knows."""

    def __init__(self, teacher: Peer) -> None:
        self._teacher = teacher

    @classmethod
    def load(cls, path: Path) -> "Sorter":
        """With the .tflite file at a path."""
        return cls(Peer(path, tuple(ClassName(mid, mid, mid) for mid in NAMES_BY_MID)))

    def label_of(self, samples: Float32) -> str:
        """The label of one recording, 16 kHz mono."""
        # At least one window, and the end of a longer one too.
        padded = np.pad(samples, (0, max(FRONT_END.patch_samples - len(samples), EXAMPLE_STEP_SAMPLES)))
        heard = self._teacher.probabilities(padded, EXAMPLE_STEP_SAMPLES)
        return OTHER if float(heard.max()) < CLEARED_BELOW else UNSORTED
