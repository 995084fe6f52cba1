"""Adam with decoupled weight decay and averaged weights, on plain variables; checkpoints hold numbers only."""

import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
import tensorflow as tf

from convert.files import atomic_path
from edge_detector.errors import EdgeDetectorError

BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-8

GradientClipping: TypeAlias = Literal["together", "each"]
"""Clip the norm of all gradients together, or of each variable's gradient, as in YouTube-8M."""


class Trainer:
    """Optimiser of named variables.

    Args:
        trained: variables by name.
        tracked: variables that are averaged and saved but not trained, such as batch-norm statistics.
        average_decay: decay of the averages, smaller in the first steps so that the random start is forgotten; 0 for none.
        weight_decay: decoupled weight decay of matrices.
        clip_norm: maximum norm of a gradient; 0 for no clipping.
        clip: gradients whose norm is clipped.

    """

    def __init__(
        self,
        trained: Mapping[str, Any],
        tracked: Mapping[str, Any] | None = None,
        *,
        average_decay: float = 0.999,
        weight_decay: float = 0.0,
        clip_norm: float = 1.0,
        clip: GradientClipping = "together",
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
        """Return the trained variables in the order in which `apply` expects gradients."""
        return list(self.trained.values())

    def apply(self, gradients: Sequence[Any], learning_rate: Any) -> None:  # noqa: ANN401 - a tensor, which has no type
        """Apply one step; call it inside a tf.function."""
        if self._clip_norm > 0.0 and self._clip == "each":
            gradients = [tf.clip_by_norm(gradient, self._clip_norm) for gradient in gradients]
        elif self._clip_norm > 0.0:
            gradients, _ = tf.clip_by_global_norm(gradients, self._clip_norm)
        self.step.assign_add(1)
        count = tf.cast(self.step, tf.float32)
        for (name, variable), gradient in zip(self.trained.items(), gradients, strict=True):
            if self._weight_decay and len(variable.shape) > 1:
                variable.assign_sub(learning_rate * self._weight_decay * variable)
            # TensorFlow 1's Adam as one operation, in one pass over the memory.
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
        """Return the averaged weights, or the newest ones without averages."""
        return {name: variable.numpy() for name, variable in (self._mean or self.variables).items()}

    def save(self, path: Path, **numbers: float) -> None:
        """Write a checkpoint of all variables, and these numbers, atomically."""
        arrays = {"step": self.step.numpy(), **{f"number/{key}": np.asarray(value) for key, value in numbers.items()}}
        for group, variables in self._groups():
            arrays |= {f"{group}/{name}": variable.numpy() for name, variable in variables.items()}
        with atomic_path(path) as temporary, temporary.open("wb") as file:
            np.savez(file, allow_pickle=False, **arrays)

    def restore(self, path: Path) -> dict[str, float]:
        """Restore a checkpoint and return the numbers saved with it. Raises EdgeDetectorError if it does not match."""
        message = f"{path} is not a checkpoint of this model; remove it, or give --no-resume to start anew"
        wanted = {f"{group}/{name}": variable for group, variables in self._groups() for name, variable in variables.items()}
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
