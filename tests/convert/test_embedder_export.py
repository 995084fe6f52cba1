"""The embedder as exported is the embedder as trained, or nothing is written."""

from functools import cache

import numpy as np
import pytest

from convert.data.probes import probe_patches
from edge_detector.core.embedding import Pca, quantise
from edge_detector.errors import EdgeDetectorError
from edge_detector.types import Float32

tf = pytest.importorskip("tensorflow")

from convert.graphs import embedder_export as export  # noqa: E402 - after TensorFlow was found
from convert.graphs.embedder import FoldedEmbedder, Shape, TrainedEmbedder, Weights, folded  # noqa: E402
from convert.graphs.embedder_training import fit_pca  # noqa: E402
from convert.graphs.tflite import Precision  # noqa: E402

SHAPE = Shape(0.0625)


@cache
def patches() -> Float32:
    return probe_patches(24, seed=0)


@cache
def weights() -> Weights:
    trained = TrainedEmbedder(SHAPE, classes=3, teacher_classes=0, seed=0, compute_dtype=tf.float32)
    rng = np.random.default_rng(0)
    for name, statistic in trained.statistics.items():
        statistic.assign(rng.uniform(0.5, 2.0, statistic.shape) if "variance" in name else rng.normal(0, 0.3, statistic.shape))
    named = {**trained.parameters, **trained.statistics}
    return folded({name: variable.numpy() for name, variable in named.items()}, SHAPE)


@cache
def model() -> FoldedEmbedder:
    return FoldedEmbedder(weights(), SHAPE)


@cache
def pca() -> Pca:
    return Pca(*fit_pca(model().embed_all(patches())))


def test_half_width_has_the_parameters_that_the_design_budgets_for() -> None:
    trained = TrainedEmbedder(Shape(0.5), 10, 0, 0, tf.float32)
    named = {name: value.numpy() for name, value in {**trained.parameters, **trained.statistics}.items()}
    count = sum(value.size for name, value in folded(named, Shape(0.5)).items() if not name.startswith("classes/"))
    assert 1_650_000 < count < 1_800_000


def test_folding_batch_normalisation_changes_nothing() -> None:
    trained = TrainedEmbedder(SHAPE, classes=3, teacher_classes=0, seed=0, compute_dtype=tf.float32)
    inputs = tf.constant(patches())
    training_logits, _ = trained.logits(inputs)
    # The statistics of this one batch, as the training pass used them, in place of the running ones.
    hidden = inputs[..., tf.newaxis]
    for index, layer in enumerate(SHAPE.layers):
        hidden = tf.nn.conv2d(hidden, trained.parameters[f"conv{index}/kernel"], layer.stride, "SAME")
        mean, variance = tf.nn.moments(hidden, axes=[0, 1, 2])
        trained.statistics[f"conv{index}/mean"].assign(mean)
        trained.statistics[f"conv{index}/variance"].assign(variance)
        hidden = tf.nn.relu((hidden - mean) / tf.sqrt(variance + 1e-3))
        hidden = tf.nn.max_pool2d(hidden, 2, 2, "SAME") if layer.pool else hidden
    named = {name: value.numpy() for name, value in {**trained.parameters, **trained.statistics}.items()}
    fixed = FoldedEmbedder(folded(named, SHAPE), SHAPE)
    probabilities = fixed.class_probabilities(fixed.embed_all(patches()))
    assert np.abs(probabilities - tf.sigmoid(training_logits).numpy()).max() < 1e-3


@pytest.mark.parametrize("precision", ["float32", "dynamic", "float16"])
def test_an_export_is_finite_and_equal_to_its_source(precision: Precision) -> None:
    content = export.export_embedder(model(), precision, patches())
    errors = export.embedder_errors(content, model(), pca(), patches())
    export.require_equal(errors, precision)
    assert errors["finite"]
    if precision == "float32":
        assert errors["largest_difference"] < 1e-4 * max(errors["spread_of_source"], 1.0)


def test_an_export_that_is_not_finite_is_refused() -> None:
    broken = FoldedEmbedder({**weights(), "embedding/bias": np.full(128, np.nan, np.float32)}, SHAPE)
    errors = export.embedder_errors(export.export_embedder(broken, "float32", patches()), model(), pca(), patches())
    assert not errors["finite"]
    with pytest.raises(EdgeDetectorError, match="not finite"):
        export.require_equal(errors, "float32")


def test_an_export_of_other_weights_is_refused() -> None:
    other = FoldedEmbedder({**weights(), "embedding/kernel": -weights()["embedding/kernel"]}, SHAPE)
    errors = export.embedder_errors(export.export_embedder(other, "float32", patches()), model(), pca(), patches())
    with pytest.raises(EdgeDetectorError, match="differs from its source graph"):
        export.require_equal(errors, "float32")


def test_the_pca_gives_audiosets_spread_and_does_not_blow_up_dead_directions() -> None:
    rng = np.random.default_rng(0)
    embeddings = rng.normal(3.0, 1.0, (4_000, 128)) * np.geomspace(10.0, 0.5, 128)
    embeddings[:, 100:] = 7.0 + 1e-9 * rng.normal(size=(4_000, 28))
    matrix, means = fit_pca(embeddings.astype(np.float32))
    whitened = (embeddings - means) @ matrix.T
    assert np.allclose(whitened[:, :100].std(axis=0), 1.18, atol=0.01)
    assert whitened[:, 100:].std(axis=0).max() < 0.05
    codes = quantise(embeddings.astype(np.float32), Pca(matrix, means))
    assert 120 < codes[:, :100].mean() < 135
