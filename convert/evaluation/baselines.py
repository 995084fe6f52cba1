"""Detectors of the benchmark: a bundle at its own thresholds, and YAMNet under two policies."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from convert.audio.clips import LoadedClip
from convert.embedder.runtime import detector_model, enabled_classes, stream_probabilities
from convert.embedder.yamnet import FRIGATE_RULE, FRIGATE_STEP_SAMPLES, YamnetBaseline
from convert.evaluation.benchmark import Contender
from convert.evaluation.calibration import FINEST
from convert.evaluation.score_streams import NOISE, Labelled, Levels, calibration_set, hear_clips
from convert.evaluation.thresholds import Costs, cheapest
from edge_detector.detection.bundle import Bundle, SoundClass, hop_key
from edge_detector.errors import UsageError
from edge_detector.params import FRONT_END
from edge_detector.types import Float32

OURS, FRIGATE, CALIBRATED = "edge_detector", "yamnet_frigate", "yamnet_calibrated"


def ours(bundle: Bundle, hops: Sequence[int]) -> dict[str, Contender]:
    """Build the bundle's detector at each of some hops per patch."""
    classes = enabled_classes(bundle)
    model = detector_model(bundle, classes)
    return {
        f"{OURS}_{hop_key(hop)}": Contender(
            title=f"this bundle, hop {hop_key(hop)} s",
            slugs=_slugs(classes),
            hear=partial(stream_probabilities, model, hops_per_patch=hop),
            step_samples=FRONT_END.patch_step_samples // hop,
            rules=tuple(sound.rules[hop] for sound in classes),
        )
        for hop in hops
    }


def in_frigate(peer: YamnetBaseline, classes: Sequence[SoundClass]) -> Contender:
    """Build YAMNet as Frigate runs it."""
    return Contender(
        title="YAMNet as in Frigate",
        slugs=_slugs(classes),
        hear=peer.probabilities_in_frigate,
        step_samples=FRIGATE_STEP_SAMPLES,
        rules=(FRIGATE_RULE,) * len(classes),
    )


def calibrated(
    peer: YamnetBaseline,
    classes: Sequence[SoundClass],
    hop: int,
    material: tuple[Path, Sequence[LoadedClip]],
    like: Mapping[str, Any],
) -> Contender:
    """Build YAMNet with thresholds calibrated as the bundle's, and the same decider.

    Args:
        peer: YAMNet.
        classes: ours.
        hop: hops per patch.
        material: a folder of background, and clips.
        like: what `calibrate` wrote when it chose the bundle's: costs, levels, and made noise.

    """
    folder, labelled = material
    try:
        costs = Costs(like["costs"]["recordings"], like["costs"]["hour"])
        levels = Levels(like["most_hours"], tuple(like["gains_db"]), 60.0 * like["hours"].get(NOISE, 0.0))
    except (KeyError, TypeError) as error:
        raise UsageError(f"the bundle does not say how it was calibrated ({error}); calibrate it first") from error
    finest = FRONT_END.patch_step_samples // FINEST

    def give(samples: Float32) -> Labelled:
        scores = peer.scores(samples, finest)
        return Labelled(peer.doubts.likeliest(scores), scores)

    given = calibration_set(give, peer.doubts, folder, _slugs(classes), levels)
    clips = hear_clips(partial(peer.probabilities, step_samples=finest), labelled)
    chosen = replace(given, clips=[*clips, *given.clips])
    return Contender(
        title=f"YAMNet, thresholds chosen like ours, hop {hop_key(hop)} s",
        slugs=_slugs(classes),
        hear=partial(peer.probabilities, step_samples=FRONT_END.patch_step_samples // hop),
        step_samples=FRONT_END.patch_step_samples // hop,
        rules=tuple(cheapest(chosen, index, hop, costs).rule for index in range(len(classes))),
    )


def _slugs(classes: Sequence[SoundClass]) -> tuple[str, ...]:
    return tuple(sound.slug for sound in classes)
