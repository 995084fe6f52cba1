"""score --others on the bundle that ships and on sounds made here, from the command line to the card and the picture."""

import json
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import soundfile

from convert.bundling.evaluation_page import evaluation_page
from convert.bundling.model_card import model_card
from convert.embedder.runtime import DEFAULT_BUNDLE, stream_probabilities
from convert.evaluation import other_sounds
from convert.evaluation.other_figures import OtherSounds
from convert.evaluation.other_sounds import BUNDLE, PEER_IDENTIFIERS, PEER_LABELS, SHIFTS
from convert.evaluation.score import ScoreResult
from convert.evaluation.tables import cross_validation_sections, score_sections, score_text
from convert.plain_data import from_plain, to_plain
from edge_detector.demo.soundscape import INT16_SCALE, make_soundscape
from edge_detector.detection.bundle import load_bundle
from edge_detector.types import Float32
from tests.unit.convert.commands.test_score import RATE_HZ, cross_validate, score, write_clips, write_scores

OTHERS = {"cough": "person_sneeze", "rain": "rain", "various": "baby_cry"}
"""Labels of other recordings, and what is really in them."""

OTHER_SOUNDS = "other_sounds"
NAMES = ["sensitive", "balanced", "strict"]
SVG = "{http://www.w3.org/2000/svg}"


def write_others(folder: Path) -> Path:
    for label, slug in OTHERS.items():
        (folder / label).mkdir(parents=True)
        for take in range(2):
            made = make_soundscape(70 + take, ((slug, 3.0),))
            (event,) = made.events
            samples = made.samples[event.first_sample : event.end_sample] / INT16_SCALE
            soundfile.write(folder / label / f"{take}.wav", samples, RATE_HZ, subtype="PCM_16")
    return folder


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Clips of two folds that the bundle has not learnt from, and recordings of other sounds."""
    folder = tmp_path_factory.mktemp("others")
    write_clips(folder / "clips", (5, 6))
    write_others(folder / "others")
    return folder


@pytest.fixture(scope="module")
def results(material: Path) -> dict[int, dict[str, Any]]:
    """What score prints of each fold; of fold 5 it draws a picture."""
    found = {}
    with pytest.MonkeyPatch.context() as patch:
        lines: list[str] = []
        patch.setattr("sys.stdout.write", lines.append)
        for fold in (5, 6):
            lines.clear()
            picture = ("--picture", material / "curve.svg") if fold == 5 else ()
            assert score(material / "clips", "--folds", fold, "--others", material / "others", *picture, "--json") == 0
            found[fold] = json.loads("".join(lines))
    return found


def of_fold(results: Mapping[int, Any], fold: int) -> OtherSounds:
    return other_sounds_in(results[fold])


def other_sounds_in(result: object) -> OtherSounds:
    found = as_result(result).other_sounds
    assert found is not None
    return found


def as_result(result: object) -> ScoreResult:
    return from_plain(ScoreResult, result, "score", ignore_unknown=True)


def test_a_sneeze_under_the_label_of_a_cough_is_false_and_rain_under_its_own_is_not(results: Mapping[int, Any]) -> None:
    found = of_fold(results, 5)
    assert {label: each.recordings for label, each in found.others.items()} == {"cough": 2, "rain": 2, "various": 2}
    balanced = found.curves[BUNDLE].marks["balanced"]
    assert balanced.false_of_class["person_sneeze"] == balanced.false_of_ten["cough"] == balanced.false_of_enabled["cough"] == 2
    assert "rain" not in balanced.false_of_class
    assert balanced.false_of_ten["various"] == 2
    assert "baby_cry" not in balanced.false_of_class, "what may hold anything is counted apart"
    false = found.curves[BUNDLE].marked("balanced").false_of_ten
    assert (false.count, found.counted) == (2 + balanced.false_of_ten["rain"], 4)


def test_the_balanced_mark_is_the_detector_at_its_own_thresholds(results: Mapping[int, Any]) -> None:
    for fold, result in results.items():
        found = of_fold(results, fold)
        counts = result["detectors"]["edge_detector_0.96"]["found"]["counts"]
        assert {slug: [found.curves[BUNDLE].marks["balanced"].found[slug], 2] for slug in counts} == counts
        assert found.clips == {slug: total for slug, (_, total) in counts.items()}


def test_a_stricter_setting_never_finds_more_clips_or_false_events(results: Mapping[int, Any]) -> None:
    points = of_fold(results, 5).curves[BUNDLE].points.values()
    found, of_ten = [point.found.count for point in points], [point.false_of_ten.count for point in points]
    of_enabled = [point.false_of_enabled.count for point in points]
    for counts in (found, of_ten, of_enabled):
        assert counts == sorted(counts, reverse=True)
    assert of_ten[0] > of_ten[-1] > 0, "from something to less"


def test_accuracy_and_false_events_come_from_one_run_over_each_recording(
    material: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    runs: list[int] = []

    def counting(*arguments: Any) -> Float32:  # noqa: ANN401 - whatever it takes
        runs.append(1)
        return stream_probabilities(*arguments)

    monkeypatch.setattr(other_sounds, "stream_probabilities", counting)
    assert score(material / "clips", "--others", material / "others", "--json") == 0
    result = json.loads(capsys.readouterr().out)
    assert len(runs) == result["clips"] + 6 == 14


def test_the_result_has_the_documented_keys(results: Mapping[int, Any]) -> None:
    found = results[5][OTHER_SOUNDS]
    assert set(found) == {"hop_seconds", "bundles", "enabled", "clips", "others", "anything", "curves"}
    assert (found["hop_seconds"], found["bundles"], found["anything"]) == (0.96, 1, ["various"])
    assert found["others"]["rain"] == {"recordings": 2, "may_hold": ["rain", "thunder"]}, "of the classes that are measured"
    curve = found["curves"][BUNDLE]
    assert set(curve) == {"title", "points", "marks", "found_where_false"}
    assert [float(strictness) for strictness in curve["points"]] == list(SHIFTS)
    for point in curve["points"].values():
        assert set(point) == {"found", "false_of_ten", "false_of_enabled"}
        assert set(point["found"]) == {"count", "share", "share_95"}
        assert set(point["false_of_ten"]) == set(point["false_of_enabled"]) == {"count", "share", "share_95", "mean_over_labels"}
    assert list(curve["marks"]) == NAMES
    for mark in curve["marks"].values():
        assert set(mark) == {"strictness", "found", "false_of_ten", "false_of_enabled", "false_of_class"}
        assert mark["strictness"] in curve["points"]
    assert set(curve["found_where_false"]) == {"ten", "enabled", "ten_mean_over_labels"}
    assert all(list(shares) == ["0.07", "0.1", "0.16"] for shares in curve["found_where_false"].values())


def test_figures_read_from_json_are_the_same(results: Mapping[int, Any]) -> None:
    assert to_plain(of_fold(results, 5)) == results[5][OTHER_SOUNDS]


def test_the_text_has_every_point_and_the_marks_by_label_and_class(results: Mapping[int, Any]) -> None:
    text = score_text(as_result(results[5]))
    for wanted in ("| this bundle, hop 0.96 s | sensitive", "| -0.25 ", "| 0 balanced ", "| various (2) ", "| `person_sneeze` "):
        assert wanted in text
    assert "2 more (various) may hold any sound and are excluded." in text


def test_the_card_shows_the_marks_and_the_limits_of_the_figures(results: Mapping[int, Any]) -> None:
    evaluation = {"scores": [to_plain(as_result(results[5]).for_manifest())]}
    manifest = replace(load_bundle(DEFAULT_BUNDLE).manifest, evaluation=evaluation)
    card, page = model_card(manifest), evaluation_page(manifest, {"embedder.tflite": 1})
    for wanted in (*NAMES, "false of all enabled", "Limits: the other recordings have 2 labels"):
        assert wanted in card
        assert wanted in page
    assert "7 % of the ten" in page
    assert "16 % of all enabled" in page
    assert "| 0 balanced" not in page, "every point is in the manifest, and too much for a page"


def test_found_and_false_of_folds_add_up(results: Mapping[int, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = write_scores(tmp_path, results)
    assert cross_validate(*paths, more=("--picture", str(tmp_path / "curve.svg"), "--json")) == 0
    result = json.loads(capsys.readouterr().out)
    total, parts = other_sounds_in(result), [of_fold(results, fold) for fold in results]
    assert total.clips == {"dog_bark": 4, "rain": 4}
    assert (total.bundles, total.others) == (2, parts[0].others)
    for strictness, point in total.curves[BUNDLE].points.items():
        own = [part.curves[BUNDLE].points[strictness] for part in parts]
        assert point.found.count == sum(each.found.count for each in own)
        assert point.false_of_ten.count == sum(each.false_of_ten.count for each in own)
        assert point.false_of_enabled.count == sum(each.false_of_enabled.count for each in own)
    false = total.curves[BUNDLE].marked("balanced").false_of_ten
    assert false.share == pytest.approx(false.count / (2 * 4)), "each bundle was measured on all of them"
    for name in NAMES:
        mark, own_marks = total.curves[BUNDLE].marks[name], [part.curves[BUNDLE].marks[name] for part in parts]
        for counts in ("found", "false_of_ten", "false_of_enabled", "false_of_class"):
            added: Counter[str] = sum((Counter(getattr(each, counts)) for each in own_marks), Counter())
            assert +Counter(getattr(mark, counts)) == added
    assert (tmp_path / "curve.svg").read_text(encoding="utf-8").startswith("<?xml")
    card = cross_validation_sections(as_result(result))
    assert "which makes 8 trials" in card
    assert "| 0 balanced" not in card
    assert "| 0 balanced" in score_text(as_result(result))


def test_a_sum_can_be_added_to(results: Mapping[int, Any]) -> None:
    parts = [of_fold(results, fold) for fold in (5, 6)]
    both = parts[0] + parts[1]
    three = both + parts[0]
    assert three.bundles == 3
    assert three.clips == dict.fromkeys(three.clips, 6)


@pytest.mark.parametrize("change", ["others", "enabled", "none"])
def test_other_sounds_of_different_settings_are_not_added_up(
    change: str, results: Mapping[int, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = json.loads(json.dumps(results[6]))
    if change == "none":
        del other[OTHER_SOUNDS]
    elif change == "enabled":
        other[OTHER_SOUNDS]["enabled"].pop()
    else:
        other[OTHER_SOUNDS]["others"]["rain"]["recordings"] = 3
    assert cross_validate(*write_scores(tmp_path, {5: results[5], 6: other})) == 2
    assert "was scored with other classes or options" in capsys.readouterr().err


def test_a_picture_needs_other_sounds(material: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert score(material / "clips", "--picture", material / "file") == 2
    assert "--picture draws false events in other sounds; give --others too" in capsys.readouterr().err


def test_a_picture_of_folds_needs_other_sounds(
    results: Mapping[int, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    without = {fold: {key: value for key, value in result.items() if key != OTHER_SOUNDS} for fold, result in results.items()}
    assert cross_validate(*write_scores(tmp_path, without), more=("--picture", str(tmp_path / "curve.svg"))) == 2
    assert "score with --others, or leave it out" in capsys.readouterr().err
    assert not (tmp_path / "curve.svg").exists()
    assert score_sections(as_result(without[5])).startswith("| as a detector"), "and without it nothing is said of it"


def texts(picture: ET.Element) -> list[str]:
    return [each.text or "" for each in picture.iter(f"{SVG}text")]


def test_the_picture_names_the_axes_the_detector_and_its_marks(results: Mapping[int, Any], material: Path) -> None:
    assert results
    picture = ET.parse(material / "curve.svg").getroot()  # noqa: S314 - made a moment ago
    said = texts(picture)
    for wanted in (*NAMES, "this bundle, hop 0.96 s", "clips with an event of their class"):
        assert said.count(wanted) == 1
    assert "other recordings with a false event of ESC-10's ten classes" in said
    assert "70%" in said


def test_yamnet_is_measured_on_the_same_recordings_with_two_sets_of_labels(
    material: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    others = ("--others", material / "others", "--picture", tmp_path / "curve.svg", "--hops", 4, 1)
    assert score(material / "clips", "--folds", 5, *others, "--peer", data / "peers" / "yamnet.tflite", "--json") == 0
    result = json.loads(capsys.readouterr().out)
    found = other_sounds_in(result)
    assert list(found.curves) == [BUNDLE, PEER_LABELS, PEER_IDENTIFIERS]
    assert found.hop_seconds == 0.24
    for key in (PEER_LABELS, PEER_IDENTIFIERS):
        curve = found.curves[key]
        assert list(curve.marks) == ["0.5", "0.2"]
        assert [*curve.points][0::17] == ["0.05", "0.9"]
        assert curve.marks["0.2"].false_of_ten["cough"] == 2, "the made sneezes are sneezes to YAMNet as well"
    said = texts(ET.parse(tmp_path / "curve.svg").getroot())  # noqa: S314 - made a moment ago
    assert (said.count("0.5"), said.count("0.2")) == (2, 2)
    assert {"YAMNet, the bundle's labels", "YAMNet, labels by identifier"} <= set(said)


def test_yamnets_clips_are_counted_as_without_other_sounds(
    material: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    peer, said = ("--peer", data / "peers" / "yamnet.tflite", "--json"), []
    for others in ((), ("--others", material / "others")):
        assert score(material / "clips", "--folds", 5, *others, *peer) == 0
        said.append(json.loads(capsys.readouterr().out))
    assert said[0]["peer"] == said[1]["peer"]
    assert {key: value for key, value in said[1].items() if key != OTHER_SOUNDS} == said[0]
