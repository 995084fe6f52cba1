"""`clips`: lists what is stored, for people and for programs, and deletes it."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_detector.cli.main import main
from edge_detector.clips.clip_file import ClipFile
from edge_detector.clips.names import clip_id
from edge_detector.clips.store import FOLDER_NAME, ClipStore
from tests.support.clips import event_id, head, noise, write
from tests.support.time_zone import time_zone


@pytest.fixture(autouse=True)
def _berlin() -> Iterator[None]:
    with time_zone("Europe/Berlin"):
        yield


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ClipStore:
    """Two clips, of 13:00:01 and 13:00:02 in Berlin."""
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path))
    found = ClipStore(tmp_path / FOLDER_NAME)
    for number in (1, 2):
        write(found, number, noise(number * 0.5, number))
    return found


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[str]:
    assert main(["clips", *arguments]) == 0
    return capsys.readouterr().out.splitlines()


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["clips", *arguments]) == 1
    return capsys.readouterr().err


def test_a_line_has_time_length_size_source_label_id_and_file(store: ClipStore, capsys: pytest.CaptureFixture[str]) -> None:
    _, clip = reversed(store.newest(9))
    size = f"{clip.size_bytes / 1e3:.0f} kB"
    assert said(capsys)[-1] == f"2025-11-29 13:00:02    1.0 s  {size:>8}  cot  Rain  {clip.name.id}  {clip.path}"
    assert said(capsys, "--limit", "1") == said(capsys)[-1:]


def test_json_has_the_same_for_programs(store: ClipStore, capsys: pytest.CaptureFixture[str]) -> None:
    first, last = (json.loads(line) for line in said(capsys, "--json"))
    (clip,) = store.newest(1)
    assert last == {
        "id": clip_id(event_id(2)),
        "start": "2025-11-29T12:00:02.000Z",
        "source": "cot",
        "slug": "rain",
        "label": "Rain",
        "seconds": 1.0,
        "bytes": clip.size_bytes,
        "path": str(clip.path),
        "review": None,
    }
    assert first["seconds"] == 0.5


def test_a_damaged_clip_is_listed_and_can_be_deleted(store: ClipStore, capsys: pytest.CaptureFixture[str]) -> None:
    store.newest(1)[0].path.write_bytes(b"damaged")
    *_, damaged = (json.loads(line) for line in said(capsys, "--json"))
    assert (damaged["label"], damaged["seconds"]) == ("rain", 0.0)
    assert said(capsys, "--delete", damaged["id"]) == ["1 clip deleted"]
    assert len(store.newest(9)) == 1


def test_one_clip_and_all_clips_are_deleted(store: ClipStore, capsys: pytest.CaptureFixture[str]) -> None:
    identity = clip_id(event_id(1))
    assert said(capsys, "--delete", identity) == ["1 clip deleted"]
    assert f"there is no clip {identity} in" in refused(capsys, "--delete", identity)
    assert "there is no clip" in refused(capsys, "--delete", "../../etc")
    assert said(capsys, "--delete-all") == ["1 clips deleted"]
    assert said(capsys, "--delete-all") == ["0 clips deleted"]
    assert f"there are no clips in {store.folder}; switch them on" in refused(capsys)


def test_clips_of_another_user_are_not_read(store: ClipStore, capsys: pytest.CaptureFixture[str]) -> None:
    child = os.fork()
    if not child:
        os.setuid(65_534)
        code = main(["clips"])
        os._exit(0 if code == 1 and "may not be read by you; use sudo" in capsys.readouterr().err else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert store.folder.stat().st_mode & 0o777 == 0o700


def test_a_folder_that_is_a_file_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    assert "cannot be used (Not a directory)" in refused(capsys, "--folder", str(tmp_path / "file"))


def test_a_clip_is_reviewed_listed_with_its_verdict_and_kept_when_all_others_are_deleted(
    store: ClipStore, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = clip_id(event_id(1)), clip_id(event_id(2))
    sounds = store.folder.parent / "sounds"
    assert said(capsys, "--review", first, "right") == [f"right: {sounds / 'Rain' / name(1)}"]
    assert said(capsys, "--review", first, "wrong") == [f"wrong: {sounds / 'not' / 'rain' / name(1)}"]
    assert said(capsys, "--review", first, "Door bell") == [f"it was Door bell: {sounds / 'Door bell' / name(1)}"]
    listed = said(capsys)
    assert "  cot  Rain, it was Door bell  " in listed[0]
    assert "  cot  Rain  " in listed[1]
    reviews = [json.loads(line)["review"] for line in said(capsys, "--json")]
    assert reviews == [{"verdict": "other", "label": "Door bell"}, None]
    assert said(capsys, "--delete-all") == [f"1 clips deleted; 1 that are reviewed stay in {sounds}"]
    assert said(capsys, "--review", first, "none") == ["not reviewed"]
    assert [clip.name.id for clip in store.newest(9)] == [first]
    assert said(capsys, "--review", first, "right")
    assert said(capsys, "--delete", first) == ["1 clip deleted"]
    assert "there is no clip" in refused(capsys, "--review", second, "right")
    assert "there are no clips in" in refused(capsys)


def test_a_review_that_cannot_be_is_refused_with_a_remedy(store: ClipStore, capsys: pytest.CaptureFixture[str]) -> None:
    identity = clip_id(event_id(1))
    assert main(["clips", "--review", identity, "../up"]) == 2
    assert "cannot be a label" in capsys.readouterr().err
    file = ClipFile(store, head(3))
    assert "is still being recorded; try again" in refused(capsys, "--review", clip_id(event_id(3)), "right")
    file.abandon()
    (store.folder.parent / "sounds").write_text("")
    assert "is a file or a link, and a folder is needed; move it elsewhere" in refused(capsys, "--review", identity, "right")
    assert len(store.newest(9)) == 2


def name(number: int) -> str:
    return head(number).name.file_name
