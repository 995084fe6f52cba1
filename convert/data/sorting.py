"""Unlabelled sound, sorted by YAMNet's scores: by its likeliest label, and by whether it may hold one of the classes."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from convert.data.clips import UNSORTED
from convert.data.kinds import folder_names
from convert.data.peer import EXAMPLE_STEP_SAMPLES, Peer, windows
from convert.data.teacher import Teacher
from convert.data.yamnet_labels import read_labels
from edge_detector.params import FRONT_END
from edge_detector.types import Float32

OTHER = "other"
LABELS = (OTHER, UNSORTED)
CLEARED_BELOW = 0.05
"""A recording is none of the classes if no window of it gives any of them this score; of the 320 clips of ESC-10's folds 1 to 4,
which all are one, YAMNet would so clear 5."""


MOST_WINDOWS = 12
"""Of a long recording as many are scored, evenly spaced."""


class KindSorter:
    """Names a folder for each recording, after the AudioSet label with the highest mean score."""

    def __init__(self, path: Path) -> None:
        self._tagger = Teacher(path)
        self._names: Sequence[str] = folder_names(read_labels(path))

    def folder_of(self, samples: Float32) -> str:
        """`animal_cat`, by 16 kHz mono samples."""
        every = windows(samples, EXAMPLE_STEP_SAMPLES)
        chosen = every[np.linspace(0, len(every) - 1, min(len(every), MOST_WINDOWS)).astype(int)]
        return self._names[int(self._tagger.scores(np.ascontiguousarray(chosen)).mean(axis=0).argmax())]


def label_of(teacher: Peer, samples: Float32) -> str:
    """The label of one recording, 16 kHz mono: OTHER, or UNSORTED where the teacher hears any class in it.

    The teacher is one that listens for every class that YAMNet's table knows (`peer.of_all_classes`).
    """
    # At least one window, and the end of a longer one too.
    padded = np.pad(samples, (0, max(FRONT_END.patch_samples - len(samples), EXAMPLE_STEP_SAMPLES)))
    return OTHER if float(teacher.probabilities(padded, EXAMPLE_STEP_SAMPLES).max()) < CLEARED_BELOW else UNSORTED
