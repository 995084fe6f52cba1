"""The detector's own stages applied to files, so that training and evaluation use the code that runs on a Raspberry Pi."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np

import edge_detector
from convert.embedder.facts import read_embedder_facts
from convert.files import write_arrays
from convert.records.identity import UNNAMED, embedder_provenance
from edge_detector.bounded_files import read_regular
from edge_detector.detection.bundle import EMBEDDER, MAX_FILE_BYTES, PCA, Bundle, SoundClass, pca_of
from edge_detector.detection.detector import Networks, StreamDetector
from edge_detector.detection.embedding import Pca, quantise
from edge_detector.detection.hysteresis import Decider
from edge_detector.detection.logmel import LogMelStream, patches
from edge_detector.detection.tflite import TfliteEmbedder
from edge_detector.errors import EdgeDetectorError, UsageError
from edge_detector.params import EMBEDDING_SIZE, FRONT_END
from edge_detector.types import Block, Codes, Float32, Scores

DEFAULT_BUNDLE = Path(edge_detector.__file__).parent / "bundles" / "default"
"""The bundle that ships."""


def read_pca(path: Path) -> Pca:
    """Read PCA parameters from an npz file, ours or Google's, of any float type, the means as row or column."""
    try:
        return pca_of(read_regular(path, MAX_FILE_BYTES[PCA]))
    except FileNotFoundError as error:
        message = f"{path} does not exist; run the command that makes it first"
        raise UsageError(message) from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        message = f"{path} is not an npz file of numbers, or does not hold PCA parameters: {reason}"
        raise EdgeDetectorError(message) from error


def pca_beside(embedder: Path) -> Path:
    """Return the PCA file that export-embedder wrote beside an embedder. Raises UsageError if there is none."""
    path = embedder.with_name(PCA)
    if not path.exists():
        raise UsageError(
            f"{embedder} has no {PCA} beside it, and its codes need PCA parameters; export it again with VGGish's beside"
        )
    return path


def write_pca(embedder: Path, pca: Pca) -> None:
    """Write PCA parameters beside an exported embedder."""
    write_arrays(embedder.with_name(PCA), {"pca_eigen_vectors": np.asarray(pca.matrix), "pca_means": np.asarray(pca.means)})


class CodeEmbedder:
    """The detector's path from samples to codes.

    Attributes:
        made_of: checksums and name that its records carry; codes of different embedders must not be mixed.

    """

    def __init__(self, content: bytes, pca: Pca, *, name: str = UNNAMED, log_offset: float = FRONT_END.log_offset) -> None:
        self._embedder, self._pca, self._log_offset = TfliteEmbedder(content), pca, log_offset
        self.made_of = embedder_provenance(content, pca, name)

    @classmethod
    def load(cls, embedder: Path) -> "CodeEmbedder":
        """Load the file that export-embedder wrote, with its facts beside it, and its PCA beside it or in another file."""
        facts = read_embedder_facts(embedder)
        try:
            content = read_regular(embedder, MAX_FILE_BYTES[EMBEDDER])
        except OSError as error:
            message = f"{embedder} cannot be read: {error.strerror}; make it with export-embedder"
            raise UsageError(message) from error
        return cls(
            content,
            read_pca(pca_beside(embedder)),
            name=facts.name,
            log_offset=facts.log_offset,
        )

    @classmethod
    def of_bundle(cls, bundle: Bundle) -> "CodeEmbedder":
        """Build the embedder of a bundle."""
        manifest = bundle.manifest
        name = manifest.embedder.name if manifest.embedder else UNNAMED
        return cls(bundle.embedder, bundle.pca, name=name, log_offset=manifest.log_offset)

    def codes(self, samples: Float32) -> Codes:
        """Return codes uint8 (n, 128), one row for each 0.96 s."""
        return self._codes(patches(samples, log_offset=self._log_offset))

    def codes_of_stream(self, blocks: Iterable[Block]) -> Codes:
        """Return the codes of 16 kHz blocks, with one block in memory."""
        stream = LogMelStream(log_offset=self._log_offset)
        return self._codes(patch.log_mel for block in blocks for patch in stream.push(block))

    def _codes(self, log_mels: Iterable[Float32]) -> Codes:
        rows = [quantise(self._embedder.embed(patch), self._pca) for patch in log_mels]
        return np.stack(rows) if rows else np.zeros((0, EMBEDDING_SIZE), np.uint8)


def enabled_classes(bundle: Bundle) -> tuple[SoundClass, ...]:
    """Return the classes that a bundle detects without a configuration."""
    return tuple(sound for sound in bundle.manifest.classes if sound.enabled)


def stream_probabilities(model: Networks, samples: Float32, hops_per_patch: int = 1, block_samples: int | None = None) -> Float32:
    """Return the detector's probabilities float32 (hops, classes) over a recording, in blocks of any size.

    A recording shorter than a window is padded with silence, because a microphone does not stop with the sound.
    """
    if len(samples) < FRONT_END.patch_samples:
        samples = np.pad(samples, (0, FRONT_END.patch_samples - len(samples)))
    detector = StreamDetector(model, Decider(()), hops_per_patch=hops_per_patch)
    size = block_samples or len(samples)
    found = [
        scores.probabilities
        for first in range(0, len(samples), size)
        for scores in detector.push(Block(samples[first : first + size], first_sample=first))
        if isinstance(scores, Scores)
    ]
    return np.stack(found)
