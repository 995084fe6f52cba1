"""Thresholds of taught classes: from negatives, noise and the user's room without the classes, and from left-out recordings."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from edge_detector.detection.detector import Networks
from edge_detector.detection.hysteresis import Rule
from edge_detector.detection.linear_classifier import LinearClassifier
from edge_detector.params import FRONT_END, HOPS_PER_PATCH
from edge_detector.teaching.augment import gain_of_db
from edge_detector.teaching.calibration import FINEST, Choice, Limits, Stream, choose_lowest, hours, starts_in
from edge_detector.teaching.learning import LearntClasses, LeftOut
from edge_detector.teaching.noise import Backgrounds, room_noise
from edge_detector.teaching.streams import codes_of, features
from edge_detector.types import Float32

BACKGROUND, NOISE = "own background", "synthetic noise"
SPEECH_AND_MUSIC, OTHER, WRONG = "speech and music", "other sound", "sound that is not it"
GAINS_DB = (0.0, -15.0)
"""Levels of the user's background."""

NOISE_MINUTES = 5
MARGIN = 0.5
"""Log-odds above the lowest threshold within the limit on noise and background, for sound that is not in them."""

NEGATIVE_SHARES = {SPEECH_AND_MUSIC: 0.005, OTHER: 0.03}
"""Share of the negatives of a kind that may give an event. A home has hours of the first and moments of the second, and a few of
the second may hold the sound under another name."""

WRONG_SHARE = 0.1
"""Share of the recordings that are not a class that may give an event of it."""

KEPT_RECALL = 0.8
"""Least share kept of the recordings that the lowest threshold detects; a noise-like class would otherwise never be detected."""

FINER_HOP_MARGIN = 0.25
"""Log-odds added for each halving of the hop: negatives have one phase only, and more phases find more to confuse."""

COMMON = frozenset({"speech", "music"})
MOST_DOUBLINGS, UNLIMITED = 2, 1e9


@dataclass(frozen=True, slots=True)
class ChosenThreshold:
    """Rule of a class at one hop.

    Attributes:
        rule: the thresholds.
        false_alarms: events by kind of sound without the class.
        recall: share of the left-out recordings of the class that give an event.

    """

    rule: Rule
    false_alarms: Mapping[str, int]
    recall: float


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Chosen rules and what they were chosen on.

    Attributes:
        hours: length of the sound without the classes, by kind.
        chosen: by slug, then by hops per patch.

    """

    hours: Mapping[str, float]
    chosen: Mapping[str, Mapping[int, ChosenThreshold]]

    def rules(self, slug: str) -> dict[int, Rule]:
        """Return the rules of a class by hops per patch."""
        return {hops: found.rule for hops, found in self.chosen[slug].items()}


def choose_thresholds(
    networks: Networks,
    learnt: LearntClasses,
    labels: Sequence[str],
    *,
    background: Sequence[Float32],
    false_alarms_per_hour: float,
    seed: int,
) -> Thresholds:
    """Choose the rules of each class for each hop.

    They are the lowest that stay within the limit on noise and background, and give an event in at most NEGATIVE_SHARES of the
    negatives and WRONG_SHARE of what is not the class, unless these lose more recordings than KEPT_RECALL allows: the limits are
    then doubled, twice at most, and then the last one is dropped. There is no minimum duration: ten recordings do not show
    whether one pays.

    Args:
        networks: of the extended bundle.
        learnt: the classes.
        labels: their slugs.
        background: the user's room, float32 (n,) at 16 kHz each, not used in training.
        false_alarms_per_hour: limit for each class on noise and background.
        seed: of the noise.

    """
    noise = room_noise(np.random.default_rng([seed, 1]), Backgrounds(seed), NOISE_MINUTES)
    quiet = {NOISE: [_stream(networks, learnt.classifier, noise)]}
    if background:
        levels = [(samples, gain_of_db(gain)) for samples in background for gain in GAINS_DB]
        quiet[BACKGROUND] = [_stream(networks, learnt.classifier, samples * gain) for samples, gain in levels]
    negatives: dict[str, list[Stream]] = {}
    for each, found in learnt.negatives:
        kind = OTHER if each.labels.isdisjoint(COMMON) else SPEECH_AND_MUSIC
        # A finer hop sees each frame of the only phase more often.
        negatives.setdefault(kind, []).append(Stream(np.repeat(found, FINEST, axis=0), frozenset(), _seconds(found)))
    clips = [_of_recording(each, frozenset({each.clip.class_index})) for each in learnt.clips]
    wrong = [
        [_of_recording(each, frozenset()) for each in learnt.wrong if each.clip.class_index == index]
        for index in range(len(labels))
    ]
    chooser = _Chooser(
        [stream for streams in quiet.values() for stream in streams], negatives, wrong, clips, false_alarms_per_hour
    )
    kinds = {**quiet, **negatives}
    chosen = {}
    for index, slug in enumerate(labels):
        of_class = {**kinds, **({WRONG: wrong[index]} if wrong[index] else {})}
        chosen[slug] = {hops: _measured(chooser.choice(index, hops), index, hops, of_class) for hops in HOPS_PER_PATCH}
    return Thresholds({kind: round(hours(streams), 3) for kind, streams in kinds.items()}, chosen)


@dataclass(frozen=True, slots=True)
class _Chooser:
    """Sound to choose on: noise and background, negatives, what is not a class, recordings; and the limit on the first."""

    quiet: Sequence[Stream]
    negatives: Mapping[str, Sequence[Stream]]
    wrong: Sequence[Sequence[Stream]]
    clips: Sequence[Stream]
    false_alarms_per_hour: float

    def choice(self, index: int, hops: int) -> Choice:
        """Return the choice for a class at a hop."""
        least = KEPT_RECALL * (self._within(index, hops, UNLIMITED, UNLIMITED).recall or 0.0)
        limits = [(self.false_alarms_per_hour, 1.0)]
        for doubled in range(MOST_DOUBLINGS):
            of_quiet = max(self.false_alarms_per_hour, (2**doubled + 0.5) / hours(self.quiet))
            limits.append((of_quiet, 2.0 ** (doubled + 1)))
        for limit in limits:
            choice = self._within(index, hops, *limit)
            if (choice.recall or 0.0) >= least:
                return choice
        # A class that is confused with what is not it is worth more than none.
        without = self._within(index, hops, *limits[-1], with_wrong=False)
        return without if (without.recall or 0.0) >= least else choice

    def _within(self, index: int, hops: int, per_hour: float, times: float, *, with_wrong: bool = True) -> Choice:
        """Return the strictest of the choices on noise and background, and on negatives with so many times their shares."""
        found = [choose_lowest(self.quiet, self.clips, index, hops, Limits(per_hour, MARGIN))]
        for kind, streams in self.negatives.items():
            allowed = times * NEGATIVE_SHARES[kind] * len(streams) / hours(streams)
            found.append(choose_lowest(streams, self.clips, index, hops, Limits(allowed, FINER_HOP_MARGIN * math.log2(hops))))
        if (wrong := self.wrong[index]) and with_wrong:
            # Half of one more, so that rounding takes none away.
            allowed = (math.floor(times * WRONG_SHARE * len(wrong)) + 0.5) / hours(wrong)
            found.append(choose_lowest(wrong, self.clips, index, hops, Limits(allowed, 0.0)))
        return max(found, key=lambda choice: choice.rule.on)


def _measured(choice: Choice, index: int, hops: int, kinds: Mapping[str, Sequence[Stream]]) -> ChosenThreshold:
    alarms = {kind: sum(starts_in(stream, index, choice.rule, hops) for stream in streams) for kind, streams in kinds.items()}
    return ChosenThreshold(choice.rule, alarms, choice.recall or 0.0)


def _of_recording(each: LeftOut, true: frozenset[int]) -> Stream:
    return Stream(each.probabilities, true, len(each.clip.samples) / FRONT_END.sample_rate_hz)


def _stream(networks: Networks, classifier: LinearClassifier, samples: Float32) -> Stream:
    codes = codes_of(networks, samples, FINEST)
    return Stream(classifier.of_features(features(codes, FINEST)), frozenset(), len(samples) / FRONT_END.sample_rate_hz)


def _seconds(frames: Float32) -> float:
    return len(frames) * FRONT_END.patch_step_samples / FRONT_END.sample_rate_hz
