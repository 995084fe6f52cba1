"""Labelled clips made of tones and noise, small enough to train on in a test."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile

from convert.records.forms import Record
from convert.sequence.probe_codes import stream_codes
from edge_detector.audio.clips import Clip, LoadedClip
from edge_detector.types import Float32

RATE_HZ = 16_000
LABELS = ("beep", "hiss", "thump")
EXAMPLE_LABELS = ("a", "b", "c")


def sound(label: str, seed: int, seconds: float = 2.0) -> Float32:
    """A short event of one of three kinds, then digital silence, as ESC-10's clips have it."""
    rng = np.random.default_rng([seed, LABELS.index(label)])
    time = np.arange(int(seconds * RATE_HZ)) / RATE_HZ
    made = {
        "beep": np.sin(2 * np.pi * rng.uniform(900, 1_100) * time),
        "hiss": rng.standard_normal(len(time)),
        "thump": np.sin(2 * np.pi * rng.uniform(130, 170) * time) * np.exp(-6.0 * (time % 0.3)),
    }[label]
    made[int(0.7 * len(time)) :] = 0.0
    return np.asarray(0.3 * made / np.abs(made).max(), np.float32)


def write_clips(folder: Path, folds: int = 3, takes: int = 2) -> Path:
    """FOLDER/LABEL/FOLD-SOURCE-TAKE.wav."""
    for label in LABELS:
        (folder / label).mkdir(parents=True)
        for fold in range(1, folds + 1):
            for take in range(takes):
                samples = sound(label, 10 * fold + take)
                soundfile.write(folder / label / f"{fold}-{fold}{take}-A.wav", samples, RATE_HZ, subtype="PCM_16")
    return folder


def write_recordings(folder: Path, takes: int = 4) -> Path:
    """FOLDER/LABEL of the oven/take N.wav, as a person calls recordings."""
    for label in LABELS:
        place = folder / f"{label.capitalize()} of the oven"
        place.mkdir(parents=True)
        for take in range(takes):
            soundfile.write(place / f"take {take}.wav", sound(label, take), RATE_HZ, subtype="PCM_16")
    return folder


def loaded(label: str, seed: int = 0, seconds: float = 2.0) -> LoadedClip:
    """One such clip in memory."""
    clip = Clip(Path(f"{label}/1-{seed}-A.wav"), label, 1, f"1-{seed}")
    return LoadedClip(clip, LABELS.index(label), sound(label, seed, seconds))


def examples(count: int, seed: int = 0, frames: int = 6) -> Iterator[Record]:
    """Embedding records whose classes can be heard: each raises some components."""
    rng = np.random.default_rng(seed)
    for number in range(count):
        labels = tuple(int(label) for label in np.flatnonzero(rng.uniform(size=len(EXAMPLE_LABELS)) < 0.4))
        codes = stream_codes(int(rng.integers(1, frames + 1)), seed=1_000 * seed + number).astype(int)
        for label in labels:
            codes[:, 20 * label : 20 * label + 20] += 60
        yield Record(f"example-{number}", 0.0, 10.0, labels, np.clip(codes, 0, 255).astype(np.uint8))
