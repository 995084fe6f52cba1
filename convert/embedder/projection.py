"""Projection from the pooled vector of an AudioSet classifier to 128 bytes, and read-out from the bytes to its classes.

The projection is the reduced-rank regression of the classifier's logits on the pooled vector (Izenman, Journal of
Multivariate Analysis 5, 1975): of all linear maps to 128 numbers, the one with the smallest squared error of the logits
regressed on them, over real sound. Its components are white, of variance 1, the most useful one first. CLIP standard deviations
are scaled to AudioSet's limit of 2, so that AudioSet's quantiser is used unchanged. The read-out is the regression of the logits
on the bytes.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_detector.detection.embedding import Pca, dequantise
from edge_detector.params import CODE_LIMIT, EMBEDDING_SIZE
from edge_detector.types import Codes, Float32

POOLED_SIZE = 1_024
CLIP = 8.0
"""Standard deviations of a component at the limit of a byte."""

LIKELY, ALMOST_SURE, SURE = 0.1, 0.15, 0.2


@dataclass(frozen=True, slots=True)
class Projection:
    """Linear map from pooled vectors to embeddings: embedding = matrix @ pooled, codes = quantise(embedding, pca).

    Attributes:
        matrix: float32 (128, 1024).
        pca: subtracts the mean embedding and scales CLIP standard deviations to 2.

    """

    matrix: Float32
    pca: Pca


def fit_projection(pooled: Float32, kernel: Float32, weights: NDArray[np.float64], shrinkage: float) -> Projection:
    """Fit the projection (docs/reference.md, YAMNet's body).

    Args:
        pooled: pooled vectors float32 (n, 1024).
        kernel: the classifier's kernel float32 (1024, labels).
        weights: weight of each logit's squared error (labels,).
        shrinkage: share of the mean variance added to that of each pooled number, for directions with little data.

    """
    values = pooled.astype(np.float64)
    mean = values.mean(axis=0)
    covariance = np.cov(values, rowvar=False)
    covariance += shrinkage * np.trace(covariance) / len(covariance) * np.eye(len(covariance))
    variances, directions = np.linalg.eigh(covariance)
    root = (directions * np.sqrt(variances)) @ directions.T
    inverse_root = (directions / np.sqrt(variances)) @ directions.T
    target = kernel * np.sqrt(weights)
    useful = np.linalg.svd(root @ target, full_matrices=False)[0][:, :EMBEDDING_SIZE]
    matrix = useful.T @ inverse_root
    # White under the shrunk covariance; the variances of the recordings themselves are a little below 1.
    spread = (values - mean) @ matrix.T
    matrix /= spread.std(axis=0)[:, np.newaxis]
    scale = CODE_LIMIT / CLIP * np.eye(EMBEDDING_SIZE)
    return Projection(matrix.astype(np.float32), Pca(scale.astype(np.float32), (matrix @ mean).astype(np.float32)))


def fit_readout(codes: Codes, log_odds: Float32, ridge: float) -> tuple[Float32, Float32]:
    """Fit the ridge regression of the classifier's log-odds (n, labels) on codes uint8 (n, 128).

    Formula: docs/reference.md, YAMNet's body.

    `ridge` is its regularisation, as a share of the codes' variance of about (2 / CLIP)². Returns kernel float32 (128, labels)
    and bias (labels,).
    """
    inputs = np.concatenate([dequantise(codes).astype(np.float64), np.ones((len(codes), 1))], axis=1)
    penalty = ridge * len(codes) * np.diag([1.0] * EMBEDDING_SIZE + [0.0])
    found = np.linalg.solve(inputs.T @ inputs + penalty, inputs.T @ log_odds.astype(np.float64))
    return found[:-1].astype(np.float32), found[-1].astype(np.float32)


def label_weights(log_odds: Float32, least: float) -> NDArray[np.float64]:
    """Return the weight of each label's squared error: the square of its highest probability, which is `least` at least."""
    highest = 1.0 / (1.0 + np.exp(-log_odds.max(axis=0).astype(np.float64)))
    weights: NDArray[np.float64] = np.square(np.maximum(highest, least))
    return weights


@dataclass(frozen=True, slots=True)
class Agreement:
    """Agreement of a read-out with YAMNet's scores.

    Attributes:
        windows: number of windows.
        mean_difference: of the scores, over YAMNet's scores of at least 0.1.
        kept_at_15, kept_at_20: shares of YAMNet's labels at 0.2 or more whose read-out is at least 0.15, and 0.2.
        top_in_five: share of windows in which YAMNet's best label is among the read-out's best five.

    """

    windows: int
    mean_difference: float
    kept_at_15: float
    kept_at_20: float
    top_in_five: float


def agreement(found: Float32, wanted: Float32) -> Agreement:
    """Compare a read-out's probabilities (n, labels) with YAMNet's scores of the same windows."""
    likely, surer = wanted >= LIKELY, wanted >= SURE
    best_five = np.argsort(-found, axis=1, kind="stable")[:, :5]
    return Agreement(
        windows=len(wanted),
        mean_difference=float(np.abs(found - wanted)[likely].mean()),
        kept_at_15=float((found[surer] >= ALMOST_SURE).mean()),
        kept_at_20=float((found[surer] >= SURE).mean()),
        top_in_five=float((best_five == wanted.argmax(axis=1)[:, np.newaxis]).any(axis=1).mean()),
    )
