"""Adam with decoupled weight decay and averaged weights, over plain variables, saved as numbers only."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from convert.files import atomic_path
from edge_detector.errors import EdgeDetectorError

BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-8


class Trainer:
    """Trains named variables; `tracked` ones are averaged and saved but not trained (batch-norm statistics).

    Averages use a decay that grows with the steps, so the first ones do not carry the random start.
    """

    def __init__(
        self,
        trained: Mapping[str, Any],
        tracked: Mapping[str, Any] | None = None,
        *,
        average_decay: float = 0.999,
        weight_decay: float = 0.0,
        clip_norm: float = 1.0,
    ) -> None:
        self.trained = dict(trained)
        self.variables = {**self.trained, **(tracked or {})}
        self.step = tf.Variable(0, dtype=tf.int64, trainable=False)
        self._first = {name: tf.Variable(tf.zeros_like(v), trainable=False) for name, v in self.trained.items()}
        self._second = {name: tf.Variable(tf.zeros_like(v), trainable=False) for name, v in self.trained.items()}
        self._mean = {name: tf.Variable(v, trainable=False) for name, v in self.variables.items()}
        self._average_decay, self._weight_decay, self._clip_norm = average_decay, weight_decay, clip_norm

    def trained_list(self) -> Sequence[Any]:
        """Trained variables in the order that `apply` expects gradients."""
        return list(self.trained.values())

    def apply(self, gradients: Sequence[Any], learning_rate: Any) -> None:  # noqa: ANN401 - a tensor, which has no type
        """One step. Meant to be called inside a tf.function."""
        gradients, _ = tf.clip_by_global_norm(gradients, self._clip_norm)
        self.step.assign_add(1)
        count = tf.cast(self.step, tf.float32)
        scale = learning_rate * tf.sqrt(1.0 - BETA_2**count) / (1.0 - BETA_1**count)
        for (name, variable), gradient in zip(self.trained.items(), gradients, strict=True):
            first, second = self._first[name], self._second[name]
            first.assign(BETA_1 * first + (1.0 - BETA_1) * gradient)
            second.assign(BETA_2 * second + (1.0 - BETA_2) * tf.square(gradient))
            decay = learning_rate * self._weight_decay * variable if len(variable.shape) > 1 else 0.0
            variable.assign_sub(scale * first / (tf.sqrt(second) + EPSILON) + decay)
        keep = tf.minimum(self._average_decay, (1.0 + count) / (10.0 + count))
        for name, variable in self.variables.items():
            mean = self._mean[name]
            mean.assign(keep * mean + (1.0 - keep) * variable)

    def averages(self) -> dict[str, np.ndarray[Any, Any]]:
        """The averaged weights."""
        return {name: mean.numpy() for name, mean in self._mean.items()}

    def save(self, path: Path, **numbers: float) -> None:
        """Write everything needed to go on, whole or not at all."""
        arrays = {"step": self.step.numpy(), **{f"number/{key}": np.asarray(value) for key, value in numbers.items()}}
        for group, variables in self._groups():
            arrays |= {f"{group}/{name}": variable.numpy() for name, variable in variables.items()}
        with atomic_path(path) as temporary, temporary.open("wb") as file:
            np.savez(file, allow_pickle=False, **arrays)

    def restore(self, path: Path) -> dict[str, float]:
        """Take up a checkpoint; gives back the numbers saved with it."""
        try:
            with np.load(path, allow_pickle=False) as arrays:
                for group, variables in self._groups():
                    for name, variable in variables.items():
                        variable.assign(arrays[f"{group}/{name}"])
                self.step.assign(int(arrays["step"]))
                prefix = "number/"
                return {key[len(prefix) :]: float(arrays[key]) for key in arrays.files if key.startswith(prefix)}
        except (OSError, KeyError, ValueError) as error:
            message = f"{path} is not a checkpoint of this model; remove it, or give --no-resume to start anew"
            raise EdgeDetectorError(message) from error

    def _groups(self) -> list[tuple[str, dict[str, Any]]]:
        return [("value", self.variables), ("first", self._first), ("second", self._second), ("mean", self._mean)]
