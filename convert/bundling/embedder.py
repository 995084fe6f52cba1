"""Embedder of a bundle: newly exported, or copied from another bundle."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from convert.embedder.facts import read_embedder_facts
from convert.embedder.runtime import pca_beside, read_pca
from convert.files import read_json
from convert.plain_data import to_plain
from convert.records.identity import UNNAMED, embedder_provenance
from edge_detector.bounded_files import read_regular
from edge_detector.detection import bundle as format_
from edge_detector.detection.bundle import EmbedderId
from edge_detector.detection.embedding import Pca
from edge_detector.errors import UsageError

NOT_OF_THE_FILE = ("milliseconds_per_window", "bytes", "weights")
"""Keys of an export left out of the manifest: machine-specific, recorded elsewhere, or only for assembly."""

FACTS = ("name", "parameters", "folds", "seed", "source_sha256", "fitted_windows", "clip", "shrinkage")
"""Facts of an embedder that the manifest lists."""


@dataclass(frozen=True, slots=True)
class Export:
    """Errors of an exported file for the manifest, and the checksum of its weights, or None if it is not recorded."""

    errors: Mapping[str, object]
    weights_sha256: str | None


@dataclass(frozen=True, slots=True)
class BundledEmbedder:
    """Embedder and its manifest entries.

    Attributes:
        content, pca_file: the files embedder.tflite and pca.npz.
        pca: the content of pca.npz.
        name: for example yamnet-body.
        log_offset: of the input log-mel spectrogram.
        facts: its architecture and training data, as in the manifest.
        parity: its errors against its source graph, as in the manifest.
        credits: attributions required by its recordings, if copied from a bundle.

    """

    content: bytes
    pca_file: bytes
    pca: Pca
    name: str
    log_offset: float
    facts: Mapping[str, object]
    parity: Mapping[str, object]
    credits: tuple[str, ...] = ()

    @classmethod
    def of_file(cls, tflite: Path) -> "BundledEmbedder":
        """Load the file that export-embedder wrote, with its errors, PCA and facts beside it."""
        content, pca = file_content(tflite), pca_beside(tflite)
        facts = read_embedder_facts(tflite)
        return cls(
            content=content,
            pca_file=file_content(pca),
            pca=read_pca(pca),
            name=facts.name,
            log_offset=facts.log_offset,
            facts=_listed(to_plain(facts)),
            parity=export_errors(tflite).errors,
        )

    @classmethod
    def of_bundle(cls, folder: Path) -> "BundledEmbedder":
        """Load the embedder of a bundle, with its credits."""
        bundle = format_.load_bundle(folder)
        manifest = bundle.manifest
        training, parity = manifest.training.get("embedder"), manifest.parity.get("embedder")
        credits_ = manifest.training.get("credits")
        source = f"{manifest.name} {manifest.version} ({manifest.licence})"
        return cls(
            content=bundle.embedder,
            pca_file=file_content(folder / format_.PCA),
            pca=bundle.pca,
            name=manifest.embedder.name if manifest.embedder else UNNAMED,
            log_offset=manifest.log_offset,
            facts=_listed(training if isinstance(training, dict) else {}),
            parity=parity if isinstance(parity, dict) else {},
            credits=(
                f"The embedder is that of the bundle {source}, with these credits in its model card:",
                *(str(line) for line in (credits_ if isinstance(credits_, list) else ())),
            ),
        )

    @property
    def made_of(self) -> dict[str, str]:
        """Return the embedder identity that its records carry."""
        return embedder_provenance(self.content, self.pca, self.name)

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


def export_errors(path: Path) -> Export:
    """Read FILE.errors.json beside an exported file."""
    errors = read_json(path.with_name(path.name + ".errors.json"))
    weights = errors.get("weights")
    kept = {key: value for key, value in errors.items() if key not in NOT_OF_THE_FILE}
    return Export(kept, None if weights is None else str(weights))


def _listed(facts: Mapping[str, object]) -> Mapping[str, object]:
    return {key: facts[key] for key in FACTS if facts.get(key) not in (None, "", [])}
