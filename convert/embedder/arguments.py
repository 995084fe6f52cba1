"""Options that choose an embedder."""

import argparse
from pathlib import Path

from convert.embedder.runtime import DEFAULT_BUNDLE, CodeEmbedder
from edge_detector.detection.bundle import load_bundle


def add_embedder_arguments(parser: argparse.ArgumentParser) -> None:
    """Add --bundle and --embedder."""
    parser.add_argument(
        "--bundle", type=Path, default=DEFAULT_BUNDLE, metavar="DIR", help="bundle whose embedder is used (the default bundle)"
    )
    parser.add_argument(
        "--embedder", type=Path, metavar="FILE", help="or this .tflite file that export-embedder wrote, its PCA beside it"
    )


def load_embedder(arguments: argparse.Namespace) -> CodeEmbedder:
    """Load the embedder that these options name."""
    if arguments.embedder is not None:
        return CodeEmbedder.load(arguments.embedder)
    return CodeEmbedder.of_bundle(load_bundle(arguments.bundle))
