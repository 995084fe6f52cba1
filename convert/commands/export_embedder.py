"""export-embedder: convert VGGish or YAMNet's body to TFLite, with a measured error file beside it."""

import argparse
from pathlib import Path
from typing import Any

from convert.arguments import folds, positive_int
from convert.audio.probe_signals import probe_patches
from convert.embedder.checks import yamnet_file
from convert.embedder.readout import write_readout
from convert.embedder.smoke_test import tflite_smoke_test
from convert.files import write_bytes, write_json
from edge_detector.detection.embedding import Pca
from edge_detector.errors import EdgeDetectorError, UsageError


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument(
        "source",
        type=Path,
        help="VGGish's checkpoint, YAMNet's .tflite file, or a folder that fetch filled",
    )
    parser.add_argument(
        "--precision", choices=("float32", "float16", "dynamic", "int8"), help="of VGGish (dynamic); YAMNet's body is int8"
    )
    parser.add_argument(
        "--fit",
        type=Path,
        nargs="+",
        default=[],
        metavar="DIR",
        help="recordings of any kind that the projection of YAMNet's body is fitted to, as many of each folder",
    )
    parser.add_argument("--fit-windows", type=positive_int, default=40_000, help="windows of them at most (40,000)")
    parser.add_argument("--pca", type=Path, help="PCA parameters (.npz) of a checkpoint; those beside it if not given")
    parser.add_argument("--clips", type=Path, help="labelled clips to measure on; int8 needs them, to find its ranges")
    parser.add_argument("--folds", type=folds, help="folds of the clips to use")
    parser.add_argument("--windows", type=positive_int, default=400, help="windows to measure on (400)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("-o", "--output", type=Path, required=True, help="the .tflite file; its errors go to FILE.errors.json")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Export and measure; write only if the outputs are finite and equal within tolerance."""
    if yamnet := yamnet_file(arguments.source):
        return _export_body(yamnet, arguments)
    if arguments.fit:
        raise UsageError("--fit is for YAMNet's body; VGGish has PCA parameters of its own, leave it out")
    arguments.precision = arguments.precision or "dynamic"
    if arguments.precision == "int8" and arguments.clips is None:
        raise UsageError("int8 finds the ranges of its activations on real recordings; give some with --clips")
    from convert.embedder import source as sources  # noqa: PLC0415 - TensorFlow takes seconds to load
    from convert.embedder import vggish_export as export  # noqa: PLC0415 - TensorFlow takes seconds to load

    source = sources.load_source(arguments.source, arguments.pca)
    sources.refuse_foreign_folder(arguments.output, str(source.facts["name"]))
    # Measured on windows not used for int8 calibration.
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
    sources.describe_beside(arguments.output, source.facts, source.pca)
    write_json(arguments.output.with_name(arguments.output.name + ".errors.json"), errors)
    return errors


def _export_body(yamnet: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """Extract YAMNet's body, fit its projection and read-out, measure and write them."""
    given = (("--precision", arguments.precision not in (None, "int8")), ("--pca", arguments.pca), ("--clips", arguments.clips))
    if wrong := [name for name, value in given if value]:
        raise UsageError(f"{wrong[0]} is not for YAMNet's body, which is int8 with a projection of its own; leave it out")
    if not arguments.fit:
        raise UsageError(
            "YAMNet's 1,024 numbers are projected to 128 by what they are on real recordings; give folders of some with --fit"
        )
    from convert.embedder import source as sources  # noqa: PLC0415 - TensorFlow takes seconds to load
    from convert.embedder.yamnet_export import NAME, export_yamnet  # noqa: PLC0415 - TensorFlow takes seconds to load

    sources.refuse_foreign_folder(arguments.output, NAME)
    exported = export_yamnet(yamnet, arguments.fit, arguments.fit_windows, arguments.seed)
    write_bytes(arguments.output, exported.content)
    sources.describe_beside(arguments.output, exported.facts, exported.pca)
    write_readout(arguments.output, exported.readout)
    write_json(arguments.output.with_name(arguments.output.name + ".errors.json"), exported.errors)
    return exported.errors


def describe(result: dict[str, Any]) -> str:
    """Format the result as text."""
    if "pooled_differs" in result:
        return describe_body(result)
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


def describe_body(result: dict[str, Any]) -> str:
    """Format the result for YAMNet's body as text."""
    read_out = result["readout"]
    exact = f"equal to YAMNet's from the same patch (largest difference {result['largest_difference']:.1g})"
    kept = f"{read_out['kept_at_15']:.1%} stay at 0.15 or more, {read_out['kept_at_20']:.1%} at 0.2 or more"
    lines = [
        f"int8: {result['bytes'] / 1e6:.1f} MB, fitted to {result['fitted_windows']:,} windows",
        f"on {result['windows']:,} windows of other recordings: pooled vectors {exact}",
        f"from this front end {result['pooled_differs']:.1%} of them differ, by {result['pooled_differs_by']:.2g} at most",
        f"read-out where YAMNet gives 0.1 or more: {read_out['mean_difference']:.3f} off on average",
        f"of YAMNet's labels at 0.2 or more {kept}",
        f"its best label is among the best five in {read_out['top_in_five']:.2%} of the windows",
    ]
    return "\n".join(lines)


def _figure(value: float | None) -> str:
    return "not measurable on one window" if value is None else f"{value:.6f}"


def _smoke(content: bytes, pca: Pca | None, precision: str) -> dict[str, Any]:
    """Run Google's smoke test, before anything is written."""
    result = tflite_smoke_test(content, pca, precision)
    if not result["passed"]:
        message = (
            f"the exported file fails VGGish's published smoke test: mean {result['raw_mean']}, std {result['raw_std']}, "
            f"published {result['published']['raw_mean']} and {result['published']['raw_std']}; nothing is written"
        )
        raise EdgeDetectorError(message)
    return result
