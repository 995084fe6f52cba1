"""Deep bag of frames (frame_level_models.DbofModel of YouTube-8M): clusters per frame, pooling, one hidden layer, a classifier.

YouTube-8M draws 30 frames at random in training, evaluation and inference. Here they are drawn in training only; inference pools
all frames, which equals a running maximum or mean and is deterministic.
"""

from collections.abc import Mapping

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from convert.records.forms import Features
from convert.sequence.base import Arrays, SequenceModel, Tensor, counting, normalised
from convert.sequence.heads import make_head, plain_copy
from convert.sequence.options import DbofOptions

VARIANCE_FLOOR = 1e-3
NORMS = ("input", "cluster", "hidden")


class Dbof(SequenceModel):
    """DBoF with batch normalisation on the input and after both layers, or biases (docs/reference.md, YouTube-8M's models)."""

    kind = "dbof"
    options: DbofOptions

    def __init__(self, options: DbofOptions, classes: int, seed: int = 0, features: Features = "audio") -> None:
        super().__init__(options, classes, features)
        rng = np.random.default_rng(seed)
        for name, size_in, size in self._layers():
            deviation = float(size_in) ** -0.5
            self.add(f"{name}/kernel", rng.normal(0.0, deviation, (size_in, size)))
            if not options.batch_norm:
                self.add(f"{name}/bias", rng.normal(0.0, deviation if name == "cluster" else 0.01, size))
        if options.batch_norm:
            for name, size in zip(NORMS, (self.width, options.clusters, options.hidden), strict=True):
                self.add(f"{name}/gamma", np.ones(size))
                self.add(f"{name}/beta", np.zeros(size))
                self.statistics[f"{name}/mean"] = tf.Variable(tf.zeros(size), trainable=False)
                self.statistics[f"{name}/variance"] = tf.Variable(tf.ones(size), trainable=False)
        self._head = make_head(self, options.hidden, classes, rng, mixtures=options.experts)

    def statistics_decay(self, step: int) -> float:
        """Return the decay after `step` steps: faster at first, or a short training would keep the initial statistics.

        The statistics average over at most about a ninth of all steps so far.
        """
        return min(self.options.batch_norm_decay, (1.0 + step) / (10.0 + step))

    def _layers(self) -> tuple[tuple[str, int, int], ...]:
        return (("cluster", self.width, self.options.clusters), ("hidden", self.options.clusters, self.options.hidden))

    @property
    def state_shapes(self) -> dict[str, tuple[int, ...]]:
        """Maximum (or sum) over the frames so far, and their number.

        Activations are never negative, so a maximum may start from zeros like a sum.
        """
        return {"peak" if self.options.pooling == "max" else "total": (self.options.clusters,), "count": (1,)}

    @property
    def macs_per_frame(self) -> int:
        """Multiply-accumulates of both layers and the classifier."""
        return sum(size_in * size for _, size_in, size in self._layers()) + self._head.macs

    def _active(self, values: Tensor) -> Tensor:
        return tf.sigmoid(values) if self.options.activation == "sigmoid" else tf.nn.relu6(values)

    def offline_probabilities(self, codes: Tensor, lengths: Tensor) -> Tensor:
        """Return probabilities of all frames pooled, with the statistics of training."""
        return self._probabilities(codes, counting(lengths, tf.shape(codes)[1]), None)

    def training_probabilities(self, codes: Tensor, lengths: Tensor, seed: Tensor) -> tuple[Tensor, Tensor]:
        """Return probabilities of drawn frames, and the batch's own statistics over them."""
        moments: dict[str, Tensor] = {}
        frames, times = self.drawn(codes, lengths, seed)
        return self._probabilities(frames, times, moments), moments

    def drawn(self, codes: Tensor, lengths: Tensor, seed: Tensor) -> tuple[Tensor, Tensor]:
        """Return frames, and how often each was drawn, float32 (n, frames, 1); weighted statistics equal those of all draws."""
        count = self.options.iterations
        longest = tf.cast(lengths, tf.float32)[:, tf.newaxis]
        if self.options.sampling == "random":
            uniform = tf.random.stateless_uniform((tf.shape(codes)[0], count), seed)
            index = tf.cast(tf.floor(uniform * longest), tf.int32)
        else:
            uniform = tf.random.stateless_uniform((tf.shape(codes)[0], 1), seed)
            start = tf.cast(tf.floor(uniform * (tf.maximum(longest - count, 0.0) + 1.0)), tf.int32)
            index = start + tf.range(count)[tf.newaxis]
        index = tf.clip_by_value(index, 0, tf.maximum(lengths[:, tf.newaxis] - 1, 0))
        found: tuple[Tensor, Tensor] = tf.cond(
            tf.shape(codes)[1] <= count,
            # Fewer frames than draws: weighting them is a third of the work for AudioSet's ten frames.
            lambda: (codes, tf.reduce_sum(tf.one_hot(index, tf.shape(codes)[1]), axis=1)[..., tf.newaxis]),
            lambda: (tf.gather(codes, index, batch_dims=1), tf.ones_like(index, tf.float32)[..., tf.newaxis]),
        )
        return found

    def _probabilities(self, codes: Tensor, times: Tensor, moments: dict[str, Tensor] | None) -> Tensor:
        weights = self.weights
        frames = tf.shape(codes)[1]
        flat = tf.reshape(normalised(codes), [-1, self.width])
        repeats = tf.reshape(times, [-1, 1])
        values = self._normed("input", flat, repeats, moments) @ weights["cluster/kernel"]
        values = self._active(self._normed("cluster", values, repeats, moments))
        values = tf.reshape(values, [-1, frames, self.options.clusters])
        if self.options.pooling == "max":
            pooled = tf.reduce_max(values * tf.minimum(times, 1.0), axis=1)
        else:
            pooled = tf.reduce_sum(values * times, axis=1) / tf.maximum(tf.reduce_sum(times, axis=1), 1.0)
        hidden = self._normed("hidden", pooled @ weights["hidden/kernel"], tf.ones_like(pooled[:, :1]), moments)
        return self._head(weights, self._active(hidden))

    def _normed(self, name: str, values: Tensor, repeats: Tensor, moments: dict[str, Tensor] | None) -> Tensor:
        if not self.options.batch_norm:
            return values if name == "input" else values + self.weights[f"{name}/bias"]
        if moments is None:
            mean, variance = self.statistics[f"{name}/mean"], self.statistics[f"{name}/variance"]
        else:
            count = tf.reduce_sum(repeats)
            mean = tf.reduce_sum(values * repeats, axis=0) / count
            variance = tf.reduce_sum(tf.square(values - mean) * repeats, axis=0) / count
            moments |= {f"{name}/mean": tf.stop_gradient(mean), f"{name}/variance": tf.stop_gradient(variance)}
        scale = self.weights[f"{name}/gamma"] * tf.math.rsqrt(variance + VARIANCE_FLOOR)
        return (values - mean) * scale + self.weights[f"{name}/beta"]

    def frozen(self) -> Arrays:
        """Return two kernels with biases, and the classifier."""
        weights = plain_copy(self)
        if not self.options.batch_norm:
            return weights
        exact: dict[str, NDArray[np.float64]] = {}
        for name in NORMS:
            mean, variance = (self.statistics[f"{name}/{key}"].numpy().astype(np.float64) for key in ("mean", "variance"))
            scale = weights.pop(f"{name}/gamma") / np.sqrt(variance + VARIANCE_FLOOR)
            exact |= {f"{name}/scale": scale, f"{name}/shift": weights.pop(f"{name}/beta") - mean * scale}
        cluster = weights["cluster/kernel"].astype(np.float64)
        bias = exact["input/shift"] @ cluster * exact["cluster/scale"] + exact["cluster/shift"]
        folded = {
            "cluster/kernel": exact["input/scale"][:, np.newaxis] * cluster * exact["cluster/scale"],
            "cluster/bias": bias,
            "hidden/kernel": weights["hidden/kernel"] * exact["hidden/scale"],
            "hidden/bias": exact["hidden/shift"],
        }
        return weights | {name: value.astype(np.float32) for name, value in folded.items()}

    def step(
        self, weights: Mapping[str, Tensor], embedding: Tensor, row: Tensor, states: list[Tensor]
    ) -> tuple[Tensor, list[Tensor]]:
        """Process one frame: compute its clusters once, then update every row's maximum or sum."""
        frame = self._active(normalised(embedding) @ weights["cluster/kernel"] + weights["cluster/bias"])
        count = states[1] + 1.0
        if self.options.pooling == "max":
            pooled = tf.maximum(states[0], frame)
            of_row = tf.gather(pooled, row)
        else:
            pooled = states[0] + frame
            of_row = tf.gather(pooled, row) / tf.gather(count, row)
        hidden = self._active(of_row @ weights["hidden/kernel"] + weights["hidden/bias"])
        return self._head(weights, hidden), [pooled, count]
