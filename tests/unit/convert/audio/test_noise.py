"""Background: cut from unpacked packages, split by origin and mixed with labelled clips."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

import convert
from convert.__main__ import main
from convert.audio.augment import band_limited
from convert.audio.background_plan import BY_KIND, cut_pieces, read_parts
from convert.audio.kinds import kind_of
from convert.audio.training_mixtures import Composer
from convert.embedder.corpus import labelled
from convert.embedder.sorting import KindSorter
from edge_detector.audio.clips import NO_CLASS, Clip, LoadedClip, find_clips
from edge_detector.audio.samples import read_16khz
from edge_detector.teaching.augment import rms
from tests.support.synthetic import RATE_HZ, loaded, sound, write_clips

PART = {"split": "train", "label": "speech", "of": "voices", "licence": "CC0", "credit": "anonymous"}


def write_material(folder: Path) -> Path:
    """Write two packages: voices of 2 s each with a truncated file, and a longer piece of music."""
    for name, label, seconds in (("voices/a", "beep", 2.0), ("voices/b", "beep", 2.0), ("tunes/long", "beep", 23.0)):
        path = folder / f"{name}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, sound(label, 1, seconds), RATE_HZ, subtype="PCM_16")
    (folder / "voices" / "nothing.wav").write_bytes(b"RIFF")
    return folder


def write_plan(path: Path, *parts: dict[str, str]) -> Path:
    path.write_text(json.dumps({"parts": parts}), encoding="utf-8")
    return path


def background(*arguments: object) -> int:
    return main(["background", *map(str, arguments)])


def test_material_is_cut_into_pieces_and_listed(tmp_path: Path) -> None:
    material = write_material(tmp_path / "material")
    music = PART | {"label": "music", "of": "tunes", "split": "test"}
    plan = write_plan(tmp_path / "plan.json", PART, music)
    assert background(material, "--plan", plan, "-o", tmp_path / "out") == 0
    assert [clip.path.name for clip in find_clips(tmp_path / "out" / "train")] == ["1-voices_0000-0000.wav"]
    assert len(find_clips(tmp_path / "out" / "test")) == 2, "the last of the three pieces is silent"
    listed = json.loads((tmp_path / "out" / "background.json").read_text(encoding="utf-8"))["parts"]
    assert [part["files"] for part in listed] == [2, 1]
    assert listed[0]["hours"] == pytest.approx(4.6 / 3600, abs=1e-4)
    assert listed[1]["licence"] == "CC0"


def test_a_truncated_recording_is_refused_or_skipped_and_not_listed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    material = write_material(tmp_path / "material")
    (whole, *_) = sorted((material / "voices").glob("*.wav"))
    cut = whole.with_name("cut.wav")
    cut.write_bytes(whole.read_bytes()[:-4_000])
    plan = write_plan(tmp_path / "plan.json", PART)
    assert background(material, "--plan", plan, "-o", tmp_path / "out") == 1
    assert "cut.wav is truncated" in capsys.readouterr().err
    assert background(material, "--plan", plan, "--skip-damaged", "-o", tmp_path / "out") == 0
    assert "skipped: " in capsys.readouterr().err
    (part,) = json.loads((tmp_path / "out" / "background.json").read_text(encoding="utf-8"))["parts"]
    assert part["files"] == 2


def test_a_second_plan_removes_the_pieces_of_the_first(tmp_path: Path) -> None:
    material = write_material(tmp_path / "material")
    music = PART | {"label": "music", "of": "tunes", "split": "test"}
    for parts in ((PART, music), (PART | {"split": "test"}, music | {"split": "train"})):
        assert background(material, "--plan", write_plan(tmp_path / "plan.json", *parts), "-o", tmp_path / "out") == 0
    assert {clip.label for clip in find_clips(tmp_path / "out" / "train")} == {"music"}
    assert {clip.label for clip in find_clips(tmp_path / "out" / "test")} == {"speech"}


def test_one_origin_twice_in_a_split_is_rejected(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan = write_plan(tmp_path / "plan.json", PART | {"files": "a*"}, PART | {"files": "b*"})
    assert background(write_material(tmp_path / "material"), "--plan", plan, "-o", tmp_path / "out") == 2
    assert "has train speech of voices twice; merge both into one part" in capsys.readouterr().err


def test_silent_pieces_of_a_recording_are_left_out() -> None:
    tone = sound("beep", 1, 10.0)
    found = list(cut_pieces([np.concatenate([tone, np.zeros_like(tone), tone])]))
    assert len(found) == 2
    assert all(np.abs(piece).max() > 0.01 for piece in found)


def test_a_file_in_two_splits_is_rejected(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    material = write_material(tmp_path / "material")
    plan = write_plan(tmp_path / "plan.json", PART, PART | {"split": "test", "files": "a*.wav"})
    assert background(material, "--plan", plan, "-o", tmp_path / "out") == 2
    assert "a file belongs to one" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("part", "error"),
    [
        ({"split": "train"}, "parts: 1: the key 'label' is missing"),
        (PART | {"split": "validation"}, "parts: 1: split must be one of train, calibrate, test, not 'validation'"),
        (PART | {"of": "elsewhere"}, "holds no audio file"),
    ],
)
def test_an_invalid_plan_is_reported_in_one_sentence(
    part: dict[str, str], error: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = write_plan(tmp_path / "plan.json", part)
    assert background(write_material(tmp_path / "material"), "--plan", plan, "-o", tmp_path / "out") == 2
    message = capsys.readouterr().err
    assert error in message
    assert message.count("\n") == 1


def test_recordings_sorted_by_kind_are_cut_into_one_folder_per_label(tmp_path: Path, data: Path) -> None:
    yamnet = data / "peers" / "yamnet.tflite"
    material = write_material(tmp_path / "material")
    soundfile.write(material / "voices" / "silent.wav", np.zeros(RATE_HZ), RATE_HZ, subtype="PCM_16")
    soundfile.write(material / "tunes" / "long.wav", sound("hiss", 1, 23.0), RATE_HZ, subtype="PCM_16")
    shutil.copy(material / "voices" / "a.wav", material / "voices" / "c.oga")
    (material / "voices" / "link.wav").symlink_to(material / "voices" / "a.wav")
    sorter = KindSorter(yamnet)
    beep, hiss = (sorter.folder_of(read_16khz(material / name)) for name in ("voices/a.wav", "tunes/long.wav"))
    assert beep != hiss
    parts = [PART | {"label": BY_KIND}, PART | {"label": BY_KIND, "of": "tunes", "split": "calibrate"}]
    plan = write_plan(tmp_path / "plan.json", *parts)
    assert background(material, "--plan", plan, "--teacher", yamnet, "-o", tmp_path / "out") == 0
    found = sorted(str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*.wav"))
    assert found == [
        f"calibrate/{hiss}/1-tunes_0000-0000.wav",
        f"calibrate/{hiss}/1-tunes_0000-0001.wav",
        f"train/{beep}/1-voices_0000-0000.wav",
    ]
    listed = json.loads((tmp_path / "out" / "background.json").read_text(encoding="utf-8"))["parts"]
    assert [(part["split"], part["label"], part["files"]) for part in listed] == [
        ("train", beep, 3),
        ("calibrate", hiss, 1),
    ], "silence has no kind, and a link is not a second recording"


def test_sorting_by_kind_needs_yamnet(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan = write_plan(tmp_path / "plan.json", PART | {"label": BY_KIND})
    assert background(write_material(tmp_path / "material"), "--plan", plan, "-o", tmp_path / "out") == 2
    assert "YAMNet sorts the parts labelled by_kind; give --teacher yamnet.tflite" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_recording_s_folder_is_named_after_its_most_frequent_label(data: Path) -> None:
    sorter = KindSorter(data / "peers" / "yamnet.tflite")
    first = {clip.label: clip for clip in reversed(find_clips(data / "esc10", [1]))}
    folders = {label: sorter.folder_of(read_16khz(first[label].path)) for label in ("helicopter", "baby_cry", "rain")}
    kinds = {"helicopter": "machine", "baby_cry": "human", "rain": "nature"}
    assert {label: kind_of(folder) for label, folder in folders.items()} == kinds
    assert kind_of(sorter.folder_of(np.zeros(100, np.float32))) == "noise"


def test_the_recipe_downloads_every_package_of_its_plan() -> None:
    recipes = Path(convert.__file__).parent / "recipes"
    parts = read_parts(recipes / "default_background.json")
    downloaded = set((recipes / "material.mk").read_text(encoding="utf-8").split())
    assert {part.of.split("/")[0] for part in parts} - {"espeak"} <= downloaded
    assert all(part.licence and part.credit for part in parts)


def test_speech_and_music_become_classes_and_other_background_does_not(tmp_path: Path) -> None:
    clips = write_clips(tmp_path / "clips")
    for label in ("speech", "music", "other"):
        (tmp_path / "more" / label).mkdir(parents=True)
        soundfile.write(tmp_path / "more" / label / "1-x_0000-0000.wav", sound("beep", 5), RATE_HZ, subtype="PCM_16")
    together, classes = labelled(clips, None, [tmp_path / "more"])
    labels = [each.slug for each in classes]
    assert labels == ["beep", "hiss", "music", "speech", "thump"]
    for clip, index in together:
        assert index == (NO_CLASS if clip.label == "other" else labels.index(clip.label))
    assert len(together) == 18 + 3


def other(seed: int) -> LoadedClip:
    return LoadedClip(Clip(Path(f"other/1-{seed}.wav"), "other", 1, f"1-{seed}"), NO_CLASS, sound("thump", seed))


def test_sound_of_no_class_is_mixed_in_without_a_label() -> None:
    others = [other(seed) for seed in range(3)]
    scenes = list(map(Composer(others, 4, 0).compose, range(20)))
    assert not any(scene.labels for scene in scenes)
    both = Composer([*others, *(loaded("beep", seed) for seed in range(3))], 4, 0)
    assert {labels for number in range(40) for labels in both.compose(number).frame_labels} == {(), (0,)}


def test_a_band_limit_keeps_lower_frequencies_and_removes_higher_ones() -> None:
    time = np.arange(15_600) / RATE_HZ
    low, high = (np.sin(2 * np.pi * hz * time).astype(np.float32) for hz in (1_000, 5_000))
    assert rms(band_limited(low, 3_400.0)) > 0.95 * rms(low)
    assert rms(band_limited(high, 3_400.0)) < 0.05 * rms(high)
