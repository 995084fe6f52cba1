"""Which classes there are, of what they are made, and which of them are on."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edge_detector.config import Config, default_config, load_config, parse_config, rules
from edge_detector.detection.bundle import AudioSetLabel, Manifest, Outputs, SequenceSpec, SoundClass, StateTensor, load_bundle
from edge_detector.detection.classes import (
    NEWEST_CLASS_LIST,
    UNTESTED_RULE,
    ClassDefinition,
    ClassMap,
    columns_of,
    enabled_classes,
    enabled_indices,
    resolve_classes,
)
from edge_detector.detection.hysteresis import STRICTNESS_LOG_ODDS, Rule, RuleOverride, shifted
from edge_detector.errors import UsageError
from edge_detector.params import HOPS_PER_PATCH
from edge_detector.service.factory import DEFAULT_BUNDLE
from tests.support.labelled_bundle import TWELVE, labelled_manifest

BEFORE = Path(__file__).parent / "edge_before_class_lists.toml"
"""The configuration that was installed before there were class lists, literally."""

OUTPUTS = Outputs(
    audioset=(AudioSetLabel("Whistle", "/m/01w250"), AudioSetLabel("Steam", "/m/02z32qm"), AudioSetLabel("Bark")),
    sequence=("rain", "dog_bark"),
)
RULES = dict.fromkeys(HOPS_PER_PATCH, Rule(0.6, 0.3, min_seconds=1.0))
RAIN = SoundClass("rain", "Rain", "/m/06mb1", RULES)
DOG = SoundClass("dog", "Dog", None, RULES, audioset=("Bark",), output="dog_bark")
TRAIN = SoundClass("train", "Train", None, RULES, audioset=("Whistle", "Steam"), class_list=2)
MANIFEST = Manifest(
    name="test",
    version="1",
    created="2026-01-01",
    licence="CC0",
    sequence=SequenceSpec("readout", 10, 1, (StateTensor("h0", (4,)),)),
    classes=(RAIN, DOG, TRAIN),
    training={},
    evaluation={},
    parity={},
    outputs=OUTPUTS,
)


def enabled(manifest: Manifest, config: Config) -> tuple[str, ...]:
    classes = resolve_classes(manifest, config.definitions, config.class_list)
    (found,) = {tuple(sound.slug for sound in enabled_classes(classes, rules(classes, hops, config))) for hops in HOPS_PER_PATCH}
    return found


def made(definitions: Mapping[str, ClassDefinition]) -> dict[str, SoundClass]:
    return {sound.slug: sound for sound in resolve_classes(MANIFEST, definitions)}


def test_a_class_has_the_highest_probability_of_its_labels_or_that_of_its_output() -> None:
    outputs = np.array([0.1, 0.4, 0.9, 0.2, 0.3], np.float32)
    found = ClassMap.of(MANIFEST.classes, OUTPUTS).probabilities(outputs)
    assert found.dtype == np.float32
    assert found.tolist() == outputs[[3, 4, 1]].tolist(), "of a class with both, the output: the labels are fused into it"


@pytest.mark.parametrize("shape", [(), (4,), (2, 3), (0,)])
def test_outputs_of_many_steps_become_probabilities_at_once(shape: tuple[int, ...]) -> None:
    outputs = np.random.default_rng(1).random((*shape, 5), np.float32)
    classes = ClassMap.of(MANIFEST.classes, OUTPUTS)
    found = classes.probabilities(outputs)
    assert found.shape == (*shape, 3)
    assert found.dtype == np.float32
    one_by_one = [classes.probabilities(row) for row in outputs.reshape(-1, 5)]
    assert np.array_equal(found.reshape(-1, 3), np.array(one_by_one, np.float32).reshape(-1, 3))


def test_a_bundle_that_does_not_name_its_outputs_has_a_class_in_each() -> None:
    plain = replace(MANIFEST, classes=(RAIN, replace(DOG, audioset=(), output=None)), outputs=None)
    assert [columns_of(sound, plain.named_outputs) for sound in plain.classes] == [(0,), (1,)]
    assert ClassMap.of(plain.classes, plain.named_outputs).probabilities(np.array([0.5, 0.25], np.float32)).tolist() == [
        0.5,
        0.25,
    ]


def test_classes_of_a_later_list_are_there_and_off() -> None:
    assert resolve_classes(MANIFEST, {}) == MANIFEST.classes
    rain, dog, train = resolve_classes(MANIFEST, {}, 1)
    assert (rain, dog) == (RAIN, DOG)
    assert not train.enabled
    assert all(replace(rule, enabled=True) == RULES[hops] for hops, rule in train.rules.items()), "its thresholds stay"
    assert enabled(MANIFEST, parse_config({}, "test")) == ("rain", "dog")
    assert enabled(MANIFEST, parse_config({"class": {"train": {"on": 0.9}}}, "test")) == ("rain", "dog", "train")
    assert enabled(MANIFEST, parse_config({"class": {"train": {"enabled": False}}}, "test")) == ("rain", "dog")
    assert enabled(MANIFEST, default_config()) == ("rain", "dog", "train")


def test_a_class_of_one_s_own_comes_last_with_careful_thresholds() -> None:
    *known, kettle = resolve_classes(MANIFEST, {"tea_kettle": ClassDefinition(("Whistle", "Steam"))})
    assert tuple(known) == MANIFEST.classes
    assert (kettle.slug, kettle.label, kettle.mid, kettle.audioset) == (
        "tea_kettle",
        "Tea kettle",
        "/m/01w250",
        ("Whistle", "Steam"),
    )
    assert kettle.rules == dict.fromkeys(HOPS_PER_PATCH, UNTESTED_RULE)
    assert kettle.evidence is None


def test_a_class_of_one_s_own_takes_the_place_of_the_bundle_s_of_that_name() -> None:
    found = made({"dog": ClassDefinition(("Bark",), "Rex")})
    assert list(found) == ["rain", "dog", "train"]
    assert (found["dog"].label, found["dog"].output) == ("Rex", None)


@pytest.mark.parametrize("name", ["Whistle", "whistle", "WHISTLE", "/m/01w250"])
def test_a_label_is_meant_by_its_name_in_any_case_or_by_its_identifier(name: str) -> None:
    assert made({"kettle": ClassDefinition((name,))})["kettle"].audioset == ("Whistle",)


def test_a_label_that_is_named_twice_counts_once() -> None:
    assert made({"kettle": ClassDefinition(("Whistle", "/m/01w250"))})["kettle"].audioset == ("Whistle",)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("Wistle", r"\[class.kettle\] audioset: 'Wistle' is no AudioSet label of the bundle; did you mean 'Whistle'\?"),
        ("/m/0", "'/m/0' is no AudioSet label of the bundle; edge-detector classes --search WORD lists them"),
    ],
)
def test_a_label_that_the_bundle_does_not_have_is_refused_with_the_nearest(name: str, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        made({"kettle": ClassDefinition((name,))})


def test_a_bundle_without_labels_makes_no_class_of_one_s_own() -> None:
    plain = replace(MANIFEST, classes=(RAIN,), outputs=None)
    with pytest.raises(UsageError, match="the bundle test 1 does not compute AudioSet's labels; use the bundle that ships"):
        resolve_classes(plain, {"kettle": ClassDefinition(("Whistle",))})


def test_a_configuration_makes_a_class_and_sets_its_thresholds() -> None:
    config = parse_config(
        {"class": {"kettle": {"audioset": ["Whistle"], "label": "Tea", "on": 0.5}, "rain": {"on": 0.7}}}, "test"
    )
    assert config.definitions == {"kettle": ClassDefinition(("Whistle",), "Tea")}
    assert config.overrides == {"kettle": RuleOverride(on=0.5), "rain": RuleOverride(on=0.7)}
    classes = resolve_classes(MANIFEST, config.definitions, config.class_list)
    assert [rule.on for rule in rules(classes, 1, config)] == [0.7, 0.6, 0.6, 0.5]
    assert enabled(MANIFEST, config) == ("rain", "dog", "kettle"), "a class of one's own is on whatever the list"


@pytest.mark.parametrize("strictness", STRICTNESS_LOG_ODDS)
def test_strictness_shifts_classes_of_one_s_own_and_those_that_are_off_too(strictness: str) -> None:
    detection, kettle = {"strictness": strictness}, {"audioset": ["Whistle"]}
    config = parse_config({"detection": detection, "class": {"kettle": kettle}}, "test")
    classes = resolve_classes(MANIFEST, config.definitions, config.class_list)
    *_, train, of_kettle = rules(classes, 1, config)
    log_odds = STRICTNESS_LOG_ODDS[config.strictness]
    assert of_kettle == shifted(UNTESTED_RULE, log_odds)
    assert train == replace(shifted(RULES[1], log_odds), enabled=False)


@pytest.mark.parametrize(
    ("slug", "table", "sentence"),
    [
        ("kettle", {"label": "Tea"}, r"\[class.kettle\]: a class of your own needs the AudioSet labels it is made of"),
        ("kettle", {"audioset": []}, "needs the AudioSet labels"),
        ("kettle", {"audioset": "Whistle"}, "audioset = 'Whistle' must be a list of texts"),
        ("kettle", {"audioset": ["Whistle", 3]}, "must be a list of texts"),
        ("kettle", {"audioset": ["Whistle"], "label": ""}, "label"),
        ("kettle", {"audioset": ["Whistle"], "label": "a\x1b[31mb"}, "must be printable"),
        ("Kettle", {"audioset": ["Whistle"]}, "may only have lower-case letters, digits and underscores"),
        ("k" * 65, {"audioset": ["Whistle"]}, "64 at most"),
        ("kettle\x1b[31m", {"audioset": ["Whistle"]}, "may only have lower-case"),
    ],
)
def test_a_wrong_class_of_one_s_own_is_refused(slug: str, table: dict[str, object], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence) as caught:
        parse_config({"class": {slug: table}}, "test")
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("number", [0, 1_001, "2", True, 1.5])
def test_a_class_list_is_a_number(number: object) -> None:
    with pytest.raises(UsageError, match="class_list"):
        parse_config({"detection": {"class_list": number}}, "test")


def test_without_a_file_the_newest_list_holds_and_a_file_without_one_keeps_to_the_first() -> None:
    assert default_config().class_list == NEWEST_CLASS_LIST
    assert parse_config({}, "test").class_list == 1
    assert parse_config({"detection": {"class_list": 2}}, "test").class_list == 2


@pytest.mark.parametrize("shipped", [False, True])
def test_a_configuration_from_before_class_lists_enables_the_twelve_classes_of_then(shipped: bool) -> None:  # noqa: FBT001 - a parameter of the test
    manifest = load_bundle(DEFAULT_BUNDLE).manifest if shipped else labelled_manifest()
    assert set(enabled(manifest, load_config(BEFORE))) == set(TWELVE)


def test_the_configuration_that_is_installed_enables_whatever_the_bundle_does() -> None:
    config = load_config(Path(__file__).parents[4] / "systemd" / "edge.toml")
    assert config.class_list == NEWEST_CLASS_LIST
    assert enabled(labelled_manifest(), config) == (*TWELVE, "animal")


def test_the_classes_that_are_on_are_found_by_their_rules() -> None:
    on, off = Rule(0.5, 0.3), Rule(0.5, 0.3, enabled=False)
    assert enabled_indices((on, off, on)) == (0, 2)
    assert enabled_classes((RAIN, DOG, TRAIN), (on, off, on)) == (RAIN, TRAIN)
