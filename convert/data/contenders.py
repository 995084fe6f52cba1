"""Who is put to the test: a bundle at its own thresholds, and YAMNet under two policies."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from convert.data.calibration import CANDIDATES, FINEST, Limits, choose
from convert.data.clips import LoadedClip
from convert.data.contest import Contender
from convert.data.listening import NOISE, Ear, hear_background, hear_clips, hear_noise
from convert.data.peer import FRIGATE_RULE, FRIGATE_STEP_SAMPLES, Peer
from convert.serving import detector_model, enabled_classes, stream_probabilities
from edge_detector.core.bundle import Bundle, SoundClass, hop_key
from edge_detector.errors import UsageError
from edge_detector.params import FRONT_END

OURS, FRIGATE, CALIBRATED = "edge_detector", "yamnet_frigate", "yamnet_calibrated"


def ours(bundle: Bundle, hops: Sequence[int]) -> dict[str, Contender]:
    """The bundle as the detector runs it, at each of some hops per patch."""
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


def in_frigate(peer: Peer, classes: Sequence[SoundClass]) -> Contender:
    """YAMNet as Frigate runs it."""
    return Contender(
        title="YAMNet as in Frigate",
        slugs=_slugs(classes),
        hear=peer.probabilities_in_frigate,
        step_samples=FRIGATE_STEP_SAMPLES,
        rules=(FRIGATE_RULE,) * len(classes),
    )


def calibrated(
    peer: Peer,
    classes: Sequence[SoundClass],
    hop: int,
    material: tuple[Sequence[Path], Sequence[LoadedClip]],
    like: Mapping[str, Any],
) -> Contender:
    """YAMNet with thresholds chosen as the bundle's were, by our decider.

    Thresholds may be as low as the candidates go: below the floor that keeps ours from being bolder than a small background can
    justify, since YAMNet, which has one score for each of 521 classes, is sure of many sounds at less.

    Args:
        peer: YAMNet.
        classes: ours.
        hop: hops per patch.
        material: folders of background, and clips by which a minimum duration is weighed against a higher threshold.
        like: what `calibrate` wrote when it chose the bundle's: allowed false alarms, margin, levels, and made noise.

    """
    ear: Ear = partial(peer.probabilities, step_samples=FRONT_END.patch_step_samples // FINEST)
    folders, clips = material
    try:
        limits = Limits(like["false_alarms_per_hour"], like["margin"], lowest_on=CANDIDATES[0])
        background = hear_background(ear, folders, _slugs(classes), like["gains_db"])
        background[NOISE] = hear_noise(ear, 60.0 * like["hours"].get(NOISE, 0.0), seed=0)
    except KeyError as error:
        raise UsageError(f"the bundle does not say how it was calibrated ({error}); calibrate it first") from error
    streams = [stream for found in background.values() for stream in found]
    heard = hear_clips(ear, clips)
    return Contender(
        title=f"YAMNet, thresholds chosen like ours, hop {hop_key(hop)} s",
        slugs=_slugs(classes),
        hear=partial(peer.probabilities, step_samples=FRONT_END.patch_step_samples // hop),
        step_samples=FRONT_END.patch_step_samples // hop,
        rules=tuple(choose(streams, heard, index, hop, limits).rule for index in range(len(classes))),
    )


def _slugs(classes: Sequence[SoundClass]) -> tuple[str, ...]:
    return tuple(sound.slug for sound in classes)
