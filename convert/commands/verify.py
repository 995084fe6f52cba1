"""verify: compare a bundle's files, their training graphs and the detector's path."""

import argparse
from dataclasses import asdict, dataclass
from pathlib import Path

from convert.audio.probe_signals import probe_stream
from convert.embedder.checks import BodyCheck, EmbedderChecks, embedder_checks
from convert.embedder.facts import ExportErrors
from convert.embedder.smoke_test import SmokeTest
from convert.evaluation.detector_checks import DetectorCheck, detector_checks, precision_of
from convert.files import read_json
from convert.plain_data import to_plain
from convert.sequence.exported_step import StepErrors
from convert.sequence.probe_codes import spread_of, stream_codes
from edge_detector.detection.bundle import Bundle, load_bundle
from edge_detector.errors import UsageError

PROBE_SECONDS, PROBE_FRAMES, PROBE_SEED = 40.0, 300, 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SequenceCheck(StepErrors):
    """Differences between the sequence step and its training graph, their limit, and whether they are within it."""

    allowed: float
    passed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyResult:
    """Checks of a bundle, or of an embedder alone; None for those not run.

    Attributes:
        bundle: its folder.
        embedder_source: of an embedder alone.
        detector: the detector's path against single windows.
        embedder, published, published_source: as in EmbedderChecks.
        sequence: the sequence step against its training graph.
        passed: every check passed.

    """

    bundle: str | None = None
    embedder_source: str | None = None
    detector: DetectorCheck | None = None
    embedder: ExportErrors | BodyCheck | None = None
    sequence: SequenceCheck | None = None
    published: SmokeTest | None = None
    published_source: SmokeTest | None = None
    passed: bool


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("bundle", type=Path, nargs="?", help="bundle folder; without one, only an embedder is verified")
    parser.add_argument(
        "--embedder-source",
        type=Path,
        help="compare the embedder with VGGish's checkpoint, YAMNet's .tflite file, or a folder that fetch filled; Google's own "
        "VGGish also takes the published smoke test",
    )
    parser.add_argument("--embedder", type=Path, help="without a bundle: .tflite embedder to verify, its errors beside it")
    parser.add_argument("--sequence-source", type=Path, help="compare the sequence step with the model that train wrote here")


def run(arguments: argparse.Namespace) -> VerifyResult:
    """Measure all errors, then report whether they pass."""
    if arguments.bundle is None:
        if arguments.embedder_source is None or arguments.sequence_source:
            raise UsageError("there is no bundle; give a bundle folder, or --embedder-source alone to verify an embedder")
        return _verify_embedder(arguments.embedder_source, arguments.embedder)
    if arguments.embedder:
        raise UsageError("a bundle has its own embedder; give either a bundle or --embedder")
    bundle = load_bundle(arguments.bundle)
    samples = probe_stream(PROBE_SECONDS, PROBE_SEED)
    detector, found, sequence = detector_checks(bundle, samples), EmbedderChecks(), None
    if arguments.embedder_source:
        found = embedder_checks(
            arguments.embedder_source,
            bundle.embedder,
            precision_of(bundle, "embedder"),
            bundle_pca=bundle.pca,
            seed=PROBE_SEED,
        )
    if arguments.sequence_source:
        sequence = _sequence_check(bundle, arguments.sequence_source)
    return VerifyResult(
        bundle=str(arguments.bundle),
        detector=detector,
        embedder=found.embedder,
        sequence=sequence,
        published=found.published,
        published_source=found.published_source,
        passed=detector.passed and _passed(found) and (sequence is None or sequence.passed),
    )


def _verify_embedder(source: Path, embedder: Path | None) -> VerifyResult:
    content, precision = None, ""
    if embedder:
        try:
            content = embedder.read_bytes()
        except OSError as error:
            message = f"{embedder} cannot be read: {error.strerror}; make it with export-embedder"
            raise UsageError(message) from error
        errors = read_json(embedder.with_name(f"{embedder.name}.errors.json"))
        precision = str(errors.get("precision", "float32"))
    found = embedder_checks(source, content, precision, bundle_pca=None, seed=PROBE_SEED)
    if found == EmbedderChecks():
        message = f"{source} is not Google's, so it has no published smoke test; give a bundle, or --embedder"
        raise UsageError(message)
    return VerifyResult(
        embedder_source=str(source),
        embedder=found.embedder,
        published=found.published,
        published_source=found.published_source,
        passed=_passed(found),
    )


def describe(result: VerifyResult) -> str:
    """Format the result as text."""
    lines = []
    for name, words, check in (
        ("detector", "equal", result.detector),
        ("embedder", "equal", result.embedder),
        ("sequence", "equal", result.sequence),
        ("published", "as published", result.published),
        ("published_source", "as published", result.published_source),
    ):
        if check is not None:
            facts = ", ".join(f"{key} {value}" for key, value in to_plain(check).items() if key != "passed")
            lines.append(f"{name}: {words if check.passed else 'DIFFERENT'} ({facts})")
    return "\n".join([*lines, f"{result.bundle or result.embedder_source}: {'passed' if result.passed else 'failed'}"])


def _passed(found: EmbedderChecks) -> bool:
    return all(check.passed for check in (found.embedder, found.published, found.published_source) if check is not None)


def _sequence_check(bundle: Bundle, source: Path) -> SequenceCheck:
    from convert.sequence import streaming  # noqa: PLC0415 - TensorFlow takes seconds to load
    from convert.sequence.models import load_model  # noqa: PLC0415 - TensorFlow takes seconds to load

    model = load_model(source)
    precision = precision_of(bundle, "sequence")
    codes = stream_codes(PROBE_FRAMES, PROBE_SEED, spread=spread_of(model.readout_labels))
    errors = streaming.step_errors(bundle.sequence, model, precision, bundle.manifest.sequence.context_frames, codes)
    allowed = streaming.allowed_difference(precision, model.readout_labels)
    difference = errors.largest_difference_bank
    return SequenceCheck(**asdict(errors), allowed=allowed, passed=difference is not None and difference <= allowed)
