"""Every AudioSet label has one kind, that of its section of AudioSet's list."""

from collections import Counter

import pytest

from convert.audio.kinds import FIRST_LABELS, KINDS, OTHER, folder_names, kind_of
from convert.embedder.runtime import DEFAULT_BUNDLE
from edge_detector.class_names import slug_of
from edge_detector.detection.bundle import load_bundle
from edge_detector.errors import UsageError

LABELS = tuple(label.name for label in load_bundle(DEFAULT_BUNDLE).manifest.named_outputs.audioset)
"""YAMNet's list, which the default bundle contains."""


def test_each_of_the_521_labels_has_its_own_folder_named_after_its_kind() -> None:
    names = folder_names(LABELS)
    assert len(LABELS) == len(set(names)) == 521
    for name, label in zip(names, LABELS, strict=True):
        assert name == f"{kind_of(name)}_{slug_of(label)}"
        assert slug_of(name) == name, "a folder's name is its label"
    assert Counter(map(kind_of, names)) == {
        "human": 67,
        "animal": 65,
        "instrument": 145,
        "nature": 17,
        "machine": 76,
        "household": 70,
        "effect": 53,
        "noise": 28,
    }
    assert set(KINDS) == set(map(kind_of, names))


@pytest.mark.parametrize(
    ("label", "folder"),
    [
        ("Speech", "human_speech"),
        ("Heart murmur", "human_heart_murmur"),
        ("Whale vocalization", "animal_whale_vocalization"),
        ("Scary music", "instrument_scary_music"),
        ("Rain on surface", "nature_rain_on_surface"),
        ("Crackle", "nature_crackle"),
        ("Helicopter", "machine_helicopter"),
        ("Accelerating, revving, vroom", "machine_accelerating_revving_vroom"),
        ("Steam whistle", "household_steam_whistle"),
        ("Clock", "machine_clock"),
        ("Gunshot, gunfire", "effect_gunshot_gunfire"),
        ("Shatter", "household_shatter"),
        ("White noise", "noise_white_noise"),
    ],
)
def test_a_label_has_its_kind_in_the_ontology(label: str, folder: str) -> None:
    assert folder_names(LABELS)[LABELS.index(label)] == folder


@pytest.mark.parametrize("first", [first for first, _ in FIRST_LABELS])
def test_a_list_without_the_first_label_of_a_kind_is_rejected(first: str) -> None:
    with pytest.raises(UsageError, match="are not AudioSet's in their own order; give YAMNet's list as it is"):
        folder_names([label for label in LABELS if label != first])


@pytest.mark.parametrize("order", [sorted(LABELS), LABELS[::-1], (*LABELS[1:], LABELS[0]), ("Silence", *LABELS[:-1])])
def test_a_list_in_another_order_is_rejected(order: list[str]) -> None:
    with pytest.raises(UsageError, match="in their own order"):
        folder_names(order)


def test_a_folder_without_a_kind_in_its_name_is_of_the_kind_other() -> None:
    assert [kind_of(folder) for folder in ("animal_cat", "animal", "speech", "music")] == ["animal", "animal", "speech", "music"]
    assert {kind_of(folder) for folder in ("street", "animals_cat", "other", "cat_animal", "")} == {OTHER}
