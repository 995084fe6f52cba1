"""Option that chooses an embedder."""

import argparse
from pathlib import Path

from convert.embedder.runtime import DEFAULT_BUNDLE, CodeEmbedder
from edge_detector.detection.bundle import load_bundle


def add_embedder_argument(parser: argparse.ArgumentParser) -> None:
    """Add --embedder."""
    parser.add_argument(
        "--embedder",
        type=Path,
        default=DEFAULT_BUNDLE,
        metavar="PATH",
        help=".tflite file that export-embedder wrote, or a bundle whose embedder is used (the default bundle)",
    )


def load_embedder(path: Path) -> CodeEmbedder:
    """Load the embedder of a bundle folder, or a file with its PCA beside it."""
    return CodeEmbedder.of_bundle(load_bundle(path)) if path.is_dir() else CodeEmbedder.load(path)
