"""Embedder of a bundle: newly exported, or copied from another bundle."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from convert.embedder.facts import EMBEDDER_FACTS
from convert.embedder.runtime import pca_beside, read_pca
from convert.files import read_json
from convert.records.identity import UNNAMED, made_by
from edge_detector.bounded_files import read_regular
from edge_detector.detection import bundle as format_
from edge_detector.detection.bundle import EmbedderId
from edge_detector.detection.embedding import Pca
from edge_detector.errors import UsageError
from edge_detector.params import FRONT_END

NOT_OF_THE_FILE = ("milliseconds_per_window", "bytes", "weights")
"""Keys of an export left out of the manifest: machine-specific, recorded elsewhere, or only for assembly."""


@dataclass(frozen=True, slots=True)
class BundledEmbedder:
    """Embedder and its manifest entries.

    Attributes:
        content, pca_file: the files embedder.tflite and pca.npz.
        pca: the content of pca.npz.
        name: for example yamnet-body.
        log_offset: of the input log-mel spectrogram.
        facts: its architecture and training data.
        parity: its errors against its source graph.
        credits: attributions required by its recordings, if copied from a bundle.

    """

    content: bytes
    pca_file: bytes
    pca: Pca
    name: str
    log_offset: float
    facts: Mapping[str, Any]
    parity: Mapping[str, Any]
    credits: tuple[str, ...] = ()

    @classmethod
    def of_file(cls, tflite: Path) -> "BundledEmbedder":
        """Load the file that export-embedder wrote, with its errors, PCA and facts beside it."""
        content, pca = file_content(tflite), pca_beside(tflite)
        facts = read_json(tflite.with_name(EMBEDDER_FACTS))
        return cls(
            content,
            file_content(pca),
            read_pca(pca),
            str(facts.get("name", UNNAMED)),
            float(facts.get("log_offset", FRONT_END.log_offset)),
            facts,
            export_errors(tflite),
        )

    @classmethod
    def of_bundle(cls, folder: Path) -> "BundledEmbedder":
        """Load the embedder of a bundle, with its credits."""
        bundle = format_.load_bundle(folder)
        manifest = bundle.manifest
        training, parity = manifest.training.get("embedder"), manifest.parity.get("embedder")
        said = manifest.training.get("credits")
        whose = f"{manifest.name} {manifest.version} ({manifest.licence})"
        return cls(
            content=bundle.embedder,
            pca_file=file_content(folder / format_.PCA),
            pca=bundle.pca,
            name=manifest.embedder.name if manifest.embedder else UNNAMED,
            log_offset=manifest.log_offset,
            facts=training if isinstance(training, dict) else {},
            parity=parity if isinstance(parity, dict) else {},
            credits=(
                f"The embedder is that of the bundle {whose}, of which its model card says:",
                *(str(line) for line in (said if isinstance(said, list) else ())),
            ),
        )

    @property
    def made_of(self) -> dict[str, str]:
        """Return the embedder identity that its records carry."""
        return made_by(self.content, self.pca, self.name)

    @property
    def identity(self) -> EmbedderId:
        """Return its name and digest."""
        return EmbedderId(self.name, format_.embedder_digest(self.content, self.pca))


def file_content(path: Path) -> bytes:
    """Read a file that another command wrote."""
    try:
        return read_regular(path, format_.MAX_FILE_BYTES[format_.EMBEDDER])
    except OSError as error:
        message = f"{path} cannot be read: {error.strerror}; run the command that makes it first"
        raise UsageError(message) from error


def export_errors(path: Path) -> dict[str, Any]:
    """Return an export's measured errors, without machine-specific values."""
    errors = read_json(path.with_name(path.name + ".errors.json"))
    return {key: value for key, value in errors.items() if key not in NOT_OF_THE_FILE}
