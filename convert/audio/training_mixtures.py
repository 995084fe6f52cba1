"""Training sequences composed of clips: events in background, with the labels of every frame."""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from convert.audio.augment import of_telephone, recorded, reverberant
from convert.audio.kinds import OTHER, kind_of
from convert.recipe import require_not_negative, require_positive, require_share
from edge_detector.audio.activity import cut, window_energy
from edge_detector.audio.clips import BACKGROUND_CLASSES, NO_CLASS, NO_FOLD, LoadedClip
from edge_detector.params import FRONT_END
from edge_detector.teaching.augment import equalised, gain_of_db, speed_changed
from edge_detector.teaching.noise import Backgrounds, room_tones
from edge_detector.teaching.scenes import ACTIVE_RANGE_DB, MASKED_DB, SPEEDS
from edge_detector.types import Float32

SILENT_RMS = 1e-5
EMPTY_SHARE, PLAIN_SHARE, QUIET_SHARE, FULL_LENGTH_SHARE = 0.12, 0.2, 0.3, 0.5
MIXED_WEIGHT = 2.0
"""Weight of speech, music and mixed other sound, relative to another class or one kind of sound of no class."""

MAX_COUNTED_RECORDINGS = 40
HARD_NEGATIVES_WEIGHT = 0.5
"""Weight of the recordings most easily confused with a class, relative to the class."""

ECHO_SHARE = 0.35
TELEPHONE_SHARE = 0.1
LEVELS_DBFS = (-60.0, -10.0)
EVENT_COUNTS, EVENT_COUNT_SHARES = (1, 2, 3), (0.6, 0.3, 0.1)


@dataclass(frozen=True, slots=True)
class Scene:
    """A composed sequence.

    Attributes:
        samples: float32, 16 kHz mono, a whole number of frames long.
        frame_labels: class indices of each frame, ascending.
        unlabelled: for each frame, whether unlabelled sound is audible.
        folds: folds of its clips, ascending.

    """

    samples: Float32
    frame_labels: tuple[tuple[int, ...], ...]
    unlabelled: tuple[bool, ...]
    folds: tuple[int, ...] = ()

    @property
    def labels(self) -> tuple[int, ...]:
        """Class indices of the whole sequence, ascending."""
        return tuple(sorted({index for found in self.frame_labels for index in found}))


def scene_samples(frames: int) -> int:
    """Return the number of samples that give exactly `frames` embeddings."""
    return frames * FRONT_END.patch_step_samples + FRONT_END.frame_overlap_samples


def split_by_source(clips: Sequence[LoadedClip], validation_share: float) -> tuple[list[LoadedClip], list[LoadedClip]]:
    """Split the clips of every class into training and validation; takes of one original stay together.

    A class with a single original is in training only: without training it would never be detected.
    """
    held_out: set[tuple[str, str]] = set()
    for label in sorted({clip.clip.label for clip in clips}):
        sources = {clip.clip.source for clip in clips if clip.clip.label == label}
        # Order by the hashes of the names: random, and the same in every run.
        names = sorted(sources, key=_hash)
        count = min(max(round(len(sources) * validation_share), 1), len(sources) - 1)
        held_out |= {(label, name) for name in names[:count]}
    sides: tuple[list[LoadedClip], list[LoadedClip]] = ([], [])
    for clip in clips:
        sides[(clip.clip.label, clip.clip.source) in held_out].append(clip)
    return sides


def _hash(name: str) -> bytes:
    return hashlib.sha256(name.encode()).digest()


@dataclass(frozen=True, slots=True)
class _Group:
    """A class, or a kind of sound of no class: folders of recordings, and the probability of each.

    A folder is drawn in proportion to the square root of its number of recordings, so that rare labels are frequent, but a
    single recording is not as frequent as a hundred. A folder of a class counts as at most MAX_COUNTED_RECORDINGS recordings.
    """

    weight: float
    folders: tuple[tuple[LoadedClip, ...], ...]
    shares: NDArray[np.float64]

    @classmethod
    def of(cls, kind: str, folders: Sequence[Sequence[LoadedClip]]) -> "_Group":
        of_class = folders[0][0].class_index != NO_CLASS
        sizes = np.sqrt([min(len(folder), MAX_COUNTED_RECORDINGS) if of_class else len(folder) for folder in folders])
        weight = MIXED_WEIGHT if kind in (*BACKGROUND_CLASSES, OTHER) else 1.0
        return cls(weight, tuple(map(tuple, folders)), sizes / sizes.sum())

    def draw(self, rng: np.random.Generator) -> LoadedClip:
        folder = self.folders[int(rng.choice(len(self.folders), p=self.shares))]
        return folder[int(rng.integers(0, len(folder)))]


@dataclass(frozen=True, slots=True)
class MixtureSettings:
    """Table [mixtures] of a recipe.

    Attributes:
        sequences: number of sequences.
        context_frames: frames of the longest sequence.
        validation_share: share of the original recordings held out for validation.
        seed: of all random draws.

    """

    sequences: int
    context_frames: int
    validation_share: float
    seed: int

    def __post_init__(self) -> None:
        """Check the ranges."""
        require_positive(self, "sequences", "context_frames", "validation_share")
        require_not_negative(self, "seed")
        require_share(self, "validation_share", below=0.99)


class Composer:
    """Composes sequences of 1 to `max_frames` frames. Sequence k of a seed is always the same.

    Args:
        clips: labelled clips and background.
        max_frames: frames of the longest sequence.
        seed: of all random draws.
        hard_negatives: for each class, the clips of no class that are most easily confused with it.

    """

    def __init__(
        self, clips: Sequence[LoadedClip], max_frames: int, seed: int, hard_negatives: Sequence[Sequence[LoadedClip]] = ()
    ) -> None:
        self._max_frames, self._seed = max_frames, seed
        self._backgrounds = Backgrounds(seed, room_tones(clip.samples for clip in clips if clip.clip.fold == NO_FOLD))
        groups: dict[tuple[int, str], dict[Path, list[LoadedClip]]] = {}
        for clip in clips:
            kind = kind_of(clip.clip.label) if clip.class_index == NO_CLASS else clip.clip.label
            groups.setdefault((clip.class_index, kind), {}).setdefault(clip.clip.path.parent, []).append(clip)
        self._groups = [_Group.of(kind, list(groups[index, kind].values())) for index, kind in sorted(groups)]
        self._groups += [_Group(HARD_NEGATIVES_WEIGHT, (tuple(clips),), np.ones(1)) for clips in hard_negatives if clips]
        weights = np.array([group.weight for group in self._groups])
        self._shares = weights / weights.sum()

    def compose(self, number: int) -> Scene:
        """Return sequence `number`."""
        rng = np.random.default_rng([self._seed, number])
        # A long sequence contains many shorter ones, so half have the full length.
        frames = self._max_frames if rng.random() < FULL_LENGTH_SHARE else int(rng.integers(1, self._max_frames + 1))
        length = scene_samples(frames)
        kind = rng.random()
        if kind < EMPTY_SHARE:
            noise = recorded(self._backgrounds.draw(rng, length), float(rng.uniform(-90.0, -15.0)), rng)
            return Scene(noise, ((),) * frames, (False,) * frames)
        if kind < EMPTY_SHARE + PLAIN_SHARE:
            return self._plain_clip(rng)
        clips = [self._draw_clip(rng) for _ in range(rng.choice(EVENT_COUNTS, p=EVENT_COUNT_SHARES))]
        events = [(clip.class_index, self._event(clip, rng, length)) for clip in clips]
        mix = np.sum([samples for _, samples in events], axis=0, dtype=np.float32)
        loudest = max(float(np.sqrt(_frame_energy(samples).max())) for _, samples in events)
        background = np.zeros(length, np.float32)
        if rng.random() >= QUIET_SHARE:
            level_db = 20.0 * math.log10(max(loudest, 1e-9)) - float(rng.uniform(0.0, 45.0))
            background = self._background(rng, length, level_db, level_db)
        # Labels are computed before level and room: these change event and background equally.
        audible = _audible_frames(events, background)
        mixed = mix + background
        if rng.random() < ECHO_SHARE:
            mixed = reverberant(mixed, rng)
        if rng.random() < TELEPHONE_SHARE:
            mixed = of_telephone(mixed)
        return _scene(_levelled(equalised(mixed, rng, depth_db=5.0), rng), clips, audible)

    def _plain_clip(self, rng: np.random.Generator) -> Scene:
        """Return a whole clip, changed only in level."""
        clip = self._draw_clip(rng)
        frames = max(len(clip.samples) - FRONT_END.frame_overlap_samples, 0) // FRONT_END.patch_step_samples
        samples = cut(clip.samples, 0, scene_samples(min(max(frames, 1), self._max_frames)))
        gain = gain_of_db(float(rng.uniform(-30.0, 6.0)))
        events = [(clip.class_index, samples)]
        return _scene(np.clip(samples * gain, -1.0, 1.0), [clip], _audible_frames(events, np.zeros_like(samples)))

    def _draw_clip(self, rng: np.random.Generator) -> LoadedClip:
        return self._groups[int(rng.choice(len(self._groups), p=self._shares))].draw(rng)

    @staticmethod
    def _event(clip: LoadedClip, rng: np.random.Generator, length: int) -> Float32:
        """Return a clip at a random speed, place and level; it may extend beyond both ends of the sequence."""
        active = np.flatnonzero(np.abs(clip.samples) > SILENT_RMS)
        samples = clip.samples[int(active[0]) : int(active[-1]) + 1] if len(active) else clip.samples
        factor = float(rng.uniform(*SPEEDS))
        sped = speed_changed(samples, factor, max(int(len(samples) / factor), 1))
        hidden = min(len(sped), length) // 2
        start = int(rng.integers(-(len(sped) - len(sped) // 3), length - hidden + 1))
        event = equalised(cut(sped, -start, length), rng, depth_db=5.0)
        level = max(float(np.sqrt(_frame_energy(event).max())), 1e-9)
        return np.asarray(event * gain_of_db(float(rng.uniform(-12.0, 0.0))) / np.float32(level), np.float32)

    def _background(self, rng: np.random.Generator, length: int, low_dbfs: float, high_dbfs: float) -> Float32:
        noise = self._backgrounds.draw(rng, length)
        return np.asarray(noise * gain_of_db(float(rng.uniform(low_dbfs, high_dbfs))), np.float32)


def _levelled(samples: Float32, rng: np.random.Generator) -> Float32:
    loudest = float(np.sqrt(_frame_energy(samples).max()))
    return recorded(samples / np.float32(max(loudest, 1e-9)), float(rng.uniform(*LEVELS_DBFS)), rng)


def _frame_energy(samples: Float32) -> NDArray[np.float64]:
    """Return the mean square of the samples in each frame's patch."""
    frames = (len(samples) - FRONT_END.frame_overlap_samples) // FRONT_END.patch_step_samples
    starts = np.arange(frames, dtype=np.int64) * FRONT_END.patch_step_samples
    return window_energy(samples, FRONT_END.patch_samples, starts)


def _audible_frames(events: Sequence[tuple[int, Float32]], background: Float32) -> list[NDArray[np.bool_]]:
    """Return for each event the frames in which it is audible."""
    energies = [_frame_energy(samples) for _, samples in events]
    total = np.sum([*energies, _frame_energy(background)], axis=0)
    found = []
    for energy in energies:
        audible = (energy > SILENT_RMS**2) & (energy >= energy.max() * 10.0 ** (-ACTIVE_RANGE_DB / 10.0))
        found.append(audible & (energy >= (total - energy) * 10.0 ** (-MASKED_DB / 10.0)))
    return found


def _scene(samples: Float32, clips: Sequence[LoadedClip], audible: Sequence[NDArray[np.bool_]]) -> Scene:
    frames = len(audible[0])
    labels: list[set[int]] = [set() for _ in range(frames)]
    unlabelled = np.zeros(frames, np.bool_)
    for clip, audible_frames in zip(clips, audible, strict=True):
        if clip.class_index == NO_CLASS:
            unlabelled |= audible_frames
            continue
        for frame in np.flatnonzero(audible_frames):
            labels[frame].add(clip.class_index)
    folds = tuple(sorted({clip.clip.fold for clip in clips} - {NO_FOLD}))
    return Scene(samples, tuple(tuple(sorted(classes)) for classes in labels), tuple(unlabelled.tolist()), folds)
