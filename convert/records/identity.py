"""Which embedder made some codes, and the refusal to mix codes of two."""

import hashlib
from collections.abc import Mapping
from typing import Any

from edge_detector.detection.bundle import EmbedderId, joined_digest, pca_digest
from edge_detector.detection.embedding import Pca
from edge_detector.errors import UsageError

UNNAMED = "an unnamed embedder"
KEYS = ("embedder", "pca", "embedder_name")


def made_by(content: bytes, pca: Pca, name: str) -> dict[str, str]:
    """What codes depend on, as records and sequence models keep it: sha256 of the file and of its PCA's numbers, and a name."""
    return {"embedder": hashlib.sha256(content).hexdigest(), "pca": pca_digest(pca), "embedder_name": name}


def identity_of(made_of: Mapping[str, Any]) -> EmbedderId | None:
    """The embedder that `made_by` noted; None where nothing is noted. Records before embedders had names are told by digest."""
    if "embedder" not in made_of or "pca" not in made_of:
        return None
    name = str(made_of.get("embedder_name", UNNAMED))
    return EmbedderId(name, joined_digest(str(made_of["embedder"]), str(made_of["pca"])))


def require_same(one: EmbedderId | None, whose: str, other: EmbedderId | None, whose_other: str, remedy: str) -> None:
    """Raise UsageError with both names where codes of two embedders would be mixed; what is not known is not refused.

    Args:
        one: an embedder.
        whose: what is of it, as the subject of a sentence: "the model in work/lstm".
        other: another one.
        whose_other: what is of that.
        remedy: what to do.

    """
    if one is not None and other is not None and one.digest != other.digest:
        raise UsageError(f"{whose} is of the embedder {one} and {whose_other} of {other}; {remedy}")
