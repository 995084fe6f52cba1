"""score: evaluate a bundle on labelled clips, soundscapes and background, beside YAMNet on the same sound.

The keys of the --json result are the fields of convert.evaluation.score.ScoreResult; they are stable, new ones may be added.
Accuracy is measured at the first of --hops; figures that are not requested are absent.
"""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from convert.arguments import folds, positive_float, positive_int
from convert.audio.evaluation_soundscapes import SceneComposer
from convert.audio.false_alarm_signals import signals
from convert.embedder.runtime import enabled_classes
from convert.embedder.yamnet import YamnetBaseline
from convert.evaluation.baselines import CALIBRATED, FRIGATE, bundle_detectors, calibrated_yamnet, yamnet_in_frigate
from convert.evaluation.benchmark import BenchmarkDetector, alarms, found_at, found_clips, found_in_conditions, on_scenes
from convert.evaluation.conditions import conditions
from convert.evaluation.curve_picture import draw_other_sounds
from convert.evaluation.may_hold import MAY_HOLD, read_may_hold
from convert.evaluation.other_figures import OtherSounds
from convert.evaluation.other_sounds import Kept, Network, kept_clips, measure, of_bundle, of_peer, peer_clips, require_ten
from convert.evaluation.score import DetectorScore, PeerScore, ScoreResult
from convert.evaluation.scoring import accuracy, clip_probabilities
from convert.evaluation.tables import score_text
from convert.files import write_bytes
from edge_detector.audio.clips import BACKGROUND_CLASSES, LoadedClip, find_clips, load_clips, load_unlabelled
from edge_detector.detection.bundle import Bundle, load_bundle
from edge_detector.errors import UsageError
from edge_detector.params import FRONT_END, HOPS_PER_PATCH
from edge_detector.types import Float32

SEED = 0
"""Seed of everything synthetic and composed."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("bundle", type=Path, help="bundle folder")
    parser.add_argument("clips", type=Path, metavar="DIR", help="folder of clips: LABEL/FOLD-SOURCE-TAKE.ogg")
    parser.add_argument("--folds", type=folds, help="folds to score (all)")
    parser.add_argument(
        "--hops", type=int, nargs="+", choices=HOPS_PER_PATCH, default=[1], help="hops per patch, one or more (1: every 0.96 s)"
    )
    parser.add_argument(
        "--background", type=Path, nargs="+", default=[], metavar="DIR", help="count false alarms in LABEL/1-ORIGIN.wav"
    )
    parser.add_argument(
        "--soundscapes",
        type=positive_int,
        nargs="?",
        const=1,
        metavar="ROUNDS",
        help="compose soundscapes with each clip ROUNDS times (1)",
    )
    parser.add_argument(
        "--signals",
        type=positive_float,
        nargs="?",
        const=10.0,
        metavar="MINUTES",
        help="count events in noise, hum and tones, MINUTES of each (10)",
    )
    parser.add_argument(
        "--conditions", action="store_true", help="score degraded clips: far away, in noise, in rooms, over a telephone"
    )
    parser.add_argument("--peer", type=Path, metavar="FILE", help="YAMNet's .tflite, its list of labels beside it")
    parser.add_argument(
        "--calibrate-background",
        type=Path,
        metavar="DIR",
        help="background for YAMNet's thresholds, which are calibrated by the criteria of the bundle's",
    )
    parser.add_argument(
        "--others",
        type=Path,
        metavar="DIR",
        help="count clips found, and false events in recordings of other sounds, LABEL/anything.ogg, at the first of --hops",
    )
    parser.add_argument("--picture", type=Path, metavar="FILE.svg", help="draw found over false at every strictness")


def run(arguments: argparse.Namespace) -> ScoreResult:
    """Score the bundle."""
    _require_together(arguments)
    bundle = load_bundle(arguments.bundle)
    slugs = [sound.slug for sound in enabled_classes(bundle)]
    if arguments.others:
        require_ten(bundle, arguments.bundle)
    clips = load_clips(find_clips(arguments.clips, arguments.folds), slugs)
    detectors = bundle_detectors(bundle, arguments.hops)
    network, step_samples = of_bundle(bundle, arguments.hops[0]), FRONT_END.patch_step_samples // arguments.hops[0]
    probabilities = clip_probabilities(network.every(step_samples), clips, "accuracy")
    runs = [(network, kept_clips(clips, probabilities))]
    # The enabled classes come first, then the others measured on other sounds.
    of_enabled = [each[:, : len(slugs)] for each in probabilities]
    total = accuracy(of_enabled, clips, slugs)
    result = ScoreResult(
        labels=total.labels,
        confusion=total.confusion,
        bundle=bundle.manifest.name,
        version=bundle.manifest.version,
        folds=arguments.folds,
        training_folds=_training_folds(bundle),
        seed=SEED,
        detectors={},
        among_classes_of_clips=accuracy(of_enabled, clips, slugs, {clip.class_index for clip in clips}),
    )
    if arguments.peer:
        peer = YamnetBaseline(arguments.peer, enabled_classes(bundle))
        detectors[FRIGATE] = yamnet_in_frigate(peer, enabled_classes(bundle))
        if arguments.calibrate_background:
            held_out = [clip for clip in find_clips(arguments.clips) if arguments.folds and clip.fold not in arguments.folds]
            loaded = load_clips(held_out, slugs)
            background = arguments.calibrate_background
            detectors[CALIBRATED] = calibrated_yamnet(peer, bundle, arguments.hops[0], background, loaded)
        network = of_peer(arguments.peer, bundle)
        in_example, kept = peer_clips(network, clips, len(slugs), step_samples)
        runs.append((network, kept))
        result = replace(result, peer=_peer_score(arguments.peer.name, peer, in_example, clips, slugs))
    if arguments.others:
        result = replace(result, other_sounds=_other_sounds(bundle, arguments.hops[0], runs, arguments.others))
        if arguments.picture and result.other_sounds:
            write_bytes(arguments.picture, draw_other_sounds(result.other_sounds))
    return replace(result, detectors=_detector_scores(detectors, clips, arguments))


def describe(result: ScoreResult) -> str:
    """Format the result as text."""
    return score_text(result)


def _require_together(arguments: argparse.Namespace) -> None:
    if arguments.calibrate_background and not arguments.peer:
        raise UsageError("--calibrate-background is for YAMNet's thresholds; give --peer too, or leave it out")
    if arguments.picture and not arguments.others:
        raise UsageError("--picture draws false events in other sounds; give --others too, or leave it out")


def _training_folds(bundle: Bundle) -> tuple[int, ...]:
    """Return the folds used by the embedder, the sequence model or the thresholds."""
    parts = [bundle.manifest.training.get(name) for name in ("embedder", "sequence", "calibration")]
    return tuple(sorted({int(fold) for facts in parts if isinstance(facts, dict) for fold in facts.get("folds", ())}))


def _peer_score(
    file: str, peer: YamnetBaseline, probabilities: Sequence[Float32], clips: Sequence[LoadedClip], slugs: Sequence[str]
) -> PeerScore:
    total = accuracy(probabilities, clips, slugs, {clip.class_index for clip in clips})
    return PeerScore(
        labels=total.labels,
        confusion=total.confusion,
        file=file,
        found_at=found_at(probabilities, clips),
        classes_without_labels=peer.deaf_to,
    )


def _other_sounds(bundle: Bundle, hops: int, runs: Sequence[tuple[Network, Sequence[Kept]]], others: Path) -> OtherSounds:
    may_hold = read_may_hold(MAY_HOLD, [sound.slug for sound in bundle.manifest.classes])
    return measure(bundle, hops, runs, find_clips(others), may_hold)


def _detector_scores(
    detectors: dict[str, BenchmarkDetector], clips: Sequence[LoadedClip], arguments: argparse.Namespace
) -> dict[str, DetectorScore]:
    scores = {
        key: DetectorScore(
            title=detector.title,
            on={slug: rule.on for slug, rule in zip(detector.slugs, detector.rules, strict=True)},
            found=found_clips(detector, clips),
        )
        for key, detector in detectors.items()
    }
    if arguments.conditions:
        made = conditions(SEED)
        scores = {
            key: replace(score, conditions=found_in_conditions(detectors[key], clips, made)) for key, score in scores.items()
        }
    background = _background(arguments.background)
    if arguments.soundscapes:
        scenes = on_scenes(detectors, SceneComposer(clips, background, arguments.soundscapes, SEED))
        scores = {key: replace(score, soundscapes=scenes[key]) for key, score in scores.items()}
    if background:
        sounds = {label: _constant(samples) for label, samples in background.items()}
        in_background = alarms(detectors, sounds, "background")
        scores = {key: replace(score, background=in_background[key]) for key, score in scores.items()}
    if arguments.signals:
        in_signals = alarms(detectors, signals(arguments.signals, SEED), "signal")
        scores = {key: replace(score, signals=in_signals[key]) for key, score in scores.items()}
    return scores


def _background(folders: Sequence[Path]) -> dict[str, Float32]:
    """Concatenate the pieces of each label."""
    pieces: dict[str, list[Float32]] = {}
    for folder in folders:
        for clip in load_unlabelled([clip for clip in find_clips(folder) if clip.label in BACKGROUND_CLASSES]):
            pieces.setdefault(clip.clip.label, []).append(clip.samples)
    return {label: np.concatenate(found) for label, found in pieces.items()}


def _constant(samples: Float32) -> Callable[[], Float32]:
    return lambda: samples
