"""export-embedder: VGGish's checkpoint or a trained embedder to TFLite, with its error measured and written beside it."""

import argparse
from pathlib import Path
from typing import Any

from convert.arguments import folds, positive_int
from convert.data.probes import probe_patches
from convert.data.smoke import tflite_smoke_test
from convert.files import write_bytes, write_json
from edge_detector.core.embedding import Pca
from edge_detector.errors import EdgeDetectorError, UsageError


def configure(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    parser.add_argument(
        "source", type=Path, help="VGGish's checkpoint, a folder that fetch filled, or a folder that train-embedder made"
    )
    parser.add_argument("--precision", choices=("float32", "float16", "dynamic", "int8"), default="dynamic")
    parser.add_argument("--pca", type=Path, help="PCA parameters (.npz) of a checkpoint; those beside it if not given")
    parser.add_argument("--clips", type=Path, help="labelled clips to measure on; int8 needs them, to find its ranges")
    parser.add_argument("--folds", type=folds, help="folds of the clips to use")
    parser.add_argument("--windows", type=positive_int, default=400, help="windows to measure on (400)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("-o", "--output", type=Path, required=True, help="the .tflite file; its errors go to FILE.errors.json")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Export, measure, and write only what is finite and equal."""
    if arguments.precision == "int8" and arguments.clips is None:
        raise UsageError("int8 finds the ranges of its activations on real recordings; give some with --clips")
    from convert.graphs import embedder_export as export  # noqa: PLC0415 - TensorFlow takes seconds to load
    from convert.graphs import embedder_source as sources  # noqa: PLC0415 - TensorFlow takes seconds to load

    source = sources.load_source(arguments.source, arguments.pca)
    sources.refuse_foreign_folder(arguments.output, source)
    # Measured on other windows than those that int8 was fitted to.
    patches = probe_patches(arguments.windows, arguments.seed, arguments.clips, arguments.folds)
    fitting = patches[:0]
    if arguments.precision == "int8":
        fitting = probe_patches(export.CALIBRATION_WINDOWS, arguments.seed + 1, arguments.clips, arguments.folds)
    content = export.export_embedder(source.model, arguments.precision, fitting)
    errors = {"precision": arguments.precision, **export.embedder_errors(content, source.model, source.pca, patches)}
    errors["codes_by"] = "its own PCA" if source.pca else "a PCA fitted to these windows; a bundle needs its own"
    export.require_equal(errors, arguments.precision)
    if source.released:
        errors["published"] = _smoke(content, source.pca if source.released_pca else None, arguments.precision)
    write_bytes(arguments.output, content)
    sources.describe_beside(arguments.output, source)
    write_json(arguments.output.with_name(arguments.output.name + ".errors.json"), errors)
    return errors


def describe(result: dict[str, Any]) -> str:
    """The result for people."""
    size, milliseconds = result["bytes"] / 1e6, result["milliseconds_per_window"]
    mean, worst = _figure(result["mean_centred_cosine"]), _figure(result["lowest_mean_centred_cosine"])
    largest = f"{result['largest_difference']:.2g} of {result['largest_of_source']:.3g}"
    changed = f"{100 * result['codes_changed_share']:.2f} %, by {result['mean_code_difference']:.3f} on average"
    lines = [
        f"{result['precision']}: {size:.1f} MB, {milliseconds:.1f} ms a window on one thread",
        f"on {result['windows']} windows: largest difference {largest}, mean-centred cosine {mean} (worst {worst})",
        f"codes changed: {changed} (by {result['codes_by']})",
    ]
    if "published" in result:
        smoke = result["published"]
        lines.append(f"published smoke test: passed, mean {smoke['raw_mean']:.6f}, std {smoke['raw_std']:.4f}")
    return "\n".join(lines)


def _figure(value: float | None) -> str:
    return "not measurable on one window" if value is None else f"{value:.6f}"


def _smoke(content: bytes, pca: Pca | None, precision: str) -> dict[str, Any]:
    """Google's smoke test, before anything is written."""
    result = tflite_smoke_test(content, pca, precision)
    if not result["passed"]:
        message = (
            f"the exported file fails VGGish's published smoke test: mean {result['raw_mean']}, std {result['raw_std']}, "
            f"published {result['published']['raw_mean']} and {result['published']['raw_std']}; nothing is written"
        )
        raise EdgeDetectorError(message)
    return result
