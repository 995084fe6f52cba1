"""YAMNet baseline, measured beside a bundle on the same sound.

The probability of a class is the highest of YAMNet's 521 scores among the class's AudioSet labels. A class without labels has
those of the table below, by its AudioSet identifier: its own label, the labels of its kinds, and a more general label that is
commonly used for the sound, such as "Dog" for barks. By identifier, YAMNet is wrong on 8 of the 320 clips of folds 1 to 4 of
ESC-10 (tests/unit/convert/embedder/test_yamnet.py).
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from convert.embedder.pseudo_labels import Doubts
from convert.embedder.tagger import Tagger
from convert.embedder.yamnet_labels import read_labels
from edge_detector.class_names import ClassName
from edge_detector.detection.bundle import SoundClass
from edge_detector.detection.hysteresis import Rule
from edge_detector.errors import UsageError
from edge_detector.params import FRONT_END
from edge_detector.types import Float32

NAMES_BY_MID = {
    "/m/04rlf": ("Music", "Musical instrument"),
    "/m/05tny_": ("Bark", "Bow-wow", "Yip", "Dog"),
    "/m/01hsr_": ("Sneeze",),
    "/m/01j4z9": ("Chainsaw",),
    "/m/034srq": ("Waves, surf", "Ocean"),
    "/m/06mb1": ("Rain", "Raindrop", "Rain on surface"),
    "/m/07pzfmf": ("Crackle", "Fire"),
    "/m/07qjznl": ("Tick-tock", "Tick", "Clock"),
    "/m/07qn5dc": ("Crowing, cock-a-doodle-doo", "Chicken, rooster"),
    "/m/09ct_": ("Helicopter",),
    "/m/09x0r": ("Speech", "Child speech, kid speaking", "Conversation", "Narration, monologue", "Speech synthesizer"),
    "/t/dd00002": ("Baby cry, infant cry", "Crying, sobbing"),
}

EXAMPLE_STEP_SAMPLES = FRONT_END.patch_step_samples // 2
"""Step of Google's example code: 0.48 s."""

FRIGATE_STEP_SAMPLES = FRONT_END.patch_samples
FRIGATE_LOWEST_RMS = 500.0 / 32_768.0
FRIGATE_RULE = Rule(on=math.nextafter(0.8, 1.0), off=math.nextafter(0.8, 1.0), hold_seconds=30.0, max_seconds=86_400.0)
"""Frigate's policy and defaults: events/audio.py, const.py and config/camera/audio.py of blakeblackshear/frigate at 5e68fabe.

Frigate scores consecutive windows of 0.975 s (AUDIO_DURATION) and skips windows whose RMS is below 500 of 32,768 (`min_volume`).
A score *above* 0.8 (`filters: threshold`) switches a label on, until 30 s have passed without one (`max_not_heard`). This
baseline is more favourable than Frigate: there `Dog` and `Bark` are two events, and an event starts when it is announced, here
with its window.
"""


class YamnetBaseline:
    """YAMNet's probabilities of a bundle's classes.

    Args:
        path: .tflite file; its labels are in it, or beside it.
        classes: the bundle's classes.

    Attributes:
        deaf_to: slugs of classes without AudioSet labels and without an identifier in the table; YAMNet never detects them.
        doubts: uncertainty of the classes by YAMNet's labels.

    """

    def __init__(self, path: Path, classes: Sequence[SoundClass | ClassName]) -> None:
        self._tagger = Tagger(path)
        columns_of_classes = columns_of(path, self._tagger.classes, classes)
        self.deaf_to = tuple(sound.slug for sound, columns in zip(classes, columns_of_classes, strict=True) if not columns)
        self.doubts = Doubts.of(read_labels(path), [names_of(sound) for sound in classes])

    def probabilities(self, samples: Float32, step_samples: int) -> Float32:
        """Return float32 (windows, classes); an incomplete window at the end is left out, as in the detector."""
        return self.doubts.likeliest(self.scores(samples, step_samples))

    def scores(self, samples: Float32, step_samples: int) -> Float32:
        """Return the scores of all labels, float32 (windows, labels)."""
        return self._tagger.scores(windows(samples, step_samples))

    def probabilities_in_frigate(self, samples: Float32) -> Float32:
        """Return the probabilities in Frigate's windows, 0 in quiet ones."""
        found = self.probabilities(samples, FRIGATE_STEP_SAMPLES)
        for row, window in zip(found, windows(samples, FRIGATE_STEP_SAMPLES), strict=True):
            if float(np.sqrt(np.mean(np.square(window, dtype=np.float64)))) < FRIGATE_LOWEST_RMS:
                row[:] = 0.0
        return found


def names_of(sound: SoundClass | ClassName) -> tuple[str, ...]:
    """Return the AudioSet labels of a class: its own, or those of its identifier; empty if it has neither."""
    return sound.audioset or NAMES_BY_MID.get(sound.mid or "", ())


def by_identifier(sound: SoundClass) -> SoundClass:
    """Return the class with the labels that the table has for its identifier, if any, instead of its own."""
    return replace(sound, audioset=()) if sound.mid in NAMES_BY_MID else sound


def windows(samples: Float32, step_samples: int) -> Float32:
    """Return windows float32 (n, 15600) of a recording, padded with silence to one window."""
    if len(samples) < FRONT_END.patch_samples:
        samples = np.pad(samples, (0, FRONT_END.patch_samples - len(samples)))
    return np.lib.stride_tricks.sliding_window_view(samples, FRONT_END.patch_samples)[::step_samples]


def columns_of(path: Path, scores: int, classes: Sequence[SoundClass | ClassName]) -> list[list[int]]:
    """Return the columns of YAMNet's scores for each class; empty without labels and without an identifier in the table.

    Args:
        path: .tflite file; its labels are in it, or beside it.
        scores: number of its scores.
        classes: the bundle's classes.

    Raises:
        UsageError: the labels cannot be read, are of another model, or lack one that a class names.

    """
    names = read_labels(path)
    if len(names) != scores:
        raise UsageError(f"{path} comes with {len(names)} labels and gives {scores} scores; give YAMNet's own list")
    numbers = {name: index for index, name in enumerate(names)}
    wanted = [names_of(sound) for sound in classes]
    for sound, own in zip(classes, wanted, strict=True):
        if unknown := [name for name in own if name not in numbers]:
            raise UsageError(
                f"{path} has no label {unknown[0]!r}, which the class {sound.slug} is made of; give YAMNet's own file"
            )
    return [[numbers[name] for name in own] for own in wanted]
