"""Sort unlabelled recordings into folders named after the kind and the AudioSet label that YAMNet gives them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from convert.audio.kinds import folder_names
from convert.embedder.tagger import Tagger
from convert.embedder.yamnet import EXAMPLE_STEP_SAMPLES, windows
from convert.embedder.yamnet_labels import read_labels
from edge_detector.types import Float32

MOST_WINDOWS = 12
"""Windows scored of a long recording, evenly spaced."""


class KindSorter:
    """Names a recording's folder after its AudioSet label of the highest mean score."""

    def __init__(self, path: Path) -> None:
        self._tagger = Tagger(path)
        self._names: Sequence[str] = folder_names(read_labels(path))

    def folder_of(self, samples: Float32) -> str:
        """Return the folder of 16 kHz mono samples, such as `animal_cat`."""
        every = windows(samples, EXAMPLE_STEP_SAMPLES)
        chosen = every[np.linspace(0, len(every) - 1, min(len(every), MOST_WINDOWS)).astype(int)]
        return self._names[int(self._tagger.scores(np.ascontiguousarray(chosen)).mean(axis=0).argmax())]
