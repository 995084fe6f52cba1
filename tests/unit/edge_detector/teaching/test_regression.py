"""Logistic regression: the minimum that SciPy finds, from any start."""

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_detector.detection.linear_classifier import FEATURES
from edge_detector.teaching.regression import ALL, PENALTY, TARGET_SHARE, Frames, Solution, fit
from edge_detector.types import Float32


def example(seed: int, classes: int = 2, count: int = 800) -> tuple[Float32, NDArray[np.bool_]]:
    """Features of unequal scales, and classes that are linear in them but for noise."""
    rng = np.random.default_rng(seed)
    features = rng.standard_normal((count, FEATURES)) * rng.uniform(0.1, 2.0, FEATURES) + rng.uniform(-1.0, 1.0, FEATURES)
    planes = rng.standard_normal((classes, FEATURES))
    odds = features @ planes.T
    return features.astype(np.float32), odds + rng.logistic(size=odds.shape) > np.quantile(odds, 0.9, axis=0)


def loss(point: NDArray[np.float64], standard: NDArray[np.float64], target: NDArray[np.bool_]) -> float:
    """The loss as its formula says it."""
    share = np.where(target, TARGET_SHARE / target.sum(), (1.0 - TARGET_SHARE) / (~target).sum())
    odds = standard @ point[:-1] + point[-1]
    entropy = np.where(target, np.log1p(np.exp(-odds)), np.log1p(np.exp(odds)))
    return float(share @ entropy + 0.5 * PENALTY * point[:-1] @ point[:-1])


@pytest.mark.parametrize("seed", range(5))
def test_the_minimum_is_that_of_scipy(seed: int) -> None:
    optimize = pytest.importorskip("scipy.optimize")
    features, targets = example(seed)
    frames = Frames.of(features, targets)
    found = fit(frames).points
    for target, point in zip(targets.T, found, strict=True):
        standard = frames.inputs[:, :-1].astype(np.float64)
        best = optimize.minimize(loss, point, (standard, target), method="L-BFGS-B", options={"ftol": 1e-13, "gtol": 1e-8})
        assert loss(point, standard, target) == pytest.approx(best.fun, rel=1e-4)
        assert np.abs(best.x - point).max() < 0.02


def test_the_minimum_does_not_depend_on_the_start() -> None:
    features, targets = example(1)
    frames = Frames.of(features, targets)
    far = Solution(np.full((2, FEATURES + 1), 3.0))
    assert np.abs(fit(frames, far).points - fit(frames).points).max() < 0.02


def test_the_classifier_takes_features_as_they_are() -> None:
    features, targets = example(2)
    frames = Frames.of(features, targets)
    solution = fit(frames)
    odds = frames.inputs[:, :-1] @ solution.points[:, :-1].T + solution.points[:, -1]
    assert np.allclose(solution.classifier(frames).of_features(features), 1.0 / (1.0 + np.exp(-odds)), atol=1e-4)


def test_separable_classes_have_finite_weights() -> None:
    features = np.zeros((100, FEATURES), np.float32)
    features[:10, 0] = 1.0
    targets = (features[:, :1] > 0.0).astype(np.bool_)
    frames = Frames.of(features, targets)
    probabilities = fit(frames).classifier(frames).of_features(features)
    assert probabilities[:10].min() > 0.5 > probabilities[10:].max()


def test_left_out_frames_do_not_count() -> None:
    features, targets = example(3)
    left_out = np.arange(len(features)) % 4 == 0
    wrong = targets.copy()
    wrong[left_out] = ~wrong[left_out]
    found, other = (fit(Frames.of(features, each).without(left_out)) for each in (targets, wrong))
    assert np.array_equal(found.points, other.points)


def with_own(seed: int, index: int) -> tuple[Frames, Frames, Float32]:
    """Frames, the same with further ones that count for one class alone, and the features of these."""
    features, targets = example(seed)
    own = example(seed + 100, count=40)[0] + 3.0
    frames = Frames.of(
        np.concatenate([features, own]),
        np.concatenate([targets, np.zeros((len(own), targets.shape[1]), np.bool_)]),
        np.concatenate([np.full(len(features), ALL), np.full(len(own), index)]),
    )
    return Frames.of(features, targets), frames, own


@pytest.mark.parametrize("index", [0, 1])
def test_frames_that_count_for_one_class_alone_change_that_class_alone(index: int) -> None:
    without, frames, own = with_own(3, index)
    before, after = fit(without).classifier(without), fit(frames).classifier(frames)
    assert np.abs(after.weights[1 - index] - before.weights[1 - index]).max() < 1e-3
    assert np.abs(after.weights[index] - before.weights[index]).max() > 1e-2
    assert after.of_features(own)[:, index].mean() < before.of_features(own)[:, index].mean()


def test_the_weights_of_all_frames_are_one_in_all_for_each_class() -> None:
    _, frames, own = with_own(4, 1)
    for index in (0, 1):
        shares = frames.shares(index)
        assert shares.sum() == pytest.approx(1.0, abs=1e-5)
        assert shares[frames.targets[:, index]].sum() == pytest.approx(TARGET_SHARE, abs=1e-6)
    assert not frames.shares(0)[-len(own) :].any()
    left_out = frames.without(np.arange(len(frames.inputs)) >= len(frames.inputs) - len(own) // 2)
    assert left_out.shares(1).sum() == pytest.approx(1.0, abs=1e-5)
