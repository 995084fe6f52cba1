"""verify: compare a bundle's files, their training graphs and the detector's path."""

import argparse
from pathlib import Path
from typing import Any, cast

from convert.arguments import positive_float
from convert.audio.probe_signals import probe_stream
from convert.embedder.checks import embedder_checks
from convert.evaluation.detector_checks import detector_checks, precision_of
from convert.files import read_json
from convert.plain_data import to_plain
from convert.sequence.probe_codes import spread_of, stream_codes
from edge_detector.detection.bundle import Bundle, load_bundle
from edge_detector.detection.embedding import Pca
from edge_detector.errors import UsageError
from edge_detector.params import FRONT_END


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument(
        "bundle", type=Path, nargs="?", help="bundle folder; without one, only the embedder's source is looked at"
    )
    parser.add_argument(
        "--embedder-source",
        type=Path,
        help="VGGish's checkpoint, YAMNet's .tflite file, or a folder that fetch filled: compare with that graph. Google's own "
        "VGGish also takes the published smoke test",
    )
    parser.add_argument("--pca", type=Path, help="PCA parameters (.npz) of a checkpoint; those beside it if not given")
    parser.add_argument("--embedder", type=Path, help="without a bundle: a .tflite embedder to compare, its errors beside it")
    parser.add_argument("--sequence-source", type=Path, help="folder that train made: compare with the training graph")
    parser.add_argument("--seconds", type=positive_float, default=40.0, help="length of the sound to compare on (40)")
    parser.add_argument("--seed", type=int, default=0)


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure all errors, then report whether they pass."""
    if arguments.bundle is None:
        return _run_without_bundle(arguments)
    if arguments.embedder:
        raise UsageError("a bundle has its own embedder; give either a bundle or --embedder")
    bundle = load_bundle(arguments.bundle)
    samples = probe_stream(arguments.seconds, arguments.seed)
    if len(samples) < FRONT_END.patch_samples:
        raise UsageError(f"--seconds {arguments.seconds:g} is shorter than a window; give 1 or more")
    checks: dict[str, Any] = {"detector": detector_checks(bundle, samples)}
    if arguments.embedder_source:
        precision = precision_of(bundle, "embedder")
        checks |= _embedder_checks(arguments, bundle.embedder, precision, bundle.pca)
    if arguments.sequence_source:
        checks["sequence"] = _sequence_checks(bundle, arguments.sequence_source, arguments.seed)
    return {"bundle": str(arguments.bundle), **checks, "passed": all(check["passed"] for check in checks.values())}


def _run_without_bundle(arguments: argparse.Namespace) -> dict[str, Any]:
    if arguments.embedder_source is None or arguments.sequence_source:
        raise UsageError("give a bundle folder, or --embedder-source alone to look at an embedder")
    content, precision = None, ""
    if arguments.embedder:
        try:
            content = arguments.embedder.read_bytes()
        except OSError as error:
            message = f"{arguments.embedder} cannot be read: {error.strerror}; make it with export-embedder"
            raise UsageError(message) from error
        precision = str(
            read_json(arguments.embedder.with_name(f"{arguments.embedder.name}.errors.json")).get("precision", "float32")
        )
    checks = _embedder_checks(arguments, content, precision, None)
    if not checks:
        message = f"{arguments.embedder_source} is not Google's, so it has no published smoke test; give a bundle, or --embedder"
        raise UsageError(message)
    passed = all(check["passed"] for check in checks.values())
    return {"embedder_source": str(arguments.embedder_source), **checks, "passed": passed}


def describe(result: dict[str, Any]) -> str:
    """Format the result as text."""
    words = {"published": "as published", "published_source": "as published"}
    lines = []
    for name in ("detector", "embedder", "sequence", "published", "published_source"):
        if name in result:
            facts = ", ".join(f"{key} {value}" for key, value in result[name].items() if key != "passed")
            lines.append(f"{name}: {words.get(name, 'equal') if result[name]['passed'] else 'DIFFERENT'} ({facts})")
    what = result.get("bundle") or result["embedder_source"]
    return "\n".join([*lines, f"{what}: {'passed' if result['passed'] else 'failed'}"])


def _sequence_checks(bundle: Bundle, source: Path, seed: int) -> dict[str, Any]:
    from convert.sequence import streaming  # noqa: PLC0415 - TensorFlow takes seconds to load
    from convert.sequence.models import load_model  # noqa: PLC0415 - TensorFlow takes seconds to load

    model = load_model(source)
    precision = precision_of(bundle, "sequence")
    codes = stream_codes(300, seed, spread=spread_of(model.readout_labels))
    errors = streaming.step_errors(bundle.sequence, model, precision, bundle.manifest.sequence.context_frames, codes)
    allowed = streaming.allowed_difference(precision, model.readout_labels)
    difference = errors.largest_difference_bank
    return {**to_plain(errors), "allowed": allowed, "passed": difference is not None and difference <= allowed}


def _embedder_checks(arguments: argparse.Namespace, content: bytes | None, precision: str, pca: Pca | None) -> dict[str, Any]:
    source, seed = arguments.embedder_source, arguments.seed
    found = embedder_checks(source, content, precision, bundle_pca=pca, source_pca=arguments.pca, seed=seed)
    return cast("dict[str, Any]", to_plain(found))
