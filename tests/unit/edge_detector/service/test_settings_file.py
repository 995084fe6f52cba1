import json
import logging
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_detector.mqtt.runtime_settings import Settings
from edge_detector.service.settings_file import (
    HANG_SECONDS,
    MAX_FILE_BYTES,
    SAVE_AGAIN_SECONDS,
    SettingsFile,
    parse_settings,
    render_settings,
)
from edge_detector.threads import Worker
from tests.support.waiting import wait_until

SETTINGS = Settings(
    thresholds={"cot": {"rain": 0.7}},
    muted={"cot": True, "door": False},
    entities={"cot-class-rain": "binary_sensor"},
    discovered=("cot",),
    announced={"cot": ("rain", "dog_bark"), "door": ()},
)


def test_saved_settings_are_loaded_again(tmp_path: Path) -> None:
    file = SettingsFile(tmp_path / "settings.json")
    assert file.load() == Settings(), "no file yet means nothing was set"
    assert file.save(SETTINGS)
    assert SettingsFile(tmp_path / "settings.json").load() == SETTINGS
    assert [path.name for path in tmp_path.iterdir()] == ["settings.json"]


def test_only_the_owner_may_read_the_file(tmp_path: Path) -> None:
    file = SettingsFile(tmp_path / "settings.json")
    file.save(SETTINGS)
    assert file.path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "content",
    [
        b"", b"{", b"\xff", b"[]", b"null", b"[" * 100_000, b'{"v":2}', b'{"v":1,"surprise":1}', b'{"v":1,"thresholds":[]}',
        b'{"v":1,"thresholds":{"cot":{"rain":7}}}', b'{"v":1,"thresholds":{"cot":{"rain":NaN}}}', b'{"v":1,"muted":{"cot":1}}',
        b'{"v":1,"entities":{"a":"B c"}}', b'{"v":1,"announced":{"cot":"rain"}}', b'{"v":1,"announced":{"+/#":["rain"]}}',
        b'{"v":1,"announced":{"cot":["a/b"]}}', b" " * (MAX_FILE_BYTES + 1),
    ],
)  # fmt: skip
def test_a_damaged_file_is_renamed_with_one_warning_and_the_defaults_apply(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, content: bytes
) -> None:
    file = SettingsFile(tmp_path / "settings.json")
    file.path.write_bytes(content)
    assert file.load() == Settings()
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "settings.json" in caplog.text
    assert "\n" not in caplog.records[0].getMessage()
    assert (tmp_path / "settings.json.damaged").read_bytes() == content, "somebody may want to look at it"
    assert file.save(SETTINGS)
    assert file.load() == SETTINGS, "the next value mends it"
    assert file.troubles == (caplog.records[0].getMessage(),), "what was set before holds nowhere, and that is said"
    assert SettingsFile(file.path).troubles == ()


def test_every_truncation_is_detected(tmp_path: Path) -> None:
    file = SettingsFile(tmp_path / "settings.json")
    whole = render_settings(SETTINGS).rstrip()
    for length in range(len(whole)):
        file.path.write_bytes(whole[:length])
        assert file.load() == Settings()


def test_a_crash_while_saving_leaves_the_old_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = SettingsFile(tmp_path / "settings.json")
    file.save(SETTINGS)

    def crash(_descriptor: int) -> None:
        raise SystemExit

    monkeypatch.setattr(os, "fsync", crash)
    with pytest.raises(SystemExit):
        file.save(Settings())
    monkeypatch.undo()
    later = SettingsFile(file.path)
    assert later.load() == SETTINGS
    assert later.save(Settings()), "what the crash left behind is in nobody's way"
    assert later.load() == Settings()


class Clock:
    def __init__(self) -> None:
        self.now_seconds = 0.0

    def __call__(self) -> float:
        return self.now_seconds


def test_an_unwritable_disk_causes_one_warning_and_is_retried(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    folder, clock = tmp_path / "state", Clock()
    file = SettingsFile(folder / "settings.json", clock)
    assert not file.save(Settings())
    assert not file.save(SETTINGS)
    assert file.trouble is not None
    assert "No such file or directory" in file.trouble
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert list(file.troubles) == [file.trouble]
    folder.mkdir()
    clock.now_seconds += 0.9 * SAVE_AGAIN_SECONDS
    file.run_maintenance()
    assert not file.path.exists(), "not too often"
    clock.now_seconds += 0.2 * SAVE_AGAIN_SECONDS
    file.run_maintenance()
    assert not file.troubles
    assert caplog.records[-1].levelno == logging.INFO
    assert file.load() == SETTINGS


def test_a_full_disk_keeps_the_old_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = SettingsFile(tmp_path / "settings.json")
    file.save(SETTINGS)

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    assert not file.save(Settings())
    assert file.trouble is not None
    assert "No space left" in file.trouble
    monkeypatch.undo()
    assert file.load() == SETTINGS
    assert [path.name for path in tmp_path.iterdir()] == ["settings.json"], "no half-written file is left"


SLUGS = st.text("abcdefghijklmnopqrstuvwxyz0123456789_", min_size=1, max_size=20)


@given(
    st.dictionaries(SLUGS, st.dictionaries(SLUGS, st.floats(0.01, 1.0), max_size=5), max_size=5),
    st.dictionaries(SLUGS, st.booleans(), max_size=5),
    st.dictionaries(SLUGS, st.sampled_from(["sensor", "binary_sensor"]), max_size=5),
    st.dictionaries(SLUGS, st.lists(SLUGS, max_size=3).map(tuple), max_size=5),
)
def test_any_settings_read_back_as_they_were_written(
    thresholds: dict[str, dict[str, float]],
    muted: dict[str, bool],
    entities: dict[str, str],
    announced: dict[str, tuple[str, ...]],
) -> None:
    settings = Settings(thresholds, muted, entities, announced)
    assert parse_settings(render_settings(settings), "settings") == settings
    json.loads(render_settings(settings))


@pytest.mark.parametrize(("make", "what"), [(os.mkfifo, "a FIFO"), (Path.mkdir, "a folder")])
def test_something_other_than_a_file_is_renamed_with_one_sentence(
    tmp_path: Path, make: Callable[[Path], None], what: str
) -> None:
    file = SettingsFile(tmp_path / "settings.json")
    make(file.path)
    assert file.load() == Settings()
    assert file.damage is not None
    assert file.damage.startswith(f"the settings {file.path} are {what}, not a file; it is now settings.json.damaged, and ")
    os.mkfifo(tmp_path / "settings.json.new")
    assert file.save(SETTINGS)
    assert file.load() == SETTINGS


def test_a_second_damaged_file_does_not_replace_the_first(tmp_path: Path) -> None:
    for content in (b"first", b"second"):
        (tmp_path / "settings.json").write_bytes(content)
        SettingsFile(tmp_path / "settings.json").load()
    assert (tmp_path / "settings.json.damaged").read_bytes() == b"first"
    assert (tmp_path / "settings.json.damaged-2").read_bytes() == b"second"


def test_while_a_disk_hangs_it_is_reported_and_the_latest_settings_are_saved_afterwards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, worker, answers = Clock(), Worker("settings"), threading.Event()
    file = SettingsFile(tmp_path / "settings.json", clock, run=worker)
    assert file.save(Settings())
    sync = os.fsync

    def hang(descriptor: int) -> None:
        answers.wait()
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", hang)
    assert not file.save(Settings(muted={"cot": True}))
    assert not file.save(SETTINGS)
    clock.now_seconds += HANG_SECONDS
    file.run_maintenance()
    assert file.trouble is not None
    assert "the disk does not answer" in file.trouble
    answers.set()

    def is_saved() -> bool:
        file.run_maintenance()
        return file.trouble is None and SettingsFile(file.path).load() == SETTINGS

    wait_until(is_saved, "the latest settings to be saved")
