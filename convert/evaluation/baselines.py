"""Detectors of the benchmark: a bundle at its own thresholds, and YAMNet under two policies."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from convert.embedder.runtime import enabled_classes, stream_probabilities
from convert.embedder.yamnet import FRIGATE_RULE, FRIGATE_STEP_SAMPLES, YamnetBaseline
from convert.evaluation.benchmark import BenchmarkDetector
from convert.evaluation.chosen_thresholds import calibration_of
from convert.evaluation.score_streams import NOISE, Labelled, Levels, calibration_set, clip_streams
from convert.evaluation.thresholds import Costs, lowest_cost
from edge_detector.audio.clips import LoadedClip
from edge_detector.detection.bundle import Bundle, SoundClass, hop_key
from edge_detector.detection.networks_of_bundle import networks_of
from edge_detector.errors import UsageError
from edge_detector.params import FRONT_END
from edge_detector.teaching.calibration import FINEST
from edge_detector.types import Float32

BUNDLE, FRIGATE, CALIBRATED = "edge_detector", "yamnet_frigate", "yamnet_calibrated"


def bundle_detectors(bundle: Bundle, hops: Sequence[int]) -> dict[str, BenchmarkDetector]:
    """Build the bundle's detector at each number of hops per patch."""
    classes = enabled_classes(bundle)
    model = networks_of(bundle, classes)
    return {
        f"{BUNDLE}_{hop_key(hop)}": BenchmarkDetector(
            title=f"this bundle, hop {hop_key(hop)} s",
            slugs=_slugs(classes),
            probabilities=partial(stream_probabilities, model, hops_per_patch=hop),
            step_samples=FRONT_END.patch_step_samples // hop,
            rules=tuple(sound.rules[hop] for sound in classes),
        )
        for hop in hops
    }


def yamnet_in_frigate(peer: YamnetBaseline, classes: Sequence[SoundClass]) -> BenchmarkDetector:
    """Build YAMNet as Frigate runs it."""
    return BenchmarkDetector(
        title="YAMNet as in Frigate",
        slugs=_slugs(classes),
        probabilities=peer.probabilities_in_frigate,
        step_samples=FRIGATE_STEP_SAMPLES,
        rules=(FRIGATE_RULE,) * len(classes),
    )


def calibrated_yamnet(
    peer: YamnetBaseline, bundle: Bundle, hop: int, background: Path, clips: Sequence[LoadedClip]
) -> BenchmarkDetector:
    """Build YAMNet with thresholds calibrated by the criteria of the bundle's, and with the same decider.

    Args:
        peer: YAMNet.
        bundle: its manifest has the criteria.
        hop: hops per patch.
        background: folder for the calibration.
        clips: labelled clips for the calibration.

    Raises UsageError if the bundle was not calibrated by costs.
    """
    like = calibration_of(bundle.manifest)
    if like is None or like.costs is None:
        name = bundle.manifest.name
        raise UsageError(f"the thresholds of {name} are not calibrated by costs; calibrate it, or drop --calibrate-background")
    classes = enabled_classes(bundle)
    costs = Costs(like.costs.recordings, like.costs.hour)
    levels = Levels(like.most_hours, like.gains_db, 60.0 * like.hours.get(NOISE, 0.0))
    finest = FRONT_END.patch_step_samples // FINEST

    def label(samples: Float32) -> Labelled:
        scores = peer.scores(samples, finest)
        return Labelled(peer.doubts.likeliest(scores), scores)

    of_background = calibration_set(label, peer.doubts, background, _slugs(classes), levels)
    streams = clip_streams(partial(peer.probabilities, step_samples=finest), clips)
    material = replace(of_background, clips=[*streams, *of_background.clips])
    step_samples = FRONT_END.patch_step_samples // hop
    return BenchmarkDetector(
        title=f"YAMNet, thresholds calibrated like the bundle's, hop {hop_key(hop)} s",
        slugs=_slugs(classes),
        probabilities=partial(peer.probabilities, step_samples=step_samples),
        step_samples=step_samples,
        rules=tuple(lowest_cost(material, index, hop, costs).rule for index in range(len(classes))),
    )


def _slugs(classes: Sequence[SoundClass]) -> tuple[str, ...]:
    return tuple(sound.slug for sound in classes)
