"""AudioSet's labels read out of each frame's codes, and nothing else: a sequence model that looks at the newest frame alone."""

from collections.abc import Mapping

import numpy as np
import tensorflow as tf

from convert.sequence.base import Arrays, SequenceModel, Tensor, counting
from convert.sequence.heads import plain_copy
from convert.sequence.options import ReadoutOptions
from convert.sequence.readout import readout_log_odds, readout_macs, readout_variables


class LabelReadout(SequenceModel):
    """Has nothing to train; its state, the number of frames so far, is there because every step has one."""

    kind = "readout"
    options: ReadoutOptions

    def __init__(self, options: ReadoutOptions, classes: int, seed: int = 0) -> None:
        super().__init__(options, classes)
        del seed
        self.statistics |= readout_variables(classes, 0, 0)

    @property
    def readout_labels(self) -> int:
        """Number of AudioSet labels, which are all outputs."""
        return self.options.readout_labels

    @property
    def state_shapes(self) -> dict[str, tuple[int, ...]]:
        """How many frames there were."""
        return {"count": (1,)}

    @property
    def macs_per_frame(self) -> int:
        """Of the read-out."""
        return readout_macs(self.classes, 0, 0)

    def offline_probabilities(self, codes: Tensor, lengths: Tensor) -> Tensor:
        """Of frame number `lengths`."""
        ends = counting(lengths, tf.shape(codes)[1]) - counting(lengths - 1, tf.shape(codes)[1])
        last = tf.reduce_sum(tf.cast(codes, tf.float32) * ends, axis=1)
        return self._probabilities(self.variables_by_name, tf.cast(last, tf.uint8))

    def training_probabilities(self, codes: Tensor, lengths: Tensor, seed: Tensor) -> tuple[Tensor, Tensor]:
        """The same."""
        del seed
        return self.offline_probabilities(codes, lengths), {}

    def frozen(self) -> Arrays:
        """The weights as they are."""
        return plain_copy(self)

    def step(
        self, weights: Mapping[str, Tensor], embedding: Tensor, row: Tensor, states: list[Tensor]
    ) -> tuple[Tensor, list[Tensor]]:
        """One frame: the same for every row."""
        del row
        return self._probabilities(weights, embedding), [states[0] + np.float32(1.0)]

    def _probabilities(self, weights: Mapping[str, Tensor], codes: Tensor) -> Tensor:
        return tf.sigmoid(readout_log_odds(weights, codes, self.classes, 0)[0])
