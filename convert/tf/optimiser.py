"""Adam with decoupled weight decay and averaged weights, over plain variables, saved as numbers only."""

import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
import tensorflow as tf

from convert.files import atomic_path
from edge_detector.errors import EdgeDetectorError

BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-8

Clip: TypeAlias = Literal["together", "each"]
"""Whether all gradients are one vector to be clipped, or, as in YouTube-8M, each variable's is."""


class Trainer:
    """Trains named variables; `tracked` ones are averaged and saved but not trained (batch-norm statistics).

    Averages use a decay that grows with the steps, so the first ones do not carry the random start; 0 averages nothing. A
    clip norm of 0 clips nothing.
    """

    def __init__(
        self,
        trained: Mapping[str, Any],
        tracked: Mapping[str, Any] | None = None,
        *,
        average_decay: float = 0.999,
        weight_decay: float = 0.0,
        clip_norm: float = 1.0,
        clip: Clip = "together",
    ) -> None:
        self.trained = dict(trained)
        self.variables = {**self.trained, **(tracked or {})}
        self.step = tf.Variable(0, dtype=tf.int64, trainable=False)
        self._first = {name: tf.Variable(tf.zeros_like(v), trainable=False) for name, v in self.trained.items()}
        self._second = {name: tf.Variable(tf.zeros_like(v), trainable=False) for name, v in self.trained.items()}
        averaged = self.variables if average_decay else {}
        self._mean = {name: tf.Variable(v, trainable=False) for name, v in averaged.items()}
        self._average_decay, self._weight_decay = average_decay, weight_decay
        self._clip_norm, self._clip = clip_norm, clip

    def trained_list(self) -> Sequence[Any]:
        """Trained variables in the order that `apply` expects gradients."""
        return list(self.trained.values())

    def apply(self, gradients: Sequence[Any], learning_rate: Any) -> None:  # noqa: ANN401 - a tensor, which has no type
        """One step. Meant to be called inside a tf.function."""
        if self._clip_norm > 0.0 and self._clip == "each":
            gradients = [tf.clip_by_norm(gradient, self._clip_norm) for gradient in gradients]
        elif self._clip_norm > 0.0:
            gradients, _ = tf.clip_by_global_norm(gradients, self._clip_norm)
        self.step.assign_add(1)
        count = tf.cast(self.step, tf.float32)
        for (name, variable), gradient in zip(self.trained.items(), gradients, strict=True):
            if self._weight_decay and len(variable.shape) > 1:
                variable.assign_sub(learning_rate * self._weight_decay * variable)
            # TensorFlow 1's Adam, in one pass over the memory.
            tf.raw_ops.ResourceApplyAdam(
                var=variable.handle,
                m=self._first[name].handle,
                v=self._second[name].handle,
                beta1_power=BETA_1**count,
                beta2_power=BETA_2**count,
                lr=learning_rate,
                beta1=BETA_1,
                beta2=BETA_2,
                epsilon=EPSILON,
                grad=gradient,
            )
        keep = tf.minimum(self._average_decay, (1.0 + count) / (10.0 + count))
        for name, mean in self._mean.items():
            mean.assign(keep * mean + (1.0 - keep) * self.variables[name])

    def averages(self) -> dict[str, np.ndarray[Any, Any]]:
        """The averaged weights; the newest ones where nothing is averaged."""
        return {name: variable.numpy() for name, variable in (self._mean or self.variables).items()}

    def save(self, path: Path, **numbers: float) -> None:
        """Write everything needed to go on, whole or not at all."""
        arrays = {"step": self.step.numpy(), **{f"number/{key}": np.asarray(value) for key, value in numbers.items()}}
        for group, variables in self._groups():
            arrays |= {f"{group}/{name}": variable.numpy() for name, variable in variables.items()}
        with atomic_path(path) as temporary, temporary.open("wb") as file:
            np.savez(file, allow_pickle=False, **arrays)

    def restore(self, path: Path) -> dict[str, float]:
        """Take up a checkpoint; gives back the numbers saved with it."""
        message = f"{path} is not a checkpoint of this model; remove it, or give --no-resume to start anew"
        wanted = {f"{group}/{name}": variable for group, held in self._groups() for name, variable in held.items()}
        try:
            with np.load(path, allow_pickle=False) as arrays:
                numbers = {key.removeprefix("number/"): float(arrays[key]) for key in arrays.files if key.startswith("number/")}
                if len(arrays.files) - len(numbers) - 1 != len(wanted):
                    raise EdgeDetectorError(message)
                for key, variable in wanted.items():
                    variable.assign(arrays[key])
                self.step.assign(int(arrays["step"]))
                return numbers
        except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile) as error:
            raise EdgeDetectorError(message) from error

    def _groups(self) -> list[tuple[str, dict[str, Any]]]:
        return [("value", self.variables), ("first", self._first), ("second", self._second), ("mean", self._mean)]
