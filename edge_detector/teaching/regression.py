"""Logistic regression of each class.

Own code: SciPy would be 100 MB on a Raspberry Pi for one function.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from edge_detector.detection.linear_classifier import LinearClassifier
from edge_detector.types import Float32

MOST_STEPS = 50
SHORTEST_STEP, LEAST_CURVATURE = 1e-3, 1e-9
TARGET_SHARE = 0.1
"""Weight of a class's frames in all: their true share is much smaller and unknown, and a larger one saturates probabilities."""

OWN_SHARE = 0.2
"""Weight of the frames that count for a class alone: a few recordings would else be lost among hours of other sound."""

ALL = -1
"""A frame that counts for all classes."""

LEAST_GAIN = 1e-5
"""Gain of a step, relative to the loss, that ends the search."""

PENALTY = 1e-2
LEAST_DEVIATION = 1e-3


@dataclass(frozen=True, slots=True)
class Frames:
    """Training frames with standardised features.

    Attributes:
        inputs: float32 (frames, 257): features of mean 0 and deviation 1 each, then 1 for the bias.
        targets: bool (frames, V); each class needs frames with it and frames without it.
        mean, deviation: of the features before, float32 (256,).
        own: the class that a frame without it counts for alone, or ALL, (frames,); None where every frame counts for all.

    """

    inputs: Float32
    targets: NDArray[np.bool_]
    mean: Float32
    deviation: Float32
    own: NDArray[np.int64] | None = None

    @classmethod
    def of(cls, features: Float32, targets: NDArray[np.bool_], own: NDArray[np.int64] | None = None) -> "Frames":
        """Standardise features float32 (frames, 256) by the frames that count for all, so that the others change one class."""
        common = features if own is None else features[own == ALL]
        mean, deviation = common.mean(axis=0), common.std(axis=0) + np.float32(LEAST_DEVIATION)
        ones = np.ones(len(features), np.float32)
        return cls(np.column_stack([(features - mean) / deviation, ones]), targets, mean, deviation, own)

    def without(self, left_out: NDArray[np.bool_]) -> "Frames":
        """Return the other frames, standardised as all are."""
        own = None if self.own is None else self.own[~left_out]
        return replace(self, inputs=self.inputs[~left_out], targets=self.targets[~left_out], own=own)

    def shares(self, index: int) -> Float32:
        """Return the weight of each frame for a class, float32 (frames,), 1 in all."""
        target = self.targets[:, index]
        count = np.count_nonzero(target)
        if self.own is None or not np.any(self.own == index):
            others = ~target if self.own is None else ~target & (self.own == ALL)
            without = (1.0 - TARGET_SHARE) / np.count_nonzero(others)
            return np.where(target, TARGET_SHARE / count, np.where(others, without, 0.0)).astype(np.float32)
        own, others = self.own == index, ~target & (self.own == ALL)
        of_own, of_others = OWN_SHARE / np.count_nonzero(own), (1.0 - TARGET_SHARE - OWN_SHARE) / np.count_nonzero(others)
        shares = np.select([target, own, others], [TARGET_SHARE / count, of_own, of_others], 0.0)
        return shares.astype(np.float32)


@dataclass(frozen=True, slots=True)
class Solution:
    """Weights and bias of each class for standardised features, float64 (V, 257)."""

    points: NDArray[np.float64]

    def classifier(self, frames: Frames) -> LinearClassifier:
        """Return the classifier for features that are not standardised."""
        weights = self.points[:, :-1] / frames.deviation
        biases = self.points[:, -1] - weights @ frames.mean
        return LinearClassifier(weights.astype(np.float32), biases.astype(np.float32))


def fit(frames: Frames, start: Solution | None = None) -> Solution:
    """Fit a logistic regression for each class; its frames have TARGET_SHARE of the weight, those without it the rest.

    The loss is the weighted mean cross-entropy plus PENALTY / 2 times the squared weights of standardised features.

    Args:
        frames: to fit to.
        start: solution for similar frames, which saves iterations.

    """
    starts = np.zeros((frames.targets.shape[1], frames.inputs.shape[1])) if start is None else start.points
    found = [
        _fit_one(frames.inputs, target, frames.shares(index), point)
        for index, (target, point) in enumerate(zip(frames.targets.T, starts, strict=True))
    ]
    return Solution(np.stack(found))


def _fit_one(inputs: Float32, target: NDArray[np.bool_], share: Float32, start: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return weights and bias, float64 (257,), by Newton's method with steps halved until they gain enough.

    The loss is strictly convex, so that this converges from any start (Boyd and Vandenberghe, Convex Optimization, 9.5).
    """
    sign = np.where(target, np.float32(-1.0), np.float32(1.0))
    penalty = np.append(np.full(inputs.shape[1] - 1, PENALTY), 0.0)

    def entropy_of(point: NDArray[np.float64]) -> tuple[Float32, Float32, float]:
        """Return each frame's log-odds of the wrong answer and cross-entropy, and the loss."""
        margin = sign * (inputs @ point.astype(np.float32))
        entropy = np.logaddexp(np.float32(0.0), margin)
        return margin, entropy, float(share @ entropy) + 0.5 * float(penalty @ point**2)

    point = start
    margin, entropy, loss = entropy_of(point)
    for _ in range(MOST_STEPS):
        # The derivative of the cross-entropy is the probability of the wrong answer.
        wrong = np.exp(margin - entropy)
        gradient = (share * sign * wrong) @ inputs + penalty * point
        scaled = inputs * np.sqrt(share * wrong * (1.0 - wrong))[:, np.newaxis]
        curvature = (scaled.T @ scaled).astype(np.float64) + np.diag(penalty + LEAST_CURVATURE)
        step = np.linalg.solve(curvature, gradient)
        gain = float(gradient @ step)
        if gain <= LEAST_GAIN * loss:
            break
        length = 1.0
        while (found := entropy_of(point - length * step))[2] > loss - 0.25 * length * gain and length > SHORTEST_STEP:
            length *= 0.5
        point = point - length * step
        margin, entropy, loss = found
    return point
