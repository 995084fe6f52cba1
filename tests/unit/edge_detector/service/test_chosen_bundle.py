"""The bundle at the start: the chosen one if it can be used, else the configured one with the reason, and never none."""

import json
import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from edge_detector.config import default_config, load_config
from edge_detector.detection.bundle import MANIFEST, SEQUENCE
from edge_detector.errors import EdgeDetectorError
from edge_detector.service import chosen_bundle
from edge_detector.service.chosen_bundle import load_chosen, require_usable
from edge_detector.service.factory import DEFAULT_BUNDLE
from edge_detector.teaching.taught_bundles import CHOICE, TaughtBundles
from tests.support.hostile_bundle import signed_bundle

NAME = "taught-20261129T160512Z"


@pytest.fixture
def bundles(tmp_path: Path) -> TaughtBundles:
    """One taught bundle, which is chosen."""
    signed_bundle(tmp_path / "bundles" / NAME, change=lambda manifest: manifest.update(name=NAME))
    bundles = TaughtBundles(tmp_path / "bundles")
    bundles.choose(NAME)
    return bundles


def choice_of(content: str) -> Callable[[Path], object]:
    return lambda folder: (folder / CHOICE).write_text(content)


def in_place_of_the_choice(make: Callable[[Path], object]) -> Callable[[Path], object]:
    def change(folder: Path) -> None:
        (folder / CHOICE).unlink()
        make(folder / CHOICE)

    return change


def in_place_of_a_file(make: Callable[[Path], object]) -> Callable[[Path], object]:
    def change(folder: Path) -> None:
        (folder / NAME / SEQUENCE).unlink()
        make(folder / NAME / SEQUENCE)

    return change


def change_a_byte(folder: Path) -> None:
    path = folder / NAME / SEQUENCE
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_without_a_choice_the_configured_bundle_is_in_use(tmp_path: Path) -> None:
    for bundles in (None, TaughtBundles(tmp_path / "none")):
        chosen = load_chosen(default_config(), bundles)
        assert (chosen.networks.manifest.name, chosen.taught, chosen.trouble) == ("default", None, None)


def test_the_chosen_bundle_is_in_use(bundles: TaughtBundles) -> None:
    chosen = load_chosen(default_config(), bundles)
    assert (chosen.networks.manifest.name, chosen.taught, chosen.trouble) == (NAME, NAME, None)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (choice_of("\0\xff{"), "choice.json is damaged; "),
        (choice_of("[" * 9_999), "choice.json is damaged; "),
        (choice_of(json.dumps({"bundle": NAME, "rest": "x" * 10_000})), "choice.json: it is larger than 10 kB)"),
        (choice_of('{"version": 2, "bundles": []}'), "choice.json names no taught bundle; "),
        (choice_of('{"bundle": "../../etc"}'), "choice.json names no taught bundle; "),
        (choice_of('{"bundle": "taught-20200101T000000Z"}'), "there is no bundle folder "),
        (in_place_of_the_choice(os.mkfifo), "choice.json: it is not a regular file)"),
        (in_place_of_the_choice(Path.mkdir), "choice.json: it is not a regular file)"),
        (in_place_of_the_choice(lambda path: path.symlink_to("/dev/zero")), "choice.json: it is a symbolic link)"),
        (change_a_byte, "is not the file its manifest describes"),
        (in_place_of_a_file(os.mkfifo), "it is not a regular file"),
        (in_place_of_a_file(lambda path: path.symlink_to("/dev/zero")), "it is a symbolic link"),
        (lambda folder: shutil.rmtree(folder / NAME), "there is no bundle folder "),
    ],
)
def test_a_choice_that_cannot_be_used_is_a_trouble_and_the_configured_bundle_is_in_use(
    bundles: TaughtBundles, change: Callable[[Path], object], reason: str
) -> None:
    change(bundles.folder)
    chosen = load_chosen(default_config(), bundles)
    assert (chosen.networks.manifest.name, chosen.taught) == ("default", None)
    assert chosen.trouble is not None
    assert chosen.trouble.startswith("the taught bundle is not in use (")
    assert reason in chosen.trouble
    assert "Errno" not in chosen.trouble


def test_a_disk_that_hangs_delays_the_start_no_longer_than_its_limit(
    bundles: TaughtBundles, monkeypatch: pytest.MonkeyPatch
) -> None:
    thawed = threading.Event()
    monkeypatch.setattr(chosen_bundle, "DISK_SECONDS", 0.1)
    monkeypatch.setattr(chosen_bundle, "load_bundle", lambda _folder: thawed.wait())
    try:
        chosen = load_chosen(default_config(), bundles)
    finally:
        thawed.set()
    assert (chosen.networks.manifest.name, chosen.taught) == ("default", None)
    assert chosen.trouble is not None
    assert "(the disk does not answer)" in chosen.trouble


def test_a_bundle_that_does_not_fit_the_configuration_is_refused_before_the_switch_and_not_used_at_the_start(
    tmp_path: Path, bundles: TaughtBundles
) -> None:
    manifest = json.loads((bundles.folder / NAME / MANIFEST).read_text())
    removed = manifest["classes"].pop()["slug"]
    (bundles.folder / NAME / MANIFEST).write_text(json.dumps(manifest))
    path = tmp_path / "edge.toml"
    path.write_text(f'[[source]]\nname = "cot"\n[mqtt]\nhost = "localhost"\n[class.{removed}]\non = 0.5\n')
    config = load_config(path)
    require_usable(DEFAULT_BUNDLE, config)
    require_usable(None, config)
    with pytest.raises(EdgeDetectorError, match=removed):
        require_usable(bundles.folder / NAME, config)
    chosen = load_chosen(config, bundles)
    assert (chosen.networks.manifest.name, chosen.taught) == ("default", None)
    assert chosen.trouble is not None
