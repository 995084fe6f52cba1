"""What a teacher says of sound that nobody labelled: that it is none of the classes, or that it may be one."""

import numpy as np

from convert.data.clips import UNSORTED
from convert.data.peer import EXAMPLE_STEP_SAMPLES, Peer
from edge_detector.params import FRONT_END
from edge_detector.types import Float32

OTHER = "other"
LABELS = (OTHER, UNSORTED)
CLEARED_BELOW = 0.05
"""A recording is none of the classes if no window of it gives any of them this score; of the 320 clips of ESC-10's folds 1 to 4,
which all are one, YAMNet would so clear 5."""


def label_of(teacher: Peer, samples: Float32) -> str:
    """The label of one recording, 16 kHz mono: OTHER, or UNSORTED where the teacher hears any class in it.

    The teacher is one that listens for every class that YAMNet's table knows (`peer.of_all_classes`).
    """
    # At least one window, and the end of a longer one too.
    padded = np.pad(samples, (0, max(FRONT_END.patch_samples - len(samples), EXAMPLE_STEP_SAMPLES)))
    return OTHER if float(teacher.probabilities(padded, EXAMPLE_STEP_SAMPLES).max()) < CLEARED_BELOW else UNSORTED
