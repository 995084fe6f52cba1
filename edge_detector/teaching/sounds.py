"""Recordings for teaching: parts, separation of sound from room, the user's background, and synthetic negatives."""

import hashlib
import os
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_detector.audio.activity import window_energy
from edge_detector.audio.clips import AUDIO_SUFFIXES, LoadedClip
from edge_detector.demo.soundscape import VOICINGS, make_soundscape
from edge_detector.errors import UsageError
from edge_detector.params import FRONT_END
from edge_detector.teaching.recordings import Bounds, read_rooms
from edge_detector.types import Float32

WINDOW_SAMPLES = FRONT_END.sample_rate_hz // 20
FLOOR_SHARE = 0.1
"""Quantile of frame level taken as the room level."""

STEADY_RANGE_DB = 15.0
"""A clip with a smaller range between loudest and quietest part is all sound: a fan, rain."""

ABOVE_ROOM_DB = 6.0
TAIL_SECONDS = 0.2
"""Margin before and after the active part that still counts as sound."""

SHORTEST_ROOM_SECONDS = 0.5
FADE_SAMPLES = FRONT_END.sample_rate_hz // 100
SHORTEST_HALVED_SECONDS = 20.0
PIECE_SECONDS = 10.0
SYNTHETIC_SEEDS, SYNTHETIC_SECONDS = 3, 5.0


def split_into_parts(clips: Sequence[LoadedClip], parts: int) -> list[list[LoadedClip]]:
    """Split the clips into parts stratified by class; takes of one original stay together."""
    found: list[list[LoadedClip]] = [[] for _ in range(parts)]
    for label in sorted({clip.clip.label for clip in clips}):
        of_label = [clip for clip in clips if clip.clip.label == label]
        # Ordered by the hash of the name: deterministic, but independent of naming.
        sources = sorted({clip.clip.source for clip in of_label}, key=lambda name: hashlib.sha256(os.fsencode(name)).digest())
        for clip in of_label:
            found[sources.index(clip.clip.source) % parts].append(clip)
    return found


def split_from_room(samples: Float32) -> tuple[Float32, Float32]:
    """Split a recording into its sound, with digital silence elsewhere, and its room: the rest, joined.

    Frames are labelled by energy: without the split, frames of room noise get the label of the sound.
    """
    energy = window_energy(samples, WINDOW_SAMPLES, np.arange(0, len(samples), WINDOW_SAMPLES, dtype=np.int64))
    floor, loudest = float(np.quantile(energy, FLOOR_SHARE)), float(energy.max())
    if loudest <= floor * 10.0 ** (STEADY_RANGE_DB / 10.0):
        return samples, np.zeros(0, np.float32)
    sounding = _widened(energy > floor * 10.0 ** (ABOVE_ROOM_DB / 10.0))
    here = np.repeat(sounding, WINDOW_SAMPLES)[: len(samples)].astype(np.float32)
    # Fade: a step to silence clicks.
    fade = np.convolve(here, np.full(FADE_SAMPLES, 1.0 / FADE_SAMPLES, np.float32), mode="same")
    return (samples * fade).astype(np.float32), samples[here == 0.0]


def _widened(sounding: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Extend the active part by the margin, and fill short pauses."""
    seconds = WINDOW_SAMPLES / FRONT_END.sample_rate_hz
    wide = np.convolve(sounding, np.ones(2 * round(TAIL_SECONDS / seconds) + 1), mode="same") > 0
    edges = np.flatnonzero(np.diff(np.concatenate([[True], wide, [True]])))
    for start, end in zip(edges[::2], edges[1::2], strict=True):
        if (end - start) * seconds < SHORTEST_ROOM_SECONDS:
            wide[start:end] = True
    return np.asarray(wide, np.bool_)


def halve_background(folders: Sequence[Path], bounds: Bounds | None = None) -> tuple[list[Float32], list[Float32]]:
    """Load all recordings below the folders: one half for training, in pieces, the other for thresholds.

    A long recording is split in its middle; short ones alternate. Raises UsageError for a folder without recordings.
    """
    halves: tuple[list[Float32], list[Float32]] = ([], [])
    for folder in folders:
        paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in AUDIO_SUFFIXES and path.name[0] != ".")
        if not paths:
            raise UsageError(f"{folder} holds no recordings (wav, ogg, opus, flac, mp3, aiff); record the room into it")
        for number, samples in enumerate(read_rooms(paths, bounds)):
            if len(samples) >= SHORTEST_HALVED_SECONDS * FRONT_END.sample_rate_hz:
                halves[0].append(samples[: len(samples) // 2])
                halves[1].append(samples[len(samples) // 2 :])
            else:
                halves[number % 2].append(samples)
    return [piece for samples in halves[0] for piece in _pieces(samples)], halves[1]


def _pieces(samples: Float32) -> list[Float32]:
    size = round(PIECE_SECONDS * FRONT_END.sample_rate_hz)
    cut = [samples[first : first + size] for first in range(0, len(samples), size)]
    return [piece for piece in cut if len(piece) >= FRONT_END.patch_samples]


def synthetic_sounds(labels: Sequence[str]) -> list[Float32]:
    """Synthesise everyday sounds, except those of these labels."""
    return [_synthetic(slug, seed) for slug in VOICINGS if slug not in labels for seed in range(SYNTHETIC_SEEDS)]


@cache
def _synthetic(slug: str, seed: int) -> Float32:
    """Synthesise one sound, always the same; it takes half a second."""
    soundscape = make_soundscape(seed, ((slug, SYNTHETIC_SECONDS),))
    (event,) = soundscape.events
    return soundscape.block.samples[event.first_sample : event.end_sample]
