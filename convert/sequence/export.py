"""Export of a trained model to its streaming TFLite step, with the measured errors beside it."""

from pathlib import Path

from convert.files import write_bytes, write_json
from convert.fingerprint import digest_of_files
from convert.plain_data import to_plain
from convert.records.files import Records
from convert.sequence.exported_step import ExportedStep
from convert.sequence.facts import WEIGHTS, read_facts
from convert.sequence.models import load_model
from convert.sequence.probe_codes import spread_of, stream_codes
from convert.sequence.streaming import export_step, require_equal, step_errors
from convert.tf.tflite import Precision
from edge_detector.errors import UsageError

PROBE_SEED = 0


def export_model(folder: Path, precision: Precision, output: Path, *, records: Records | None, frames: int) -> ExportedStep:
    """Export the model of a folder, measure it on a stream of `frames` codes, and write it with FILE.errors.json.

    Args:
        folder: that train or fuse made.
        precision: of the weights.
        output: .tflite file.
        records: embeddings to measure on; None for random codes.
        frames: length of the stream.

    Raises EdgeDetectorError, and writes nothing, for a step that is not finite or too far from the offline graph.
    """
    model, facts = load_model(folder), read_facts(folder)
    if facts.features != "audio":
        raise UsageError(f"{folder} is a model of {facts.features}, which the detector cannot run; train one of audio")
    content = export_step(model, precision)
    codes = stream_codes(frames, PROBE_SEED, records, spread_of(model.readout_labels))
    errors = step_errors(content, model, precision, facts.context, codes)
    require_equal(errors, model.readout_labels)
    write_bytes(output, content)
    digest = digest_of_files([folder / WEIGHTS])
    write_json(output.with_name(output.name + ".errors.json"), {**to_plain(errors), "weights": digest})
    return ExportedStep(errors, output, digest)
