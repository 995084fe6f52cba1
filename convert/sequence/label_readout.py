"""Read-out of AudioSet's labels from the newest frame's codes, as a sequence model without memory."""

from collections.abc import Mapping

import numpy as np
import tensorflow as tf

from convert.records.forms import Features
from convert.sequence.base import Arrays, SequenceModel, Tensor, counting
from convert.sequence.heads import plain_copy
from convert.sequence.options import ReadoutOptions
from convert.sequence.readout import readout_log_odds, readout_macs, readout_variables


class LabelReadout(SequenceModel):
    """Read-out alone; it is not trained. Its state counts frames, since every step needs a state."""

    kind = "readout"
    options: ReadoutOptions

    def __init__(self, options: ReadoutOptions, classes: int, seed: int = 0, features: Features = "audio") -> None:
        super().__init__(options, classes, features)
        del seed
        self.statistics |= readout_variables(classes, 0, 0)

    @property
    def readout_labels(self) -> int:
        """Number of AudioSet labels, which are all outputs."""
        return self.options.readout_labels

    @property
    def state_shapes(self) -> dict[str, tuple[int, ...]]:
        """Number of frames so far."""
        return {"count": (1,)}

    @property
    def macs_per_frame(self) -> int:
        """Multiply-accumulates of the read-out."""
        return readout_macs(self.classes, 0, 0)

    def offline_probabilities(self, codes: Tensor, lengths: Tensor) -> Tensor:
        """Return probabilities of frame number `lengths`."""
        ends = counting(lengths, tf.shape(codes)[1]) - counting(lengths - 1, tf.shape(codes)[1])
        last = tf.reduce_sum(tf.cast(codes, tf.float32) * ends, axis=1)
        return self._probabilities(self.variables_by_name, tf.cast(last, tf.uint8))

    def training_probabilities(self, codes: Tensor, lengths: Tensor, seed: Tensor) -> tuple[Tensor, Tensor]:
        """Return the same."""
        del seed
        return self.offline_probabilities(codes, lengths), {}

    def frozen(self) -> Arrays:
        """Return the weights unchanged."""
        return plain_copy(self)

    def step(
        self, weights: Mapping[str, Tensor], embedding: Tensor, row: Tensor, states: list[Tensor]
    ) -> tuple[Tensor, list[Tensor]]:
        """Process one frame: the result is the same for every row."""
        del row
        return self._probabilities(weights, embedding), [states[0] + np.float32(1.0)]

    def _probabilities(self, weights: Mapping[str, Tensor], codes: Tensor) -> Tensor:
        return tf.sigmoid(readout_log_odds(weights, codes, self.classes, 0)[0])
