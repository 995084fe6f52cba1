"""Where an embedder comes from: VGGish's checkpoint, or a folder that train-embedder made."""

from collections.abc import Mapping
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
from convert.serving import EMBEDDER_FACTS, read_pca
from edge_detector.core.embedding import Pca
from edge_detector.errors import UsageError
from edge_detector.params import FRONT_END

FACTS, TRAINED, PCA = EMBEDDER_FACTS, "weights.npz", "pca.npz"
MODEL = "vggish"
TRAINED_NAME = "compact-vggish"


@dataclass(frozen=True, slots=True)
class EmbedderSource:
    """An embedder before export.

    Attributes:
        model: the graph.
        pca: its PCA, if one is known.
        facts: what embedder.json is to say of it.
        released: whether these are Google's weights, to the byte.
        released_pca: whether these are Google's PCA parameters, to the byte.

    """

    model: EmbedderGraph
    pca: Pca | None
    facts: dict[str, Any]
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
        model, own_pca = load_embedder(path)
        return EmbedderSource(model, own_pca, {**read_json(path / FACTS), "name": TRAINED_NAME})
    weights = read_checkpoint(checkpoint, layout)
    beside = checkpoint.with_name(released.PCA_PARAMETERS.name)
    pca = pca or (beside if beside.exists() else None)
    checksum = sha256_of(checkpoint) if checkpoint.is_file() else None
    facts = {
        "model": MODEL,
        "name": MODEL,
        "log_offset": FRONT_END.log_offset,
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


def refuse_foreign_folder(output: Path, name: str) -> None:
    """Raise if describing an embedder in the output's folder would overwrite what is said of another."""
    facts = output.parent / FACTS
    said = read_json(facts) if facts.exists() else {}
    if said and said.get("name", MODEL if said.get("model") == MODEL else TRAINED_NAME) != name:
        message = f"{output.parent} is another embedder's folder; write {output.name} into a folder of its own"
        raise UsageError(message)


def describe_beside(output: Path, facts: Mapping[str, Any], pca: Pca | None) -> None:
    """Put what `embed` and `bundle` need into the output's folder: embedder.json and, in our form, pca.npz."""
    write_json(output.parent / FACTS, facts)
    if pca is not None:
        write_arrays(output.parent / PCA, {"pca_eigen_vectors": np.asarray(pca.matrix), "pca_means": np.asarray(pca.means)})
