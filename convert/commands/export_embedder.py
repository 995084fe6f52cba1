"""export-embedder: a trained embedder to TFLite, with its error measured and written beside it."""

import argparse
from pathlib import Path
from typing import Any

from convert.arguments import folds, positive_int
from convert.data.probes import probe_patches
from convert.files import write_bytes, write_json


def configure(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    parser.add_argument("source", type=Path, metavar="FOLDER", help="folder that train-embedder made")
    parser.add_argument("--precision", choices=("float32", "float16", "dynamic", "int8"), default="dynamic")
    parser.add_argument("--clips", type=Path, help="labelled clips to measure on (and to calibrate int8 with)")
    parser.add_argument("--folds", type=folds, help="folds of the clips to use")
    parser.add_argument("--windows", type=positive_int, default=400, help="windows to measure on (400)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("-o", "--output", type=Path, required=True, help="the .tflite file; its errors go to FILE.errors.json")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Export, measure, and write only what is finite and equal."""
    from convert.graphs import embedder_export as export  # noqa: PLC0415 - TensorFlow takes seconds to load

    model, pca = export.load_embedder(arguments.source)
    patches = probe_patches(arguments.windows, arguments.seed, arguments.clips, arguments.folds)
    content = export.export_embedder(model, arguments.precision, patches)
    errors = {"precision": arguments.precision, **export.embedder_errors(content, model, pca, patches)}
    export.require_equal(errors, arguments.precision)
    write_bytes(arguments.output, content)
    write_json(arguments.output.with_name(arguments.output.name + ".errors.json"), errors)
    return errors
