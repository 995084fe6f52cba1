"""The LSTM of YouTube-8M (spec 5.4) with one logistic per class on the top layer's h, offline and as a streaming step."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from edge_detector.core.embedding import DEQUANTISE_OFFSET, DEQUANTISE_SCALE
from edge_detector.params import EMBEDDING_SIZE

NORM_FLOOR = 1e-12
FORGET_BIAS = 1.0


@dataclass(frozen=True, slots=True)
class LstmShape:
    """Layers, cells in each, and classes."""

    layers: int
    cells: int
    classes: int


class Lstm(tf.Module):  # type: ignore[misc]
    """Variables of its own, in YouTube-8M's gate order i, j, f, o; the forget bias is added when run, never stored."""

    def __init__(self, shape: LstmShape, seed: int = 0) -> None:
        super().__init__()
        self.shape = shape
        self.parameters: dict[str, Any] = {}
        rng = np.random.default_rng(seed)
        size_in = EMBEDDING_SIZE
        for layer in range(shape.layers):
            # TensorFlow 1's default for one joint kernel of input and state, as the original has it.
            limit = float(np.sqrt(6.0 / (size_in + shape.cells + 4 * shape.cells)))
            for name, rows in (("input", size_in), ("state", shape.cells)):
                self._add(f"layer{layer}/{name}", rng.uniform(-limit, limit, (rows, 4 * shape.cells)))
            self._add(f"layer{layer}/bias", np.zeros(4 * shape.cells))
            size_in = shape.cells
        limit = float(np.sqrt(6.0 / (shape.cells + shape.classes)))
        self._add("head/kernel", rng.uniform(-limit, limit, (shape.cells, shape.classes)))
        self._add("head/bias", np.zeros(shape.classes))

    def _add(self, name: str, values: np.ndarray[Any, Any]) -> None:
        self.parameters[name] = tf.Variable(values.astype(np.float32))

    def load(self, weights: dict[str, np.ndarray[Any, Any]]) -> None:
        """Take over weights by name. Raises KeyError or ValueError when they are of another model."""
        for name, variable in self.parameters.items():
            variable.assign(weights[name])

    @property
    def state_names(self) -> tuple[str, ...]:
        """Inputs of the step, h0, c0, h1, c1 and so on; the outputs are next_h0 and so on."""
        return tuple(f"{kind}{layer}" for layer in range(self.shape.layers) for kind in "hc")

    def advance(self, inputs: Any, states: list[Any]) -> list[Any]:  # noqa: ANN401 - tensors
        """States after one frame: inputs (1 or n, 128), states h0, c0, h1, … each (n, cells)."""
        after: list[Any] = []
        for layer in range(self.shape.layers):
            hidden, cell = states[2 * layer], states[2 * layer + 1]
            gates = inputs @ self.parameters[f"layer{layer}/input"] + self.parameters[f"layer{layer}/bias"]
            gates = gates + hidden @ self.parameters[f"layer{layer}/state"]
            write, new, forget, show = tf.split(gates, 4, axis=1)
            cell = tf.sigmoid(forget + FORGET_BIAS) * cell + tf.sigmoid(write) * tf.tanh(new)
            hidden = tf.sigmoid(show) * tf.tanh(cell)
            after += [hidden, cell]
            inputs = hidden
        return after

    def head(self, hidden: Any) -> Any:  # noqa: ANN401 - tensors
        """Logits (n, classes)."""
        return hidden @ self.parameters["head/kernel"] + self.parameters["head/bias"]

    def offline_logits(self, codes: Any, keep: float = 1.0, dropout_seed: Any = None) -> Any:  # noqa: ANN401 - tensors
        """Logits (n, frames, classes) after every prefix of sequences uint8 (n, frames, 128), from zero states.

        `keep` below 1 drops part of the top layer's output, for training; `dropout_seed`, two integers, says which.
        """
        inputs = normalised(codes)
        rows = tf.shape(codes)[0]
        states = [tf.zeros((rows, self.shape.cells)) for _ in self.state_names]
        tops = []
        for frame in range(codes.shape[1]):
            states = self.advance(inputs[:, frame], states)
            tops.append(states[-2])
        hidden = tf.stack(tops, axis=1)
        if keep < 1.0:
            hidden = tf.nn.experimental.stateless_dropout(hidden, 1.0 - keep, dropout_seed)
        flat = self.head(tf.reshape(hidden, [-1, self.shape.cells]))
        return tf.reshape(flat, [rows, codes.shape[1], self.shape.classes])

    def offline(self, codes: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """Probabilities float32 (n, frames, classes) after every prefix."""
        return np.asarray(tf.sigmoid(self.offline_logits(tf.constant(codes))))

    def step(self, embedding: Any, row: Any, *states: Any) -> dict[str, Any]:  # noqa: ANN401 - tensors
        """One frame for all rows of a bank; the head looks at `row` only."""
        after = self.advance(normalised(embedding), list(states))
        probabilities = tf.sigmoid(self.head(tf.gather(after[-2], row)))
        named = {f"next_{name}": value for name, value in zip(self.state_names, after, strict=True)}
        return {"probabilities": probabilities, **named}

    def step_function(self) -> Any:  # noqa: ANN401 - a concrete function
        """The step for any number of rows, as it is exported."""
        specs = [
            tf.TensorSpec((1, EMBEDDING_SIZE), tf.uint8, name="embedding"),
            tf.TensorSpec((1,), tf.int32, name="row"),
            *(tf.TensorSpec((None, self.shape.cells), tf.float32, name=name) for name in self.state_names),
        ]
        return tf.function(self.step).get_concrete_function(*specs)


def normalised(codes: Any) -> Any:  # noqa: ANN401 - tensors
    """Codes (…, 128) dequantised and of length 1 per frame, as every model of YouTube-8M takes them."""
    values = tf.cast(codes, tf.float32) * DEQUANTISE_SCALE + DEQUANTISE_OFFSET
    power = tf.reduce_sum(tf.square(values), axis=-1, keepdims=True)
    return values * tf.math.rsqrt(tf.maximum(power, NORM_FLOOR))
