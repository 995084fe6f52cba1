"""The detector's own parts, put together for files instead of streams: what is trained and scored here is what runs there."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np

import edge_detector
from convert.files import read_arrays
from edge_detector.core.bundle import Bundle, load_bundle
from edge_detector.core.decision import Decider
from edge_detector.core.embedding import Pca, quantise
from edge_detector.core.logmel import LogMelStream, patches
from edge_detector.edges.tflite import TfliteEmbedder, TfliteSequenceStep
from edge_detector.errors import EdgeDetectorError, UsageError
from edge_detector.params import EMBEDDING_SIZE, FRONT_END
from edge_detector.pipeline.hearing import Hearing, Model
from edge_detector.types import Block, Codes, Float32, Scores

DEFAULT_BUNDLE = Path(edge_detector.__file__).parent / "bundles" / "default"
"""The one that ships."""


def read_pca(path: Path) -> Pca:
    """PCA parameters from an npz file, ours or Google's, of any float type, the means as row or column."""
    arrays = read_arrays(path)
    try:
        return Pca(arrays["pca_eigen_vectors"].astype(np.float32), arrays["pca_means"].astype(np.float32).reshape(-1))
    except (KeyError, ValueError) as error:
        message = f"{path} does not hold PCA parameters: {error}"
        raise EdgeDetectorError(message) from error


def made_of(embedder: bytes, pca: Pca) -> dict[str, str]:
    """What codes depend on: sha256 of the embedder's file, and of the numbers of its PCA."""
    return {"embedder": hashlib.sha256(embedder).hexdigest(), "pca": digest_of_pca(pca)}


def digest_of_pca(pca: Pca) -> str:
    """Sha256 of its numbers."""
    return hashlib.sha256(pca.matrix.tobytes() + pca.means.tobytes()).hexdigest()


class CodeEmbedder:
    """The detector's own path from samples to codes.

    Attributes:
        made_of: what its codes depend on; codes of another one are of another space.

    """

    def __init__(self, content: bytes, pca: Pca) -> None:
        self._embedder, self._pca = TfliteEmbedder(content), pca
        self.made_of = made_of(content, pca)

    @classmethod
    def load(cls, embedder: Path, pca: Path) -> "CodeEmbedder":
        """From files."""
        try:
            return cls(embedder.read_bytes(), read_pca(pca))
        except OSError as error:
            message = f"{embedder} cannot be read: {error.strerror}; make it with export-embedder"
            raise UsageError(message) from error

    @classmethod
    def of_bundle(cls, folder: Path) -> "CodeEmbedder":
        """Of a bundle."""
        bundle = load_bundle(folder)
        return cls(bundle.embedder, bundle.pca)

    def codes(self, samples: Float32) -> Codes:
        """Codes uint8 (n, 128), one row each 0.96 s."""
        return self._codes(patches(samples))

    def codes_of_stream(self, blocks: Iterable[Block]) -> Codes:
        """The same of 16 kHz blocks, with only one in memory."""
        stream = LogMelStream()
        return self._codes(patch.log_mel for block in blocks for patch in stream.push(block))

    def _codes(self, log_mels: Iterable[Float32]) -> Codes:
        rows = [quantise(self._embedder.embed(patch), self._pca) for patch in log_mels]
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
    """Probabilities float32 (hops, classes) that the detector gives over a whole recording, in blocks of any size.

    A recording shorter than a window is heard with silence after it, in one: a microphone does not stop with the sound.
    """
    if len(samples) < FRONT_END.patch_samples:
        samples = np.pad(samples, (0, FRONT_END.patch_samples - len(samples)))
    hearing = Hearing(model, Decider(()), hops_per_patch=hops_per_patch)
    size = block_samples or len(samples)
    found = [
        scores.probabilities
        for first in range(0, len(samples), size)
        for scores in hearing.push(Block(samples[first : first + size], first_sample=first))
        if isinstance(scores, Scores)
    ]
    return np.stack(found)
