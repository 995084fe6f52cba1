"""Released files arrive whole, or not at all."""

import fcntl
import hashlib
import os
from pathlib import Path

import numpy as np
import pytest

from convert.download import released
from convert.download.download import copy_checked, download
from convert.download.resume import ReleasedFile, RetryPolicy
from edge_detector.errors import EdgeDetectorError
from tests.support.bad_web import Answer, BadWeb

CONTENT = np.random.default_rng(0).bytes(300_000)
FILE = ReleasedFile("model.ckpt", hashlib.sha256(CONTENT).hexdigest(), largest_bytes=400_000)
OTHER = np.random.default_rng(1).bytes(300_000)


def patient(waits: list[float] | None = None, tries: int = 4, stall_seconds: float = 20.0) -> RetryPolicy:
    return RetryPolicy(tries, stall_seconds, (waits if waits is not None else []).append)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def get(web: BadWeb, folder: Path, patience: RetryPolicy | None = None) -> str:
    return download(FILE, f"{web.url}/{FILE.name}", folder, patience or patient())


def test_a_good_server_gives_the_file_and_nothing_beside_it(tmp_path: Path) -> None:
    with BadWeb(CONTENT, "whole") as web:
        assert get(web, tmp_path / "new") == "downloaded"
    assert (tmp_path / "new" / FILE.name).read_bytes() == CONTENT
    assert names(tmp_path / "new") == [FILE.name]
    assert web.ranges == [None]


def test_what_is_there_already_is_not_fetched_again(tmp_path: Path) -> None:
    (tmp_path / FILE.name).write_bytes(CONTENT)
    with BadWeb(CONTENT, "missing") as web:
        assert get(web, tmp_path) == "already there"
    assert web.ranges == []


def test_a_connection_that_is_cut_is_resumed_where_it_broke(tmp_path: Path) -> None:
    waits: list[float] = []
    with BadWeb(CONTENT, "cut", "cut", "whole") as web:
        assert get(web, tmp_path, patient(waits)) == "resumed"
    assert web.ranges == [None, "bytes=100000-", "bytes=166666-"]
    assert (tmp_path / FILE.name).read_bytes() == CONTENT
    assert len(waits) == 2
    assert all(0.0 < seconds <= 1.0 for seconds in waits), "new bytes came each time, so patience starts anew"


def test_a_server_that_falls_silent_is_asked_again(tmp_path: Path) -> None:
    with BadWeb(CONTENT, "stall", "whole") as web:
        assert get(web, tmp_path, patient(stall_seconds=0.5)) == "resumed"
    assert (tmp_path / FILE.name).read_bytes() == CONTENT


def test_waits_grow_and_then_end_in_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    waits: list[float] = []
    with BadWeb(CONTENT, "drop") as web, pytest.raises(EdgeDetectorError, match="5 times in a row") as failed:
        get(web, tmp_path, patient(waits, tries=5))
    assert len(web.ranges) == 5
    assert "--from-file" in str(failed.value)
    assert [low <= seconds <= 2 * low for low, seconds in zip((0.5, 1, 2, 4), waits, strict=True)] == [True] * 4
    assert names(tmp_path) == []
    assert capsys.readouterr().err.count("trying again in") == 4


def test_a_busy_server_is_given_the_time_it_asks_for(tmp_path: Path) -> None:
    waits: list[float] = []
    with BadWeb(CONTENT, "unavailable", "whole") as web:
        get(web, tmp_path, patient(waits))
    assert waits == [7.0]


def test_a_file_that_does_not_exist_is_not_asked_for_twice(tmp_path: Path) -> None:
    with BadWeb(CONTENT, "missing") as web, pytest.raises(EdgeDetectorError, match="404"):
        get(web, tmp_path / "new")
    assert len(web.ranges) == 1
    assert not (tmp_path / "new").exists()


def test_giving_up_keeps_what_came_and_the_next_run_goes_on(tmp_path: Path) -> None:
    with BadWeb(CONTENT, "cut", "drop") as web, pytest.raises(EdgeDetectorError, match=r"0\.1 MB are kept, run the same"):
        get(web, tmp_path)
    with BadWeb(CONTENT, "whole") as web:
        assert get(web, tmp_path) == "resumed"
    assert web.ranges == ["bytes=100000-"]
    assert names(tmp_path) == [FILE.name]


def test_a_wrong_checksum_is_refused_and_nothing_is_left_behind(tmp_path: Path) -> None:
    with BadWeb(CONTENT, "corrupt") as web, pytest.raises(EdgeDetectorError, match="nothing was kept") as failed:
        get(web, tmp_path / "new")
    assert FILE.sha256 in str(failed.value)
    assert len(web.ranges) == 1
    assert not (tmp_path / "new").exists()


def test_a_wrong_beginning_is_thrown_away_once(tmp_path: Path) -> None:
    with BadWeb(CONTENT, "cut-corrupt", "whole", "whole") as web:
        assert get(web, tmp_path) == "downloaded"
    assert web.ranges == [None, "bytes=100000-", None]
    assert names(tmp_path) == [FILE.name]


def test_a_wrong_checksum_after_every_resume_ends_too(tmp_path: Path) -> None:
    script: tuple[Answer, ...] = ("cut-corrupt", "whole", "cut-corrupt", "whole")
    with BadWeb(CONTENT, *script) as web, pytest.raises(EdgeDetectorError, match="is not the released"):
        get(web, tmp_path)
    assert names(tmp_path) == []


def test_a_server_without_ranges_starts_again_from_the_beginning(tmp_path: Path) -> None:
    with BadWeb(CONTENT, "cut", "no-ranges") as web:
        get(web, tmp_path)
    assert web.ranges == [None, "bytes=100000-"]
    assert (tmp_path / FILE.name).read_bytes() == CONTENT


def test_another_part_than_was_asked_for_is_not_appended(tmp_path: Path) -> None:
    with BadWeb(CONTENT, "cut", "wrong-range", "whole") as web:
        get(web, tmp_path)
    assert web.ranges == [None, "bytes=100000-", None]
    assert (tmp_path / FILE.name).read_bytes() == CONTENT


def part_of(folder: Path, content: bytes) -> None:
    (folder / f".{FILE.name}.{FILE.sha256[:8]}.part").write_bytes(content)


def test_a_part_that_is_whole_already_needs_no_byte_more(tmp_path: Path) -> None:
    part_of(tmp_path, CONTENT)
    with BadWeb(CONTENT, "whole") as web:
        assert get(web, tmp_path) == "resumed"
    assert web.ranges == ["bytes=300000-"]
    assert names(tmp_path) == [FILE.name]


def test_a_part_longer_than_the_file_is_thrown_away(tmp_path: Path) -> None:
    part_of(tmp_path, CONTENT + b"more")
    with BadWeb(CONTENT, "whole") as web:
        get(web, tmp_path)
    assert web.ranges == ["bytes=300004-", None]
    assert (tmp_path / FILE.name).read_bytes() == CONTENT


def test_an_answer_without_end_is_cut_off(tmp_path: Path) -> None:
    with BadWeb(CONTENT, "endless") as web, pytest.raises(EdgeDetectorError, match="longer than 0 MB"):
        get(web, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_a_wrong_file_of_the_same_name_stays_until_the_right_one_is_whole(tmp_path: Path) -> None:
    (tmp_path / FILE.name).write_bytes(b"mine")
    with BadWeb(CONTENT, "corrupt") as web, pytest.raises(EdgeDetectorError):
        get(web, tmp_path)
    assert (tmp_path / FILE.name).read_bytes() == b"mine"


def test_two_at_once_do_not_write_into_one_file(tmp_path: Path) -> None:
    handle = os.open(tmp_path, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        with BadWeb(CONTENT, "whole") as web, pytest.raises(EdgeDetectorError, match="another fetch"):
            get(web, tmp_path)
    finally:
        os.close(handle)


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with BadWeb(CONTENT, "whole") as web, pytest.raises(EdgeDetectorError, match="cannot be written"):
        get(web, tmp_path / "file" / "below")


def test_a_copy_that_changed_on_the_way_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "stick").write_bytes(OTHER)
    with pytest.raises(EdgeDetectorError, match="nothing was kept"):
        copy_checked(tmp_path / "stick", FILE, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_a_file_may_have_another_name_where_it_is_published(tmp_path: Path) -> None:
    file = ReleasedFile("short.tflite", FILE.sha256, FILE.largest_bytes, remote_name="lite-model_long_1.tflite")
    with BadWeb(CONTENT, "cut", "whole") as web:
        assert download(file, f"{web.url}/folder/{file.published_name}", tmp_path, patient()) == "resumed"
    assert web.paths == ["/folder/lite-model_long_1.tflite"] * 2
    assert names(tmp_path) == ["short.tflite"]
    assert FILE.published_name == FILE.name


def test_the_released_files_are_those_of_the_published_checksums() -> None:
    files = [file for release in released.MODELS.values() for file in release.files.values()]
    assert [file.name for file in files] == ["vggish_model.ckpt", "vggish_pca_params.npz", "yamnet.tflite"]
    assert all(len(file.sha256) == 64 and set(file.sha256) <= set("0123456789abcdef") for file in files)
    assert released.CHECKPOINT.largest_bytes > 288_564_736
