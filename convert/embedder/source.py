"""VGGish before export: its checkpoint, and its PCA."""

from dataclasses import dataclass
from pathlib import Path

from convert.download import released
from convert.embedder.facts import EmbedderFacts
from convert.embedder.runtime import read_pca
from convert.embedder.vggish import VGGISH, Layout, Vggish
from convert.embedder.vggish_checkpoint import read_checkpoint
from convert.files import sha256_of
from edge_detector.detection.embedding import Pca

MODEL = "vggish"


@dataclass(frozen=True, slots=True)
class EmbedderSource:
    """VGGish before export.

    Attributes:
        model: the graph.
        pca: its PCA, or None if unknown.
        facts: content of embedder.json.
        released: these are Google's weights, by their checksum.
        released_pca: these are Google's PCA parameters, by their checksum.

    """

    model: Vggish
    pca: Pca | None
    facts: EmbedderFacts
    released: bool
    released_pca: bool


def load_source(path: Path, layout: Layout = VGGISH) -> EmbedderSource:
    """Load a checkpoint file, or the one in a folder that fetch filled.

    Args:
        path: file or folder.
        layout: sizes of the checkpoint's layers.

    """
    checkpoint = path / released.CHECKPOINT.name if path.is_dir() else path
    weights = read_checkpoint(checkpoint, layout)
    beside = checkpoint.with_name(released.PCA_PARAMETERS.name)
    pca = beside if beside.exists() else None
    checksum = sha256_of(checkpoint) if checkpoint.is_file() else None
    return EmbedderSource(
        Vggish(weights),
        read_pca(pca) if pca else None,
        EmbedderFacts(
            model=MODEL, name=MODEL, parameters=sum(values.size for values in weights.values()), checkpoint_sha256=checksum
        ),
        released=checksum == released.CHECKPOINT.sha256,
        released_pca=pca is not None and sha256_of(pca) == released.PCA_PARAMETERS.sha256,
    )
