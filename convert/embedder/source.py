"""VGGish from its checkpoint, and what export-embedder writes beside a .tflite file."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from convert.download import released
from convert.download.download import sha256_of
from convert.embedder.runtime import EMBEDDER_FACTS, read_pca
from convert.embedder.vggish import VGGISH, Layout, Vggish
from convert.embedder.vggish_checkpoint import read_checkpoint
from convert.files import read_json, write_arrays, write_json
from edge_detector.detection.embedding import Pca
from edge_detector.errors import UsageError
from edge_detector.params import FRONT_END

FACTS, PCA = EMBEDDER_FACTS, "pca.npz"
MODEL = "vggish"


@dataclass(frozen=True, slots=True)
class EmbedderSource:
    """VGGish before export.

    Attributes:
        model: the graph.
        pca: its PCA, if one is known.
        facts: what embedder.json is to say of it.
        released: whether these are Google's weights, to the byte.
        released_pca: whether these are Google's PCA parameters, to the byte.

    """

    model: Vggish
    pca: Pca | None
    facts: dict[str, Any]
    released: bool = False
    released_pca: bool = False


def load_source(path: Path, pca: Path | None = None, layout: Layout = VGGISH) -> EmbedderSource:
    """From a checkpoint file, or a folder that fetch filled.

    Args:
        path: file or folder.
        pca: PCA parameters of a checkpoint; without it, the file of the released name beside the checkpoint, if there is one.
        layout: sizes of the checkpoint's layers.

    """
    checkpoint = path / released.CHECKPOINT.name if path.is_dir() else path
    weights = read_checkpoint(checkpoint, layout)
    beside = checkpoint.with_name(released.PCA_PARAMETERS.name)
    pca = pca or (beside if beside.exists() else None)
    checksum = sha256_of(checkpoint) if checkpoint.is_file() else None
    facts = {
        "model": MODEL,
        "name": MODEL,
        "log_offset": FRONT_END.log_offset,
        "parameters": int(sum(values.size for values in weights.values())),
        "checkpoint_sha256": checksum,
        "folds": [],
    }
    return EmbedderSource(
        Vggish(weights),
        read_pca(pca) if pca else None,
        facts,
        released=checksum == released.CHECKPOINT.sha256,
        released_pca=pca is not None and sha256_of(pca) == released.PCA_PARAMETERS.sha256,
    )


def refuse_foreign_folder(output: Path, name: str) -> None:
    """Raise if describing an embedder in the output's folder would overwrite what is said of another."""
    facts = output.parent / FACTS
    said = read_json(facts) if facts.exists() else {}
    if said and said.get("name") != name:
        message = f"{output.parent} is another embedder's folder; write {output.name} into a folder of its own"
        raise UsageError(message)


def describe_beside(output: Path, facts: Mapping[str, Any], pca: Pca | None) -> None:
    """Put what `embed` and `bundle` need into the output's folder: embedder.json and, in our form, pca.npz."""
    write_json(output.parent / FACTS, facts)
    if pca is not None:
        write_arrays(output.parent / PCA, {"pca_eigen_vectors": np.asarray(pca.matrix), "pca_means": np.asarray(pca.means)})
