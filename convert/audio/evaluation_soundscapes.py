"""Evaluation soundscapes: held-out clips in background, minutes long like a real stream, with their true events.

Every clip is placed once in a round. At each signal-to-noise ratio, a soundscape has the same clips at the same places, in the
same rooms and the same background; only the level of the background differs. The rules:

- All clips of a soundscape have the same level, measured over their active parts (see below); the signal-to-noise ratio sets the
  level of the background. Some sounds overlap; between most, a few seconds pass, and between some, many.
- The background changes every 15 to 45 s: silence, synthetic noise of three colours, or real sound of the given folders.
- A share of the clips has the reverberation of a room.
- A class is active in a frame of 50 ms if its clip is there within 25 dB of the clip's loudest frame and at most 10 dB below
  everything else together: clips have pauses and end in silence, and a masked sound cannot be detected.
- Active frames of one class with a gap shorter than `JOINED_SECONDS` of `metrics.events` are one event.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from convert.audio.augment import reverberant
from convert.metrics.events import SoundEvent, merge_close
from edge_detector.audio.clips import LoadedClip
from edge_detector.demo.synthesis import band, noise, tilted
from edge_detector.params import FRONT_END
from edge_detector.teaching.augment import gain_of_db, rms
from edge_detector.types import Float32

CLIPS_PER_SCENE = 16
FRAME_SAMPLES = FRONT_END.sample_rate_hz // 20
ACTIVE_RANGE_DB = 25.0
MASKED_DB = 10.0

EVENTS_DBFS = (-28.0, -18.0)
"""Levels above the volume that Frigate needs to run its detector."""

LEAD_SECONDS = 5.0
PAUSES_SECONDS, LONG_PAUSES_SECONDS = (1.0, 8.0), (20.0, 40.0)
LONG_PAUSE_SHARE, OVERLAP_SHARE, ECHO_SHARE = 0.08, 0.2, 0.4
ECHO_SECONDS = 0.5
BACKGROUND_SECONDS = (15.0, 45.0)
FADE_SECONDS = 0.02
SILENCE = "silence"
COLOURS_DB_PER_OCTAVE = {"white noise": 0.0, "pink noise": -3.0, "brown noise": -6.0}


@dataclass(frozen=True, slots=True)
class ScoredScene:
    """A soundscape with its true events.

    Attributes:
        samples: float32, 16 kHz mono.
        events: audible events in order of onset, those of a class merged across short gaps.
        labels: classes of all soundscapes.

    """

    samples: Float32
    events: tuple[SoundEvent, ...]
    labels: frozenset[str]


@dataclass(frozen=True, slots=True)
class _Placed:
    """A clip in a soundscape, at RMS 1 over its active frames."""

    label: str
    first_sample: int
    samples: Float32


class SceneComposer:
    """Composes soundscapes of clips and background. Equal arguments give equal soundscapes.

    Args:
        clips: sounds to detect.
        backgrounds: real background by label, 16 kHz mono; labels of the clips are left out.
        rounds: number of times that each clip is placed.
        seed: of all random draws.

    """

    def __init__(self, clips: Sequence[LoadedClip], backgrounds: Mapping[str, Float32], rounds: int, seed: int) -> None:
        rng = np.random.default_rng([seed, 0])
        order = [clips[index] for _ in range(rounds) for index in rng.permutation(len(clips))]
        self._clips_of_scenes = [order[first : first + CLIPS_PER_SCENE] for first in range(0, len(order), CLIPS_PER_SCENE)]
        self._labels = frozenset(clip.clip.label for clip in clips)
        self._backgrounds, self._seed = backgrounds, seed
        self._kinds = (SILENCE, *COLOURS_DB_PER_OCTAVE, *sorted(set(backgrounds) - self._labels))

    def __len__(self) -> int:
        """Return the number of soundscapes that hold all clips."""
        return len(self._clips_of_scenes)

    def compose(self, number: int, snr_db: float) -> ScoredScene:
        """Return soundscape `number` at a signal-to-noise ratio."""
        rng = np.random.default_rng([self._seed, 1, number])
        level_dbfs = float(rng.uniform(*EVENTS_DBFS))
        placed = _place(self._clips_of_scenes[number], rng)
        length = max(each.first_sample + len(each.samples) for each in placed) + _samples(LEAD_SECONDS)
        background = self._background(rng, length) * gain_of_db(-snr_db)
        mix = background.copy()
        for each in placed:
            mix[each.first_sample : each.first_sample + len(each.samples)] += each.samples
        true = merge_close(event for each in placed for event in _audible(each, mix))
        return ScoredScene(np.clip(mix * gain_of_db(level_dbfs), -1.0, 1.0), tuple(true), self._labels)

    def _background(self, rng: np.random.Generator, length: int) -> Float32:
        """Return background at RMS 1, or silence, in each segment."""
        samples = np.zeros(length, np.float32)
        first = 0
        while first < length:
            kind = self._kinds[int(rng.integers(0, len(self._kinds)))]
            end = min(first + _samples(float(rng.uniform(*BACKGROUND_SECONDS))), length)
            samples[first:end] = faded(self._segment(kind, rng, end - first))
            first = end
        return samples

    def _segment(self, kind: str, rng: np.random.Generator, length: int) -> Float32:
        if kind == SILENCE:
            return np.zeros(length, np.float32)
        if kind in COLOURS_DB_PER_OCTAVE:
            colour = tilted(band(20.0, 8_000.0), COLOURS_DB_PER_OCTAVE[kind])
            return noise(rng, length, colour).astype(np.float32)
        material = self._backgrounds[kind]
        first = int(rng.integers(0, len(material)))
        cut = np.take(material, np.arange(first, first + length), mode="wrap")
        return np.asarray(cut / np.float32(max(rms(cut), 1e-6)), np.float32)


def _place(clips: Sequence[LoadedClip], rng: np.random.Generator) -> list[_Placed]:
    placed: list[_Placed] = []
    at = _samples(LEAD_SECONDS)
    for clip in clips:
        samples = _normalised_clip(clip.samples, rng)
        before = len(placed[-1].samples) if placed else 0
        drawn = rng.random()
        if drawn < OVERLAP_SHARE:
            first = at - round(float(rng.uniform(0.2, 0.8)) * min(before, len(samples)))
        else:
            pauses = LONG_PAUSES_SECONDS if drawn < OVERLAP_SHARE + LONG_PAUSE_SHARE else PAUSES_SECONDS
            first = at + _samples(float(rng.uniform(*pauses)))
        placed.append(_Placed(clip.clip.label, first, samples))
        at = max(at, first + len(samples))
    return placed


def _normalised_clip(samples: Float32, rng: np.random.Generator) -> Float32:
    """Return a clip without the silence around it, sometimes with reverberation, at RMS 1 over its active frames."""
    nonzero = np.flatnonzero(samples)
    samples = faded(samples[nonzero[0] : nonzero[-1] + 1])
    if rng.random() < ECHO_SHARE:
        samples = reverberant(np.pad(samples, (0, _samples(ECHO_SECONDS))), rng)
    energy = _energy(samples)
    return samples / np.float32(np.sqrt(energy[_active(energy)].mean()))


def faded(samples: Float32) -> Float32:
    """Return samples faded in and out over 20 ms, without clicks."""
    ramp = np.linspace(0.0, 1.0, min(_samples(FADE_SECONDS), len(samples)), dtype=np.float32)
    out = samples.copy()
    out[: len(ramp)] *= ramp
    out[len(out) - len(ramp) :] *= ramp[::-1]
    return out


def _audible(placed: _Placed, mix: Float32) -> list[SoundEvent]:
    """Return the frames of a sound that are audible in the mix, as events."""
    end = placed.first_sample + len(placed.samples)
    energy = _energy(placed.samples)
    rest = _energy(mix[placed.first_sample : end] - placed.samples)
    audible = _active(energy) & (energy >= rest * 10.0 ** (-MASKED_DB / 10.0))
    starts = placed.first_sample + FRAME_SAMPLES * np.flatnonzero(audible)
    return [SoundEvent(int(start), min(int(start) + FRAME_SAMPLES, end), int(start), placed.label) for start in starts]


def _active(energy: NDArray[np.float64]) -> NDArray[np.bool_]:
    return np.asarray(energy >= energy.max() * 10.0 ** (-ACTIVE_RANGE_DB / 10.0), np.bool_)


def _energy(samples: Float32) -> NDArray[np.float64]:
    """Return the mean square of each frame; the last may be shorter."""
    first = np.arange(0, len(samples), FRAME_SAMPLES)
    lengths = np.diff(np.append(first, len(samples)))
    return np.asarray(np.add.reduceat(np.square(samples, dtype=np.float64), first) / lengths, np.float64)


def _samples(seconds: float) -> int:
    return round(seconds * FRONT_END.sample_rate_hz)
