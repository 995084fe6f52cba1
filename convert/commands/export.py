"""export: convert a trained sequence model to a streaming TFLite step, with a measured error file beside it."""

import argparse
from pathlib import Path
from typing import Any

from convert.arguments import positive_int
from convert.files import write_bytes, write_json
from convert.fingerprint import digest_of_files
from convert.sequence.probe_codes import spread_of, stream_codes
from edge_detector.detection.bundle import SEQUENCE


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("source", type=Path, metavar="FOLDER", help="folder that train made")
    parser.add_argument("--precision", choices=("float32", "float16", "dynamic"), default="float32")
    parser.add_argument("--records", type=Path, help="embedding records to measure on (otherwise random codes)")
    parser.add_argument("--frames", type=positive_int, default=300, help="length of the stream to measure on (300)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "-o", "--output", type=Path, help="the .tflite file; its errors go to FILE.errors.json (sequence.tflite in the folder)"
    )


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Export and measure; write only if the outputs are finite and equal within tolerance."""
    from convert.sequence import streaming  # noqa: PLC0415 - TensorFlow takes seconds to load
    from convert.sequence.models import load_model, read_facts  # noqa: PLC0415 - TensorFlow takes seconds to load

    model, facts = load_model(arguments.source), read_facts(arguments.source)
    content = streaming.export_step(model, arguments.precision)
    codes = stream_codes(arguments.frames, arguments.seed, arguments.records, spread_of(model.options.readout_labels))
    errors = {"precision": arguments.precision, **streaming.step_errors(content, model, int(facts["context"]), codes)}
    streaming.require_equal(errors, arguments.precision, model.options.readout_labels)
    output = arguments.output or arguments.source / SEQUENCE
    write_bytes(output, content)
    made_of = {"weights": digest_of_files([arguments.source / "weights.npz"])}
    write_json(output.with_name(output.name + ".errors.json"), {**errors, **made_of})
    return {**errors, "output": str(output)}


def describe(result: dict[str, Any]) -> str:
    """Format the result as text."""
    return (
        f"{result['output']}: {result['bytes']:,} bytes, {result['precision']}; over {result['frames']} frames at most "
        f"{result['largest_difference_bank']:.1e} from the offline graph"
    )
