"""Training sequences composed from clips: events in background, and for every frame the classes that sound in it."""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from convert.data.activity import cut, window_energy
from convert.data.augment import equalised, gain_of_db, recorded, reverberant, speed_changed
from convert.data.background import Backgrounds
from convert.data.clips import NO_CLASS, LoadedClip, is_background
from edge_detector.params import FRONT_END
from edge_detector.types import Float32

ACTIVE_RANGE_DB = 45.0
"""A class sounds in a frame when its event is there within this range of the event's own loudest frame."""

BURIED_DB = 25.0
"""... and not further than this below everything else in the frame, where nobody could hear it."""

SILENT_RMS = 1e-5
EMPTY_SHARE, PLAIN_SHARE, QUIET_SHARE, FULL_LENGTH_SHARE = 0.12, 0.2, 0.3, 0.5
BACKGROUND_WEIGHT = 2.0
"""How much oftener speech, music and what is of no class are drawn than one of the other classes."""

ECHO_SHARE = 0.25
EVENT_COUNTS, EVENT_COUNT_SHARES = (1, 2, 3), (0.6, 0.3, 0.1)
SPEEDS = (0.85, 1.18)


@dataclass(frozen=True, slots=True)
class Scene:
    """A composed sequence.

    Attributes:
        samples: float32, 16 kHz mono, a whole number of frames long.
        frame_labels: class indices that sound in each frame, ascending.

    """

    samples: Float32
    frame_labels: tuple[tuple[int, ...], ...]

    @property
    def labels(self) -> tuple[int, ...]:
        """Classes that sound anywhere in it."""
        return tuple(sorted({index for found in self.frame_labels for index in found}))


def scene_samples(frames: int) -> int:
    """Samples that give exactly `frames` embeddings."""
    return frames * FRONT_END.patch_step_samples + FRONT_END.frame_overlap_samples


def split_by_source(clips: Sequence[LoadedClip], validation_share: float) -> tuple[list[LoadedClip], list[LoadedClip]]:
    """Clips to learn from and clips to validate on, of every class; takes of one original stay together.

    A class of a single original is learnt from alone: validated on but never learnt, it would never be heard.
    """
    held_out: set[tuple[str, str]] = set()
    for label in sorted({clip.clip.label for clip in clips}):
        sources = {clip.clip.source for clip in clips if clip.clip.label == label}
        # Shuffled by the hashes of their names: the same in every run, and in no order that anybody chose.
        names = sorted(sources, key=_hash)
        count = min(max(round(len(sources) * validation_share), 1), len(sources) - 1)
        held_out |= {(label, name) for name in names[:count]}
    sides: tuple[list[LoadedClip], list[LoadedClip]] = ([], [])
    for clip in clips:
        sides[(clip.clip.label, clip.clip.source) in held_out].append(clip)
    return sides


def _hash(name: str) -> bytes:
    return hashlib.sha256(name.encode()).digest()


class Composer:
    """Composes scenes of 1 to `max_frames` frames. Scene k of a seed is always the same."""

    def __init__(self, clips: Sequence[LoadedClip], max_frames: int, seed: int) -> None:
        self._clips, self._max_frames, self._seed = clips, max_frames, seed
        self._backgrounds = Backgrounds(seed)
        self._by_class: dict[int, list[LoadedClip]] = {}
        for clip in clips:
            self._by_class.setdefault(clip.class_index, []).append(clip)
        self._classes = sorted(self._by_class)
        weights = np.array([BACKGROUND_WEIGHT if is_background(self._by_class[index][0]) else 1.0 for index in self._classes])
        self._shares = weights / weights.sum()

    def compose(self, number: int) -> Scene:
        """Scene `number`."""
        rng = np.random.default_rng([self._seed, number])
        # Long scenes hold many prefixes, so half are of full length.
        frames = self._max_frames if rng.random() < FULL_LENGTH_SHARE else int(rng.integers(1, self._max_frames + 1))
        length = scene_samples(frames)
        kind = rng.random()
        if kind < EMPTY_SHARE:
            return Scene(recorded(self._backgrounds.draw(rng, length), float(rng.uniform(-90.0, -15.0)), rng), ((),) * frames)
        if kind < EMPTY_SHARE + PLAIN_SHARE:
            return self._plain_clip(rng)
        events = [self._event(rng, length) for _ in range(rng.choice(EVENT_COUNTS, p=EVENT_COUNT_SHARES))]
        mix = np.sum([samples for _, samples in events], axis=0, dtype=np.float32)
        loudest = max(float(np.sqrt(_frame_energy(samples).max())) for _, samples in events)
        background = np.zeros(length, np.float32)
        if rng.random() >= QUIET_SHARE:
            level_db = 20.0 * math.log10(max(loudest, 1e-9)) - float(rng.uniform(0.0, 45.0))
            background = self._background(rng, length, level_db, level_db)
        # Labels are found before level and room change: they move event and background alike.
        labels = _frame_labels(events, background)
        heard = mix + background
        if rng.random() < ECHO_SHARE:
            heard = reverberant(heard, rng)
        return Scene(_levelled(equalised(heard, rng, depth_db=5.0), rng), labels)

    def _plain_clip(self, rng: np.random.Generator) -> Scene:
        """A whole clip as it is, but for its level."""
        clip = self._draw_clip(rng)
        frames = max(len(clip.samples) - FRONT_END.frame_overlap_samples, 0) // FRONT_END.patch_step_samples
        samples = cut(clip.samples, 0, scene_samples(min(max(frames, 1), self._max_frames)))
        gain = gain_of_db(float(rng.uniform(-20.0, 6.0)))
        return Scene(np.clip(samples * gain, -1.0, 1.0), _frame_labels([(clip.class_index, samples)], np.zeros_like(samples)))

    def _draw_clip(self, rng: np.random.Generator) -> LoadedClip:
        of_class = self._by_class[self._classes[int(rng.choice(len(self._classes), p=self._shares))]]
        return of_class[int(rng.integers(0, len(of_class)))]

    def _event(self, rng: np.random.Generator, length: int) -> tuple[int, Float32]:
        """One clip at a random speed, place and level; it may start before the scene or outlast it."""
        clip = self._draw_clip(rng)
        sounding = np.flatnonzero(np.abs(clip.samples) > SILENT_RMS)
        samples = clip.samples[int(sounding[0]) : int(sounding[-1]) + 1] if len(sounding) else clip.samples
        factor = float(rng.uniform(*SPEEDS))
        sped = speed_changed(samples, factor, max(int(len(samples) / factor), 1))
        hidden = min(len(sped), length) // 2
        start = int(rng.integers(-(len(sped) - len(sped) // 3), length - hidden + 1))
        event = equalised(cut(sped, -start, length), rng, depth_db=5.0)
        level = max(float(np.sqrt(_frame_energy(event).max())), 1e-9)
        return clip.class_index, event * gain_of_db(float(rng.uniform(-12.0, 0.0))) / np.float32(level)

    def _background(self, rng: np.random.Generator, length: int, low_dbfs: float, high_dbfs: float) -> Float32:
        noise = self._backgrounds.draw(rng, length)
        return np.asarray(noise * gain_of_db(float(rng.uniform(low_dbfs, high_dbfs))), np.float32)


def _levelled(samples: Float32, rng: np.random.Generator) -> Float32:
    loudest = float(np.sqrt(_frame_energy(samples).max()))
    return recorded(samples / np.float32(max(loudest, 1e-9)), float(rng.uniform(-50.0, -8.0)), rng)


def _frame_energy(samples: Float32) -> NDArray[np.float64]:
    """Mean square of the samples under each frame's patch."""
    frames = (len(samples) - FRONT_END.frame_overlap_samples) // FRONT_END.patch_step_samples
    starts = np.arange(frames, dtype=np.int64) * FRONT_END.patch_step_samples
    return window_energy(samples, FRONT_END.patch_samples, starts)


def _frame_labels(events: Sequence[tuple[int, Float32]], background: Float32) -> tuple[tuple[int, ...], ...]:
    energies = [_frame_energy(samples) for _, samples in events]
    total = np.sum([*energies, _frame_energy(background)], axis=0)
    found: list[set[int]] = [set() for _ in total]
    for (class_index, _), energy in zip(events, energies, strict=True):
        audible = (energy > SILENT_RMS**2) & (energy >= energy.max() * 10.0 ** (-ACTIVE_RANGE_DB / 10.0))
        audible &= energy >= (total - energy) * 10.0 ** (-BURIED_DB / 10.0)
        # What is of no class masks what sounds with it, like everything else, and is not asked for.
        for frame in np.flatnonzero(audible) if class_index != NO_CLASS else ():
            found[frame].add(class_index)
    return tuple(tuple(sorted(classes)) for classes in found)
