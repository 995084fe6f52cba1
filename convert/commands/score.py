"""score: evaluate a bundle on labelled clips, soundscapes and background, beside YAMNet on the same sound.

Keys of the --json result; they are stable, new ones may be added. Shares of zero items and figures not requested are
absent or null.

    bundle, version, folds (null: all), learnt_from_folds (as the bundle says), seed
    clips, right, accuracy, errors, error_share_95, recall, labels, confusion     by the top class of mean probability, at --hops
    among_classes_of_clips: the same by the top one of the clips' classes, as for YAMNet, which has many others
    detectors: by name (edge_detector_<hop in seconds>, yamnet_frigate, yamnet_calibrated)
      title, on: threshold by class
      found: clips that give an event of their class: clips, found, share, share_95, recall, counts [found, clips] by class
      soundscapes: by signal-to-noise ratio in dB, and "all": hours, true, heard, matched, touched, false_alarms, f1, precision,
        recall, mean_f1, latency_median_seconds, latency_p90_seconds, false_alarms_per_hour, false_alarms_at_most_per_hour,
        classes: the same by class, and latencies_seconds   (measures.events says what each is)
      conditions: by name (far away, in noise, in rooms, over a telephone), as found
      background, signals: by label: hours, events, per_hour, at_most_per_hour, classes: events by class
    peer: YAMNet on the clips, a window every 0.48 s: clips to confusion as above, by the top one of the clips' classes;
      found_at: by threshold, as found; deaf_to: classes without a YAMNet class
    other_sounds: with --others; found in clips and false in recordings of other sounds, at the first of --hops
      hop_seconds; enabled: classes of the bundle; clips: how many by class; bundles: how many were measured on all the others, 1
      others: by label: recordings, may_hold (classes that are measured and may be in them, so that they are not false)
      anything: labels that may hold any sound, which are no part of a share
      curves: by detector (bundle, yamnet_labels, yamnet_identifiers): title, and
        points: by strictness, from sensitive to strict (added to the log-odds of all thresholds; YAMNet: the threshold):
          found, false_of_ten (ESC-10's classes), false_of_enabled: count, share, share_95; of what is false mean_over_labels too,
          over the labels with 20 recordings or more
        marks: by name (sensitive, balanced, strict; 0.5, 0.2): strictness, the key of the point; found by class; false_of_ten and
          false_of_enabled by label; false_of_class by class: how many clips or recordings
        found_where_false: by what is false (ten, enabled, ten_mean_over_labels) and share of it: the share found, between points
"""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from convert.arguments import folds, positive_float, positive_int
from convert.audio.clips import BACKGROUND_CLASSES, Clip, LoadedClip, find_clips, load_clips, load_unlabelled
from convert.audio.evaluation_soundscapes import SceneComposer
from convert.audio.false_alarm_signals import signals
from convert.embedder.runtime import enabled_classes
from convert.embedder.yamnet import YamnetBaseline
from convert.evaluation.baselines import CALIBRATED, FRIGATE, calibrated, in_frigate, ours
from convert.evaluation.benchmark import Contender, alarms, found_at, found_clips, found_in_conditions, on_scenes
from convert.evaluation.conditions import conditions
from convert.evaluation.may_hold import MAY_HOLD, MayHold, read_may_hold
from convert.evaluation.other_sounds import kept_clips, measure, of_bundle, of_peer, peer_clips, require_ten
from convert.evaluation.other_sounds_tables import draw_other_sounds
from convert.evaluation.scoring import accuracy, clip_probabilities
from convert.evaluation.tables import AMONG, OTHER_SOUNDS, score_text
from convert.files import write_bytes
from edge_detector.detection.bundle import Bundle, load_bundle
from edge_detector.errors import UsageError
from edge_detector.params import FRONT_END, HOPS_PER_PATCH
from edge_detector.types import Float32


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("bundle", type=Path, help="bundle folder")
    parser.add_argument("clips", type=Path, metavar="DIR", help="folder of clips: LABEL/FOLD-SOURCE-TAKE.ogg")
    parser.add_argument("--folds", type=folds, help="folds to score (all)")
    parser.add_argument(
        "--hops", type=int, nargs="+", choices=HOPS_PER_PATCH, default=[1], help="hops per patch, one or more (1: every 0.96 s)"
    )
    parser.add_argument(
        "--background", type=Path, nargs="+", default=[], metavar="DIR", help="LABEL/1-ORIGIN.wav to count false alarms in"
    )
    parser.add_argument(
        "--soundscapes",
        type=positive_int,
        nargs="?",
        const=1,
        metavar="ROUNDS",
        help="number of soundscape placements of each clip",
    )
    parser.add_argument(
        "--signals",
        type=positive_float,
        nargs="?",
        const=10.0,
        metavar="MINUTES",
        help="length of each noise, hum and tone signal (10)",
    )
    parser.add_argument(
        "--conditions", action="store_true", help="find the clips again far away, in noise, in rooms and over a telephone"
    )
    parser.add_argument("--peer", type=Path, metavar="FILE", help="YAMNet's .tflite, its list of labels beside it")
    parser.add_argument(
        "--calibrate-background",
        type=Path,
        metavar="DIR",
        help="choose YAMNet's thresholds on this, as the bundle's were",
    )
    parser.add_argument(
        "--others",
        type=Path,
        metavar="DIR",
        help="recordings of other sounds, LABEL/anything.ogg: what is found, and what is false, at the first of --hops",
    )
    parser.add_argument(
        "--may-hold", type=Path, metavar="FILE", help="JSON: which classes may be in recordings of a label (the one in recipes)"
    )
    parser.add_argument("--picture", type=Path, metavar="FILE.svg", help="draw found over false, at every strictness")
    parser.add_argument("--seed", type=int, default=0, help="of all that is made and composed (0)")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Score the bundle."""
    _require_together(arguments)
    bundle = load_bundle(arguments.bundle)
    slugs = [sound.slug for sound in enabled_classes(bundle)]
    others = _Others.of(arguments, bundle) if arguments.others else None
    clips = load_clips(find_clips(arguments.clips, arguments.folds), slugs)
    contenders = ours(bundle, arguments.hops)
    network = of_bundle(bundle, arguments.hops[0])
    measured = clip_probabilities(network.every(_step_samples(arguments)), clips, "accuracy")
    # The enabled classes come first, then the others measured on other sounds.
    heard = [each[:, : len(slugs)] for each in measured]
    runs = [(network, kept_clips(clips, measured))]
    own = {clip.class_index for clip in clips}
    result = {
        "bundle": bundle.manifest.name,
        "version": bundle.manifest.version,
        "folds": None if arguments.folds is None else list(arguments.folds),
        "learnt_from_folds": _learnt_from(bundle),
        "seed": arguments.seed,
        **accuracy(heard, clips, slugs),
        AMONG: accuracy(heard, clips, slugs, own),
    }
    if arguments.peer:
        peer = YamnetBaseline(arguments.peer, enabled_classes(bundle))
        contenders |= _peers(peer, bundle, arguments)
        network = of_peer(arguments.peer, bundle)
        heard, kept = peer_clips(network, clips, len(slugs), _step_samples(arguments))
        runs.append((network, kept))
        figures = {**accuracy(heard, clips, slugs, own), "found_at": found_at(heard, clips)}
        result["peer"] = {"file": arguments.peer.name, **figures, "deaf_to": list(peer.deaf_to)}
    if others:
        found = measure(bundle, arguments.hops[0], runs, others.recordings, others.may_hold)
        result[OTHER_SOUNDS] = found.as_json()
        if arguments.picture:
            write_bytes(arguments.picture, draw_other_sounds(found).encode())
    return {**result, "detectors": _detectors(contenders, clips, arguments)}


def describe(result: dict[str, Any]) -> str:
    """Format the result as text."""
    return score_text(result)


@dataclass(frozen=True, slots=True)
class _Others:
    """Recordings of other sounds, and the classes that may be in them."""

    recordings: Sequence[Clip]
    may_hold: MayHold

    @classmethod
    def of(cls, arguments: argparse.Namespace, bundle: Bundle) -> "_Others":
        """Return the inputs of the command line, checked before anything is measured."""
        require_ten(bundle, arguments.bundle)
        slugs = [sound.slug for sound in bundle.manifest.classes]
        return cls(find_clips(arguments.others), read_may_hold(arguments.may_hold or MAY_HOLD, slugs))


def _require_together(arguments: argparse.Namespace) -> None:
    if arguments.calibrate_background and not arguments.peer:
        raise UsageError("--calibrate-background is for YAMNet's thresholds; give --peer too, or leave it out")
    for name in ("may_hold", "picture"):
        if getattr(arguments, name) and not arguments.others:
            raise UsageError(
                f"--{name.replace('_', '-')} is of what is false on other sounds; give --others too, or leave it out"
            )


def _step_samples(arguments: argparse.Namespace) -> int:
    """Return the samples between windows at the first of --hops."""
    return FRONT_END.patch_step_samples // int(arguments.hops[0])


def _learnt_from(bundle: Bundle) -> list[int]:
    """Return the folds used by the embedder, the sequence model or the thresholds."""
    parts = [bundle.manifest.training.get(name) for name in ("embedder", "sequence", "calibration")]
    return sorted({int(fold) for facts in parts if isinstance(facts, dict) for fold in facts.get("folds", ())})


def _peers(peer: YamnetBaseline, bundle: Bundle, arguments: argparse.Namespace) -> dict[str, Contender]:
    classes = enabled_classes(bundle)
    found = {FRIGATE: in_frigate(peer, classes)}
    if arguments.calibrate_background:
        every = find_clips(arguments.clips)
        others = [clip for clip in every if arguments.folds and clip.fold not in arguments.folds]
        material = (arguments.calibrate_background, load_clips(others, [sound.slug for sound in classes]))
        like = bundle.manifest.training.get("calibration")
        if not isinstance(like, dict):
            raise UsageError(
                f"{arguments.bundle} was not calibrated, so nothing can be like it; leave out --calibrate-background"
            )
        found[CALIBRATED] = calibrated(peer, classes, arguments.hops[0], material, like)
    return found


def _detectors(
    contenders: dict[str, Contender], clips: Sequence[LoadedClip], arguments: argparse.Namespace
) -> dict[str, dict[str, Any]]:
    result: dict[str, dict[str, Any]] = {
        key: {
            "title": contender.title,
            "on": {slug: rule.on for slug, rule in zip(contender.slugs, contender.rules, strict=True)},
            "found": found_clips(contender, clips),
        }
        for key, contender in contenders.items()
    }
    if arguments.conditions:
        made = conditions(arguments.seed)
        for key, contender in contenders.items():
            result[key]["conditions"] = found_in_conditions(contender, clips, made)
    background = _background(arguments.background)
    parts: dict[str, dict[str, Any]] = {}
    if arguments.soundscapes:
        parts["soundscapes"] = on_scenes(contenders, SceneComposer(clips, background, arguments.soundscapes, arguments.seed))
    if background:
        parts["background"] = alarms(contenders, {label: _given(samples) for label, samples in background.items()}, "background")
    if arguments.signals:
        parts["signals"] = alarms(contenders, signals(arguments.signals, arguments.seed), "signal")
    for name, by_contender in parts.items():
        for key, figures in by_contender.items():
            result[key][name] = figures
    return result


def _background(folders: Sequence[Path]) -> dict[str, Float32]:
    """Concatenate each label's pieces."""
    pieces: dict[str, list[Float32]] = {}
    for folder in folders:
        for clip in load_unlabelled([clip for clip in find_clips(folder) if clip.label in BACKGROUND_CLASSES]):
            pieces.setdefault(clip.clip.label, []).append(clip.samples)
    return {label: np.concatenate(found) for label, found in pieces.items()}


def _given(samples: Float32) -> Callable[[], Float32]:
    return lambda: samples
