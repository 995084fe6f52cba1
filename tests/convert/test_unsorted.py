"""Sound that nobody labelled: a teacher says what it hears in it, and nothing else is learnt from it."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

import convert
from convert.__main__ import main
from convert.data.augment import rms
from convert.data.clips import NO_CLASS, UNKNOWN_CLASS, UNSORTED, Clip, LoadedClip, class_of, find_clips
from convert.data.corpus import labelled
from convert.data.material import read_parts
from convert.data.peer import of_all_classes
from convert.data.sorting import OTHER, label_of
from convert.data.textures import texture
from convert.data.windows import NOT_KNOWN, WindowSource
from edge_detector.params import FRONT_END
from tests.convert.synthetic import LABELS, RATE_HZ, loaded, sound, write_clips


def unsorted(seed: int) -> LoadedClip:
    clip = Clip(Path(f"{UNSORTED}/1-{seed}.wav"), UNSORTED, 1, f"1-{seed}")
    return LoadedClip(clip, class_of(clip, LABELS), sound("thump", seed))


def test_nobody_knows_the_classes_of_unsorted_sound() -> None:
    found = [unsorted(seed) for seed in range(3)]
    assert {clip.class_index for clip in found} == {UNKNOWN_CLASS}
    alone = WindowSource(found, len(LABELS), seed=0).draw(np.random.default_rng(1), 40)
    # A tenth of all windows is made noise, of which it is known that it is no class.
    assert {tuple(row) for row in alone.labels} == {(NOT_KNOWN,) * len(LABELS), (0.0,) * len(LABELS)}


def test_a_known_sound_mixed_with_an_unsorted_one_keeps_its_label() -> None:
    both = [*(unsorted(seed) for seed in range(3)), *(loaded("beep", seed) for seed in range(3))]
    labels = WindowSource(both, len(LABELS), seed=0).draw(np.random.default_rng(1), 400).labels
    beep = LABELS.index("beep")
    mixed = labels[(labels == 1.0).any(axis=1) & (labels == NOT_KNOWN).any(axis=1)]
    assert len(mixed) > 5
    assert (mixed[:, beep] == 1.0).all()
    assert (np.delete(mixed, beep, axis=1) == NOT_KNOWN).all()


def test_nobody_knows_the_classes_of_a_texture(capsys: pytest.CaptureFixture[str]) -> None:
    clips = [loaded(label, seed) for label in LABELS for seed in range(2)]
    shares = [
        (WindowSource(clips, len(LABELS), 0, texture_share=share).draw(np.random.default_rng(1), 300).labels == NOT_KNOWN).any(1)
        for share in (0.0, 0.3)
    ]
    assert shares[0].mean() == 0.0
    assert 0.2 < shares[1].mean() < 0.5
    assert main(["train-embedder", "--background", "anywhere", "--textures", "0.1", "-o", "nowhere"]) == 2
    assert "give --teacher" in capsys.readouterr().err


def test_textures_are_all_as_loud_and_none_like_another() -> None:
    rng = np.random.default_rng(2)
    drawn = [texture(rng, FRONT_END.patch_samples) for _ in range(60)]
    assert all(np.isfinite(samples).all() for samples in drawn)
    assert [rms(samples) for samples in drawn] == pytest.approx([1.0] * 60, abs=1e-3)
    alike = np.corrcoef(np.array(drawn)) - np.eye(60)
    assert np.abs(alike).max() < 0.9
    again = np.random.default_rng(2)
    assert np.array_equal(texture(again, FRONT_END.patch_samples), drawn[0])


def test_sequences_are_composed_without_unsorted_sound(tmp_path: Path) -> None:
    clips = write_clips(tmp_path / "clips")
    for label in (OTHER, UNSORTED):
        (tmp_path / "more" / label).mkdir(parents=True)
        soundfile.write(tmp_path / "more" / label / "1-x_0000-0000.wav", sound("beep", 5), RATE_HZ, subtype="PCM_16")
    found, _ = labelled(clips, None, [tmp_path / "more"])
    assert {clip.label: index for clip, index in found if index == NO_CLASS} == {OTHER: NO_CLASS}
    assert all(index != UNKNOWN_CLASS for _, index in found)


def test_yamnet_sorts_what_may_be_a_class_from_what_is_none(data: Path, tmp_path: Path) -> None:
    material = tmp_path / "material"
    material.mkdir()
    barking = next(clip for clip in find_clips(data / "esc10", [1]) if clip.label == "dog_bark")
    (material / "bark.ogg").symlink_to(barking.path)
    soundfile.write(material / "dog.wav", *soundfile.read(barking.path), subtype="PCM_16")
    quiet_hum = 0.01 * np.sin(2 * np.pi * 50.0 * np.arange(3 * RATE_HZ) / RATE_HZ)
    soundfile.write(material / "hum.wav", quiet_hum, RATE_HZ, subtype="PCM_16")
    plan = tmp_path / "plan.json"
    part = {"split": "train", "label": UNSORTED, "of": ".", "licence": "CC BY 3.0", "credit": "ESC-10"}
    plan.write_text(json.dumps({"parts": [part]}), encoding="utf-8")
    teacher = data / "peers" / "yamnet.tflite"
    assert main(["background", str(material), "--plan", str(plan), "--teacher", str(teacher), "-o", str(tmp_path / "out")]) == 0
    listed = json.loads((tmp_path / "out" / "background.json").read_text(encoding="utf-8"))["parts"]
    assert {part["label"]: part["files"] for part in listed} == {UNSORTED: 1, OTHER: 1}, "a link is not a second recording"
    short = np.zeros(100, np.float32)
    assert label_of(of_all_classes(teacher), short) == OTHER


def test_nothing_is_measured_on_unsorted_sound(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan = tmp_path / "plan.json"
    part = {"split": "test", "label": UNSORTED, "of": ".", "licence": "CC0", "credit": "nobody"}
    plan.write_text(json.dumps({"parts": [part]}), encoding="utf-8")
    assert main(["background", str(tmp_path), "--plan", str(plan), "-o", str(tmp_path / "out")]) == 2
    assert "for training only" in capsys.readouterr().err


def test_the_recipe_downloads_every_package_of_its_plan() -> None:
    recipes = Path(convert.__file__).parent / "recipes"
    parts = read_parts(json.loads((recipes / "default_background.json").read_text(encoding="utf-8")))
    downloaded = set((recipes / "material.mk").read_text(encoding="utf-8").split())
    assert {part.of.split("/")[0] for part in parts} - {"espeak"} <= downloaded
    assert all(part.licence and part.credit for part in parts)
