"""Bundle writer: card and page of figures beside the networks."""

from collections.abc import Mapping
from pathlib import Path

from convert.bundling.evaluation_page import evaluation_page
from convert.bundling.model_card import model_card
from edge_detector.detection.bundle import MODEL_CARD, Manifest
from edge_detector.detection.bundle_folder import EVALUATION, write_folder


def write_bundle(folder: Path, manifest: Manifest, networks: Mapping[str, bytes]) -> int:
    """Write a bundle of these networks and their PCA, load it as the detector does, and return its size in bytes."""
    pages = {
        MODEL_CARD: model_card(manifest).encode(),
        EVALUATION: evaluation_page(manifest, {name: len(content) for name, content in networks.items()}).encode(),
    }
    return write_folder(folder, manifest, {**networks, **pages})
