from collections.abc import Callable
from functools import lru_cache

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_detector.demo.soundscape import PROGRAMME, VOICINGS, Soundscape, make_soundscape
from edge_detector.types import Float32
from tests.conftest import DATA

YAMNET = DATA / "peers" / "yamnet.tflite"
YAMNET_LABELS = DATA / "peers" / "yamnet_label_list.txt"
WINDOW_SAMPLES, HOP_SAMPLES = 15_600, 7_680
HEARD = 0.3

LABELS_OF = {
    "baby_cry": ("Baby cry, infant cry", "Crying, sobbing"),
    "chainsaw": ("Chainsaw",),
    "clock_tick": ("Clock", "Tick", "Tick-tock"),
    "dog_bark": ("Dog", "Bark", "Bow-wow", "Yip"),
    "fire_crackling": ("Fire", "Crackle"),
    "helicopter": ("Helicopter",),
    "person_sneeze": ("Sneeze",),
    "rain": ("Rain", "Raindrop", "Rain on surface"),
    "rooster": ("Chicken, rooster", "Crowing, cock-a-doodle-doo"),
    "sea_waves": ("Ocean", "Waves, surf"),
}
SLUGS = tuple(LABELS_OF)

Judge = Callable[[Float32], Float32]
"""Samples in, what YAMNet gives each slug in each window out: float32 (windows, slugs)."""


@pytest.fixture(scope="module")
def classify() -> Judge:
    if not YAMNET.is_file():
        pytest.skip(f"no YAMNet in {YAMNET.parent}; set EDGE_DETECTOR_DATA")
    litert = pytest.importorskip("ai_edge_litert.interpreter", reason="YAMNet runs in ai-edge-litert")
    interpreter = litert.Interpreter(str(YAMNET), num_threads=1)
    interpreter.allocate_tensors()
    waveform = interpreter.get_input_details()[0]["index"]
    scores = interpreter.get_output_details()[0]["index"]
    names = YAMNET_LABELS.read_text().splitlines()
    groups = [[names.index(label) for label in LABELS_OF[slug]] for slug in SLUGS]

    def hear(window: Float32) -> list[float]:
        interpreter.set_tensor(waveform, window)
        interpreter.invoke()
        found = interpreter.get_tensor(scores)[0]
        return [float(found[group].max()) for group in groups]

    def judged(samples: Float32) -> Float32:
        starts = range(0, len(samples) - WINDOW_SAMPLES + 1, HOP_SAMPLES)
        return np.array([hear(samples[start : start + WINDOW_SAMPLES]) for start in starts], np.float32)

    return judged


@lru_cache
def everything(seed: int) -> Soundscape:
    """Every sound there is, also those that the demo leaves out."""
    return make_soundscape(seed, tuple((slug, dict(PROGRAMME).get(slug, 4.0)) for slug in VOICINGS))


def as_float(samples: NDArray[np.int16]) -> Float32:
    return (samples / 32_768).astype(np.float32)


def pauses(soundscape: Soundscape) -> list[Float32]:
    starts = [0, *(event.end_sample for event in soundscape.events)]
    ends = [*(event.first_sample for event in soundscape.events), len(soundscape.samples)]
    return [as_float(soundscape.samples[start:end]) for start, end in zip(starts, ends, strict=True)]


def event_sound(soundscape: Soundscape, slug: str) -> Float32:
    event = next(event for event in soundscape.events if event.slug == slug)
    return as_float(soundscape.samples[event.first_sample : event.end_sample])


def test_equal_seeds_give_equal_bytes_and_others_do_not() -> None:
    first, again, other = make_soundscape(3), make_soundscape(3), make_soundscape(4)
    assert first.samples.tobytes() == again.samples.tobytes()
    assert first.events == again.events == other.events
    assert first.samples.tobytes() != other.samples.tobytes()


def test_a_sound_does_not_depend_on_what_else_is_played() -> None:
    rain = ("rain", 3.0)
    alone, last = make_soundscape(0, (rain,)), make_soundscape(0, (("sea_waves", 3.0), rain))
    heard_alone, heard_last = event_sound(alone, "rain"), event_sound(last, "rain")
    assert np.corrcoef(heard_alone, heard_last)[0, 1] > 0.99, "only the background behind it may differ"


def test_events_lie_inside_in_order_with_quiet_between() -> None:
    soundscape = make_soundscape()
    assert [event.slug for event in soundscape.events] == [slug for slug, _ in PROGRAMME]
    assert all(event.first_sample < event.end_sample for event in soundscape.events)
    for pause in pauses(soundscape):
        assert len(pause) >= 2 * 16_000
        assert 20 * np.log10(np.sqrt(np.mean(pause**2))) == pytest.approx(-57, abs=2)


def test_it_lasts_about_a_minute() -> None:
    soundscape = make_soundscape()
    assert soundscape.samples.dtype == np.int16
    assert 40 <= len(soundscape.samples) / 16_000 <= 60


@pytest.mark.parametrize("seed", range(3))
def test_nothing_clips(seed: int) -> None:
    for event in everything(seed).events:
        sound = everything(seed).samples[event.first_sample : event.end_sample].astype(int)
        assert np.abs(sound).max() < 32_767, f"{event.slug} clips"


@pytest.mark.data
@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("slug", VOICINGS)
def test_yamnet_hears_what_is_claimed(classify: Judge, slug: str, seed: int) -> None:
    scores = classify(event_sound(everything(seed), slug))
    means = dict(zip(SLUGS, scores.mean(axis=0), strict=True))
    assert max(means, key=means.__getitem__) == slug, means
    assert scores[:, SLUGS.index(slug)].max() > HEARD


@pytest.mark.data
@pytest.mark.parametrize("seed", range(2))
def test_yamnet_hears_nothing_in_the_pauses(classify: Judge, seed: int) -> None:
    for pause in pauses(everything(seed)):
        assert classify(pause).max() < HEARD
