"""What `verify` asks of an embedder: equal to its source, and for Google's own VGGish weights, what Google published."""

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from convert.audio.probe_signals import probe_patches, probe_windows
from convert.download import released
from convert.embedder.smoke_test import smoke_test, tflite_smoke_test
from edge_detector.detection.embedding import Pca
from edge_detector.errors import EdgeDetectorError, UsageError

WINDOWS = 100


def yamnet_file(source: Path) -> Path | None:
    """YAMNet's file, where the source is one or a folder that fetch filled with it; None for any other."""
    inside = source / released.YAMNET.name
    if source.is_dir() and inside.is_file():
        return inside
    return source if source.suffix == ".tflite" else None


def embedder_checks(arguments: argparse.Namespace, content: bytes | None, precision: str, pca: Pca | None) -> dict[str, Any]:
    """Checks by name; none where there is nothing to compare.

    Args:
        arguments: `embedder_source`, `pca` and `seed` of the command line.
        content: the .tflite file, if there is one.
        precision: what it was exported in.
        pca: the bundle's PCA, which must be its source's.

    """
    if yamnet := yamnet_file(arguments.embedder_source):
        return {"embedder": _body_check(yamnet, content, arguments.seed)}
    from convert.embedder import vggish_export as export  # noqa: PLC0415 - TensorFlow takes seconds to load
    from convert.embedder.source import load_source  # noqa: PLC0415 - TensorFlow takes seconds to load

    source = load_source(arguments.embedder_source, arguments.pca)
    checks: dict[str, Any] = {}
    if pca is not None and source.pca is not None and not _same(pca, source.pca):
        message = f"the bundle's pca.npz is not the one in {arguments.embedder_source}; give the folder it was made from"
        raise EdgeDetectorError(message)
    if content is not None:
        errors = export.embedder_errors(content, source.model, pca or source.pca, probe_patches(WINDOWS, arguments.seed))
        allowed = {
            "lowest_cosine": export.LOWEST_COSINE[precision],
            "mean_centred_cosine": export.LOWEST_CENTRED_COSINE[precision],
        }
        passed = all(errors.get(name, -1.0) >= lowest for name, lowest in allowed.items())
        checks["embedder"] = {"precision": precision, **errors, "allowed": allowed, "passed": passed}
    if source.released:
        released_pca = source.pca if source.released_pca else None
        checks["published_source"] = smoke_test(source.model.embed_all, released_pca, "float32")
        if content is not None:
            checks["published"] = tflite_smoke_test(content, released_pca, precision)
    return checks


def _body_check(yamnet: Path, content: bytes | None, seed: int) -> dict[str, Any]:
    """Whether a bundle's embedder is YAMNet's body to the bit: equal pooled vectors from equal patches."""
    from convert.embedder.yamnet_body import read_file  # noqa: PLC0415 - TensorFlow takes seconds to load
    from convert.embedder.yamnet_export import LARGEST_DIFFERENCE, compare_bodies  # noqa: PLC0415 - as above

    if content is None:
        raise UsageError(f"{yamnet} is the source of an embedder; give the bundle, or --embedder FILE, to compare with it")
    compared = compare_bodies(content, read_file(yamnet), probe_windows(WINDOWS, seed))
    passed = compared.largest_difference <= LARGEST_DIFFERENCE
    return {"windows": WINDOWS, "largest_difference": compared.largest_difference, "passed": passed}


def _same(one: Pca, other: Pca) -> bool:
    return np.array_equal(one.matrix, other.matrix) and np.array_equal(one.means, other.means)
