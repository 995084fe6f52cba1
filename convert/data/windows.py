"""Training windows of the embedder: single sounds, mixtures of two, and backgrounds, each 0.975 s with its labels."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from convert.data.activity import active_starts, cut
from convert.data.augment import band_limited, equalised, gain_of_db, recorded, reverberant, rms, speed_changed
from convert.data.background import Backgrounds
from convert.data.clips import NO_CLASS, UNKNOWN_CLASS, LoadedClip, is_background
from convert.data.seeking import Find
from convert.data.textures import texture
from edge_detector.params import FRONT_END
from edge_detector.types import Float32

BACKGROUND_SHARE = 0.1
MIXTURE_SHARE = 0.35
NOISY_SHARE = 0.6
ECHO_SHARE = 0.25
SPEEDS = (0.8, 1.25)
SPEEDS_OF_UNKNOWN = (0.5, 2.0)
"""Where no label has to stay true, more speeds are more sounds."""

ACTIVE_RANGE_DB = 30.0
EMPTY_SHARE_OF_PIECE = 0.02
SILENT_RMS = 1e-6
BAND_LIMITED_SHARE = 0.2
BAND_LIMITS_HZ = (3_400.0, 7_000.0)
"""Much real speech and music at hand is of telephone bandwidth, which must not become what tells it from everything else."""

BACKGROUND_WEIGHT = 2.0
"""How much oftener speech, music and what is of no class are drawn than one of the other classes."""

NOT_KNOWN = -1.0
"""The label of a class of which nobody can say whether it sounds in a window."""

LEVELS_DBFS = (-50.0, -8.0)
START_STEP_SAMPLES = 400
FIND_JITTER_SAMPLES = 3_600


@dataclass(frozen=True, slots=True)
class Windows:
    """A batch of windows: samples float32 (n, 15600) in [-1, 1], labels float32 (n, classes), each 0, 1 or NOT_KNOWN."""

    samples: Float32
    labels: Float32


class WindowSource:
    """Draws windows from clips. The same generator state gives the same windows.

    Args:
        clips: what is drawn from.
        classes: how many classes there are.
        seed: of the noises.
        texture_share: how many of the sounds are made at random; only a teacher can say what they are.
        unknown_weight: how much oftener what is unsorted is drawn than one of the classes.
        sought: windows of unsorted clips by the class that was heard there.
        sought_share: how many of the draws of unsorted sound are of these, each class as often as another.

    """

    def __init__(
        self,
        clips: Sequence[LoadedClip],
        classes: int,
        seed: int,
        *,
        texture_share: float = 0.0,
        unknown_weight: float = 4.0,
        sought: Sequence[Sequence[Find]] = (),
        sought_share: float = 0.0,
    ) -> None:
        self._classes = classes
        self._texture_share = texture_share
        self._clips = clips
        self._sought, self._sought_share = sought, sought_share
        size = FRONT_END.patch_samples
        self._starts = [
            active_starts(
                clip.samples, size, step_samples=START_STEP_SAMPLES, range_db=ACTIVE_RANGE_DB, overhang_samples=size // 2
            )
            for clip in clips
        ]
        self._shares = _shares(clips, unknown_weight)
        self._backgrounds = Backgrounds(seed)

    def draw(self, rng: np.random.Generator, count: int) -> Windows:
        """`count` windows."""
        samples = np.zeros((count, FRONT_END.patch_samples), np.float32)
        labels = np.zeros((count, self._classes), np.float32)
        for row in range(count):
            samples[row] = self._window(rng, labels[row])
        return Windows(samples, labels)

    def _window(self, rng: np.random.Generator, labels: Float32) -> Float32:
        kind = rng.random()
        if kind < BACKGROUND_SHARE:
            mix = self._backgrounds.draw(rng, FRONT_END.patch_samples)
            level = float(rng.uniform(-90.0, -15.0))
            return recorded(mix, level, rng)
        mix = self._event(rng, labels)
        if kind < BACKGROUND_SHARE + MIXTURE_SHARE:
            mix += self._event(rng, labels) * gain_of_db(float(rng.uniform(-6.0, 6.0)))
        if rng.random() < ECHO_SHARE:
            mix = reverberant(mix, rng)
        mix = equalised(mix, rng, depth_db=6.0)
        mix /= np.float32(max(rms(mix), 1e-9))
        if rng.random() < NOISY_SHARE:
            noise = self._backgrounds.draw(rng, FRONT_END.patch_samples)
            mix += noise * gain_of_db(-float(rng.uniform(0.0, 40.0)))
        return recorded(mix / np.float32(max(rms(mix), 1e-9)), float(rng.uniform(*LEVELS_DBFS)), rng)

    def _event(self, rng: np.random.Generator, labels: Float32) -> Float32:
        """One sound at RMS 1."""
        if self._texture_share and rng.random() < self._texture_share:
            labels[labels != 1.0] = NOT_KNOWN
            return texture(rng, FRONT_END.patch_samples)
        clip, starts = self._place(rng)
        speeds = SPEEDS_OF_UNKNOWN if clip.class_index == UNKNOWN_CLASS else SPEEDS
        for _ in range(10):
            factor = float(rng.uniform(*speeds))
            start = int(rng.choice(starts))
            piece = cut(clip.samples, start, math.ceil(FRONT_END.patch_samples * factor) + 1)
            window = speed_changed(piece, factor, FRONT_END.patch_samples)
            level = rms(window)
            # A faster window sees less of the clip than the one that was found active; an empty one is drawn again.
            if level > max(EMPTY_SHARE_OF_PIECE * rms(piece), SILENT_RMS):
                break
        if clip.class_index == UNKNOWN_CLASS:
            labels[labels != 1.0] = NOT_KNOWN
        elif clip.class_index != NO_CLASS:
            labels[clip.class_index] = 1.0
        if rng.random() < BAND_LIMITED_SHARE:
            window = band_limited(window, float(rng.uniform(*BAND_LIMITS_HZ)))
            level = rms(window)
        return window / np.float32(max(level, 1e-9))

    def _place(self, rng: np.random.Generator) -> tuple[LoadedClip, NDArray[np.int64]]:
        """A clip, and where in it a window may start."""
        index = int(self._shares.searchsorted(rng.random()))
        clip = self._clips[index]
        if clip.class_index != UNKNOWN_CLASS or not self._sought or rng.random() >= self._sought_share:
            return clip, self._starts[index]
        finds = self._sought[int(rng.integers(len(self._sought)))]
        find = finds[int(rng.integers(len(finds)))]
        jitter = np.arange(-FIND_JITTER_SAMPLES, FIND_JITTER_SAMPLES + 1, START_STEP_SAMPLES)
        return self._clips[find.clip], find.start + jitter


def _shares(clips: Sequence[LoadedClip], unknown_weight: float) -> NDArray[np.float64]:
    """Running shares by which clips are drawn: each class as often as another, however many clips it has."""
    counts = Counter(clip.class_index for clip in clips)
    common = [BACKGROUND_WEIGHT if is_background(clip) else 1.0 for clip in clips]
    common = [unknown_weight if clip.class_index == UNKNOWN_CLASS else weight for clip, weight in zip(clips, common, strict=True)]
    weights = np.array([weight / counts[clip.class_index] for weight, clip in zip(common, clips, strict=True)])
    running = np.cumsum(weights / weights.sum())
    running[-1] = 1.0
    return np.asarray(running, np.float64)
