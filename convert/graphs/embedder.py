"""A narrower VGGish: the same stack of convolutions and pools, one average over time, two dense layers, 128 numbers."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from convert.files import read_json
from edge_detector.errors import UsageError
from edge_detector.params import EMBEDDING_SIZE, FRONT_END

FULL_WIDTH_LAYERS = ((64, True), (128, True), (256, False), (256, True), (512, False), (512, True))
"""Channels of VGGish's convolutions, and whether a pool follows."""

LAYER_NOTATION = re.compile("(?:([1-9][0-9]{0,3})x)?([1-9][0-9]{0,3})([sp]?)")
MOST_HALVINGS = 5
"""96 frames halved five times are three."""

HIDDEN_UNITS = 512
NORM_EPSILON = 1e-3
NORM_MOMENTUM = 0.97

Weights = dict[str, np.ndarray[Any, Any]]


@dataclass(frozen=True, slots=True)
class Layer:
    """One convolution: its channels, its stride, and whether a pool follows. Stride 2 and a pool both halve the picture.

    With `between`, it is two: over three frames to so many channels, then over three bands, a half to a third of the work
    (Jaderberg et al. 2014, "Speeding up convolutional neural networks with low rank expansions", arXiv 1405.3866).
    """

    channels: int
    stride: int
    pool: bool
    between: int = 0


@dataclass(frozen=True, slots=True)
class Shape:
    """What kind of embedder.

    Attributes:
        width: scales VGGish's channels; 0.5 gives 1.75 million parameters.
        notation: channels of each convolution instead, such as "32s 16x64p 96": s a stride of 2, p a pool after it, 16x two
            convolutions with 16 channels between them.

    """

    width: float = 0.5
    notation: str = ""

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The convolutions. Raises UsageError for a notation that is none."""
        if not self.notation:
            return tuple(Layer(max(4, round(channels * self.width)), 1, pool) for channels, pool in FULL_WIDTH_LAYERS)
        found = [LAYER_NOTATION.fullmatch(part) for part in self.notation.replace(",", " ").split()]
        layers = tuple(
            Layer(int(part[2]), 2 if part[3] == "s" else 1, part[3] == "p", int(part[1] or 0)) for part in found if part
        )
        if len(layers) != len(found) or not 0 < _halvings(layers) <= MOST_HALVINGS:
            message = (
                f"{self.notation!r} is no list of layers; write channels with s for a stride or p for a pool, as 32s,16x64p,96p"
            )
            raise UsageError(message)
        return layers

    @property
    def flat_size(self) -> int:
        """Values left after the last pool and the average over time."""
        return (FRONT_END.mel_bands >> _halvings(self.layers)) * self.layers[-1].channels


def shape_of(folder: Path) -> Shape:
    """The shape of the embedder that train-embedder left in a folder. Raises KeyError or ValueError for other facts."""
    facts = read_json(folder / "embedder.json")
    return Shape(float(facts["width"]), str(facts.get("layers", "")))


def _halvings(layers: Sequence[Layer]) -> int:
    return sum(layer.pool or layer.stride == 2 for layer in layers)  # noqa: PLR2004 - a stride of 2 halves


def convolved(hidden: Any, kernels: Weights, name: str, layer: Layer) -> Any:  # noqa: ANN401 - tensors
    """A layer's convolution of (n, frames, bands, channels), be it one or two, without its bias."""
    kernel = tf.cast(kernels[f"{name}/kernel"], hidden.dtype)
    if not layer.between:
        return tf.nn.conv2d(hidden, kernel, layer.stride, "SAME")
    over_time = tf.cast(kernels[f"{name}/time/kernel"], hidden.dtype)
    return tf.nn.conv2d(tf.nn.conv2d(hidden, over_time, (layer.stride, 1), "SAME"), kernel, (1, layer.stride), "SAME")


class TrainedEmbedder(tf.Module):  # type: ignore[misc]
    """The network while it learns: convolutions are followed by batch normalisation, which `folded` removes."""

    def __init__(self, shape: Shape, classes: int, teacher_classes: int, seed: int, compute_dtype: Any) -> None:  # noqa: ANN401 - tf.DType
        super().__init__()
        self.shape, self.compute_dtype = shape, compute_dtype
        self.parameters: dict[str, Any] = {}
        self.statistics: dict[str, Any] = {}
        rng = np.random.default_rng(seed)
        channels_in = 1
        for index, layer in enumerate(shape.layers):
            name, channels = f"conv{index}", layer.channels
            if layer.between:
                # No ReLU follows, which would halve what passes: half the variance of the other kernels.
                self._kernel(rng, f"{name}/time/kernel", (3, 1, channels_in, layer.between), 6 * channels_in)
                self._kernel(rng, f"{name}/kernel", (1, 3, layer.between, channels), 3 * layer.between)
            else:
                self._kernel(rng, f"{name}/kernel", (3, 3, channels_in, channels), 9 * channels_in)
            self._constant(f"{name}/scale", channels, 1.0)
            self._constant(f"{name}/bias", channels, 0.0)
            self.statistics[f"{name}/mean"] = tf.Variable(tf.zeros(channels), trainable=False)
            self.statistics[f"{name}/variance"] = tf.Variable(tf.ones(channels), trainable=False)
            channels_in = channels
        self._dense(rng, "hidden", shape.flat_size, HIDDEN_UNITS)
        self._dense(rng, "embedding", HIDDEN_UNITS, EMBEDDING_SIZE)
        self._dense(rng, "classes", EMBEDDING_SIZE, classes, bias=-2.0)
        if teacher_classes:
            self._dense(rng, "teacher", EMBEDDING_SIZE, teacher_classes, bias=-5.0)

    def _kernel(self, rng: np.random.Generator, name: str, shape: tuple[int, ...], fan_in: int) -> None:
        values = rng.standard_normal(shape) * np.sqrt(2.0 / fan_in)
        self.parameters[name] = tf.Variable(values.astype(np.float32))

    def _constant(self, name: str, size: int, value: float) -> None:
        self.parameters[name] = tf.Variable(np.full(size, value, np.float32))

    def _dense(self, rng: np.random.Generator, name: str, size_in: int, size: int, bias: float = 0.0) -> None:
        self._kernel(rng, f"{name}/kernel", (size_in, size), size_in)
        self._constant(f"{name}/bias", size, bias)

    @property
    def hidden_kernels(self) -> tuple[str, ...]:
        """Names of the kernels that neither see the spectrogram nor say what is heard."""
        return tuple(
            name
            for name in self.parameters
            if name.endswith("/kernel") and name.split("/")[0] not in ("conv0", "classes", "teacher")
        )

    def logits(self, log_mel: Any) -> tuple[Any, Any]:  # noqa: ANN401 - tensors
        """Training pass: class logits and the teacher's logits (None without one), statistics updated."""
        hidden = tf.cast(log_mel[..., tf.newaxis], self.compute_dtype)
        for index, layer in enumerate(self.shape.layers):
            name = f"conv{index}"
            hidden, mean, variance, *_ = tf.compat.v1.nn.fused_batch_norm(
                convolved(hidden, self.parameters, name, layer),
                self.parameters[f"{name}/scale"],
                self.parameters[f"{name}/bias"],
                epsilon=NORM_EPSILON,
                is_training=True,
            )
            for statistic, value in (("mean", mean), ("variance", variance)):
                variable = self.statistics[f"{name}/{statistic}"]
                variable.assign(NORM_MOMENTUM * variable + (1.0 - NORM_MOMENTUM) * value)
            # The pool first: the maximum and the ReLU commute, and a quarter of the values is left.
            if layer.pool:
                hidden = tf.nn.max_pool2d(hidden, 2, 2, "SAME")
            hidden = tf.nn.relu(hidden)
        hidden = tf.reshape(tf.reduce_mean(tf.cast(hidden, tf.float32), axis=1), [-1, self.shape.flat_size])
        hidden = tf.nn.relu(self._linear(hidden, "hidden"))
        # As Google advises for VGGish: the embedding is linear, and whoever stacks a head on it starts with a ReLU.
        active = tf.nn.relu(self._linear(hidden, "embedding"))
        teacher = self._linear(active, "teacher") if "teacher/kernel" in self.parameters else None
        return self._linear(active, "classes"), teacher

    def _linear(self, values: Any, name: str) -> Any:  # noqa: ANN401 - tensors
        return values @ self.parameters[f"{name}/kernel"] + self.parameters[f"{name}/bias"]


def norm_factor(weights: Weights, name: str) -> np.ndarray[Any, Any]:
    """What batch normalisation multiplies each channel of a layer by."""
    return np.asarray(weights[f"{name}/scale"] / np.sqrt(weights[f"{name}/variance"] + NORM_EPSILON))


def folded(weights: Weights, shape: Shape) -> Weights:
    """Weights of the network without batch normalisation: it is one factor and one offset per channel."""
    out: Weights = {}
    for index, layer in enumerate(shape.layers):
        name = f"conv{index}"
        factor = norm_factor(weights, name)
        out[f"{name}/kernel"] = (weights[f"{name}/kernel"] * factor).astype(np.float32)
        if layer.between:
            out[f"{name}/time/kernel"] = weights[f"{name}/time/kernel"]
        out[f"{name}/bias"] = (weights[f"{name}/bias"] - weights[f"{name}/mean"] * factor).astype(np.float32)
    for name in ("hidden", "embedding", "classes"):
        for part in ("kernel", "bias"):
            out[f"{name}/{part}"] = weights[f"{name}/{part}"]
    return out


def activated(hidden: Any, kernels: Weights, name: str, layer: Layer) -> Any:  # noqa: ANN401 - tensors
    """What a layer gives without batch normalisation: its convolution, bias, ReLU and pool."""
    hidden = tf.nn.relu(tf.nn.bias_add(convolved(hidden, kernels, name, layer), kernels[f"{name}/bias"]))
    return tf.nn.max_pool2d(hidden, 2, 2, "SAME") if layer.pool else hidden


class FoldedEmbedder(tf.Module):  # type: ignore[misc]
    """The network as it is exported. Its variables are its own: layers of Keras held by a module export to NaN."""

    def __init__(self, weights: Weights, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.parameters = {name: tf.Variable(value, trainable=False) for name, value in weights.items()}

    def __call__(self, log_mel: Any) -> Any:  # noqa: ANN401 - tensors
        """Raw embeddings (n, 128) of log-mel patches (n, 96, 64)."""
        hidden = log_mel[..., tf.newaxis]
        for index, layer in enumerate(self.shape.layers):
            name = f"conv{index}"
            hidden = activated(hidden, self.parameters, name, layer)
        hidden = tf.reshape(tf.reduce_mean(hidden, axis=1), [-1, self.shape.flat_size])
        hidden = tf.nn.relu(hidden @ self.parameters["hidden/kernel"] + self.parameters["hidden/bias"])
        return hidden @ self.parameters["embedding/kernel"] + self.parameters["embedding/bias"]

    def embed_all(self, patches: np.ndarray[Any, Any], batch: int = 64) -> np.ndarray[Any, Any]:
        """Raw embeddings float32 (n, 128), in batches."""
        if not len(patches):
            return np.zeros((0, EMBEDDING_SIZE), np.float32)
        parts = [self(tf.constant(patches[i : i + batch])).numpy() for i in range(0, len(patches), batch)]
        return np.concatenate(parts)

    def class_probabilities(self, embeddings: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """What the head it was trained with says: float32 (n, classes)."""
        logits = np.maximum(embeddings, 0.0) @ self.parameters["classes/kernel"].numpy()
        logits = logits + self.parameters["classes/bias"].numpy()
        return np.asarray(1.0 / (1.0 + np.exp(-logits)))
