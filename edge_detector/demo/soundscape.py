"""The demo's soundscape: a minute of synthesised sounds in a quiet room, and the schedule of its events.

Every sound is synthesised by `edge_detector.demo.sounds`, without recordings, at 16 kHz.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from edge_detector.demo import sounds
from edge_detector.demo.synthesis import Signal, add, at_rms, band, in_room, noise, samples, tilted
from edge_detector.types import Block

Maker: TypeAlias = Callable[[np.random.Generator, int], Signal]

INT16_SCALE = 32_768
FADE_SECONDS = 0.1
PAUSE_SECONDS = 4.0
BACKGROUND_DBFS = -57.0


@dataclass(frozen=True, slots=True)
class Voicing:
    """Synthesis, level and room of a sound.

    Attributes:
        make: returns the dry sound.
        level_dbfs: RMS level over the event, full-scale sine = -3 dBFS.
        echo_seconds: reverberation time to -60 dB; 0 outdoors.
        echo_gain: amplitude of the echo relative to the dry sound.

    """

    make: Maker
    level_dbfs: float
    echo_seconds: float = 0.0
    echo_gain: float = 0.0


VOICINGS = {
    "baby_cry": Voicing(sounds.baby_cry, level_dbfs=-20.0, echo_seconds=0.47, echo_gain=0.23),
    "chainsaw": Voicing(sounds.chainsaw, level_dbfs=-18.0, echo_seconds=0.1, echo_gain=0.35),
    "dog_bark": Voicing(sounds.dog_bark, level_dbfs=-23.0, echo_seconds=0.46, echo_gain=0.43),
    "fire_crackling": Voicing(sounds.fire_crackling, level_dbfs=-36.0),
    "helicopter": Voicing(sounds.helicopter, level_dbfs=-22.5),
    "person_sneeze": Voicing(sounds.person_sneeze, level_dbfs=-23.0, echo_seconds=0.25, echo_gain=0.46),
    "rain": Voicing(sounds.rain, level_dbfs=-25.0),
    "sea_waves": Voicing(sounds.sea_waves, level_dbfs=-23.0),
}
"""All sounds, by the slug of their class."""

PROGRAMME = (
    ("dog_bark", 4.0),
    ("rain", 5.0),
    ("baby_cry", 4.0),
    ("person_sneeze", 4.0),
    ("chainsaw", 4.5),
    ("sea_waves", 5.0),
)
"""Events in order, with their seconds."""


@dataclass(frozen=True, slots=True)
class PlannedEvent:
    """A sound of class `slug` from first_sample up to, and not including, end_sample."""

    slug: str
    first_sample: int
    end_sample: int


@dataclass(frozen=True, slots=True)
class Soundscape:
    """Mono int16 samples and the events in them, in order, none overlapping."""

    samples: NDArray[np.int16]
    events: tuple[PlannedEvent, ...]

    @property
    def block(self) -> Block:
        """All samples as one block."""
        return Block(self.samples.astype(np.float32) / np.float32(INT16_SCALE), first_sample=0)


def make_soundscape(seed: int = 0, programme: tuple[tuple[str, float], ...] = PROGRAMME) -> Soundscape:
    """Synthesise the programme, with pauses before, between and after. Equal arguments give equal samples.

    Args:
        seed: varies every sound and the background.
        programme: (slug, seconds) of each event; adding or removing one does not change the sound of the others.

    """
    pause = samples(PAUSE_SECONDS)
    events = []
    next_sample = pause
    for slug, seconds in programme:
        events.append(PlannedEvent(slug, next_sample, next_sample + samples(seconds)))
        next_sample = events[-1].end_sample + pause
    mix = at_rms(noise(np.random.default_rng(seed), next_sample, tilted(band(20, 8_000), -3.0)), BACKGROUND_DBFS)
    for event in events:
        # The slug is part of the seed, so that a sound does not depend on earlier events.
        random = np.random.default_rng([seed, *event.slug.encode()])
        add(mix, event.first_sample, _event_sound(random, VOICINGS[event.slug], event.end_sample - event.first_sample))
    return Soundscape(np.round(mix * INT16_SCALE).clip(-INT16_SCALE, INT16_SCALE - 1).astype(np.int16), tuple(events))


def _event_sound(random: np.random.Generator, voicing: Voicing, count: int) -> Signal:
    sound = voicing.make(random, count)
    if voicing.echo_seconds:
        sound = in_room(random, sound, voicing.echo_seconds, voicing.echo_gain)
    ramp = np.linspace(0.0, 1.0, samples(FADE_SECONDS))
    sound[: len(ramp)] *= ramp
    sound[-len(ramp) :] *= ramp[::-1]
    return at_rms(sound, voicing.level_dbfs)
