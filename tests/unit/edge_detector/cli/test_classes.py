"""What `classes` prints, of the bundle that ships and of one with AudioSet labels and classes that are off."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edge_detector.cli.main import main
from edge_detector.config import load_config
from edge_detector.detection.bundle import AudioSetLabel, Manifest, load_bundle
from edge_detector.detection.classes import UNTESTED_RULE, resolve_classes
from edge_detector.detection.hysteresis import STRICTNESS_LOG_ODDS, shifted
from edge_detector.params import HOPS_PER_PATCH
from edge_detector.service.factory import DEFAULT_BUNDLE
from edge_detector.types import Strictness
from tests.support.command import edge_detector
from tests.support.labelled_bundle import TWELVE, labelled_bundle

COLUMNS = 80
Print = Callable[..., str]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return labelled_bundle(tmp_path_factory.mktemp("labelled") / "bundle")


@pytest.fixture
def printed(bundle: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Print:
    """What the command prints of that bundle, on something that is no terminal."""
    monkeypatch.delenv("COLUMNS", raising=False)

    def run(*arguments: str | Path) -> str:
        assert main(["classes", "--bundle", str(bundle), *map(str, arguments)]) == 0
        return capsys.readouterr().out

    return run


def records(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def classes_of(text: str) -> dict[str, dict[str, Any]]:
    return {record["slug"]: record for record in records(text) if record["type"] == "class"}


def block(text: str, slug: str) -> str:
    """The lines about one class, as one."""
    found = re.search(rf"(?m)^{slug} .*(?:\n    .*)*", text)
    assert found is not None, text
    return " ".join(found[0].split())


def test_every_class_of_the_shipped_bundle_is_listed_within_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    text = edge_detector("classes")
    assert all(len(line) <= COLUMNS for line in text.splitlines())
    assert all(f"\n{slug} " in text for slug in TWELVE)
    assert set(TWELVE) <= {slug for slug, record in classes_of(edge_detector("classes", "--json")).items() if record["enabled"]}


def test_a_class_is_told_with_what_it_is_made_of_its_thresholds_and_its_evidence(printed: Print) -> None:
    text = printed()
    assert all(len(line) <= COLUMNS for line in text.splitlines())
    assert "14 classes, 13 enabled" in text
    assert block(text, "animal") == (
        "animal enabled 0.3 0.3 0.3 Animal AudioSet: Bark; Baby cry, infant cry AudioSet read-out, untested here"
    )
    assert block(text, "engine").startswith(
        "engine off 0.4 0.4 0.4 Engine AudioSet: Chainsaw "
        "found 30 of 32 clips of 8 originals; false in 12 of 1,150 other recordings"
    )
    assert "trained output" in block(text, "rain")
    assert "[class.engine]\n    enabled = true\n" in text, "how a class is switched on"


def test_a_machine_is_told_everything_as_objects(printed: Print, bundle: Path) -> None:
    found = classes_of(printed("--json"))
    assert list(found) == [*TWELVE, "animal", "engine"]
    assert found["engine"] == {
        "type": "class",
        "slug": "engine",
        "label": "Engine",
        "mid": None,
        "audioset": ["Chainsaw"],
        "output": None,
        "taught": None,
        "class_list": 2,
        "enabled": False,
        "on": {"0.96": 0.4, "0.48": 0.4, "0.24": 0.4},
        "off": {"0.96": 0.2, "0.48": 0.2, "0.24": 0.2},
        "evidence": {"originals": 8, "clips": 32, "found": 30, "others": 1_150, "false": 12},
    }
    rain = next(sound for sound in load_bundle(bundle).manifest.classes if sound.slug == "rain")
    assert list(found["rain"]["on"].values()) == [rain.rules[hops].on for hops in HOPS_PER_PATCH]
    assert found["rain"]["output"] == rain.output


def test_a_configuration_s_classes_and_thresholds_are_listed(printed: Print, tmp_path: Path) -> None:
    config = tmp_path / "edge.toml"
    config.write_text(
        '[class.tea_kettle]\naudioset = ["Tick-tock"]\non = 0.5\n[class.engine]\n[class.rain]\nenabled = false\n'
        "[class.rooster]\non = 0.9\n"
    )
    found = classes_of(printed("--json", "--config", config))
    assert {slug for slug, record in found.items() if not record["enabled"]} == {"rain", "animal"}, "of list 1, since it has none"
    assert (found["tea_kettle"]["label"], found["tea_kettle"]["audioset"]) == ("Tea kettle", ["Tick-tock"])
    assert found["tea_kettle"]["on"] == {"0.96": 0.5, "0.48": 0.5, "0.24": 0.5}
    assert found["rooster"]["on"]["0.24"] == 0.9
    assert "untested here" in block(printed("--config", config), "tea_kettle")


@pytest.mark.parametrize("strictness", STRICTNESS_LOG_ODDS)
def test_the_thresholds_in_force_are_those_that_strictness_has_shifted(strictness: Strictness, tmp_path: Path) -> None:
    config = tmp_path / "edge.toml"
    own = '[class.whistle]\naudioset = ["Whistle"]\n[class.rooster]\non = 0.9\noff = 0.1\n'
    config.write_text(f'[detection]\nstrictness = "{strictness}"\n{own}')
    found = classes_of(edge_detector("classes", "--json", "--config", config))
    for sound in load_bundle(DEFAULT_BUNDLE).manifest.classes:
        rule = shifted(sound.rules[2], STRICTNESS_LOG_ODDS[strictness])
        expected = (0.9, 0.1) if sound.slug == "rooster" else (rule.on, rule.off)
        assert (found[sound.slug]["on"]["0.48"], found[sound.slug]["off"]["0.48"]) == expected
    assert found["whistle"]["on"]["0.96"] == shifted(UNTESTED_RULE, STRICTNESS_LOG_ODDS[strictness]).on
    line = next(line for line in edge_detector("classes", "--config", config).splitlines() if line.startswith("rain "))
    assert f" {found['rain']['on']['0.96']:.3g} " in line
    assert f", strictness {strictness}\n" in edge_detector("check-config", config)


def test_the_bundle_of_the_configuration_is_the_one_unless_another_is_named(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "edge.toml"
    config.write_text(f'[bundle]\npath = "{bundle}"\n')
    assert main(["classes", "--json", "--config", str(config)]) == 0
    assert "animal" in classes_of(capsys.readouterr().out)


@pytest.mark.parametrize("word", ["dog bark", "DOG_BARK", "og bar"])
def test_a_search_goes_by_slug_and_label_whatever_the_case(printed: Print, word: str) -> None:
    assert "dog_bark" in classes_of(printed("--json", "--search", word))


def test_a_search_goes_by_audioset_labels_too(printed: Print) -> None:
    assert {"animal", "baby_cry"} <= set(classes_of(printed("--json", "--search", "infant")))


def test_labels_that_are_in_no_class_are_found_with_what_to_write(printed: Print, bundle: Path, tmp_path: Path) -> None:
    assert {"type": "audioset_label", "name": "Tick-tock", "mid": "/m/07qjznl"} in records(printed("--json", "--search", "tick"))
    assert "Tick-tock" in printed("--search", "/m/07qjznl")
    text = printed("--search", "tick-tock")
    assert "    Tick-tock (/m/07qjznl)\n" in text
    proposed = re.search(r"(?ms)^    (\[class\.\w+\])\n    (audioset = .*?)$", text)
    assert proposed is not None
    assert proposed.groups() == ("[class.tick_tock]", 'audioset = ["Tick-tock"]')
    config = tmp_path / "edge.toml"
    config.write_text("\n".join(proposed.groups()))
    definitions = load_config(config).definitions
    assert resolve_classes(load_bundle(bundle).manifest, definitions)[-1].audioset == ("Tick-tock",)
    assert "audioset_label" not in printed("--json", "--search", "tick-tock", "--config", config), "now it is in one"


def test_labels_of_a_class_are_not_offered_again(printed: Print) -> None:
    assert not [record for record in records(printed("--json", "--search", "Chainsaw")) if record.get("name") == "Chainsaw"]


def test_a_search_without_success_fails_in_a_sentence(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["classes", "--bundle", str(bundle), "--search", "x\x1b[31mylophone"]) == 1
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.startswith(
        "edge-detector: no class and no AudioSet label of the bundle has 'x\\x1b[31mylophone' in its name; "
    )


def hostile(manifest: Manifest) -> Manifest:
    """Its names could move a terminal."""
    assert manifest.outputs is not None
    evil = AudioSetLabel("Evil\x1b[2J\x9b31m", "/m/\x07")
    rain, *others = manifest.classes
    named = replace(rain, label="Rain\x1b]0;title\x07", audioset=(*rain.audioset, "Worse\x1b[H"))
    outputs = replace(manifest.outputs, audioset=(*manifest.outputs.audioset, evil, AudioSetLabel("Worse\x1b[H")))
    return replace(manifest, name="evil\x1b[2J", classes=(named, *others), outputs=outputs)


def test_a_bundle_whose_names_could_move_a_terminal_is_refused_in_a_sentence_that_cannot(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["classes", "--bundle", str(labelled_bundle(tmp_path / "bundle", hostile))]) == 1
    output = capsys.readouterr()
    assert output.out == ""
    assert "must be one line of at most 200 characters, without control characters" in output.err
    assert output.err.removesuffix("\n").isprintable()


def test_a_narrow_terminal_is_kept_to(printed: Print, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "44")
    lines = printed().splitlines()
    heading = next(line for line in lines if line.startswith("class "))
    assert all(len(line) <= 44 for line in lines if line != heading)
    assert len(heading) <= 60
