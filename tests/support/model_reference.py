"""YouTube-8M's models and loss once more, in float64 NumPy from their formulas, forward only.

Gradients come by the complex step: every function takes complex weights, and the imaginary part of the loss, divided by the
step, is the derivative to the last bit. Nothing of TensorFlow's or the project's gradients is in it.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Weights = Mapping[str, Array]
STEP = 1e-30


def sigmoid(values: Array) -> Array:
    return np.asarray(1.0 / (1.0 + np.exp(-values)))


def relu6(values: Array) -> Array:
    return np.where(values.real <= 0.0, 0.0, np.where(values.real >= 6.0, 6.0, values))


def largest(values: Array, axis: int) -> Array:
    index = np.expand_dims(np.argmax(values.real, axis=axis), axis)
    return np.take_along_axis(values, index, axis=axis).squeeze(axis)


def dequantised(codes: Array) -> Array:
    return codes.astype(np.float64) * (4.0 / 255.0) + (4.0 / 512.0 - 2.0)


def unit(values: Array) -> Array:
    return np.asarray(values / np.sqrt(np.maximum((values**2).sum(axis=-1, keepdims=True), 1e-12)))


def head(weights: Weights, inputs: Array, mixtures: int = 2) -> Array:
    """MoE or logistic, whichever the weights are of; columns v·(M+1)+m of the gates, v·M+m of the experts."""
    if "head/kernel" in weights:
        return sigmoid(inputs @ weights["head/kernel"] + weights["head/bias"])
    gates = inputs @ weights["gates/kernel"]
    experts = sigmoid(inputs @ weights["experts/kernel"] + weights["experts/bias"])
    found = np.zeros((len(inputs), experts.shape[1] // mixtures), complex)
    for v in range(found.shape[1]):
        powers = np.exp(gates[:, v * (mixtures + 1) : (v + 1) * (mixtures + 1)])
        for m in range(mixtures):
            found[:, v] += powers[:, m] / powers.sum(axis=1) * experts[:, v * mixtures + m]
    return found


def lstm(weights: Weights, codes: Array, lengths: Array) -> Array:
    layers = sum(name.startswith("layer") and name.endswith("kernel") for name in weights)
    cells = weights["layer0/bias"].shape[0] // 4
    states = [np.zeros((2, len(codes), cells), complex) for _ in range(layers)]
    for frame in range(codes.shape[1]):
        inputs = unit(dequantised(codes[:, frame])).astype(complex)
        going = (frame < lengths)[:, np.newaxis]
        for layer, (h, c) in enumerate(list(states)):
            z = np.concatenate([inputs, h], axis=1) @ weights[f"layer{layer}/kernel"] + weights[f"layer{layer}/bias"]
            i, j, f, o = np.split(z, 4, axis=1)
            new_c = sigmoid(f + 1.0) * c + sigmoid(i) * np.tanh(j)
            new_h = sigmoid(o) * np.tanh(new_c)
            # dynamic_rnn copies the state through after a sequence's end.
            states[layer] = np.stack([np.where(going, new_h, h), np.where(going, new_c, c)])
            inputs = states[layer][0]
    return head(weights, states[-1][0])


def frame_logistic(weights: Weights, codes: Array, lengths: Array) -> Array:
    means = [unit(dequantised(one[:length])).sum(axis=0) / length for one, length in zip(codes, lengths, strict=True)]
    return head(weights, np.stack(means))


def video_level(weights: Weights, codes: Array, lengths: Array) -> Array:
    means = [dequantised(one[:length]).mean(axis=0) for one, length in zip(codes, lengths, strict=True)]
    return head(weights, unit(np.stack(means)))


def dbof(
    weights: Weights,
    frames: list[Array],
    *,
    activation: Callable[[Array], Array] = sigmoid,
    pooling: str = "max",
    statistics: Weights | None = None,
    seen: dict[str, Array] | None = None,
) -> Array:
    """Each example's chosen frames (uint8), pooled; batch statistics (into `seen`) unless `statistics` are given."""

    def normed(name: str, values: Array) -> Array:
        if f"{name}/gamma" not in weights:
            return values if name == "input" else values + weights[f"{name}/bias"]
        mean, variance = values.mean(axis=0), ((values - values.mean(axis=0)) ** 2).mean(axis=0)
        if statistics is not None:
            mean, variance = statistics[f"{name}/mean"], statistics[f"{name}/variance"]
        if seen is not None:
            seen.update({f"{name}/mean": mean.real, f"{name}/variance": variance.real})
        return np.asarray(weights[f"{name}/gamma"] * (values - mean) / np.sqrt(variance + 1e-3) + weights[f"{name}/beta"])

    together = unit(dequantised(np.concatenate(frames)))
    clusters = activation(normed("cluster", normed("input", together) @ weights["cluster/kernel"]))
    parts = np.split(clusters, np.cumsum([len(one) for one in frames])[:-1])
    pooled = np.stack([largest(part, 0) if pooling == "max" else part.mean(axis=0) for part in parts])
    return head(weights, np.asarray(activation(normed("hidden", pooled @ weights["hidden/kernel"]))))


def cross_entropy(probabilities: Array, labels: Array) -> Array:
    cells = labels * np.log(probabilities + 1e-5) + (1.0 - labels) * np.log(1.0 - probabilities + 1e-5)
    return np.asarray(-cells.sum(axis=1).mean())


def gradients(loss: Callable[[dict[str, Array]], Array], weights: Weights) -> dict[str, Array]:
    """Of a loss over weights, element by element."""
    found = {}
    moved = {name: value.astype(complex) for name, value in weights.items()}
    for name, value in weights.items():
        slopes = np.zeros(value.shape)
        for index in np.ndindex(value.shape):
            moved[name][index] += 1j * STEP
            slopes[index] = loss(moved).imag / STEP
            moved[name][index] = value[index]
        found[name] = slopes
    return found


def clipped(gradient: Array, norm: float) -> Array:
    return np.asarray(gradient * norm / max(float(np.linalg.norm(gradient)), norm))


def adam(value: Array, gradients_so_far: list[Array], rates: list[float]) -> Array:
    """The value after these gradients, as TensorFlow 1's AdamOptimizer moves it."""
    first, second = np.zeros(value.shape), np.zeros(value.shape)
    for number, (gradient, rate) in enumerate(zip(gradients_so_far, rates, strict=True), start=1):
        first = 0.9 * first + 0.1 * gradient
        second = 0.999 * second + 0.001 * gradient**2
        value = value - rate * np.sqrt(1.0 - 0.999**number) / (1.0 - 0.9**number) * first / (np.sqrt(second) + 1e-8)
    return value
