"""Unsorted sound in which a teacher hears one of the classes: sought out, since most of it holds none."""

from pathlib import Path

import numpy as np
import pytest

from convert.__main__ import main
from convert.data.audio import read_16khz
from convert.data.clips import UNKNOWN_CLASS, UNSORTED, Clip, LoadedClip, find_clips
from convert.data.seeking import Find, find_classes
from convert.data.windows import WindowSource
from edge_detector.params import FRONT_END
from edge_detector.types import Float32
from tests.convert.synthetic import LABELS, loaded

RATE_HZ = FRONT_END.sample_rate_hz


def unsorted(samples: Float32) -> LoadedClip:
    return LoadedClip(Clip(Path(f"{UNSORTED}/1-a.wav"), UNSORTED, 1, "1-a"), UNKNOWN_CLASS, samples)


def tone(hz: float, seconds: float) -> Float32:
    return (0.3 * np.sin(2.0 * np.pi * hz * np.arange(round(seconds * RATE_HZ)) / RATE_HZ)).astype(np.float32)


def share_that_is_high(source: WindowSource) -> float:
    """Of windows that hold one of two tones, how many hold the high one."""
    bins = np.abs(np.fft.rfft(source.draw(np.random.default_rng(1), 200).samples, axis=1))
    hz = np.fft.rfftfreq(FRONT_END.patch_samples, 1.0 / RATE_HZ)
    low, high = (bins[:, (hz > centre / 2) & (hz < 2 * centre)].max(axis=1) for centre in (300.0, 3_000.0))
    return float((high > low).mean())


def test_a_bark_in_unsorted_sound_is_found_where_it_is(data: Path) -> None:
    bark = next(clip for clip in find_clips(data / "esc10", [1]) if clip.label == "dog_bark")
    samples = np.concatenate([tone(50.0, 4.0), read_16khz(bark.path)])
    found = find_classes([loaded("beep", 1), unsorted(samples)], data / "peers" / "yamnet.tflite")
    assert found
    for finds in found:
        assert all(find.clip == 1 for find in finds), "only what nobody sorted is searched"
        assert all(3.0 < find.start / RATE_HZ < 9.0 for find in finds)


def test_nothing_is_found_in_a_hum(data: Path) -> None:
    assert find_classes([unsorted(tone(50.0, 4.0))], data / "peers" / "yamnet.tflite") == ()


def test_windows_are_drawn_from_what_was_found_as_often_as_asked() -> None:
    clips = [unsorted(np.concatenate([tone(300.0, 8.0), tone(3_000.0, 2.0)]))]
    found = ((Find(0, 9 * RATE_HZ),),)
    shares = [
        share_that_is_high(WindowSource(clips, len(LABELS), 0, sought=found, sought_share=share)) for share in (0.0, 0.5, 1.0)
    ]
    assert shares[0] < shares[1] - 0.1 < shares[2] - 0.2


def test_who_seeks_must_have_a_teacher(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train-embedder", "--background", "anywhere", "--seek", "0.5", "-o", "nowhere"]) == 2
    assert "give --teacher" in capsys.readouterr().err
