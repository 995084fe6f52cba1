"""The trained embedder as a TFLite file, checked against its source graph before it is written."""

import time
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from convert.files import read_arrays, read_json
from convert.graphs.embedder import FoldedEmbedder, Shape
from convert.graphs.tflite import Precision, to_tflite
from edge_detector.core.embedding import Pca, dequantise, quantise
from edge_detector.edges.tflite import TfliteEmbedder
from edge_detector.errors import EdgeDetectorError
from edge_detector.params import FRONT_END
from edge_detector.types import Float32

LOWEST_COSINE = {"float32": 0.999999, "float16": 0.9999, "dynamic": 0.995, "int8": 0.98}
"""Between a raw embedding and its source graph's, in the worst of the windows measured."""


def load_embedder(folder: Path) -> tuple[FoldedEmbedder, Pca]:
    """What train-embedder left in a folder."""
    weights = read_arrays(folder / "weights.npz")
    arrays = read_arrays(folder / "pca.npz")
    try:
        model = FoldedEmbedder(weights, Shape(float(read_json(folder / "embedder.json")["width"])))
        pca = Pca(arrays["pca_eigen_vectors"], arrays["pca_means"])
    except (KeyError, ValueError) as error:
        message = f"{folder} is not what train-embedder makes ({error}); train the embedder again"
        raise EdgeDetectorError(message) from error
    if not all(np.isfinite(value).all() for value in weights.values()):
        message = f"{folder / 'weights.npz'} holds values that are not finite; the training diverged, lower --learning-rate"
        raise EdgeDetectorError(message)
    return model, pca


def export_embedder(model: FoldedEmbedder, precision: Precision, patches: Float32) -> bytes:
    """A TFLite file with the signature embed(log_mel [1, 96, 64]) -> embedding [1, 128]."""
    spec = tf.TensorSpec((1, FRONT_END.patch_frames, FRONT_END.mel_bands), tf.float32, name="log_mel")

    @tf.function(input_signature=[spec])  # type: ignore[untyped-decorator]
    def embed(log_mel: Any) -> Any:  # noqa: ANN401 - tensors
        return {"embedding": model(log_mel)}

    model.embed = embed
    return to_tflite(
        model,
        embed.get_concrete_function(),
        "embed",
        precision,
        lambda: ({"log_mel": patch[np.newaxis]} for patch in patches[:300]),
    )


def embedder_errors(content: bytes, model: FoldedEmbedder, pca: Pca, patches: Float32) -> dict[str, Any]:
    """How far the TFLite file is from its source graph on these patches, and what it costs."""
    interpreter = TfliteEmbedder(content)
    wanted = model.embed_all(patches)
    started = time.process_time()
    found = np.stack([interpreter.embed(patch) for patch in patches])
    seconds = time.process_time() - started
    result: dict[str, Any] = {"windows": len(patches), "finite": bool(np.isfinite(found).all()), "bytes": len(content)}
    if not result["finite"]:
        return result
    want_codes, found_codes = quantise(wanted, pca), quantise(found, pca)
    cosine = np.sum(wanted * found, axis=1) / np.maximum(np.linalg.norm(wanted, axis=1) * np.linalg.norm(found, axis=1), 1e-12)
    code_error = np.abs(want_codes.astype(np.int32) - found_codes.astype(np.int32))
    want_unit, found_unit = _unit(dequantise(want_codes)), _unit(dequantise(found_codes))
    return result | {
        "largest_difference": float(np.abs(wanted - found).max()),
        "mean_difference": float(np.abs(wanted - found).mean()),
        "spread_of_source": float(wanted.std()),
        "lowest_cosine": float(cosine.min()),
        "codes_changed_share": float((code_error > 0).mean()),
        "mean_code_difference": float(code_error.mean()),
        "lowest_cosine_of_codes": float(np.sum(want_unit * found_unit, axis=1).min()),
        "milliseconds_per_window": 1e3 * seconds / max(len(patches), 1),
    }


def require_equal(errors: dict[str, Any], precision: Precision) -> None:
    """Refuse a file that is not finite or too far from its source graph."""
    if not errors["finite"]:
        message = "the exported embedder gives values that are not finite; its source graph does not: nothing is written"
        raise EdgeDetectorError(message)
    if errors["lowest_cosine"] < LOWEST_COSINE[precision]:
        message = (
            f"the exported embedder differs from its source graph: cosine {errors['lowest_cosine']:.6f} in the worst window, "
            f"{precision} must reach {LOWEST_COSINE[precision]}; try another --precision"
        )
        raise EdgeDetectorError(message)


def _unit(values: Float32) -> Float32:
    return np.asarray(values / np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-6), np.float32)
