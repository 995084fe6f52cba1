"""Training scenes: a recording at another speed, spectrum and level, in its room or in noise."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_detector.audio.activity import window_energy
from edge_detector.params import FRONT_END
from edge_detector.teaching.augment import equalised, gain_of_db, rms, speed_changed
from edge_detector.teaching.noise import Backgrounds
from edge_detector.types import Float32

SPEEDS = (0.85, 1.18)
EQUALISED_SHARE, EQUALISED_DB = 0.7, 6.0
LEVELS_DBFS = (-50.0, -12.0)
"""Level of a sound's loudest window: from the next room to beside the microphone."""

SILENT_SHARE, ROOM_SHARE = 0.2, 0.4
"""Shares of scenes in digital silence and in the recording's own room; the rest is in noise."""

ABOVE_BACKGROUND_DB = (5.0, 45.0)
LEAD_SECONDS, TAIL_SECONDS = (0.0, 2.5), (0.5, 1.5)
ACTIVE_RANGE_DB = 45.0
"""A frame holds the sound only if the sound is within this range of its loudest frame."""

MASKED_DB = 25.0
"""A frame holds the sound only if the sound is at most this far below the background; a weaker one is inaudible."""


@dataclass(frozen=True, slots=True)
class Scene:
    """A recording in a background.

    Attributes:
        samples: float32 (n,), mono, 16 kHz.
        sounding: for each frame of 0.96 s, whether it holds the sound.

    """

    samples: Float32
    sounding: NDArray[np.bool_]


class SceneMaker:
    """Makes scenes of recordings.

    Args:
        seed: of the noise.

    """

    def __init__(self, seed: int) -> None:
        self._noise = Backgrounds(seed)

    def make(self, sound: Float32, room: Float32, rng: np.random.Generator) -> Scene:
        """Return a scene of a recording that is not silent, as `split_from_room` gives its sound and its room."""
        factor = rng.uniform(*SPEEDS)
        sound = speed_changed(sound, factor, max(round(len(sound) / factor), 1))
        if rng.random() < EQUALISED_SHARE:
            sound = equalised(sound, rng, EQUALISED_DB)
        lead, tail = (round(rng.uniform(*seconds) * FRONT_END.sample_rate_hz) for seconds in (LEAD_SECONDS, TAIL_SECONDS))
        # A frame must reach the end of the sound.
        frames = 1 + max(0, math.ceil((lead + len(sound) - FRONT_END.patch_samples) / FRONT_END.patch_step_samples))
        reached = (frames - 1) * FRONT_END.patch_step_samples + FRONT_END.patch_samples
        sound = np.pad(sound, (lead, max(tail, reached - lead - len(sound))))
        starts = np.arange(0, len(sound) - FRONT_END.patch_samples + 1, FRONT_END.patch_step_samples, dtype=np.int64)
        level = gain_of_db(rng.uniform(*LEVELS_DBFS))
        loudest = float(np.sqrt(window_energy(sound, FRONT_END.patch_samples, starts).max()))
        sound = np.asarray(sound * (level / max(loudest, 1e-9)), np.float32)
        background = self._background(room, len(sound), rng) * (level * gain_of_db(-rng.uniform(*ABOVE_BACKGROUND_DB)))
        energy, behind = (window_energy(part, FRONT_END.patch_samples, starts) for part in (sound, background))
        audible = (energy > 0.0) & (energy >= behind * 10.0 ** (-MASKED_DB / 10.0))
        return Scene(
            samples=np.clip(sound + background, -1.0, 1.0).astype(np.float32),
            sounding=audible & (energy >= energy.max() * 10.0 ** (-ACTIVE_RANGE_DB / 10.0)),
        )

    def _background(self, room: Float32, length_samples: int, rng: np.random.Generator) -> Float32:
        """Return silence, the room from a random place on, or noise; the latter two at RMS 1."""
        drawn = rng.random()
        if drawn < SILENT_SHARE:
            return np.zeros(length_samples, np.float32)
        if drawn < SILENT_SHARE + ROOM_SHARE and len(room) >= FRONT_END.patch_samples and (level := rms(room)) > 0.0:
            start = int(rng.integers(len(room)))
            there = np.take(room, np.arange(start, start + length_samples), mode="wrap")
            return np.asarray(there / np.float32(level), np.float32)
        return self._noise.draw(rng, length_samples)
