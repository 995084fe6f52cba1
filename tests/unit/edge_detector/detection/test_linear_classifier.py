"""Taught classes: features and probabilities of a frame, by their formulas."""

import numpy as np
import pytest

from edge_detector.detection.embedding import dequantise
from edge_detector.detection.linear_classifier import FEATURES, LinearClassifier, features_of
from edge_detector.types import Float32


def random_classifier(classes: int, seed: int = 0) -> LinearClassifier:
    rng = np.random.default_rng(seed)
    return LinearClassifier(
        rng.standard_normal((classes, FEATURES)).astype(np.float32), rng.standard_normal(classes).astype(np.float32)
    )


def some_features(count: int) -> Float32:
    return np.random.default_rng(1).uniform(-2.0, 2.0, (count, FEATURES)).astype(np.float32)


@pytest.mark.parametrize("frames", [1, 2, 3])
def test_the_features_are_the_newest_embedding_and_the_mean_of_the_recent_ones(frames: int) -> None:
    codes = np.random.default_rng(frames).integers(0, 256, (frames, 128), np.uint8)
    found = features_of(codes)
    assert np.array_equal(found[:128], dequantise(codes[-1]))
    assert np.allclose(found[128:], dequantise(codes).mean(axis=0), atol=1e-6)


def test_the_probability_is_the_logistic_function_of_the_weighted_sum() -> None:
    classifier, features = random_classifier(4), some_features(50)
    odds = features.astype(np.float64) @ classifier.weights.T.astype(np.float64) + classifier.biases
    assert np.allclose(classifier.of_features(features), 1.0 / (1.0 + np.exp(-odds)), atol=1e-5)


def test_the_bits_of_a_class_depend_neither_on_other_classes_nor_on_other_frames() -> None:
    classifier, features = random_classifier(7), some_features(50)
    one = LinearClassifier(classifier.weights[2:3], classifier.biases[2:3])
    assert np.array_equal(one.of_features(features[9:10])[0, 0], classifier.of_features(features)[9, 2])


def test_extreme_odds_give_0_or_1_and_no_warning() -> None:
    classifier = LinearClassifier(np.zeros((2, FEATURES), np.float32), np.array([-1e30, 1e30], np.float32))
    assert classifier.of_features(some_features(1)).tolist() == [[0.0, 1.0]]


@pytest.mark.parametrize(
    ("weights", "biases"),
    [
        (np.zeros((2, FEATURES - 1)), np.zeros(2)),
        (np.zeros((2, FEATURES)), np.zeros(3)),
        (np.zeros(FEATURES), np.zeros(())),
        (np.full((1, FEATURES), np.nan), np.zeros(1)),
        (np.zeros((1, FEATURES)), np.full(1, np.inf)),
    ],
)
def test_wrong_shapes_and_numbers_are_refused(weights: np.ndarray, biases: np.ndarray) -> None:
    with pytest.raises(ValueError, match="weights and biases"):
        LinearClassifier(weights.astype(np.float32), biases.astype(np.float32))
