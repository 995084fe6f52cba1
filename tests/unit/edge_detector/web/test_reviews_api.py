"""Reviews over HTTP: what waits, a verdict and its withdrawal, deletion by label; and what changes nothing."""

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import pytest

from edge_detector.clips.clip_file import ClipFile
from edge_detector.clips.names import clip_id
from edge_detector.clips.store import ClipStore
from edge_detector.history.store import FILE_NAME
from edge_detector.review.sounds import SoundsFolder
from edge_detector.web.page import Page
from tests.support.clip_page import clip_page
from tests.support.clips import clip_bytes, clips_of_two_nodes, event_id, head, noise
from tests.support.history import open_store, recorded
from tests.support.page_client import basic
from tests.support.page_server import Answer, ask, post

SOUND = noise(1.5)
ID, OTHER, UNKNOWN = (clip_id(event_id(number)) for number in (1, 2, 99))
PASSWORD = "correct horse"  # noqa: S105 - of tests alone


@pytest.fixture
def store(tmp_path: Path) -> ClipStore:
    return clips_of_two_nodes(tmp_path, SOUND)


@pytest.fixture
def sounds(store: ClipStore) -> SoundsFolder:
    return SoundsFolder(store.folder.parent / "sounds")


@pytest.fixture
def page(store: ClipStore) -> Iterator[Page]:
    with clip_page(None, store) as page:
        yield page


def get(page: Page, path: str) -> Answer:
    return ask(page.server, "GET", path)


def reviews(page: Page, query: str = "") -> dict[str, object]:
    answer = get(page, f"/api/reviews{query}")
    assert answer.status == 200
    values: dict[str, object] = json.loads(answer.body)
    return values


def review(page: Page, **values: object) -> Answer:
    return post(page.server, "/api/reviews", values)


def places(store: ClipStore) -> set[str]:
    root = store.folder.parents[1]
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}


def test_what_waits_comes_from_the_newest_and_as_many_as_asked_for(page: Page) -> None:
    newest = {
        "id": OTHER,
        "start": "2025-11-29T12:00:02.000Z",
        "source": "cot",
        "slug": "rain",
        "label": "Rain",
        "seconds": 1.5,
        "lead_seconds": 5.0,
    }
    oldest = {**newest, "id": ID, "start": "2025-11-29T12:00:01.000Z"}
    assert reviews(page) == {"waiting": 2, "clips": [newest, oldest], "figures": [], "labels": []}
    assert reviews(page, "?limit=1") == {"waiting": 2, "clips": [newest], "figures": [], "labels": []}


@pytest.mark.parametrize("query", ["limit=0", "limit=201", "limit=x", "limit=1&limit=2", "limit=-1", "before=1", "limit=%D9%A1"])
def test_another_question_is_refused_with_what_is_known(page: Page, query: str) -> None:
    answer = get(page, f"/api/reviews?{query}")
    assert answer.status == 400
    assert "; " in answer.error


def test_a_verdict_moves_the_clip_and_taking_it_back_brings_it_back(page: Page, store: ClipStore, sounds: SoundsFolder) -> None:
    answer = review(page, id=ID, verdict="right")
    assert (answer.status, json.loads(answer.body)) == (200, {"id": ID, "verdict": "right", "label": "Rain"})
    answer = review(page, id=OTHER, verdict="other", label="Door bell")
    assert json.loads(answer.body) == {"id": OTHER, "verdict": "other", "label": "Door bell"}
    assert reviews(page) == {
        "waiting": 0,
        "clips": [],
        "figures": [{"slug": "rain", "label": "Rain", "right": 1, "wrong": 0, "other": 1}],
        "labels": [
            {"slug": "door_bell", "label": "Door bell", "recordings": 1, "not": 0},
            {"slug": "rain", "label": "Rain", "recordings": 1, "not": 0},
        ],
    }
    answer = review(page, id=ID, verdict="wrong")
    assert json.loads(answer.body) == {"id": ID, "verdict": "wrong", "label": None}
    assert sounds.ids() == {ID, OTHER}
    answer = review(page, id=ID, verdict="none")
    assert json.loads(answer.body) == {"id": ID, "verdict": "none", "label": None}
    assert store.ids() == {ID}
    assert reviews(page)["waiting"] == 1


def test_a_reviewed_clip_is_played_counted_and_deleted_as_any_other(page: Page, store: ClipStore, sounds: SoundsFolder) -> None:
    before = get(page, f"/api/clips/{ID}").body
    size = len(before)
    review(page, id=ID, verdict="wrong")
    assert get(page, f"/api/clips/{ID}").body == before
    assert json.loads(get(page, f"/api/clips/{ID}/spectrogram").body)["lead_seconds"] == 5.0
    counted = json.loads(get(page, "/api/clips").body)
    assert counted == {"count": 1, "bytes": clip_bytes(store), "reviewed": 1, "reviewed_bytes": size}
    assert json.loads(post(page.server, "/api/clips/delete-all", {}).body) == {"deleted": 1}
    assert sounds.ids() == {ID}
    assert post(page.server, "/api/clips/delete", {"id": ID}).status == 200
    assert sounds.ids() == frozenset()
    assert get(page, f"/api/clips/{ID}").status == 404
    assert review(page, id=ID, verdict="right").status == 404


def test_all_recordings_of_a_label_are_deleted(page: Page, sounds: SoundsFolder) -> None:
    review(page, id=ID, verdict="right")
    review(page, id=OTHER, verdict="wrong")
    answer = post(page.server, "/api/sounds/delete", {"slug": "rain"})
    assert (answer.status, json.loads(answer.body)) == (200, {"slug": "rain", "deleted": 2})
    assert sounds.overview().labels == []
    answer = post(page.server, "/api/sounds/delete", {"slug": "rain"})
    assert answer.status == 404
    assert answer.error.startswith("there are no recordings of this label; ")


@pytest.mark.parametrize(
    "name", [UNKNOWN, clip_id(event_id(3)), ID.upper(), ID[:-1], "*", "..", "../clips/" + ID, "\x00", "é", "a" * 900]
)
def test_no_other_id_is_reviewed(page: Page, store: ClipStore, name: str) -> None:
    before = places(store)
    for verdict in ("right", "wrong", "none"):
        assert review(page, id=name, verdict=verdict).status == 404
    assert review(page, id=name, verdict="other", label="Bell").status == 404
    assert places(store) == before


@pytest.mark.parametrize(
    "label", ["", " ", "..", "../up", "a/b", "/etc/x", ".hidden", "background", "NOT", "a\nb", "\ud800", "時計", "x" * 65]
)
def test_no_label_leads_out_of_its_folder(page: Page, store: ClipStore, label: str) -> None:
    before = places(store)
    answer = review(page, id=ID, verdict="other", label=label)
    assert answer.status == 400
    assert "; " in answer.error or ": give" in answer.error
    assert places(store) == before


@pytest.mark.parametrize("slug", ["", ".", "..", "../clips", "background", "not", "/", "*", "\x00", "é"])
def test_no_other_slug_deletes_anything(page: Page, store: ClipStore, sounds: SoundsFolder, slug: str) -> None:
    review(page, id=ID, verdict="right")
    (sounds.folder / "background").mkdir()
    (sounds.folder / "background" / "room.wav").touch()
    before = places(store)
    assert post(page.server, "/api/sounds/delete", {"slug": slug}).status == 404
    assert places(store) == before


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("reviews", {}),
        ("reviews", {"id": ID}),
        ("reviews", {"id": 1, "verdict": "right"}),
        ("reviews", {"id": ID, "verdict": "maybe"}),
        ("reviews", {"id": ID, "verdict": "other"}),
        ("reviews", {"id": ID, "verdict": "other", "label": 3}),
        ("reviews", []),
        ("sounds/delete", {}),
        ("sounds/delete", {"slug": 1}),
        ("sounds/delete", {"slug": ["rain"]}),
    ],
)
def test_a_request_that_is_not_clear_changes_nothing(page: Page, store: ClipStore, path: str, body: object) -> None:
    before = places(store)
    answer = post(page.server, f"/api/{path}", body)
    assert answer.status == 400
    assert "; send {" in answer.error
    assert places(store) == before


def test_reviews_and_deletions_take_a_post_of_this_page(page: Page, store: ClipStore) -> None:
    before = places(store)
    for path, body in (("reviews", {"id": ID, "verdict": "right"}), ("sounds/delete", {"slug": "rain"})):
        for headers in ({"Origin": "http://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
            assert post(page.server, f"/api/{path}", body, headers).status == 403
        assert ask(page.server, "POST", f"/api/{path}", {"Content-Type": "text/plain"}, b"{}").status == 415
    assert get(page, "/api/sounds/delete").status == 405
    assert get(page, f"/api/reviews?{quote('id')}={ID}&verdict=right").status == 400
    assert places(store) == before


def test_with_a_password_reviews_need_it(store: ClipStore) -> None:
    before = places(store)
    with clip_page(None, store, password=PASSWORD) as page:
        assert get(page, "/api/reviews").status == 401
        assert ask(page.server, "GET", "/api/reviews", basic(PASSWORD)).status == 200
        assert review(page, id=ID, verdict="right").status == 401
        assert post(page.server, "/api/sounds/delete", {"slug": "rain"}).status == 401
    assert places(store) == before


def test_a_clip_that_is_being_recorded_is_said_to_be(page: Page, store: ClipStore) -> None:
    file = ClipFile(store, head(5))
    try:
        answer = review(page, id=clip_id(event_id(5)), verdict="right")
    finally:
        file.abandon()
    assert (answer.status, answer.error) == (
        409,
        "this clip is still being recorded; try again some seconds after its event's end",
    )


def test_a_damaged_clip_waits_too_without_what_its_head_would_say(page: Page, store: ClipStore) -> None:
    (store.folder / head(2).name.file_name).write_bytes(b"damaged")
    clips = reviews(page, "?limit=1")["clips"]
    assert isinstance(clips, list)
    assert (clips[0]["label"], clips[0]["seconds"], clips[0]["lead_seconds"]) == ("rain", 0.0, None)


def test_events_name_the_review_of_their_clip(store: ClipStore, tmp_path: Path) -> None:
    path = tmp_path / FILE_NAME
    with closing(open_store(path)) as history:
        history.apply([recorded(number, start_ms=recorded(0).start_ms + number) for number in (1, 2, 99)])
    with clip_page(path, store) as page:
        review(page, id=ID, verdict="other", label="Door bell")
        events = json.loads(get(page, "/api/events").body)["events"]
    assert [event["clip"] for event in events] == [None, OTHER, ID]
    assert [event["review"] for event in events] == [None, None, {"verdict": "other", "label": "Door bell"}]


def test_a_folder_that_cannot_be_used_is_said_with_a_remedy_and_the_history_still_shown(
    store: ClipStore, sounds: SoundsFolder, tmp_path: Path
) -> None:
    path = tmp_path / FILE_NAME
    with closing(open_store(path)) as history:
        history.apply([recorded(1)])
    sounds.folder.write_text("a file")
    with clip_page(path, store) as page:
        answer = get(page, "/api/reviews")
        assert (answer.status, answer.error) == (503, f"{sounds.folder} cannot be used (Not a directory); check the disk")
        answer = review(page, id=ID, verdict="right")
        needed = f"{sounds.folder} is a file or a link, and a folder is needed; move it elsewhere"
        assert (answer.status, answer.error) == (503, needed)
        (event,) = json.loads(get(page, "/api/events").body)["events"]
        assert (event["clip"], event["review"]) == (ID, None)


def test_without_clips_there_is_nothing_to_review(tmp_path: Path) -> None:
    with clip_page(tmp_path / FILE_NAME, None) as page:
        for answer in (
            get(page, "/api/reviews"),
            review(page, id=ID, verdict="right"),
            post(page.server, "/api/sounds/delete", {"slug": "rain"}),
        ):
            assert answer.status == 404
            assert answer.error.startswith("no clips are kept; ")
