"""teach: make a bundle that detects new classes from a folder of recordings, beside a bundle's classes or alone."""

import argparse
import sys
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from convert.arguments import positive_float
from convert.audio.clips import Clip, classes_of, find_clips, labels_of, load_clips
from convert.audio.probe_signals import probe_stream
from convert.bundling.embedder import BundledEmbedder
from convert.bundling.writer import require_bundle_place, write_bundle
from convert.embedder.runtime import DEFAULT_BUNDLE
from convert.evaluation.detector_checks import detector_checks
from convert.few_shot.bundle import FEW, RECORD_THE_ROOM, FewShotFacts, extended_bundle
from convert.few_shot.calibration import FewShotCalibration
from convert.few_shot.evaluation import FewShotEvaluation
from convert.few_shot.extended_bundle import ExtendedBundle
from convert.few_shot.learn import learn_classes
from convert.few_shot.settings import FewShotData, FewShotSettings
from convert.few_shot.sounds import halve_background, synthetic_negatives
from convert.plain_data import KEY, to_plain
from convert.recipe import add_recipe_arguments, load_recipe
from convert.records.files import find_embedder
from convert.records.identity import embedder_id, require_same_embedder
from edge_detector.detection import bundle as format_
from edge_detector.errors import UsageError
from edge_detector.params import FRONT_END
from edge_detector.types import Float32

DEFAULT_NEGATIVES = Path(__file__).parent.parent / "recipes" / "default_negatives.tfrecord"
FEWEST = 3
CHECKED_SECONDS = 20.0
RELEASE = "1.0.0"


@dataclass(frozen=True, slots=True)
class TeachResult:
    """A bundle with new classes.

    Attributes:
        bundle: its folder.
        bytes: its size.
        seconds: duration of the command.
        facts: training facts of the new classes.
        kept: slugs of the kept classes.
        replaced: slugs of the classes that new ones replace.
        calibration: rules of the new classes.
        evaluation: cross-validated figures.
        verified: comparison of the detector with the bundle's files.
        passed: they agree.

    """

    bundle: Path
    bytes: int
    seconds: float
    facts: FewShotFacts = field(metadata={KEY: "taught"})
    kept: tuple[str, ...]
    replaced: tuple[str, ...]
    calibration: FewShotCalibration
    evaluation: FewShotEvaluation
    verified: object
    passed: bool


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument(
        "clips", type=Path, metavar="DIR", help="folder of recordings, a subfolder for each class: LABEL/anything.wav"
    )
    parser.add_argument(
        "--from", dest="base", type=Path, default=DEFAULT_BUNDLE, metavar="BUNDLE", help="bundle to extend (the default bundle)"
    )
    parser.add_argument("--only", action="store_true", help="detect the new classes alone, without the bundle's classes")
    parser.add_argument(
        "--background",
        type=Path,
        nargs="+",
        default=[],
        metavar="DIR",
        help="recordings of the room without the new sounds: half for training, half for thresholds",
    )
    parser.add_argument(
        "--negatives",
        type=Path,
        metavar="TFRECORD",
        help="embeddings of more such sound, by the same embedder (made with embed or compose)",
    )
    parser.add_argument("--false-alarms-per-hour", type=positive_float, default=0.1, help="limit for each new class (0.1)")
    add_recipe_arguments(parser, "few_shot")
    parser.add_argument("-o", "--output", type=Path, required=True, help="bundle folder, replaced as a whole")


def run(arguments: argparse.Namespace) -> TeachResult:
    """Train, cross-validate, calibrate, measure, write and verify."""
    started = time.monotonic()
    settings = load_recipe(arguments.recipe, arguments.replaced, tables=("few_shot",)).section("few_shot", FewShotSettings)
    require_bundle_place(arguments.output)
    base = format_.load_bundle(arguments.base)
    embedder = BundledEmbedder.of_bundle(arguments.base)
    clips = find_clips(arguments.clips)
    labels = labels_of(clips)
    _require_enough(arguments.clips, clips)
    extended = ExtendedBundle.beside(base, classes_of(clips, labels), only=arguments.only)
    training_background, calibration_background = halve_background(arguments.background)
    data = FewShotData(
        labels=labels,
        clips=load_clips(clips, labels),
        negatives=[*synthetic_negatives(labels), *training_background],
        negative_records=_negatives(arguments.negatives, embedder),
        background=calibration_background,
        context_frames=base.manifest.sequence.context_frames,
    )
    counts = Counter(clip.label for clip in clips)
    sys.stderr.write(f"teach: {', '.join(f'{label} {counts[label]}' for label in labels)}\n")
    result = learn_classes(extended, data, settings, arguments.false_alarms_per_hour)
    facts = FewShotFacts(
        base=extended.base_name,
        recordings={label: counts[label] for label in labels},
        background_minutes=_minutes([*(clip.samples for clip in training_background), *calibration_background]),
        negative_sequences=result.negative_sequences,
        model=result.model.kind,
        cells=settings.cells,
        sequences=settings.sequences,
        epochs=settings.epochs,
        seed=settings.seed,
    )
    name = arguments.output.resolve().name
    bundle = extended_bundle(extended, result, embedder, facts, name=name, release=RELEASE)
    networks = {format_.EMBEDDER: bundle.embedder, format_.SEQUENCE: bundle.sequence, format_.PCA: embedder.pca_file}
    size = write_bundle(arguments.output, bundle.manifest, networks)
    verified = to_plain(detector_checks(format_.load_bundle(arguments.output), probe_stream(CHECKED_SECONDS, settings.seed)))
    return TeachResult(
        bundle=arguments.output,
        bytes=size,
        seconds=round(time.monotonic() - started, 1),
        facts=facts,
        kept=extended.kept_slugs,
        replaced=extended.replaced,
        calibration=result.calibration,
        evaluation=result.evaluation,
        verified=verified,
        passed=bool(verified["passed"]),
    )


def describe(result: TeachResult) -> str:
    """Format the result as text."""
    facts, evaluation = result.facts, result.evaluation
    hop = format_.hop_key(1)
    width = max(*map(len, facts.recordings), len("class"))
    lines = [f"{'class':<{width}}  recordings  on top  give an event  threshold  false alarms"]
    for slug, count in facts.recordings.items():
        chosen = result.calibration.classes[slug][hop]
        alarms = f"{chosen.false_alarms} in {chosen.hours:.1f} h"
        shares = f"{100 * evaluation.recall[slug]:4.0f} %  {100 * evaluation.events[hop].recall[slug]:11.0f} %"
        lines.append(f"{slug:<{width}}  {count:>10}  {shares}  {chosen.rule.on:9.2f}  {alarms:>12}")
    lines.append("(each recording is left out once and scored by a model that was trained on the others)")
    if len(evaluation.labels) > 1:
        fewest, most = (100 * (1 - share) for share in reversed(evaluation.error_share_95))
        right = f"{evaluation.right} of {evaluation.clips}"
        lines.append(f"{right} on top: {fewest:.0f} to {most:.0f} % of recordings like these, with 95 % confidence")
    else:
        lines.append("(the only class of a bundle is always on top; its events and false alarms show its quality)")
    for slug, others in (evaluation.also_detected or {}).items():
        also = ", ".join(f"{other} {count}" for other, count in others.items())
        lines.append(f"recordings of {slug} also give events of kept classes: {also} of {facts.recordings[slug]}")
    if few := [slug for slug, count in facts.recordings.items() if count < FEW]:
        lines.append(f"fewer than {FEW} recordings of {', '.join(few)}: record more if they are not detected")
    if not facts.background_minutes:
        lines.append(RECORD_THE_ROOM)
    parts = [f"new classes: {len(facts.recordings)}"]
    if result.kept:
        parts.append(f"kept from {facts.base}, unchanged bit for bit: {len(result.kept)}")
        parts += [f"replaced: {', '.join(result.replaced)}"] if result.replaced else []
    parts.append("verified" if result.passed else "the detector DIFFERS from the bundle's files: do not use it")
    lines.append(f"{result.bundle}: {'; '.join(parts)}; {result.bytes / 1e6:.2f} MB, {result.seconds:.0f} s")
    return "\n".join(lines)


def _require_enough(folder: Path, found: Sequence[Clip]) -> None:
    for label in labels_of(found):
        clips = [clip for clip in found if clip.label == label]
        if len(clips) < FEWEST:
            raise UsageError(f"{folder} has {len(clips)} recordings of {label}; teach needs {FEWEST}, and ten are better")
        if len(originals := {clip.source for clip in clips}) < FEWEST:
            raise UsageError(
                f"{folder} has {len(clips)} recordings of {label}, by their names (FOLD-ORIGINAL-TAKE) of {len(originals)} "
                f"originals only; teach needs {FEWEST}: record more, or rename what is no take of another"
            )


def _negatives(given: Path | None, embedder: BundledEmbedder) -> Path | None:
    """Return the given negatives, or those that ship if they are of this embedder."""
    if given is not None:
        require_same_embedder(
            embedder_id(find_embedder(given) or {}),
            str(given),
            embedder.identity,
            "the bundle",
            "make the records with embed --bundle, or leave them out",
        )
        return given
    shipped = embedder_id(find_embedder(DEFAULT_NEGATIVES) or {}) if DEFAULT_NEGATIVES.exists() else None
    return DEFAULT_NEGATIVES if shipped is not None and shipped.digest == embedder.identity.digest else None


def _minutes(sounds: Iterable[Float32]) -> float:
    return round(sum(map(len, sounds)) / FRONT_END.sample_rate_hz / 60.0, 1)
