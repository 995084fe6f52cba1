"""Unsorted sound in which a teacher hears one of the classes: sought out, since most of it holds none."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from convert.__main__ import main
from convert.data.audio import read_16khz
from convert.data.clips import UNKNOWN_CLASS, UNSORTED, Clip, LoadedClip, find_clips, with_background
from convert.data.peer import of_all_classes
from convert.data.seeking import Find, read_finds, starts_heard
from convert.data.windows import WindowSource
from edge_detector.errors import UsageError
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


def test_a_bark_is_found_where_it_is_and_nothing_in_a_hum(data: Path) -> None:
    bark = next(clip for clip in find_clips(data / "esc10", [1]) if clip.label == "dog_bark")
    teacher = of_all_classes(data / "peers" / "yamnet.tflite")
    found = starts_heard(teacher, np.concatenate([tone(50.0, 4.0), read_16khz(bark.path)]))
    assert found["/m/05tny_"]
    assert all(3.0 < start / RATE_HZ < 9.0 for starts in found.values() for start in starts)
    assert starts_heard(teacher, tone(50.0, 4.0)) == {}


def test_what_background_wrote_down_is_found_in_the_clips_that_training_loads(data: Path, tmp_path: Path) -> None:
    bark = next(clip for clip in find_clips(data / "esc10", [1]) if clip.label == "dog_bark")
    material = tmp_path / "material"
    material.mkdir()
    samples = np.concatenate([tone(50.0, 12.0), read_16khz(bark.path)])
    soundfile.write(material / "dog.wav", samples, RATE_HZ, subtype="PCM_16")
    plan = tmp_path / "plan.json"
    part = {"split": "train", "label": UNSORTED, "of": ".", "licence": "CC BY 3.0", "credit": "ESC-10"}
    plan.write_text(json.dumps({"parts": [part]}), encoding="utf-8")
    teacher, out = data / "peers" / "yamnet.tflite", tmp_path / "out"
    assert main(["background", str(material), "--plan", str(plan), "--teacher", str(teacher), "-o", str(out)]) == 0
    clips, _ = with_background([loaded("beep", 1)], LABELS, out / "train")
    found = read_finds(out / "train", clips)
    assert found
    assert {find.clip for finds in found for find in finds} == {2}, "of beep and two pieces, the second holds the bark"


@pytest.mark.parametrize("content", ['{"1-a.wav": {"/m/05tny_": ["soon"]}}', '{"1-a.wav": [1]}'])
def test_something_else_in_its_place_is_one_sentence(content: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not exist; cut the background"):
        read_finds(tmp_path, [unsorted(tone(50.0, 1.0))])
    (tmp_path / "sought.json").write_text(content, encoding="utf-8")
    with pytest.raises(UsageError, match="is not what background --teacher writes"):
        read_finds(tmp_path, [unsorted(tone(50.0, 1.0))])


def test_windows_are_drawn_from_what_was_found_as_often_as_asked() -> None:
    clips = [unsorted(np.concatenate([tone(300.0, 8.0), tone(3_000.0, 2.0)]))]
    found = ((Find(0, 9 * RATE_HZ),),)
    shares = [
        share_that_is_high(WindowSource(clips, len(LABELS), 0, sought=found, sought_share=share)) for share in (0.0, 0.5, 1.0)
    ]
    assert shares[0] < shares[1] - 0.1 < shares[2] - 0.2


def test_who_seeks_must_have_a_teacher(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train-embedder", "--background", "anywhere", "--seek", "0.5", "-o", "nowhere"]) == 2
    assert "give --background, --teacher" in capsys.readouterr().err
