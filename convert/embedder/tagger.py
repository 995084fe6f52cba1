"""TFLite audio tagger with YAMNet's interface: one window in, one row of scores out."""

from pathlib import Path

import numpy as np

from edge_detector.detection.tflite import interpreter_class
from edge_detector.errors import UsageError
from edge_detector.params import FRONT_END
from edge_detector.types import Float32


class Tagger:
    """Scores windows of 15,600 samples."""

    def __init__(self, path: Path) -> None:
        try:
            self._interpreter = interpreter_class()(str(path), num_threads=1)
        except (ValueError, OSError) as error:
            message = f"{path} is not a TFLite model that can be loaded; give YAMNet's classifier"
            raise UsageError(message) from error
        self._interpreter.allocate_tensors()
        self._input = self._interpreter.get_input_details()[0]
        self._output = self._interpreter.get_output_details()[0]
        if int(np.prod(self._input["shape"])) != FRONT_END.patch_samples:
            message = f"{path} takes {self._input['shape'].tolist()} samples; a tagger must take {FRONT_END.patch_samples}"
            raise UsageError(message)

    @property
    def classes(self) -> int:
        """Number of scores of a window."""
        return int(self._output["shape"][-1])

    def scores(self, samples: Float32) -> Float32:
        """Return scores float32 (n, classes), each in [0, 1], of windows float32 (n, 15600)."""
        rows = np.empty((len(samples), self.classes), np.float32)
        for row, window in zip(rows, samples, strict=True):
            self._interpreter.set_tensor(self._input["index"], window.reshape(self._input["shape"]))
            self._interpreter.invoke()
            row[:] = self._interpreter.get_tensor(self._output["index"]).reshape(-1)
        return rows
