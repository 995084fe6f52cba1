"""The detector's own parts, put together for files instead of streams: what is trained and scored here is what runs there."""

from pathlib import Path

import numpy as np

from convert.files import read_arrays
from edge_detector.core.bundle import Bundle
from edge_detector.core.decision import Decider
from edge_detector.core.embedding import Pca, quantise
from edge_detector.core.logmel import patches
from edge_detector.edges.tflite import TfliteEmbedder, TfliteSequenceStep
from edge_detector.errors import EdgeDetectorError, UsageError
from edge_detector.params import EMBEDDING_SIZE
from edge_detector.pipeline.hearing import Hearing, Model
from edge_detector.types import Block, Codes, Float32, Scores


def read_pca(path: Path) -> Pca:
    """PCA parameters from an npz file, ours or Google's, of any float type, the means as row or column."""
    arrays = read_arrays(path)
    try:
        return Pca(arrays["pca_eigen_vectors"].astype(np.float32), arrays["pca_means"].astype(np.float32).reshape(-1))
    except (KeyError, ValueError) as error:
        message = f"{path} does not hold PCA parameters: {error}"
        raise EdgeDetectorError(message) from error


class CodeEmbedder:
    """The detector's own path from samples to codes."""

    def __init__(self, content: bytes, pca: Pca) -> None:
        self._embedder, self._pca = TfliteEmbedder(content), pca

    @classmethod
    def load(cls, embedder: Path, pca: Path) -> "CodeEmbedder":
        """From files."""
        try:
            return cls(embedder.read_bytes(), read_pca(pca))
        except OSError as error:
            message = f"{embedder} cannot be read: {error.strerror}; make it with export-embedder"
            raise UsageError(message) from error

    def codes(self, samples: Float32) -> Codes:
        """Codes uint8 (n, 128), one row each 0.96 s."""
        rows = [quantise(self._embedder.embed(patch), self._pca) for patch in patches(samples)]
        return np.stack(rows) if rows else np.zeros((0, EMBEDDING_SIZE), np.uint8)


def detector_model(bundle: Bundle) -> Model:
    """Both networks of a bundle, as the detector runs them."""
    spec = bundle.manifest.sequence
    step = TfliteSequenceStep(
        bundle.sequence,
        rows=spec.context_frames,
        states={state.name: state.shape for state in spec.states},
        classes=len(bundle.manifest.classes),
    )
    return Model(TfliteEmbedder(bundle.embedder), bundle.pca, step, spec)


def stream_probabilities(model: Model, samples: Float32, hops_per_patch: int = 1, block_samples: int | None = None) -> Float32:
    """Probabilities float32 (hops, classes) that the detector gives over a whole recording, in blocks of any size."""
    hearing = Hearing(model, Decider(()), hops_per_patch=hops_per_patch)
    size = block_samples or max(len(samples), 1)
    found = [
        scores.probabilities
        for first in range(0, len(samples), size)
        for scores in hearing.push(Block(samples[first : first + size], first_sample=first))
        if isinstance(scores, Scores)
    ]
    return np.stack(found) if found else np.zeros((0, 0), np.float32)
