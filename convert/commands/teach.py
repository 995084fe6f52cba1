"""teach: make a bundle that detects new classes from a folder of recordings, beside a bundle's classes or alone."""

import argparse
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from convert.arguments import positive_float, positive_int
from convert.audio.clips import Clip, LoadedClip, classes_of, find_clips, labels_of, load_clips
from convert.audio.probe_signals import probe_stream
from convert.bundling.embedder import BundledEmbedder
from convert.bundling.writer import require_bundle_place, write_bundle
from convert.embedder.runtime import DEFAULT_BUNDLE, CodeEmbedder
from convert.evaluation.calibration import MARGIN, Limits, Stream
from convert.evaluation.detector_checks import detector_checks
from convert.evaluation.score_streams import hear
from convert.few_shot.bundle import (
    FEW,
    RECORD_THE_ROOM,
    ExtendedBundle,
    background_streams,
    calibrated,
    manifest_of,
    measured,
    rules_of,
)
from convert.few_shot.sounds import halved_background, made_sounds
from convert.few_shot.training import FewShotData, FewShotTrainer, Recipe, exported
from convert.progress import Progress
from convert.records.files import find_embedder
from convert.records.identity import identity_of, require_same
from edge_detector.detection import bundle as format_
from edge_detector.errors import UsageError
from edge_detector.params import FRONT_END
from edge_detector.types import Float32

DEFAULT_NEGATIVES = Path(__file__).parent.parent / "recipes" / "default_negatives.tfrecord"
FEWEST = 3
CHECKED_SECONDS = 20.0
SEQUENCES, EPOCHS = 2_500, 20


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument(
        "clips", type=Path, metavar="DIR", help="folder of recordings, a subfolder for each sound: LABEL/anything.wav"
    )
    parser.add_argument(
        "--from", dest="base", type=Path, default=DEFAULT_BUNDLE, metavar="BUNDLE", help="bundle to teach (the one that ships)"
    )
    parser.add_argument("--only", action="store_true", help="hear the new sounds alone, none that the bundle hears")
    parser.add_argument(
        "--background",
        type=Path,
        nargs="+",
        default=[],
        metavar="DIR",
        help="recordings of the room without the sounds: half for training, half for thresholds",
    )
    parser.add_argument(
        "--negatives", type=Path, metavar="TFRECORD", help="embeddings of more such sound, by the same embedder (made with embed)"
    )
    parser.add_argument("--false-alarms-per-hour", type=positive_float, default=0.1, help="allowed for each new class (0.1)")
    parser.add_argument(
        "--sequences", type=positive_int, default=SEQUENCES, metavar="N", help=f"composed to learn from ({SEQUENCES})"
    )
    parser.add_argument("--epochs", type=positive_int, default=EPOCHS, help=f"passes over them ({EPOCHS})")
    parser.add_argument("--seed", type=int, default=0, help="of everything that is drawn (0)")
    parser.add_argument("--name", help="of the new bundle (as its folder is called)")
    parser.add_argument("--release", default="1.0.0", help="its version (1.0.0)")
    parser.add_argument("-o", "--output", type=Path, required=True, help="bundle folder, replaced as a whole")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Train, cross-validate, calibrate, measure, write and verify."""
    started = time.monotonic()
    require_bundle_place(arguments.output)
    base = format_.load_bundle(arguments.base)
    embedder = BundledEmbedder.of_bundle(arguments.base)
    found = find_clips(arguments.clips)
    labels = labels_of(found)
    counts = Counter(clip.label for clip in found)
    _refuse_too_few(arguments.clips, found)
    taught = ExtendedBundle.beside(base, classes_of(found, labels), only=arguments.only)
    learnt_from, calibrated_on = halved_background(arguments.background)
    lesson = FewShotData(
        labels=labels,
        clips=load_clips(found, labels),
        negatives=[*made_sounds(labels), *learnt_from],
        negative_records=_negatives(arguments.negatives, embedder),
        context=base.manifest.sequence.context_frames,
    )
    recipe = Recipe(sequences=arguments.sequences, epochs=arguments.epochs, seed=arguments.seed)
    sys.stderr.write(f"teach: {', '.join(f'{label} {counts[label]}' for label in labels)}\n")
    with tempfile.TemporaryDirectory(prefix="teach-") as folder:
        school = FewShotTrainer(lesson, recipe, CodeEmbedder.of_bundle(base), Path(folder))
        alone, errors = exported(school.trained(), lesson.context)
        clips, held_out = _left_out_in_turn(taught, school, lesson.context)
    step = taught.joined(alone)
    quiet = background_streams(taught.ear(step), calibrated_on, arguments.seed)
    calibration = calibrated(taught, quiet, held_out, Limits(arguments.false_alarms_per_hour, MARGIN))
    rules = rules_of(calibration)
    evaluation = measured(taught, held_out, clips, len(school.parts), rules)
    bundle = taught.bundle(step, taught.classes(rules))
    facts = {
        "from": f"{base.manifest.name} {base.manifest.version}",
        "recordings": {label: counts[label] for label in labels},
        "background_minutes": _minutes([*(clip.samples for clip in learnt_from), *calibrated_on]),
        "negative_sequences": school.negative_sequences,
        "model": "lstm",
        "cells": recipe.cells,
        "sequences": recipe.sequences,
        "epochs": recipe.epochs,
        "seed": recipe.seed,
    }
    manifest = manifest_of(
        taught,
        bundle,
        embedder,
        name=arguments.name or arguments.output.resolve().name,
        release=arguments.release,
        facts=facts,
        calibration=calibration,
        evaluation=evaluation,
        errors=errors,
    )
    networks = {format_.EMBEDDER: bundle.embedder, format_.SEQUENCE: bundle.sequence, format_.PCA: embedder.pca_file}
    size = write_bundle(arguments.output, manifest, networks)
    checks = detector_checks(format_.load_bundle(arguments.output), probe_stream(CHECKED_SECONDS, arguments.seed))
    return {
        "bundle": str(arguments.output),
        "bytes": size,
        "seconds": round(time.monotonic() - started, 1),
        "taught": facts,
        "kept": [base.manifest.classes[index].slug for index in taught.kept],
        "replaced": list(taught.replaced),
        "calibration": calibration,
        "evaluation": evaluation,
        "verified": checks,
        "passed": checks["passed"],
    }


def describe(result: dict[str, Any]) -> str:
    """Format the result as text."""
    taught, evaluation = result["taught"], result["evaluation"]
    events = evaluation["events"]["0.96"]["recall"]
    width = max(*map(len, taught["recordings"]), len("sound"))
    lines = [f"{'sound':<{width}}  recordings  on top  give an event  threshold  false alarms"]
    for slug, count in taught["recordings"].items():
        chosen = result["calibration"]["classes"][slug]["0.96"]
        alarms = f"{chosen['false_alarms']} in {chosen['hours']:.1f} h"
        shares = f"{100 * evaluation['recall'][slug]:4.0f} %  {100 * events[slug]:11.0f} %"
        lines.append(f"{slug:<{width}}  {count:>10}  {shares}  {chosen['rule']['on']:9.2f}  {alarms:>12}")
    fewest, most = (100 * (1 - share) for share in reversed(evaluation["error_share_95"]))
    lines.append("(each recording left out once, and heard by a model that had learnt from the others only)")
    right = f"{evaluation['right']} of {evaluation['clips']}"
    if len(evaluation["labels"]) > 1:
        lines.append(f"{right} on top: of recordings like these {fewest:.0f} to {most:.0f} %, with 95 % confidence")
    else:
        lines.append("(the only sound of a bundle is always on top: its events and false alarms say how well it is heard)")
    for slug, others in evaluation.get("also_heard", {}).items():
        heard = ", ".join(f"{other} {count}" for other, count in others.items())
        lines.append(f"recordings of {slug} give events of kept classes as well: {heard} of {taught['recordings'][slug]}")
    if few := [slug for slug, count in taught["recordings"].items() if count < FEW]:
        lines.append(f"fewer than {FEW} recordings of {', '.join(few)}: record more if they are not heard")
    if not taught["background_minutes"]:
        lines.append(RECORD_THE_ROOM)
    parts = [f"classes taught: {len(taught['recordings'])}"]
    if result["kept"]:
        parts.append(f"kept from {taught['from']}, unchanged bit for bit: {len(result['kept'])}")
        parts += [f"replaced: {', '.join(result['replaced'])}"] if result["replaced"] else []
    parts.append("verified" if result["passed"] else "NOT what the detector hears: do not use it")
    lines.append(f"{result['bundle']}: {'; '.join(parts)}; {result['bytes'] / 1e6:.2f} MB, {result['seconds']:.0f} s")
    return "\n".join(lines)


def _refuse_too_few(folder: Path, found: Sequence[Clip]) -> None:
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
    if given is not None:
        require_same(
            identity_of(find_embedder(given) or {}),
            str(given),
            embedder.identity,
            "the bundle",
            "make the records with embed --bundle, or leave them out",
        )
        return given
    shipped = identity_of(find_embedder(DEFAULT_NEGATIVES) or {}) if DEFAULT_NEGATIVES.exists() else None
    return DEFAULT_NEGATIVES if shipped is not None and shipped.digest == embedder.identity.digest else None


def _minutes(sounds: Iterable[Float32]) -> float:
    return round(sum(map(len, sounds)) / FRONT_END.sample_rate_hz / 60.0, 1)


def _left_out_in_turn(taught: ExtendedBundle, school: FewShotTrainer, context: int) -> tuple[list[LoadedClip], list[Stream]]:
    """Return each recording and the probabilities of a model trained without it."""
    clips: list[LoadedClip] = []
    streams: list[Stream] = []
    progress = Progress("teach: left out", len(school.parts))
    for number, part in enumerate(school.parts, 1):
        step, _ = exported(school.trained(part), context)
        ear = taught.ear(taught.joined(step))
        clips += part.clips
        streams += [hear(ear, clip.samples, frozenset({len(taught.kept) + clip.class_index})) for clip in part.clips]
        progress.update(number)
    progress.close()
    return clips, streams
