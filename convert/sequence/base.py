"""Base class of all sequence models: named variables, offline probabilities, and a step with explicit states."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, TypeAlias

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from convert.records.forms import WIDTHS, Features
from convert.sequence.facts import StateShape
from convert.sequence.options import VIDEO_LEVEL, ModelOptions
from edge_detector.detection.embedding import DEQUANTISE_OFFSET, DEQUANTISE_SCALE
from edge_detector.types import Codes, Float32

Tensor: TypeAlias = Any
Arrays: TypeAlias = dict[str, Float32]
NORM_FLOOR = 1e-12
PREDICT_FRAMES = 4_096
"""Frames per call of the offline graph; DBoF has 8,192 numbers for each frame."""
MOST_ROWS = 512


class SequenceModel(tf.Module, ABC):  # type: ignore[misc]
    """A model over frames of codes.

    Attributes:
        weights: trained variables, by name.
        statistics: variables that are not trained by gradients.
        regularised: names of the weights with the L2 penalty.
        features, width: what a frame is, and its numbers.

    """

    kind: ClassVar[str]
    options: ModelOptions

    def __init__(self, options: ModelOptions, classes: int, features: Features = "audio") -> None:
        super().__init__()
        self.options, self.classes, self.features = options, classes, features
        self.width = WIDTHS[features]
        self.weights: dict[str, Any] = {}
        self.statistics: dict[str, Any] = {}
        self.regularised: list[str] = []
        self._graph: Any = None

    def add(self, name: str, values: NDArray[Any], *, regularised: bool = False) -> None:
        """Add a trained variable."""
        self.weights[name] = tf.Variable(values.astype(np.float32))
        if regularised:
            self.regularised.append(name)

    @property
    @abstractmethod
    def state_shapes(self) -> dict[str, tuple[int, ...]]:
        """Row shape of each state of the step, by name. The initial state is a row of zeros."""

    @property
    @abstractmethod
    def macs_per_frame(self) -> int:
        """Multiply-accumulates of one step with one row, classifier included; matrix products only."""

    @abstractmethod
    def offline_probabilities(self, codes: Tensor, lengths: Tensor) -> Tensor:
        """Return probabilities (n, classes) of codes uint8 (n, frames, 128), of which the first `lengths` frames count."""

    @abstractmethod
    def training_probabilities(self, codes: Tensor, lengths: Tensor, seed: Tensor) -> tuple[Tensor, Any]:
        """Return the same in training, and the batch's statistics by name."""

    @abstractmethod
    def frozen(self) -> Arrays:
        """Return the weights of the step, with batch normalisation folded in."""

    @abstractmethod
    def step(self, weights: Mapping[str, Tensor], embedding: Tensor, row: Tensor, states: list[Tensor]) -> tuple[Tensor, Any]:
        """Process one frame uint8 (1, 128) for all rows; return probabilities (1, classes) of `row`, and the next states."""

    def prefixes(self, codes: Codes) -> Float32:
        """Return probabilities float32 (n, frames, classes) after every prefix, by the offline graph."""
        count, frames = codes.shape[:2]
        lengths = np.arange(1, frames + 1, dtype=np.int32)
        found = [self.predict(np.repeat(one[np.newaxis], frames, axis=0), lengths) for one in codes]
        return np.stack(found).reshape(count, frames, self.classes)

    @property
    def variables_by_name(self) -> dict[str, Any]:
        """All variables of a weights file."""
        return {**self.weights, **self.statistics}

    @property
    def parameters(self) -> int:
        """Number of trained numbers."""
        return sum(int(np.prod(variable.shape)) for variable in self.weights.values())

    @property
    def states(self) -> tuple[StateShape, ...]:
        """State shapes as sequence.json and the bundle's manifest have them."""
        return tuple(StateShape(name, shape) for name, shape in self.state_shapes.items())

    @property
    def frame_level(self) -> bool:
        """Whether the model needs frames, not their mean."""
        return self.kind not in VIDEO_LEVEL

    @property
    def readout_labels(self) -> int:
        """Number of AudioSet labels before the model's own classes."""
        return 0

    def statistics_decay(self, step: int) -> float:
        """Return the decay of the statistics after `step` steps; 0 for a model without statistics."""
        del step
        return 0.0

    def load(self, weights: Mapping[str, NDArray[Any]]) -> None:
        """Assign weights by name. Raises KeyError or ValueError for weights of another model."""
        for name, variable in self.variables_by_name.items():
            variable.assign(weights[name])

    def penalty(self) -> Tensor:
        """Return half the sum of the squares of all regularised weights (TF-Slim's L2)."""
        return tf.add_n([tf.nn.l2_loss(self.weights[name]) for name in self.regularised] or [tf.constant(0.0)])

    def predict(self, codes: Codes | Float32, frames: NDArray[np.int32]) -> Float32:
        """Return probabilities float32 (n, classes) of zero-padded codes uint8 (n, max frames, 128) with `frames` frames each.

        Frames may also be dequantised float32: the mean of a video-level record is one such frame.
        """
        if self._graph is None:
            self._graph = tf.function(self.offline_probabilities, reduce_retracing=True)
        rows = min(max(PREDICT_FRAMES // max(codes.shape[1], 1), 1), MOST_ROWS)
        found = [np.zeros((0, self.classes), np.float32)]
        for first in range(0, len(codes), rows):
            part = slice(first, first + rows)
            found.append(self._graph(tf.constant(codes[part]), tf.constant(frames[part], tf.int32)).numpy())
        # The softmax of a mixture may exceed 1 by a rounding error.
        return np.clip(np.concatenate(found), 0.0, 1.0)


def dequantised(codes: Tensor) -> Tensor:
    """Return codes (…) as numbers in [-1.992, 2.008]; float inputs, such as a video-level mean, are returned unchanged.

    Formula: docs/reference.md, PCA and quantisation.
    """
    return codes if codes.dtype.is_floating else tf.cast(codes, tf.float32) * DEQUANTISE_SCALE + DEQUANTISE_OFFSET


def l2_normalised(values: Tensor) -> Tensor:
    """Return vectors (…, 128) of length 1; a zero vector stays zero (docs/reference.md, YouTube-8M's models)."""
    power = tf.reduce_sum(tf.square(values), axis=-1, keepdims=True)
    return values * tf.math.rsqrt(tf.maximum(power, NORM_FLOOR))


def normalised(codes: Tensor) -> Tensor:
    """Return codes (…, 128) dequantised and of length 1 per frame: the input of all models but the video-level ones."""
    return l2_normalised(dequantised(codes))


def counting(lengths: Tensor, frames: Tensor) -> Tensor:
    """Return a mask float32 (n, frames, 1): 1 for the first `lengths` frames, 0 for padding (code 0 is not the number 0)."""
    return tf.cast(tf.range(frames)[tf.newaxis] < lengths[:, tf.newaxis], tf.float32)[..., tf.newaxis]


def xavier(rng: np.random.Generator, rows: int, columns: int) -> NDArray[np.float64]:
    """Return initial weights as TensorFlow 1 and TF-Slim draw them (Glorot uniform: X. Glorot, Y. Bengio, AISTATS 2010)."""
    limit = float(np.sqrt(6.0 / (rows + columns)))
    return rng.uniform(-limit, limit, (rows, columns))
