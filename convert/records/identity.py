"""Identity of the embedder of codes; codes of different embedders are not mixed."""

import hashlib
from collections.abc import Mapping

from edge_detector.detection.bundle import EmbedderId, joined_digest, pca_digest
from edge_detector.detection.embedding import Pca
from edge_detector.errors import UsageError

UNNAMED = "an unnamed embedder"
KEYS = ("embedder", "pca", "embedder_name")


def embedder_provenance(content: bytes, pca: Pca, name: str) -> dict[str, str]:
    """Return the facts that codes depend on: sha256 of the embedder's file and of its PCA's numbers, and its name."""
    return {"embedder": hashlib.sha256(content).hexdigest(), "pca": pca_digest(pca), "embedder_name": name}


def embedder_id(made_of: Mapping[str, object]) -> EmbedderId | None:
    """Return the embedder in the facts of `embedder_provenance`; None without these facts."""
    if "embedder" not in made_of or "pca" not in made_of:
        return None
    name = str(made_of.get("embedder_name", UNNAMED))
    return EmbedderId(name, joined_digest(str(made_of["embedder"]), str(made_of["pca"])))


def require_same_embedder(one: EmbedderId | None, whose: str, other: EmbedderId | None, whose_other: str, remedy: str) -> None:
    """Raise UsageError with both names if two known embedders differ; an unknown embedder passes.

    Args:
        one: embedder; None if unknown.
        whose: its codes or model, as the subject of a sentence: "the model in work/lstm".
        other: another embedder; None if unknown.
        whose_other: codes or model of the other.
        remedy: second half of the error.

    """
    if one is not None and other is not None and one.digest != other.digest:
        raise UsageError(f"{whose} is of the embedder {one} and {whose_other} of {other}; {remedy}")
