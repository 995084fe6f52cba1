"""score and cross-validate on the bundle that ships and on sounds made here, through the command line."""

import json
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from convert.__main__ import main
from convert.bundling.evaluation_page import evaluation_page
from convert.embedder.runtime import DEFAULT_BUNDLE
from convert.evaluation.conditions import conditions
from convert.evaluation.figures import AlarmFigures, FoundClips, SoundscapeFigures
from convert.evaluation.score import PartScore, PeerScore, ScoreResult, read_score
from convert.evaluation.score_streams import NOISE
from convert.evaluation.scoring import accuracy
from convert.evaluation.tables import accuracy_text, parts_table
from convert.files import read_json, write_json
from convert.metrics.events import EventCounts
from convert.plain_data import from_plain, to_plain
from convert.recipe import RECIPES
from edge_detector.audio.clips import Clip, LoadedClip
from edge_detector.demo.soundscape import INT16_SCALE, make_soundscape
from edge_detector.detection.bundle import load_bundle
from tests.support.synthetic import sound

RATE_HZ = 16_000
SLUGS = ("dog_bark", "rain")
AMONG = "among_classes_of_clips"
CLIPS_KEYS = {"clips", "right", "accuracy", "errors", "error_share_95", "recall", "labels", "confusion"}
FOUND_KEYS = {"clips", "found", "share", "share_95", "recall", "counts"}
ALARM_KEYS = {"hours", "events", "per_hour", "at_most_per_hour", "classes"}
CLASS_KEYS = {
    *("true", "heard", "matched", "touched", "false_alarms", "f1", "precision", "recall"),
    *("latency_median_seconds", "latency_p90_seconds"),
}
EVENT_KEYS = CLASS_KEYS | {"hours", "mean_f1", "false_alarms_per_hour", "false_alarms_at_most_per_hour", "classes"}
RATIOS = ["0", "5", "10", "15", "20", "all"]


def write_clips(folder: Path, folds: tuple[int, ...], takes: int = 2) -> Path:
    for slug in SLUGS:
        (folder / slug).mkdir(parents=True)
        for fold in folds:
            for take in range(takes):
                made = make_soundscape(10 * fold + take, ((slug, 3.0),))
                (event,) = made.events
                samples = made.samples[event.first_sample : event.end_sample]
                soundfile.write(folder / slug / f"{fold}-{take}-A.wav", samples / INT16_SCALE, RATE_HZ, subtype="PCM_16")
    return folder


def score(*arguments: object) -> int:
    return main(["score", str(DEFAULT_BUNDLE), *map(str, arguments)])


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Clips of two folds that the bundle has not learnt from, and background: music, and a recording of another kind."""
    folder = tmp_path_factory.mktemp("score")
    write_clips(folder / "clips", (5, 6))
    for label, seconds in (("music", 20.0), ("machine_car", 5.0)):
        (folder / "background" / label).mkdir(parents=True)
        thumps = sound("thump", 1, seconds)
        soundfile.write(folder / "background" / label / "1-x_0000-0000.wav", thumps, RATE_HZ, subtype="PCM_16")
    return folder


@pytest.fixture(scope="module")
def results(material: Path) -> dict[int, dict[str, Any]]:
    """What score prints of each fold."""
    found = {}
    everything = ("--soundscapes", "--background", material / "background", "--signals", 0.05, "--hops", 1, 2)
    with pytest.MonkeyPatch.context() as patch:
        lines: list[str] = []
        patch.setattr("sys.stdout.write", lines.append)
        for fold in (5, 6):
            lines.clear()
            assert score(material / "clips", "--folds", fold, *everything, "--json") == 0
            found[fold] = json.loads("".join(lines))
    return found


def write_scores(folder: Path, results: Mapping[int, Any]) -> list[Path]:
    paths = [folder / f"fold-{fold}.json" for fold in results]
    for path, result in zip(paths, results.values(), strict=True):
        path.write_text(json.dumps(result), encoding="utf-8")
    return paths


def cross_validate(*paths: Path, more: tuple[str, ...] = ()) -> int:
    return main(["cross-validate", *map(str, paths), *more])


def test_the_result_has_the_documented_keys(results: Mapping[int, Any]) -> None:
    result = results[5]
    top = {"bundle", "version", "folds", "learnt_from_folds", "seed", "detectors"}
    assert set(result) == top | CLIPS_KEYS | {AMONG}
    assert set(result[AMONG]) == CLIPS_KEYS
    assert list(result["detectors"]) == ["edge_detector_0.96", "edge_detector_0.48"]
    for detector in result["detectors"].values():
        assert set(detector) == {"title", "on", "found", "soundscapes", "background", "signals"}
        assert set(detector["found"]) == FOUND_KEYS
        assert list(detector["soundscapes"]) == RATIOS
        for figures in detector["soundscapes"].values():
            assert set(figures) == EVENT_KEYS
            assert set(figures["classes"]) == set(SLUGS)
            assert all(set(each) == CLASS_KEYS | {"latencies_seconds"} for each in figures["classes"].values())
        for figures in (*detector["background"].values(), *detector["signals"].values()):
            assert set(figures) == ALARM_KEYS


def test_figures_add_up(results: Mapping[int, Any]) -> None:
    result = results[5]
    assert (result["clips"], result["folds"], result["learnt_from_folds"]) == (4, [5], [1, 2, 3, 4])
    assert result["right"] + result["errors"] == 4
    for detector in result["detectors"].values():
        assert detector["found"]["counts"] == {slug: [found, 2] for slug, (found, _) in detector["found"]["counts"].items()}
        by_ratio = [detector["soundscapes"][ratio] for ratio in RATIOS[:-1]]
        every = detector["soundscapes"]["all"]
        assert every["matched"] == sum(figures["matched"] for figures in by_ratio)
        assert every["hours"] == pytest.approx(sum(figures["hours"] for figures in by_ratio), abs=1e-5)
        assert list(detector["background"]) == ["music"], "hours are of speech and music; a recording of a car is none"
        assert detector["background"]["music"]["hours"] == pytest.approx(20 / 3_600, abs=1e-5)


def test_a_clip_with_music_on_top_is_right_among_the_classes_of_the_clips() -> None:
    labels = ("dog_bark", "music", "rain")
    clips = [LoadedClip(Clip(Path("dog.wav"), "dog_bark", 1, "1-a"), 0, np.zeros(0, np.float32))]
    probabilities = [np.array([[0.4, 0.6, 0.1], [0.3, 0.5, 0.2]], np.float32)]
    of_all, of_two = accuracy(probabilities, clips, labels), accuracy(probabilities, clips, labels, (0, 2))
    assert (of_all.errors, of_two.errors) == (1, 0)
    result = ScoreResult(
        labels=of_all.labels,
        confusion=of_all.confusion,
        bundle="default",
        folds=(1,),
        training_folds=(),
        seed=0,
        detectors={},
        among_classes_of_clips=of_two,
        peer=PeerScore(
            labels=of_two.labels, confusion=of_two.confusion, file="yamnet.tflite", found_at={}, classes_without_labels=()
        ),
    )
    assert "Among the classes of the clips alone: 1 of 1 clips" in accuracy_text(result)
    part = PartScore(bundle="default", version="1", folds=(1,), clips=1, errors=1, among_classes_of_clips=0, peer_errors=0)
    assert "| 1 of 1 | 0 of 1" in " ".join(parts_table([part]).split())


def test_the_detector_finds_synthetic_sounds(results: Mapping[int, Any]) -> None:
    for result in results.values():
        detector = result["detectors"]["edge_detector_0.96"]
        assert detector["found"]["found"] >= 3
        assert detector["soundscapes"]["20"]["matched"] >= 1


def test_soundscapes_are_the_same_in_each_run(
    material: Path, results: Mapping[int, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    assert score(material / "clips", "--folds", 5, "--soundscapes", "--background", material / "background", "--json") == 0
    found = json.loads(capsys.readouterr().out)["detectors"]["edge_detector_0.96"]["soundscapes"]
    assert found == results[5]["detectors"]["edge_detector_0.96"]["soundscapes"]


def test_the_text_has_a_table_for_each_part(material: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert score(material / "clips", "--folds", 5) == 0
    plain = capsys.readouterr().out
    assert "of 4 clips have their class on top" in plain
    assert "soundscapes" not in plain
    assert score(material / "clips", "--soundscapes", 2, "--signals", 0.05) == 0
    full = capsys.readouterr().out
    for wanted in ("clips found", "signal to noise", "By class", "1000 Hz tone 0 dBFS"):
        assert wanted in full


def test_scores_of_folds_are_added_up(results: Mapping[int, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = write_scores(tmp_path, results)
    assert cross_validate(*paths, more=("--json",)) == 0
    total = json.loads(capsys.readouterr().out)
    assert (total["clips"], total["folds"], [part["folds"] for part in total["parts"]]) == (8, [5, 6], [[5], [6]])
    assert total["errors"] == sum(result["errors"] for result in results.values())
    assert total[AMONG]["confusion"] == np.sum([result[AMONG]["confusion"] for result in results.values()], axis=0).tolist()
    for key, detector in total["detectors"].items():
        own = [result["detectors"][key] for result in results.values()]
        assert detector["found"]["found"] == sum(each["found"]["found"] for each in own)
        for ratio in RATIOS:
            figures = detector["soundscapes"][ratio]
            for count in ("true", "heard", "matched", "false_alarms"):
                assert figures[count] == sum(each["soundscapes"][ratio][count] for each in own)
            assert figures["f1"] == pytest.approx(2 * figures["matched"] / (figures["true"] + figures["heard"]))
        assert detector["signals"]["silence"]["hours"] == pytest.approx(2 * 0.05 / 60, abs=1e-5)
    assert cross_validate(*paths) == 0
    assert "| default " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"folds": [5]}, "are both of fold 5"),
        ({"folds": [2]}, "on which it was trained"),
        ({"folds": None}, "is a score of all clips"),
        ({"seed": 9}, "was scored with other classes or options"),
        ({"detectors": {}}, "was scored with other classes or options"),
        ({"version": None}, "is a cross-validation; give the scores that it adds up"),
        ({"confusion": None}, "is no result of score --json"),
    ],
)
def test_scores_of_different_settings_are_refused(
    change: dict[str, Any], what: str, results: Mapping[int, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = write_scores(tmp_path, {5: results[5], 6: results[6] | change})
    assert cross_validate(*paths) == 2
    message = capsys.readouterr().err
    assert what in message
    assert message.count("\n") == 1


def test_a_file_of_another_command_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (path,) = write_scores(tmp_path, {1: {"passed": True}})
    assert cross_validate(path) == 2
    assert "is no result of score --json, so score again" in capsys.readouterr().err


def test_yamnet_s_thresholds_need_yamnet(material: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert score(material / "clips", "--calibrate-background", material / "background") == 2
    assert "give --peer too" in capsys.readouterr().err


def calibrated_like(folder: Path, change: dict[str, Any]) -> Path:
    """A copy of the bundle that ships, said to be calibrated so."""
    shutil.copytree(DEFAULT_BUNDLE, folder)
    like = {
        "costs": {"recordings": 2.0, "hour": 0.1},
        "gains_db": [0.0, -15.0],
        "most_hours": 1.0,
        "hours": {NOISE: 0.01},
        "clips": 8,
        "folds": [1, 2, 3, 4],
        "classes": {},
    }
    manifest = read_json(folder / "manifest.json")
    manifest["training"]["calibration"] = {key: value for key, value in (like | change).items() if value is not None}
    write_json(folder / "manifest.json", manifest)
    return folder


def test_yamnet_is_scored_on_the_same_sound(
    material: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = calibrated_like(tmp_path / "bundle", {})
    peer = ("--peer", data / "peers" / "yamnet.tflite", "--calibrate-background", material / "background")
    told = ("score", bundle, material / "clips", "--folds", 5, "--soundscapes", *peer, "--json")
    assert main([str(word) for word in told]) == 0
    result = json.loads(capsys.readouterr().out)
    assert list(result["detectors"]) == ["edge_detector_0.96", "yamnet_frigate", "yamnet_calibrated"]
    assert set(result["peer"]) == CLIPS_KEYS | {"file", "found_at", "deaf_to"}
    assert set(result["peer"]["found_at"]) == {"0.5", "0.2"}
    hours = {detector["soundscapes"]["all"]["hours"] for detector in result["detectors"].values()}
    true = {detector["soundscapes"]["all"]["true"] for detector in result["detectors"].values()}
    assert len(hours) == len(true) == 1, "all detectors run on the same soundscapes"
    on = result["detectors"]["yamnet_calibrated"]["on"]
    assert 0.04 < min(on.values()) < max(on.values()) < 0.99
    assert 0.04 < on["dog_bark"] < 0.5, "it is found in the clips of the other fold, and in nothing else"


def test_yamnet_is_not_calibrated_like_a_bundle_without_costs(
    material: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = calibrated_like(tmp_path / "bundle", {"costs": None})
    peer = ("--peer", data / "peers" / "yamnet.tflite", "--calibrate-background", material / "background")
    assert main([str(word) for word in ("score", bundle, material / "clips", "--folds", 5, *peer)]) == 2
    *_, message = capsys.readouterr().err.splitlines()
    assert "are not calibrated by costs; calibrate it" in message


def test_clips_are_scored_in_each_condition_and_the_counts_add_up(
    material: Path, results: Mapping[int, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert score(material / "clips", "--folds", 5, "--conditions", "--json") == 0
    found = json.loads(capsys.readouterr().out)["detectors"]["edge_detector_0.96"]["conditions"]
    assert list(found) == list(conditions(seed=0))
    assert all(set(figures) == FOUND_KEYS and figures["clips"] == 4 for figures in found.values())
    assert max(figures["found"] for figures in found.values()) >= 3
    in_noise = {"pink noise at 10 dB": found["pink noise at 10 dB"]}
    paths = write_scores(
        tmp_path,
        {
            fold: result | {"detectors": {key: each | {"conditions": in_noise} for key, each in result["detectors"].items()}}
            for fold, result in results.items()
        },
    )
    assert cross_validate(*paths, more=("--json",)) == 0
    total = json.loads(capsys.readouterr().out)["detectors"]["edge_detector_0.96"]["conditions"]
    assert total["pink noise at 10 dB"]["found"] == 2 * in_noise["pink noise at 10 dB"]["found"]
    assert cross_validate(*paths) == 0
    assert "pink noise at 10 dB" in capsys.readouterr().out


def test_the_page_of_figures_shows_scores_and_the_manifest_carries_no_single_latency(results: Mapping[int, Any]) -> None:
    manifest = load_bundle(DEFAULT_BUNDLE).manifest
    result = from_plain(ScoreResult, results[5], "score", ignore_unknown=True)
    lean = to_plain(result.for_manifest())
    assert "latencies_seconds" not in json.dumps(lean)
    assert "latencies_seconds" in json.dumps(to_plain(result)), "the result itself is unchanged"
    evaluation = {**manifest.evaluation, "scores": [lean]}
    page = evaluation_page(replace(manifest, evaluation=evaluation), {"embedder.tflite": 1})
    assert "Events on soundscapes" in page
    assert "### Cross-validation" not in page


def test_a_result_read_from_its_json_is_the_same_result(results: Mapping[int, Any], tmp_path: Path) -> None:
    (path,) = write_scores(tmp_path, {5: results[5]})
    assert to_plain(read_score(path)) == results[5]


def test_the_scores_of_the_default_bundle_are_read_and_carried_as_they_are() -> None:
    shipped = load_bundle(DEFAULT_BUNDLE).manifest.evaluation["scores"]
    lean = to_plain(read_score(RECIPES / "default_scores.json").for_manifest())
    assert isinstance(shipped, list)
    assert keys_of([lean]) == keys_of(shipped)


def keys_of(value: object) -> object:
    """The keys of dicts at every depth."""
    if isinstance(value, dict):
        return {key: keys_of(item) for key, item in value.items()}
    return [keys_of(item) for item in value] if isinstance(value, list) else None


def test_sums_of_folds_are_the_figures_of_all_counts() -> None:
    one, other = EventCounts(3, 2, 1, 2, 1, (0.5,)), EventCounts(1, 1, 1, 1, 0, (1.5,))
    total = SoundscapeFigures.of_classes(0.5, {"dog": one}) + SoundscapeFigures.of_classes(0.25, {"dog": other, "cat": other})
    assert total == SoundscapeFigures.of_classes(0.75, {"dog": one + other, "cat": other})
    assert AlarmFigures(1.0, {"dog": 2}) + AlarmFigures(0.5, {"dog": 1, "cat": 1}) == AlarmFigures(1.5, {"cat": 1, "dog": 3})
    found = FoundClips({"dog": (1, 2)}) + FoundClips({"dog": (2, 2), "cat": (0, 1)})
    assert found == FoundClips({"dog": (3, 4), "cat": (0, 1)})
    assert np.isclose(AlarmFigures(0.5, {"dog": 3}).at_most_per_hour or 0.0, 7.754 / 0.5, atol=1e-2)
