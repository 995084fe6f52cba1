"""VGGish in plain NumPy and float64, written from its description alone, and checkpoints as TensorFlow 1 wrote them."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Weights = dict[str, NDArray[np.float32]]


def random_weights(shapes: dict[str, tuple[int, ...]], seed: int = 0) -> Weights:
    """He-normal weights, biases N(0, 0.1)."""
    rng = np.random.default_rng(seed)
    made: Weights = {}
    for name, shape in shapes.items():
        scale = 0.1 if name.endswith("biases") else float(np.sqrt(2.0 / np.prod(shape[:-1])))
        made[name] = rng.standard_normal(shape, np.float32) * np.float32(scale)
    return made


def embedding(weights: Weights, patches: NDArray[Any], *, channels_first: bool = False) -> NDArray[np.float64]:
    """Embeddings (n, 128), before any activation, of patches (n, 96, 64).

    Args:
        weights: by their names in the checkpoint.
        patches: log-mel.
        channels_first: flatten as a network of the other memory order would: the classic mistake.

    """
    double = {name: values.astype(np.float64) for name, values in weights.items()}
    return np.stack([_embed_one(double, patch.astype(np.float64), channels_first=channels_first) for patch in patches])


def _embed_one(
    weights: dict[str, NDArray[np.float64]], patch: NDArray[np.float64], *, channels_first: bool
) -> NDArray[np.float64]:
    image = patch.reshape(96, 64, 1)
    for layer, pooled in (
        ("conv1", True),
        ("conv2", True),
        ("conv3/conv3_1", False),
        ("conv3/conv3_2", True),
        ("conv4/conv4_1", False),
        ("conv4/conv4_2", True),
    ):
        kernel, bias = weights[f"vggish/{layer}/weights"], weights[f"vggish/{layer}/biases"]
        height, width = image.shape[:2]
        around = np.pad(image, ((1, 1), (1, 1), (0, 0)))
        total = np.zeros((height, width, kernel.shape[3])) + bias
        for row in range(3):
            for column in range(3):
                total += around[row : row + height, column : column + width] @ kernel[row, column]
        image = np.maximum(total, 0.0)
        if pooled:
            image = np.maximum.reduce([image[row::2, column::2] for row in (0, 1) for column in (0, 1)])
    times, bands, channels = image.shape
    assert (times, bands) == (6, 4)
    flat = np.empty(times * bands * channels)
    for time in range(times):
        for band in range(bands):
            for channel in range(channels):
                place = (channel * times + time) * bands + band if channels_first else (time * bands + band) * channels + channel
                flat[place] = image[time, band, channel]
    for layer in ("fc1/fc1_1", "fc1/fc1_2"):
        flat = np.maximum(flat @ weights[f"vggish/{layer}/weights"] + weights[f"vggish/{layer}/biases"], 0.0)
    result: NDArray[np.float64] = flat @ weights["vggish/fc2/weights"] + weights["vggish/fc2/biases"]
    return result


def write_checkpoint(path: Path, weights: dict[str, NDArray[Any]]) -> Path:
    """One file, as tf.train.Saver(write_version=1) writes it."""
    import tensorflow as tf  # noqa: PLC0415 - the tests that need it skip without it

    old = tf.compat.v1
    with tf.Graph().as_default(), old.Session() as session:
        variables = []
        for name, values in weights.items():
            variable = old.get_variable(name, values.shape, dtype=values.dtype, initializer=old.zeros_initializer())
            variable.load(values, session)
            variables.append(variable)
        saver = old.train.Saver(variables, write_version=old.train.SaverDef.V1)
        saver.save(session, str(path), write_meta_graph=False, write_state=False)
    return path


def centred_cosine(wanted: NDArray[Any], found: NDArray[Any]) -> NDArray[np.float64]:
    """Cosine of each row after the mean of `wanted` is taken from both."""
    mean = wanted.mean(axis=0, dtype=np.float64)
    one, other = wanted - mean, found - mean
    cosine: NDArray[np.float64] = (one * other).sum(1) / (np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1))
    return cosine
