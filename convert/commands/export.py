"""export: convert a trained sequence model to a streaming TFLite step, with a measured error file beside it."""

import argparse
from pathlib import Path

from convert.sequence.exported_step import ExportedStep
from edge_detector.detection.bundle import SEQUENCE

FRAMES = 300


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("source", type=Path, metavar="FOLDER", help="folder that train or fuse made")
    parser.add_argument(
        "--precision", choices=("float32", "float16", "dynamic"), default="float32", help="precision of the weights (float32)"
    )
    parser.add_argument("--records", type=Path, nargs="+", help="embedding records to measure on (random codes)")
    parser.add_argument(
        "-o", "--output", type=Path, help=".tflite file; its errors go to FILE.errors.json (sequence.tflite in the folder)"
    )


def run(arguments: argparse.Namespace) -> ExportedStep:
    """Export and measure; write only if the outputs are finite and equal within tolerance."""
    from convert.sequence.export import export_model  # noqa: PLC0415 - TensorFlow takes seconds to load

    output = arguments.output or arguments.source / SEQUENCE
    return export_model(arguments.source, arguments.precision, output, records=arguments.records, frames=FRAMES)


def describe(result: ExportedStep) -> str:
    """Format the result as text."""
    errors = result.errors
    return (
        f"{result.output}: {errors.bytes:,} bytes, {errors.precision}; over {errors.frames} frames at most "
        f"{errors.largest_difference_bank:.1e} from the offline graph"
    )
