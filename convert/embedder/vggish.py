"""Google's VGGish at full size: six convolutions, four pools, three dense layers, 72 million parameters.

Source: vggish_slim.py (tensorflow/models). The embedding is taken before any activation, as in AudioSet's released features
and, since August 2020, in the released code.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from edge_detector.params import EMBEDDING_SIZE, FRONT_END
from edge_detector.types import Float32

CONVOLUTIONS = ("conv1", "conv2", "conv3/conv3_1", "conv3/conv3_2", "conv4/conv4_1", "conv4/conv4_2")
POOLED = frozenset({"conv1", "conv2", "conv3/conv3_2", "conv4/conv4_2"})
DENSE = ("fc1/fc1_1", "fc1/fc1_2", "fc2")
SCOPE = "vggish"
BATCH_PATCHES = 16

Weights = dict[str, Float32]


@dataclass(frozen=True, slots=True)
class Layout:
    """Sizes of the layers; the defaults are the released model's. Narrower layouts are for tests."""

    channels: tuple[int, ...] = (64, 128, 256, 256, 512, 512)
    hidden: int = 4096

    @property
    def flat_size(self) -> int:
        """Number of values after the last pool: 6 × 4 × 512 = 12,288."""
        return (FRONT_END.patch_frames >> len(POOLED)) * (FRONT_END.mel_bands >> len(POOLED)) * self.channels[-1]

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shape of each variable of a checkpoint, by name."""
        return dict(self._shapes())

    def _shapes(self) -> Iterator[tuple[str, tuple[int, ...]]]:
        size_in = 1
        for layer, size in zip(CONVOLUTIONS, self.channels, strict=True):
            yield f"{SCOPE}/{layer}/weights", (3, 3, size_in, size)
            yield f"{SCOPE}/{layer}/biases", (size,)
            size_in = size
        size_in = self.flat_size
        for layer, size in zip(DENSE, (self.hidden, self.hidden, EMBEDDING_SIZE), strict=True):
            yield f"{SCOPE}/{layer}/weights", (size_in, size)
            yield f"{SCOPE}/{layer}/biases", (size,)
            size_in = size


VGGISH = Layout()


class Vggish(tf.Module):  # type: ignore[misc]
    """The network with fixed weights."""

    def __init__(self, weights: Weights) -> None:
        super().__init__()
        self.parameters = {name: tf.Variable(value, trainable=False) for name, value in weights.items()}

    def __call__(self, log_mel: Any) -> Any:  # noqa: ANN401 - tensors
        """Return raw embeddings (n, 128), before any activation, of log-mel patches (n, 96, 64)."""
        hidden = log_mel[..., tf.newaxis]
        for layer in CONVOLUTIONS:
            weights, biases = self._layer(layer)
            hidden = tf.nn.relu(tf.nn.bias_add(tf.nn.conv2d(hidden, weights, 1, "SAME"), biases))
            if layer in POOLED:
                hidden = tf.nn.max_pool2d(hidden, 2, 2, "SAME")
        # Row-major over time, mel, channel: with channels before time the shapes match too, but the embedding is noise.
        hidden = tf.reshape(hidden, [-1, int(np.prod(hidden.shape[1:]))])
        for layer in DENSE:
            weights, biases = self._layer(layer)
            hidden = hidden @ weights + biases
            if layer != DENSE[-1]:
                hidden = tf.nn.relu(hidden)
        return hidden

    def _layer(self, name: str) -> tuple[Any, Any]:
        return self.parameters[f"{SCOPE}/{name}/weights"], self.parameters[f"{SCOPE}/{name}/biases"]

    def embed_all(self, patches: Float32, batch: int = BATCH_PATCHES) -> Float32:
        """Return raw embeddings float32 (n, 128), computed in batches."""
        if not len(patches):
            return np.zeros((0, EMBEDDING_SIZE), np.float32)
        parts = [self(tf.constant(patches[i : i + batch])).numpy() for i in range(0, len(patches), batch)]
        return np.concatenate(parts)
