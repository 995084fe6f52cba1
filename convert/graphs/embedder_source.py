"""Where an embedder comes from: VGGish's checkpoint, or a folder that train-embedder made."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from convert.data import released
from convert.data.download import sha256_of
from convert.files import read_json, write_arrays, write_json
from convert.graphs.embedder_export import EmbedderGraph, load_embedder
from convert.graphs.vggish import VGGISH, Layout, Vggish
from convert.graphs.vggish_checkpoint import read_checkpoint
from convert.serving import read_pca
from edge_detector.core.embedding import Pca
from edge_detector.errors import UsageError

FACTS, TRAINED, PCA = "embedder.json", "weights.npz", "pca.npz"
MODEL = "vggish"


@dataclass(frozen=True, slots=True)
class EmbedderSource:
    """An embedder before export.

    Attributes:
        model: the graph.
        pca: its PCA, if one is known.
        facts: what embedder.json is to say of a checkpoint; None for a trained folder, which has its own.
        released: whether these are Google's weights, to the byte.
        released_pca: whether these are Google's PCA parameters, to the byte.

    """

    model: EmbedderGraph
    pca: Pca | None
    facts: dict[str, Any] | None = None
    released: bool = False
    released_pca: bool = False


def load_source(path: Path, pca: Path | None = None, layout: Layout = VGGISH) -> EmbedderSource:
    """A checkpoint file, a folder that fetch filled, or a folder that train-embedder made.

    Args:
        path: file or folder.
        pca: PCA parameters of a checkpoint; without it, the file of the released name beside the checkpoint, if there is one.
        layout: sizes of the checkpoint's layers.

    """
    checkpoint = path / released.CHECKPOINT.name if path.is_dir() else path
    if path.is_dir() and not checkpoint.exists():
        if not (path / TRAINED).exists() and (path / FACTS).exists() and read_json(path / FACTS).get("model") == MODEL:
            message = f"{path} holds what was exported from VGGish's checkpoint; give the checkpoint itself"
            raise UsageError(message)
        if pca is not None:
            message = f"--pca goes with a checkpoint; {path} is to have the PCA it was trained with"
            raise UsageError(message)
        return EmbedderSource(*load_embedder(path))
    weights = read_checkpoint(checkpoint, layout)
    beside = checkpoint.with_name(released.PCA_PARAMETERS.name)
    pca = pca or (beside if beside.exists() else None)
    checksum = sha256_of(checkpoint) if checkpoint.is_file() else None
    facts = {
        "model": MODEL,
        "width": layout.channels[0] / VGGISH.channels[0],
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


def refuse_foreign_folder(output: Path, source: EmbedderSource) -> None:
    """Raise if describing a checkpoint in the output's folder would overwrite another embedder's description."""
    facts = output.parent / FACTS
    if source.facts is not None and facts.exists() and read_json(facts).get("model") != MODEL:
        message = f"{output.parent} is another embedder's folder; write {output.name} into a folder of its own"
        raise UsageError(message)


def describe_beside(output: Path, source: EmbedderSource) -> None:
    """Put what `bundle --embedder-source` asks for into the output's folder: embedder.json and, in our form, pca.npz."""
    if source.facts is None or source.pca is None:
        return
    write_arrays(
        output.parent / PCA,
        {"pca_eigen_vectors": np.asarray(source.pca.matrix), "pca_means": np.asarray(source.pca.means)},
    )
    write_json(output.parent / FACTS, source.facts)
