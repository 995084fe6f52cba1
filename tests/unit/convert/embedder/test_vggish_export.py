"""An exported VGGish equals its source graph, or is rejected. A narrow network keeps it fast."""

from functools import cache

import numpy as np
import pytest

from convert.audio.probe_signals import probe_patches
from edge_detector.detection.embedding import Pca, quantise
from edge_detector.errors import EdgeDetectorError
from edge_detector.types import Float32

pytest.importorskip("tensorflow")

from convert.embedder import vggish_export as export
from convert.embedder.vggish import Vggish
from convert.tf.tflite import Precision
from tests.support.narrow_vggish import weights

LAST = "vggish/fc2"


@cache
def patches() -> Float32:
    return probe_patches(24, seed=0)


@cache
def model() -> Vggish:
    return Vggish(weights())


@cache
def pca() -> Pca:
    return export.whitening(model().embed_all(patches()))


@pytest.mark.parametrize("precision", ["float32", "dynamic", "float16"])
def test_an_export_is_finite_and_equal_to_its_source(precision: Precision) -> None:
    content = export.export_embedder(model(), precision, patches())
    errors = export.embedder_errors(content, model(), pca(), patches(), precision)
    export.require_equal(errors)
    assert errors.finite
    if precision == "float32":
        assert errors.largest_difference < 1e-4 * max(errors.spread_of_source, 1.0)


def test_an_export_that_is_not_finite_is_rejected() -> None:
    broken = Vggish({**weights(), f"{LAST}/biases": np.full(128, np.nan, np.float32)})
    content = export.export_embedder(broken, "float32", patches())
    with pytest.raises(EdgeDetectorError, match="values that are not finite; "):
        export.embedder_errors(content, model(), pca(), patches(), "float32")


def test_an_export_of_other_weights_is_rejected() -> None:
    other = Vggish({**weights(), f"{LAST}/weights": -weights()[f"{LAST}/weights"]})
    errors = export.embedder_errors(export.export_embedder(other, "float32", patches()), model(), pca(), patches(), "float32")
    with pytest.raises(EdgeDetectorError, match="differs from its source graph"):
        export.require_equal(errors)


def test_a_single_window_has_no_mean_centred_cosine() -> None:
    content = export.export_embedder(model(), "float32", patches())
    errors = export.embedder_errors(content, model(), None, patches()[:1], "float32")
    assert (errors.windows, errors.mean_centred_cosine) == (1, None)
    export.require_equal(errors)


def test_the_whitening_gives_audiosets_spread_and_damps_directions_without_variance() -> None:
    rng = np.random.default_rng(0)
    embeddings = rng.normal(3.0, 1.0, (4_000, 128)) * np.geomspace(10.0, 0.5, 128)
    embeddings[:, 100:] = 7.0 + 1e-9 * rng.normal(size=(4_000, 28))
    fitted = export.whitening(embeddings.astype(np.float32))
    whitened = (embeddings - fitted.means) @ fitted.matrix.T
    assert np.allclose(whitened[:, :100].std(axis=0), 1.18, atol=0.01)
    assert whitened[:, 100:].std(axis=0).max() < 0.05
    codes = quantise(embeddings.astype(np.float32), fitted)
    assert 120 < codes[:, :100].mean() < 135
