"""Clips found and false events at every strictness are counted by the detector's own decider."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from functools import reduce
from operator import add
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convert.embedder.runtime import DEFAULT_BUNDLE, enabled_classes
from convert.embedder.yamnet import YamnetBaseline, by_identifier
from convert.evaluation.may_hold import MayHold
from convert.evaluation.other_figures import (
    Curve,
    Material,
    OtherLabel,
    OtherSounds,
    Point,
    found_where_false,
    share_of,
)
from convert.evaluation.other_sounds import (
    BUNDLE,
    PEER_IDENTIFIERS,
    PEER_LABELS,
    SHIFTS,
    TEN,
    Detected,
    Network,
    counted,
    detected,
    measured_classes,
    of_bundle,
    of_peer,
    peer_clips,
    require_ten,
)
from edge_detector.audio.clips import Clip, LoadedClip
from edge_detector.demo.soundscape import make_soundscape
from edge_detector.detection.bundle import Bundle, load_bundle
from edge_detector.detection.hysteresis import STRICTNESS_LOG_ODDS, Decider, Rule, shifted
from edge_detector.errors import UsageError
from edge_detector.teaching.calibration import as_scores
from edge_detector.teaching.intervals import wilson_interval
from edge_detector.types import EventStart, Float32

STEP_SAMPLES = 15_360


@pytest.fixture(scope="module")
def shipped() -> Bundle:
    return load_bundle(DEFAULT_BUNDLE)


def test_only_events_that_a_label_excludes_are_false() -> None:
    others = [
        Detected("cough", frozenset({"person_sneeze", "dog_bark"})),
        Detected("cough", frozenset({"speech"})),
        Detected("cough", frozenset()),
        Detected("thunder", frozenset({"rain", "speech"})),
        Detected("thunder", frozenset({"rain", "sea_waves"})),
        Detected("rain", frozenset({"rain"})),
        Detected("various", frozenset({"baby_cry"})),
    ]
    may_hold = MayHold({"cough": frozenset(), "thunder": frozenset({"rain"})}, frozenset({"various"}))
    clips = [Detected("rain", frozenset({"rain", "speech"})), Detected("rain", frozenset({"sea_waves"}))]
    counts = counted(clips, others, may_hold, ["dog_bark", "speech"])
    assert counts.found == Counter(rain=1)
    assert counts.of_ten == Counter(cough=1, thunder=1, various=1)
    assert counts.of_enabled == Counter(cough=2, thunder=1), "of the enabled classes alone, whether ESC-10 has them or not"
    assert counts.of_class == Counter(person_sneeze=1, dog_bark=1, speech=2, sea_waves=1), "what may hold anything is left out"


@st.composite
def streams(draw: st.DrawFn) -> tuple[Float32, tuple[Rule, ...]]:
    """Probabilities (windows, classes), many of them level with a threshold, and rules."""
    rules = []
    for _ in range(draw(st.integers(1, 3))):
        on = draw(st.sampled_from((0.05, 0.3, 0.5, 0.7, 0.95, 1.0)))
        seconds = st.sampled_from((0.0, 0.9, 2.0))
        rules.append(Rule(on, on * draw(st.sampled_from((0.0, 0.6, 1.0))), draw(seconds), draw(seconds), 600.0, draw(seconds)))
    levels = st.sampled_from([0.0, 1.0, *(np.float32(rule.on) for rule in rules), *(np.float32(rule.off) for rule in rules)])
    rows = draw(
        st.lists(st.lists(levels | st.floats(0, 1, width=32), min_size=len(rules), max_size=len(rules)), min_size=1, max_size=9)
    )
    return np.array(rows, np.float32), tuple(rules)


@given(streams())
def test_a_detected_class_is_one_whose_event_the_decider_starts(stream: tuple[Float32, tuple[Rule, ...]]) -> None:
    probabilities, rules = stream
    decider = Decider(rules)
    found = [each for scores in as_scores(probabilities, STEP_SAMPLES) for each in decider.decide(scores)]
    assert detected(probabilities, rules, STEP_SAMPLES) == {each.class_index for each in found if isinstance(each, EventStart)}


@given(streams(), st.lists(st.sampled_from(SHIFTS), min_size=2, max_size=2, unique=True))
def test_a_stricter_shift_detects_nothing_new(stream: tuple[Float32, tuple[Rule, ...]], shifts: list[float]) -> None:
    probabilities, rules = stream
    sensitive, strict = (
        detected(probabilities, tuple(shifted(rule, shift) for rule in rules), STEP_SAMPLES) for shift in sorted(shifts)
    )
    assert strict <= sensitive


def test_the_curve_of_a_bundle_has_the_strictness_settings_of_the_detector(shipped: Bundle) -> None:
    detector = of_bundle(shipped, 2).detectors[BUNDLE]
    own = tuple(sound.rules[2] for sound in enabled_classes(shipped))
    for name, shift in STRICTNESS_LOG_ODDS.items():
        assert detector.rules[detector.marks[name]] == tuple(shifted(rule, shift) for rule in own)
    assert detector.rules[detector.marks["balanced"]] == own
    assert [float(strictness) for strictness in detector.rules] == sorted(SHIFTS)


def test_a_class_of_esc_10_that_is_off_is_measured_but_not_as_an_enabled_one(shipped: Bundle) -> None:
    off = {hops: replace(rule, enabled=False) for hops, rule in shipped.manifest.classes[0].rules.items()}
    first = replace(shipped.manifest.classes[0], rules=off)
    bundle = replace(shipped, manifest=replace(shipped.manifest, classes=(first, *shipped.manifest.classes[1:])))
    slugs = [sound.slug for sound in measured_classes(bundle)]
    assert first.slug in TEN
    assert slugs[-1] == first.slug, "the enabled ones come first"
    assert first.slug not in [sound.slug for sound in enabled_classes(bundle)]
    assert of_bundle(bundle, 1).detectors[BUNDLE].rules["0"][-1].enabled


def test_a_bundle_without_one_of_the_ten_is_refused(shipped: Bundle) -> None:
    classes = tuple(sound for sound in shipped.manifest.classes if sound.slug not in {"rain", "rooster"})
    bundle = replace(shipped, manifest=replace(shipped.manifest, classes=classes))
    with pytest.raises(UsageError, match="has no class rain, rooster; --others is for bundles with"):
        require_ten(bundle, Path("mine"))
    require_ten(shipped, DEFAULT_BUNDLE)


def material(others: Mapping[str, int], anything: tuple[str, ...] = (), bundles: int = 1) -> Material:
    labels = {label: OtherLabel(count, ()) for label, count in others.items()}
    return Material(clips={}, others=labels, anything=anything, bundles=bundles)


def test_the_mean_over_labels_gives_each_large_label_the_same_weight() -> None:
    found = material({"bird": 180, "cough": 20, "siren": 1, "various": 50}, ("various",))
    assert found.mean_over_labels({"cough": 10, "siren": 1, "various": 50}) == pytest.approx(0.25)
    assert found.false(11).share == pytest.approx(11 / 201)
    assert material({"siren": 1}).mean_over_labels({"siren": 1}) is None


def test_the_mean_over_labels_of_folds_is_that_of_their_counts() -> None:
    counts = [{"bird": 4}, {"bird": 10, "cough": 20}, {"cough": 1}]
    whole, each = (material({"bird": 40, "cough": 20}, bundles=bundles) for bundles in (3, 1))
    parts = []
    for by_label in counts:
        false = each.false_share(by_label)
        curve = Curve("one", {"0": Point(each.found(0), false, false)}, {})
        parts.append(OtherSounds(clips={}, others=each.others, anything=(), hop_seconds=0.96, enabled=(), curves={BUNDLE: curve}))
    added = reduce(add, parts).curves[BUNDLE].points["0"].false_of_ten
    assert added.count == 35
    assert added.mean_over_labels == pytest.approx(whole.mean_over_labels({"bird": 14, "cough": 21}))


def test_the_share_found_is_interpolated_between_points_and_never_beyond_them() -> None:
    points = [(0.2, 0.9), (0.1, 0.7), (0.1, 0.8), (0.05, 0.6)]
    assert found_where_false(points, 0.15) == pytest.approx(0.85)
    assert found_where_false(points, 0.1) == pytest.approx(0.8)
    assert found_where_false(points, 0.04) is None
    assert found_where_false(points, 0.21) is None


def test_repeated_recordings_do_not_narrow_the_interval() -> None:
    assert share_of(30, 300, repeats=3).share_95 == share_of(10, 100).share_95 == wilson_interval(10, 100)
    assert share_of(30, 300, repeats=3).share == share_of(30, 300).share


@pytest.mark.parametrize("step_samples", [3_840, 7_680, 15_360])
def test_one_run_over_clips_gives_the_windows_of_yamnets_example_and_those_of_the_hop(step_samples: int) -> None:
    def starts(samples: Float32, step: int) -> Float32:
        """In every column the first sample of each window."""
        return np.repeat(np.arange(0, len(samples), step, dtype=np.float32)[:, np.newaxis], 3, axis=1)

    clip = LoadedClip(Clip(Path("rain.wav"), "rain", 1, "1-a"), 0, np.zeros(40_000, np.float32))
    ((example,), (kept,)) = peer_clips(Network(starts, {}), [clip], 2, step_samples)
    assert (example.shape[1], kept.probabilities.shape[1], kept.label) == (2, 3, "rain")
    assert example[:, 0].tolist() == [0, 7_680, 15_360, 23_040, 30_720, 38_400]
    assert kept.probabilities[:, 0].tolist() == list(range(0, 40_000, step_samples))


def test_each_yamnet_has_the_labels_of_its_name(shipped: Bundle, data: Path) -> None:
    path, samples = data / "peers" / "yamnet.tflite", make_soundscape().block.samples[: 10 * STEP_SAMPLES].astype(np.float32)
    network, classes = of_peer(path, shipped), measured_classes(shipped)
    probabilities = network.probabilities(samples, STEP_SAMPLES)
    for key, variant in ((PEER_LABELS, classes), (PEER_IDENTIFIERS, tuple(map(by_identifier, classes)))):
        detector = network.detectors[key]
        own = probabilities[:, detector.first_column : detector.first_column + len(classes)]
        assert np.array_equal(own, YamnetBaseline(path, variant).probabilities(samples, STEP_SAMPLES))
        assert {name: detector.rules[strictness][0].on for name, strictness in detector.marks.items()} == {"0.5": 0.5, "0.2": 0.2}


def test_a_bundle_whose_classes_name_no_labels_has_one_yamnet_beside_it(shipped: Bundle, data: Path) -> None:
    classes = tuple(replace(sound, audioset=()) for sound in enabled_classes(shipped))
    bundle = replace(shipped, manifest=replace(shipped.manifest, classes=classes))
    assert list(of_peer(data / "peers" / "yamnet.tflite", bundle).detectors) == [PEER_LABELS]
