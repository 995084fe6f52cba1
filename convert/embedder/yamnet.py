"""YAMNet as people use it, to be measured beside a bundle on the very same sound.

Its 521 scores become probabilities of our classes: of each class the highest score of its AudioSet labels. A class that names
none has those below, by AudioSet's identifier: its own, its kinds, and the one above it where that is what people would call the
sound: whoever asks YAMNet for barks takes "Dog" too. Asked for the ten classes of ESC-10 by identifier, it is wrong on 8 of the
320 clips of folds 1 to 4 (tests/unit/convert/embedder/test_yamnet.py).
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from convert.embedder.pseudo_labels import Doubts
from convert.embedder.tagger import Tagger
from convert.embedder.yamnet_labels import read_labels
from convert.records.classes import ClassName
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
"""Google's own example code takes a window every 0.48 s."""

FRIGATE_STEP_SAMPLES = FRONT_END.patch_samples
FRIGATE_LOWEST_RMS = 500.0 / 32_768.0
FRIGATE_RULE = Rule(on=math.nextafter(0.8, 1.0), off=math.nextafter(0.8, 1.0), hold_seconds=30.0, max_seconds=86_400.0)
"""Frigate's policy and defaults: events/audio.py, const.py and config/camera/audio.py of blakeblackshear/frigate at 5e68fabe.

It takes one window of 0.975 s after the other (AUDIO_DURATION) and passes over those whose RMS is below 500 of 32,768
(`min_volume`). A score *above* 0.8 (`filters: threshold`) switches a label on, and it stays on until 30 s have passed without
one (`max_not_heard`). Kinder than the original: there `Dog` and `Bark` would be two events, and an event's start is the moment
of its announcement, here the start of its window.
"""


class YamnetBaseline:
    """YAMNet's probabilities of our classes.

    Args:
        path: the .tflite file; its labels are in it, or beside it.
        classes: ours. Those without AudioSet labels and without an identifier in the table are never detected: `deaf_to`.

    """

    def __init__(self, path: Path, classes: Sequence[SoundClass | ClassName]) -> None:
        self._tagger = Tagger(path)
        columns_of_classes = columns_of(path, self._tagger.classes, classes)
        self.deaf_to = tuple(sound.slug for sound, columns in zip(classes, columns_of_classes, strict=True) if not columns)
        self.doubts = Doubts.of(read_labels(path), [names_of(sound) for sound in classes])

    def probabilities(self, samples: Float32, step_samples: int) -> Float32:
        """Float32 (windows, classes); what does not fill a window at the end is left out, as our detector does."""
        return self.doubts.likeliest(self.scores(samples, step_samples))

    def scores(self, samples: Float32, step_samples: int) -> Float32:
        """Of all labels, float32 (windows, labels)."""
        return self._tagger.scores(windows(samples, step_samples))

    def probabilities_in_frigate(self, samples: Float32) -> Float32:
        """The same as Frigate sees them: in quiet windows nothing."""
        found = self.probabilities(samples, FRIGATE_STEP_SAMPLES)
        for row, window in zip(found, windows(samples, FRIGATE_STEP_SAMPLES), strict=True):
            if float(np.sqrt(np.mean(np.square(window, dtype=np.float64)))) < FRIGATE_LOWEST_RMS:
                row[:] = 0.0
        return found


def names_of(sound: SoundClass | ClassName) -> tuple[str, ...]:
    """The labels that a class is made of: its own, or those of its identifier; empty where it has neither."""
    return sound.audioset or NAMES_BY_MID.get(sound.mid or "", ())


def by_identifier(sound: SoundClass) -> SoundClass:
    """The class made of the labels that the table has for its identifier, where it has some."""
    return replace(sound, audioset=()) if sound.mid in NAMES_BY_MID else sound


def windows(samples: Float32, step_samples: int) -> Float32:
    """Windows float32 (n, 15600) of one recording; one shorter than a window has silence after it."""
    if len(samples) < FRONT_END.patch_samples:
        samples = np.pad(samples, (0, FRONT_END.patch_samples - len(samples)))
    return np.lib.stride_tricks.sliding_window_view(samples, FRONT_END.patch_samples)[::step_samples]


def columns_of(path: Path, scores: int, classes: Sequence[SoundClass | ClassName]) -> list[list[int]]:
    """For each of our classes, which of YAMNet's scores speak for it; none for one without labels or an identifier in the table.

    Args:
        path: the .tflite file; its labels are in it, or beside it.
        scores: how many it gives.
        classes: ours.

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
