"""VGGish as a TFLite file, checked against its source graph."""

import time
from dataclasses import replace
from typing import Any

import numpy as np
import tensorflow as tf

from convert.embedder.facts import ExportErrors
from convert.embedder.vggish import Vggish
from convert.tf.tflite import Precision, to_tflite
from edge_detector.detection.embedding import Pca, dequantise, quantise
from edge_detector.detection.tflite import TfliteEmbedder
from edge_detector.errors import EdgeDetectorError
from edge_detector.params import EMBEDDING_SIZE, FRONT_END
from edge_detector.types import Float32

LOWEST_COSINE = {"float32": 0.999999, "float16": 0.9999, "dynamic": 0.995, "int8": 0.98}
"""Between a raw embedding and its source graph's, in the worst window."""

LOWEST_CENTRED_COSINE = {"float32": 0.999999, "float16": 0.999, "dynamic": 0.99, "int8": 0.98}
"""Between both less the source's mean embedding, averaged over the windows. The mean dominates a plain cosine and carries no
information on the sound, so that a plain cosine does not detect damage."""

LARGEST_SHARE = {"float32": 1e-4}
"""Largest difference, as a share of the source's largest value."""

CALIBRATION_WINDOWS = 300
COMPONENT_STD = 1.18
SMALLEST_NORM = 1e-12


def export_embedder(model: Vggish, precision: Precision, patches: Float32) -> bytes:
    """Return a TFLite file with the signature embed(log_mel [1, 96, 64]) -> embedding [1, 128].

    Args:
        model: the source graph.
        precision: of the weights; int8 of the activations as well.
        patches: float32 (n, 96, 64) for the ranges of int8's activations; unused in other precisions.

    """
    spec = tf.TensorSpec((1, FRONT_END.patch_frames, FRONT_END.mel_bands), tf.float32, name="log_mel")

    @tf.function(input_signature=[spec])  # type: ignore[untyped-decorator]
    def embed(log_mel: Any) -> Any:  # noqa: ANN401 - tensors
        return {"embedding": model(log_mel)}

    module: Any = model
    module.embed = embed
    return to_tflite(
        module,
        embed.get_concrete_function(),
        "embed",
        precision,
        lambda: ({"log_mel": patch[np.newaxis]} for patch in patches[:CALIBRATION_WINDOWS]),
    )


def embedder_errors(content: bytes, model: Vggish, pca: Pca | None, patches: Float32, precision: str) -> ExportErrors:
    """Compare the TFLite file with its source graph on these patches.

    Without a PCA, codes are computed with a whitening fitted to the source's embeddings of these patches. Raises
    EdgeDetectorError for values that are not finite.
    """
    interpreter = TfliteEmbedder(content)
    wanted = model.embed_all(patches)
    started = time.process_time()
    found = np.stack([interpreter.embed(patch) for patch in patches])
    seconds = time.process_time() - started
    if not np.isfinite(found).all():
        raise EdgeDetectorError(
            "the exported embedder gives values that are not finite; export it from a finite checkpoint, in another precision"
        )
    pca = pca or whitening(wanted)
    want_codes, found_codes = quantise(wanted, pca), quantise(found, pca)
    cosine = _cosine(wanted, found)
    # The mean of a single window is that window.
    centred = _cosine(wanted - wanted.mean(axis=0), found - wanted.mean(axis=0)) if len(patches) > 1 else None
    code_error = np.abs(want_codes.astype(np.int32) - found_codes.astype(np.int32))
    want_unit, found_unit = _unit(dequantise(want_codes)), _unit(dequantise(found_codes))
    return ExportErrors(
        precision=precision,
        windows=len(patches),
        finite=True,
        bytes=len(content),
        largest_difference=float(np.abs(wanted - found).max()),
        mean_difference=float(np.abs(wanted - found).mean()),
        largest_of_source=float(np.abs(wanted).max()),
        spread_of_source=float(wanted.std()),
        lowest_cosine=float(cosine.min()),
        mean_centred_cosine=None if centred is None else float(centred.mean()),
        lowest_mean_centred_cosine=None if centred is None else float(centred.min()),
        codes_changed_share=float((code_error > 0).mean()),
        mean_code_difference=float(code_error.mean()),
        lowest_cosine_of_codes=float(np.sum(want_unit * found_unit, axis=1).min()),
        milliseconds_per_window=1e3 * seconds / len(patches),
    )


def require_equal(errors: ExportErrors) -> None:
    """Raise EdgeDetectorError for a file that is too far from its source graph."""
    precision = errors.precision
    measured = (
        ("cosine in the worst window", errors.lowest_cosine, LOWEST_COSINE[precision]),
        ("mean-centred cosine", errors.mean_centred_cosine, LOWEST_CENTRED_COSINE[precision]),
    )
    for what, value, lowest in measured:
        if value is not None and value < lowest:
            raise EdgeDetectorError(
                f"the exported embedder differs from its source graph: {what} {value:.6f}, {precision} must reach {lowest}; "
                f"try another --precision"
            )
    share = errors.largest_difference / max(errors.largest_of_source, SMALLEST_NORM)
    if share > LARGEST_SHARE.get(precision, np.inf):
        raise EdgeDetectorError(
            f"the exported embedder differs from its source graph by {share:.1e} of its largest value, {precision} must stay "
            f"within {LARGEST_SHARE[precision]:.0e}; this TensorFlow version converts it wrongly, try another"
        )


def checked(errors: ExportErrors) -> ExportErrors:
    """Add the lowest cosines that verify accepts, and whether they are reached."""
    allowed = {"lowest_cosine": LOWEST_COSINE[errors.precision], "mean_centred_cosine": LOWEST_CENTRED_COSINE[errors.precision]}
    centred = -1.0 if errors.mean_centred_cosine is None else errors.mean_centred_cosine
    passed = errors.lowest_cosine >= allowed["lowest_cosine"] and centred >= allowed["mean_centred_cosine"]
    return replace(errors, allowed=allowed, passed=passed)


def whitening(embeddings: Float32) -> Pca:
    """Fit PCA parameters to embeddings float32 (n, 128); the components have AudioSet's measured standard deviation.

    Directions with almost no variance are damped instead of amplified. A single embedding is subtracted as the mean.
    """
    if len(embeddings) == 1:
        return Pca(np.eye(EMBEDDING_SIZE, dtype=np.float32), embeddings[0])
    means = embeddings.mean(axis=0, dtype=np.float64)
    values, vectors = np.linalg.eigh(np.cov(embeddings.astype(np.float64) - means, rowvar=False))
    order = np.argsort(values)[::-1]
    values, vectors = np.maximum(values[order], 0.0), vectors[:, order]
    scale = COMPONENT_STD / np.sqrt(np.maximum(values, max(values[0] * 1e-4, 1e-12)))
    return Pca((vectors * scale).T.astype(np.float32), means.astype(np.float32))


def _cosine(one: Float32, other: Float32) -> Float32:
    """Return the cosine of each row; 1 for rows of rounding errors, which have no direction."""
    norms = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    product = np.sum(one * other, axis=1, dtype=np.float64)
    return np.asarray(np.where(norms > SMALLEST_NORM, product / np.maximum(norms, SMALLEST_NORM), 1.0), np.float32)


def _unit(values: Float32) -> Float32:
    return np.asarray(values / np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-6), np.float32)
