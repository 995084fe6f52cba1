"""Classifiers of YouTube-8M (video_level_models), alone or on top of another model."""

from collections.abc import Mapping
from typing import Protocol

import numpy as np
import tensorflow as tf

from convert.sequence.base import Arrays, SequenceModel, Tensor, xavier


class Head(Protocol):
    """Interface of a classifier; its variables belong to the model, and it is called with the weights to use."""

    macs: int

    def __call__(self, weights: Mapping[str, Tensor], inputs: Tensor) -> Tensor:
        """Return probabilities (n, classes) of inputs (n, size)."""


class LogisticHead:
    """One logistic per class (docs/reference.md, YouTube-8M's models)."""

    def __init__(self, model: SequenceModel, size: int, classes: int, rng: np.random.Generator) -> None:
        self.macs = size * classes
        model.add("head/kernel", xavier(rng, size, classes), regularised=True)
        model.add("head/bias", np.zeros(classes))

    def __call__(self, weights: Mapping[str, Tensor], inputs: Tensor) -> Tensor:
        """Return probabilities (n, classes) of inputs (n, size)."""
        return tf.sigmoid(inputs @ weights["head/kernel"] + weights["head/bias"])


class MoeHead:
    """Per class a softmax over `mixtures` logistic experts and a dummy one with probability 0; gates have no bias.

    Formula: docs/reference.md, YouTube-8M's models.
    """

    def __init__(self, model: SequenceModel, size: int, classes: int, rng: np.random.Generator, mixtures: int) -> None:
        self._classes, self._mixtures = classes, mixtures
        gates, experts = self._classes * (self._mixtures + 1), self._classes * self._mixtures
        self.macs = size * (gates + experts)
        model.add("gates/kernel", xavier(rng, size, gates), regularised=True)
        model.add("experts/kernel", xavier(rng, size, experts), regularised=True)
        model.add("experts/bias", np.zeros(experts))

    def __call__(self, weights: Mapping[str, Tensor], inputs: Tensor) -> Tensor:
        """Return probabilities (n, classes) of inputs (n, size)."""
        gates = tf.reshape(inputs @ weights["gates/kernel"], [-1, self._classes, self._mixtures + 1])
        experts = tf.reshape(inputs @ weights["experts/kernel"] + weights["experts/bias"], [-1, self._classes, self._mixtures])
        return tf.reduce_sum(tf.nn.softmax(gates)[..., : self._mixtures] * tf.sigmoid(experts), axis=-1)


def make_head(model: SequenceModel, size: int, classes: int, rng: np.random.Generator, *, mixtures: int = 0) -> Head:
    """Return a mixture of so many experts on inputs of `size` numbers, or one logistic per class for 0."""
    return MoeHead(model, size, classes, rng, mixtures) if mixtures else LogisticHead(model, size, classes, rng)


def plain_copy(model: SequenceModel) -> Arrays:
    """Return all variables as arrays."""
    return {name: variable.numpy() for name, variable in model.variables_by_name.items()}
