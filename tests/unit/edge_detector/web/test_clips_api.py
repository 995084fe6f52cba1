"""Clips over HTTP: the file, its spectrogram, deletion; and what gets none of them."""

import base64
import io
import json
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pytest
import soundfile

from edge_detector.clips.clip_file import ClipFile
from edge_detector.clips.names import clip_id
from edge_detector.clips.store import ClipStore
from edge_detector.detection.logmel import log_mel
from edge_detector.history.store import FILE_NAME
from edge_detector.types import Int16
from edge_detector.web.app import MOST_WAITING
from edge_detector.web.broadcast import pixels
from edge_detector.web.clips_api import MOST_SECONDS
from edge_detector.web.page import Page
from tests.support.clip_page import clip_page
from tests.support.clips import clip_bytes, clips_of_two_nodes, event_id, head, noise, pieces, write
from tests.support.history import open_store, recorded
from tests.support.page_client import basic
from tests.support.page_server import Answer, ask, connect, post
from tests.support.waiting import wait_until

SOUND = noise(1.5)
ID, UNKNOWN = clip_id(event_id(1)), clip_id(event_id(99))
PASSWORD = "correct horse"  # noqa: S105 - of tests alone


@pytest.fixture
def store(tmp_path: Path) -> ClipStore:
    return clips_of_two_nodes(tmp_path, SOUND)


@pytest.fixture
def page(store: ClipStore) -> Iterator[Page]:
    with clip_page(None, store) as page:
        yield page


def get(page: Page, path: str) -> Answer:
    return ask(page.server, "GET", path)


def decoded(body: bytes) -> tuple[Int16, int]:
    samples, rate_hz = soundfile.read(io.BytesIO(body), dtype="int16")
    return samples, rate_hz


def test_a_clip_is_the_whole_flac_file_with_the_samples_of_its_source(page: Page, store: ClipStore) -> None:
    answer = get(page, f"/api/clips/{ID}")
    assert (answer.status, answer.headers["content-type"]) == (200, "audio/flac")
    found = store.find(ID)
    assert found is not None
    assert int(answer.headers["content-length"]) == len(answer.body) == found.size_bytes
    samples, rate_hz = decoded(answer.body)
    assert rate_hz == 16_000
    np.testing.assert_array_equal(samples, SOUND)


def test_a_clip_of_several_chunks_arrives_whole(page: Page, store: ClipStore) -> None:
    long = noise(20.0, rate_hz=48_000)
    write(store, 4, long)
    samples, _ = decoded(get(page, f"/api/clips/{clip_id(event_id(4))}").body)
    np.testing.assert_array_equal(samples, long)


def test_as_many_browsers_as_may_connect_get_a_clip_at_once(page: Page, store: ClipStore) -> None:
    write(store, 4, noise(20.0))
    at_once = 28  # of the 32 connections of one address
    with ThreadPoolExecutor(at_once) as pool:
        answers = list(pool.map(lambda _: get(page, f"/api/clips/{clip_id(event_id(4))}"), range(at_once)))
    served = [answer for answer in answers if answer.status == 200]
    assert len(served) >= MOST_WAITING
    assert {len(answer.body) for answer in served} == {int(served[0].headers["content-length"])}
    assert {answer.status for answer in answers} <= {200, 503}, "nobody gets half of it"


def test_a_browser_that_leaves_during_a_clip_leaves_no_open_file(page: Page, store: ClipStore) -> None:
    write(store, 4, noise(60.0, rate_hz=48_000))
    found = store.find(clip_id(event_id(4)))
    assert found is not None

    def is_open() -> bool:
        descriptors = Path("/proc/self/fd").iterdir()
        return any(os.path.realpath(descriptor) == str(found.path) for descriptor in descriptors)

    with connect(page.server, receive_bytes=4_096) as client:
        client.sendall(f"GET /api/clips/{found.name.id} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
        client.recv(1_000)
        assert is_open()
    wait_until(lambda: not is_open(), "the file to be closed")


def test_head_tells_the_size_of_a_clip_alone(page: Page) -> None:
    answer = ask(page.server, "HEAD", f"/api/clips/{ID}")
    assert (answer.status, answer.body) == (200, b"")
    assert int(answer.headers["content-length"]) > len(SOUND)


def test_the_answer_is_kept_nowhere_and_sound_comes_from_this_page_alone(page: Page) -> None:
    headers = get(page, f"/api/clips/{ID}").headers
    assert headers["cache-control"] == "no-store"
    assert "media-src 'self' blob:;" in headers["content-security-policy"]


@pytest.mark.parametrize(
    "name",
    [
        UNKNOWN,
        clip_id(event_id(3)),  # of another node
        ID.upper(),
        ID[:-1],
        f"{ID}0",
        f"{ID}.flac",
        "0" * 16,
        "*",
        "%2e%2e",
        quote("../../other/clips/" + clip_id(event_id(3)), safe=""),
        "..%2f..%2fhistory.sqlite",
        "..%5c..%5chistory.sqlite",
        "%00",
        "é".encode().hex(),
        quote("é"),
        "a" * 500,
    ],
)
@pytest.mark.parametrize("of_clip", ["", "/spectrogram"])
def test_no_other_name_gets_a_file(page: Page, name: str, of_clip: str) -> None:
    answer = get(page, f"/api/clips/{name}{of_clip}")
    assert answer.status in {400, 404}
    assert "; " in answer.error
    assert post(page.server, "/api/clips/delete", {"id": name}).status == 404


def test_a_link_in_the_folder_is_no_clip(page: Page, store: ClipStore, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret")
    link = store.folder / head(7).name.file_name
    link.symlink_to(secret)
    for of_clip in ("", "/spectrogram"):
        assert get(page, f"/api/clips/{clip_id(event_id(7))}{of_clip}").status == 404
    assert post(page.server, "/api/clips/delete", {"id": clip_id(event_id(7))}).status == 404
    assert post(page.server, "/api/clips/delete-all", {}).status == 200
    assert secret.read_text() == "secret"


def test_a_deleted_clip_is_gone_from_the_disk_and_the_page(page: Page, store: ClipStore) -> None:
    assert post(page.server, "/api/clips/delete", {"id": ID}).status == 200
    assert store.find(ID) is None
    for of_clip in ("", "/spectrogram"):
        answer = get(page, f"/api/clips/{ID}{of_clip}")
        assert answer.status == 404
        assert answer.error == "there is no such clip; it may have been deleted: choose another one"
    assert post(page.server, "/api/clips/delete", {"id": ID}).status == 404
    assert json.loads(get(page, "/api/clips").body)["count"] == 1


def test_all_clips_are_deleted_at_once_and_no_other_file(page: Page, store: ClipStore, tmp_path: Path) -> None:
    other = store.folder / "notes.txt"
    other.write_text("mine")
    before = json.loads(get(page, "/api/clips").body)
    assert before == {"count": 2, "bytes": clip_bytes(store), "reviewed": 0, "reviewed_bytes": 0}
    answer = post(page.server, "/api/clips/delete-all", {})
    assert (answer.status, json.loads(answer.body)) == (200, {"deleted": 2})
    assert list(store.folder.iterdir()) == [other]
    assert ClipStore(tmp_path / "other" / "clips").find(clip_id(event_id(3))) is not None
    assert json.loads(get(page, "/api/clips").body) == {"count": 0, "bytes": 0, "reviewed": 0, "reviewed_bytes": 0}


@pytest.mark.parametrize(("path", "content"), [("delete", {}), ("delete", {"id": 1}), ("delete", []), ("delete-all", {"id": ID})])
def test_a_request_that_is_not_clear_deletes_nothing(page: Page, store: ClipStore, path: str, content: object) -> None:
    assert post(page.server, f"/api/clips/{path}", content).status == 400
    assert len(store.ids()) == 2


@pytest.mark.parametrize("path", ["delete", "delete-all"])
def test_deleting_takes_a_post_of_this_page(page: Page, store: ClipStore, path: str) -> None:
    assert get(page, f"/api/clips/{path}").status == 404
    assert ask(page.server, "DELETE", f"/api/clips/{path}").status == 405
    assert ask(page.server, "POST", f"/api/clips/{path}", {"Content-Type": "text/plain"}, b"{}").status == 415
    body = {"id": ID} if path == "delete" else {}
    for headers in ({"Origin": "http://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        assert post(page.server, f"/api/clips/{path}", body, headers).status == 403
    assert len(store.ids()) == 2


def test_another_site_cannot_play_a_clip(page: Page) -> None:
    headers = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "audio"}
    assert ask(page.server, "GET", f"/api/clips/{ID}", headers).status == 403


def test_with_a_password_nothing_of_clips_is_told_without_it(store: ClipStore) -> None:
    with clip_page(None, store, password=PASSWORD) as page:
        for path in ("", f"/{ID}", f"/{ID}/spectrogram"):
            assert get(page, f"/api/clips{path}").status == 401
            assert ask(page.server, "GET", f"/api/clips{path}", basic(PASSWORD)).status == 200
        for path, body in (("delete", {"id": ID}), ("delete-all", {})):
            assert post(page.server, f"/api/clips/{path}", body).status == 401
        assert len(store.ids()) == 2


def test_the_spectrogram_has_the_bytes_of_the_live_view(page: Page) -> None:
    values = json.loads(get(page, f"/api/clips/{ID}/spectrogram").body)
    assert (values["frames"], values["bands"], values["seconds"], values["lead_seconds"]) == (148, 64, 1.5, 5.0)
    data = np.frombuffer(base64.b64decode(values["data"]), np.uint8).reshape(148, 64)
    expected = pixels(log_mel(SOUND.astype(np.float32) / 32_768, log_offset=0.001))
    assert np.abs(data.astype(int) - expected.astype(int)).max() <= 1


def test_the_spectrogram_of_another_rate_has_the_same_scale(page: Page, store: ClipStore) -> None:
    times_seconds = np.arange(2 * 48_000) / 48_000
    tone = (8_000 * np.sin(2 * np.pi * 1_000 * times_seconds)).astype(np.int16)
    store.prepare()
    file = ClipFile(store, head(5, rate_hz=48_000))
    for piece in pieces(5, tone):
        file.write(piece)
    assert file.finish(0, days=36_500, most_bytes=1 << 30)
    values = json.loads(get(page, f"/api/clips/{clip_id(event_id(5))}/spectrogram").body)
    assert (values["frames"], values["seconds"]) == (198, 2.0)
    data = np.frombuffer(base64.b64decode(values["data"]), np.uint8).reshape(-1, 64)
    loudest = np.bincount(data[20:-20].argmax(axis=1)).argmax()
    lowest, highest = 1127 * np.log1p(np.array([125, 7_500]) / 700)
    edges = np.linspace(lowest, highest, 66)
    assert abs(edges[loudest + 1] - 1127 * np.log1p(1_000 / 700)) <= edges[1] - edges[0]


def test_a_clip_too_short_for_a_frame_has_an_empty_spectrogram(page: Page, store: ClipStore) -> None:
    write(store, 6, noise(0.02))
    values = json.loads(get(page, f"/api/clips/{clip_id(event_id(6))}/spectrogram").body)
    assert (values["frames"], values["data"]) == (0, "")


def test_a_longer_clip_than_a_spectrogram_may_have_is_refused_with_the_reason(page: Page, store: ClipStore) -> None:
    for number, seconds, status in ((8, MOST_SECONDS, 200), (9, MOST_SECONDS + 1, 422)):
        write(store, number, np.zeros(round(seconds * 16_000), np.int16))
        answer = get(page, f"/api/clips/{clip_id(event_id(number))}/spectrogram")
        assert answer.status == status
    assert answer.error == "a clip longer than 60 s has no spectrogram; listen to it without one"


@pytest.mark.parametrize("content", [b"", b"fLaC", b"no sound", bytes(10_000)])
def test_a_damaged_clip_has_no_spectrogram_and_can_be_deleted(page: Page, store: ClipStore, content: bytes) -> None:
    (store.folder / head(1).name.file_name).write_bytes(content)
    answer = get(page, f"/api/clips/{ID}/spectrogram")
    assert answer.status == 422
    assert answer.error.startswith("this clip is damaged (")
    assert post(page.server, "/api/clips/delete", {"id": ID}).status == 200


def test_a_clip_that_is_being_recorded_is_said_to_be(page: Page, store: ClipStore) -> None:
    file = ClipFile(store, head(5))
    try:
        for of_clip in ("", "/spectrogram"):
            answer = get(page, f"/api/clips/{clip_id(event_id(5))}{of_clip}")
            assert answer.status == 409
            assert answer.error == "this clip is still being recorded; try again some seconds after its event's end"
    finally:
        file.abandon()
    assert get(page, f"/api/clips/{clip_id(event_id(5))}").status == 404


def test_events_name_the_clips_that_there_are_or_will_be(store: ClipStore, tmp_path: Path) -> None:
    path = tmp_path / FILE_NAME
    with closing(open_store(path)) as history:
        history.apply([recorded(number, start_ms=recorded(0).start_ms + number) for number in (1, 5, 99)])
    file = ClipFile(store, head(5))
    try:
        with clip_page(path, store) as page:
            events = json.loads(get(page, "/api/events").body)["events"]
    finally:
        file.abandon()
    assert [event["clip"] for event in events] == [None, clip_id(event_id(5)), ID]


def test_without_clips_nothing_speaks_of_them(tmp_path: Path) -> None:
    path = tmp_path / FILE_NAME
    with closing(open_store(path)) as history:
        history.apply([recorded(1)])
    with clip_page(path, None) as page:
        (event,) = json.loads(get(page, "/api/events").body)["events"]
        assert "clip" not in event
        assert json.loads(get(page, "/api/node").body)["clips"] is None
        for path_of_clips in ("", f"/{ID}", f"/{ID}/spectrogram"):
            answer = get(page, f"/api/clips{path_of_clips}")
            assert answer.status == 404
            assert answer.error.startswith("no clips are kept; ")
        for name in ("delete", "delete-all"):
            assert post(page.server, f"/api/clips/{name}", {}).status == 404


def test_a_folder_that_cannot_be_read_is_said_and_the_history_still_shown(tmp_path: Path) -> None:
    path = tmp_path / FILE_NAME
    with closing(open_store(path)) as history:
        history.apply([recorded(1)])
    folder = tmp_path / "clips"
    folder.write_text("a file")
    with clip_page(path, ClipStore(folder)) as page:
        answer = get(page, f"/api/clips/{ID}")
        assert (answer.status, answer.error) == (503, f"{folder} cannot be used (Not a directory); check the disk")
        (event,) = json.loads(get(page, "/api/events").body)["events"]
        assert event["clip"] is None
