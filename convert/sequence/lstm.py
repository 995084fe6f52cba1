"""LSTM of YouTube-8M (frame_level_models.LstmModel): stacked BasicLSTMCells, and a classifier on the top layer's last h."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from convert.records.forms import Features
from convert.sequence.base import Arrays, SequenceModel, Tensor, counting, dequantised, normalised, xavier
from convert.sequence.heads import make_head, plain_copy
from convert.sequence.options import LstmOptions
from convert.sequence.readout import readout_log_odds, readout_macs, readout_variables
from edge_detector.types import Codes, Float32

FORGET_BIAS = 1.0


class Lstm(SequenceModel):
    """LSTM with one kernel per layer for input and state together, gates in the order i, j, f, o.

    The forget bias is added at run time, not stored. One kernel, not two, because each variable's gradient is clipped separately.
    The read-out is not YouTube-8M's: with one, the step outputs the probabilities of AudioSet's labels first, and the
    classifier's input is h and the log-odds of each class's labels.
    """

    kind = "lstm"
    options: LstmOptions

    def __init__(self, options: LstmOptions, classes: int, seed: int = 0, features: Features = "audio") -> None:
        super().__init__(options, classes, features)
        rng = np.random.default_rng(seed)
        size = self.width
        for layer in range(options.layers):
            self.add(f"layer{layer}/kernel", xavier(rng, size + options.cells, 4 * options.cells))
            self.add(f"layer{layer}/bias", np.zeros(4 * options.cells))
            size = options.cells
        own = classes - options.readout_labels
        self._head = make_head(self, options.cells + (own if options.readout_labels else 0), own, rng, mixtures=options.experts)
        if options.readout_labels:
            self.statistics |= readout_variables(options.readout_labels, own, options.readout_scores)
        self._prefix_graph: Any = None

    @property
    def state_shapes(self) -> dict[str, tuple[int, ...]]:
        """h0, c0, h1, c1 and so on."""
        return {f"{kind}{layer}": (self.options.cells,) for layer in range(self.options.layers) for kind in "hc"}

    @property
    def macs_per_frame(self) -> int:
        """Multiply-accumulates of all kernels, the head and the read-out."""
        kernels = [variable for name, variable in self.weights.items() if name.endswith("/kernel") and name.startswith("layer")]
        labels = self.options.readout_labels
        readout = readout_macs(labels, self.classes - labels, self.options.readout_scores) if labels else 0
        return sum(int(np.prod(kernel.shape)) for kernel in kernels) + self._head.macs + readout

    def outputs(self, codes: Tensor) -> Tensor:
        """Return the top layer's h after every frame, (n, frames, cells), from zero states."""
        values, size = tf.transpose(normalised(codes), [1, 0, 2]), self.width
        empty = tf.zeros((tf.shape(codes)[0], self.options.cells))
        for layer in range(self.options.layers):
            kernel, bias = self.weights[f"layer{layer}/kernel"], self.weights[f"layer{layer}/bias"]
            # The inputs' share of all frames in one product of matrices. With it a loop trains 1.3 times as fast as the operator
            # BlockLSTM, whose gradient multiplies frame by frame.
            of_inputs, of_state = tf.split(kernel, [size, self.options.cells])
            product = tf.matmul(tf.reshape(values, [-1, size]), of_inputs) + bias
            gates = tf.reshape(product, [-1, tf.shape(codes)[0], 4 * self.options.cells])

            def step(state: tuple[Tensor, Tensor], gates: Tensor, of_state: Tensor = of_state) -> tuple[Tensor, Tensor]:
                hidden, cell = state
                return _next_state(gates + hidden @ of_state, cell)

            values, size = tf.scan(step, gates, (empty, empty))[0], self.options.cells
        return tf.transpose(values, [1, 0, 2])

    @property
    def readout_labels(self) -> int:
        """Number of AudioSet labels before the model's own classes."""
        return self.options.readout_labels

    def frame_probabilities(self, codes: Tensor, seed: Tensor = None) -> Tensor:
        """Return probabilities (n, frames, classes) after every prefix; with a seed, outputs are dropped as in training."""
        outputs = tf.reshape(self._dropped(self.outputs(codes), seed), [-1, self.options.cells])
        found = self._classified(self.variables_by_name, outputs, tf.reshape(codes, [-1, self.width]))
        return tf.reshape(found, [tf.shape(codes)[0], tf.shape(codes)[1], self.classes])

    def offline_probabilities(self, codes: Tensor, lengths: Tensor) -> Tensor:
        """Return probabilities from h after frame number `lengths`; h is 0 without frames."""
        return self.training_probabilities(codes, lengths, None)[0]

    def training_probabilities(self, codes: Tensor, lengths: Tensor, seed: Tensor) -> tuple[Tensor, Tensor]:
        """Return the same, with dropout of h; without a seed nothing is dropped."""
        ends = counting(lengths, tf.shape(codes)[1]) - counting(lengths - 1, tf.shape(codes)[1])
        outputs, frames = (tf.reduce_sum(values * ends, axis=1) for values in (self.outputs(codes), dequantised(codes)))
        return self._classified(self.variables_by_name, self._dropped(outputs, seed), frames), {}

    def _dropped(self, values: Tensor, seed: Tensor) -> Tensor:
        keep = self.options.keep_outputs
        return values if seed is None or keep == 1.0 else tf.nn.experimental.stateless_dropout(values, 1.0 - keep, seed)

    def _classified(self, weights: Mapping[str, Tensor], outputs: Tensor, codes: Tensor) -> Tensor:
        labels = self.options.readout_labels
        if not labels:
            return self._head(weights, outputs)
        of_labels, of_classes = readout_log_odds(weights, codes, labels, self.classes - labels)
        return tf.concat([tf.sigmoid(of_labels), self._head(weights, tf.concat([outputs, of_classes], axis=1))], axis=1)

    def prefixes(self, codes: Codes) -> Float32:
        """Return probabilities after every prefix, in one pass."""
        if self._prefix_graph is None:
            self._prefix_graph = tf.function(self.frame_probabilities, reduce_retracing=True)
        found: Float32 = np.clip(self._prefix_graph(tf.constant(codes)).numpy(), 0.0, 1.0)
        return found

    def frozen(self) -> Arrays:
        """Return kernels split into input and state, so that the exported graph needs no slicing."""
        weights = plain_copy(self)
        size = self.width
        for layer in range(self.options.layers):
            kernel = weights.pop(f"layer{layer}/kernel")
            weights |= {f"layer{layer}/input": kernel[:size], f"layer{layer}/state": kernel[size:]}
            size = self.options.cells
        return weights

    def step(
        self, weights: Mapping[str, Tensor], embedding: Tensor, row: Tensor, states: list[Tensor]
    ) -> tuple[Tensor, list[Tensor]]:
        """Process one frame."""
        inputs, after = normalised(embedding), []
        for layer in range(self.options.layers):
            hidden, cell = states[2 * layer], states[2 * layer + 1]
            gates = inputs @ weights[f"layer{layer}/input"] + weights[f"layer{layer}/bias"]
            inputs, cell = _next_state(gates + hidden @ weights[f"layer{layer}/state"], cell)
            after += [inputs, cell]
        return self._classified(weights, tf.gather(inputs, row), embedding), after


def _next_state(gates: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
    """Return h' and c' of one layer: c' = σ(f + 1)·c + σ(i)·tanh(j), h' = σ(o)·tanh(c')."""
    write, new, forget, show = tf.split(gates, 4, axis=1)
    cell = tf.sigmoid(forget + FORGET_BIAS) * cell + tf.sigmoid(write) * tf.tanh(new)
    return tf.sigmoid(show) * tf.tanh(cell), cell
