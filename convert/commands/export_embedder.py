"""export-embedder: convert VGGish or YAMNet's body to TFLite, with a measured error file beside it."""

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Literal

from convert.audio.probe_signals import probe_patches
from convert.embedder.checks import yamnet_file
from convert.embedder.facts import BodyErrors, ExportEmbedderResult, ExportErrors, require_own_folder, write_description
from convert.embedder.readout import write_readout
from convert.embedder.runtime import write_pca
from convert.embedder.settings import EmbedderSettings
from convert.embedder.smoke_test import SmokeTest, tflite_smoke_test
from convert.files import write_bytes
from convert.recipe import add_recipe_arguments, load_recipe
from edge_detector.detection.embedding import Pca
from edge_detector.errors import EdgeDetectorError, UsageError


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("source", type=Path, help="VGGish's checkpoint, YAMNet's .tflite file, or a folder that fetch filled")
    parser.add_argument(
        "--precision", choices=("float32", "float16", "dynamic", "int8"), help="of VGGish (dynamic); YAMNet's body is int8"
    )
    parser.add_argument(
        "--fit",
        type=Path,
        nargs="+",
        default=[],
        metavar="DIR",
        help="recordings of any kind for the projection of YAMNet's body, equally many windows of each folder",
    )
    parser.add_argument("--clips", type=Path, help="labelled clips to measure VGGish on; required for the ranges of int8")
    add_recipe_arguments(parser, "default")
    parser.add_argument("-o", "--output", type=Path, required=True, help=".tflite file; its errors go to FILE.errors.json")


def run(arguments: argparse.Namespace) -> ExportEmbedderResult:
    """Export and measure; write only if the outputs are finite and equal within tolerance."""
    settings = load_recipe(arguments.recipe, arguments.replaced, tables=("embedder",)).section("embedder", EmbedderSettings)
    if yamnet := yamnet_file(arguments.source):
        return _export_body(yamnet, settings, arguments)
    return _export_vggish(settings, arguments)


def _export_vggish(settings: EmbedderSettings, arguments: argparse.Namespace) -> ExportErrors:
    if arguments.fit:
        raise UsageError("--fit is for YAMNet's body; VGGish has PCA parameters of its own, leave it out")
    precision: Literal["float32", "float16", "dynamic", "int8"] = arguments.precision or "dynamic"
    if precision == "int8" and arguments.clips is None:
        raise UsageError("int8 finds the ranges of its activations on real recordings; give some with --clips")
    from convert.embedder import source as sources  # noqa: PLC0415 - TensorFlow takes seconds to load
    from convert.embedder import vggish_export as export  # noqa: PLC0415 - TensorFlow takes seconds to load

    source = sources.load_source(arguments.source)
    require_own_folder(arguments.output, source.facts.name)
    # Measured on windows not used for int8 calibration.
    patches = probe_patches(settings.measured_windows, settings.seed, arguments.clips)
    calibration = patches[:0]
    if precision == "int8":
        calibration = probe_patches(export.CALIBRATION_WINDOWS, settings.seed + 1, arguments.clips)
    content = export.export_embedder(source.model, precision, calibration)
    errors = export.embedder_errors(content, source.model, source.pca, patches, precision)
    export.require_equal(errors)
    errors = replace(
        errors,
        codes_by="its own PCA" if source.pca else "a PCA fitted to these windows; a bundle needs its own",
        published=_smoke_test(content, source.pca if source.released_pca else None, precision) if source.released else None,
    )
    write_bytes(arguments.output, content)
    if source.pca is not None:
        write_pca(arguments.output, source.pca)
    write_description(arguments.output, source.facts, errors)
    return errors


def _export_body(yamnet: Path, settings: EmbedderSettings, arguments: argparse.Namespace) -> BodyErrors:
    """Extract YAMNet's body, fit its projection and read-out, measure and write them."""
    given = (("--precision", arguments.precision not in (None, "int8")), ("--clips", arguments.clips))
    if wrong := [name for name, value in given if value]:
        raise UsageError(f"{wrong[0]} is not for YAMNet's body, which is int8 with a projection of its own; leave it out")
    if not arguments.fit:
        raise UsageError("the projection of YAMNet's body is fitted to real recordings; give folders of some with --fit")
    from convert.embedder.yamnet_export import NAME, export_yamnet  # noqa: PLC0415 - TensorFlow takes seconds to load

    require_own_folder(arguments.output, NAME)
    exported = export_yamnet(yamnet, arguments.fit, settings)
    write_bytes(arguments.output, exported.content)
    write_pca(arguments.output, exported.pca)
    write_readout(arguments.output, exported.readout)
    write_description(arguments.output, exported.facts, exported.errors)
    return exported.errors


def describe(result: ExportEmbedderResult) -> str:
    """Format the result as text."""
    return _describe_body(result) if isinstance(result, BodyErrors) else _describe_vggish(result)


def _describe_vggish(result: ExportErrors) -> str:
    mean, worst = _figure(result.mean_centred_cosine), _figure(result.lowest_mean_centred_cosine)
    largest = f"{result.largest_difference:.2g} of {result.largest_of_source:.3g}"
    changed = f"{100 * result.codes_changed_share:.2f} %, by {result.mean_code_difference:.3f} on average"
    lines = [
        f"{result.precision}: {result.bytes / 1e6:.1f} MB, {result.milliseconds_per_window:.1f} ms per window on one thread",
        f"on {result.windows} windows: largest difference {largest}, mean-centred cosine {mean} (worst {worst})",
        f"codes changed: {changed} (by {result.codes_by})",
    ]
    if result.published:
        lines.append(f"published smoke test: passed, mean {result.published.raw_mean:.6f}, std {result.published.raw_std:.4f}")
    return "\n".join(lines)


def _describe_body(result: BodyErrors) -> str:
    readout = result.readout
    exact = f"equal to YAMNet's from the same patch (largest difference {result.largest_difference:.1g})"
    kept = f"{readout.kept_at_15:.1%} have 0.15 or more in the read-out, {readout.kept_at_20:.1%} 0.2 or more"
    lines = [
        f"int8: {result.bytes / 1e6:.1f} MB, fitted to {result.fitted_windows:,} windows",
        f"on {result.windows:,} windows of other recordings: pooled vectors {exact}",
        f"from the detector's front end {result.pooled_differs:.1%} of them differ, by {result.pooled_differs_by:.2g} at most",
        f"read-out for YAMNet's scores of 0.1 or more: {readout.mean_difference:.3f} off on average",
        f"of YAMNet's labels at 0.2 or more {kept}",
        f"YAMNet's best label is among the best five in {readout.top_in_five:.2%} of the windows",
    ]
    return "\n".join(lines)


def _figure(value: float | None) -> str:
    return "not measurable on one window" if value is None else f"{value:.6f}"


def _smoke_test(content: bytes, pca: Pca | None, precision: str) -> SmokeTest:
    """Run the published smoke test. Raises EdgeDetectorError if it fails."""
    result = tflite_smoke_test(content, pca, precision)
    if not result.passed:
        raise EdgeDetectorError(
            f"the exported file fails VGGish's published smoke test: mean {result.raw_mean}, std {result.raw_std}, "
            f"published {result.published.raw_mean} and {result.published.raw_std}; nothing is written"
        )
    return result
