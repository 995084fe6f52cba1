"""Teaching over HTTP: what can be taught, what is refused and why, and that no request or folder breaks an answer."""

import json
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from edge_detector.config import WebConfig
from edge_detector.errors import EdgeDetectorError, UsageError
from edge_detector.service.factory import DEFAULT_BUNDLE
from edge_detector.teaching import job as teaching_job
from edge_detector.teaching.job import TeachingJob
from edge_detector.teaching.taught_bundles import CHOICE, TaughtBundles
from edge_detector.web.page import Page, configured_page
from edge_detector.web.teaching_api import Teaching, status
from tests.support.hostile_bundle import signed_bundle
from tests.support.page_client import basic
from tests.support.page_server import Answer, ask, post
from tests.support.recorded_clips import record
from tests.support.waiting import wait_until

NAME = "taught-20261129T160512Z"
WAITS = ("-c", "import sys; sys.stdin.read()")
"""A child that ends with the service, or when it is killed."""
DEADLINE_SECONDS = 20.0


@pytest.fixture
def teaching(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Teaching]:
    """Four recordings of a door bell, two of a gate; the child waits."""
    monkeypatch.setattr(teaching_job, "CHILD", WAITS)
    bundles, sounds = TaughtBundles(tmp_path / "bundles"), tmp_path / "sounds"
    for label, number in (("Door bell", 4), ("gate", 2)):
        for take in range(number):
            record(sounds / label / f"take {take}.wav")
    teaching = Teaching(TeachingJob(bundles, None), bundles, sounds, DEFAULT_BUNDLE, None, lambda _bundle: None)
    yield teaching
    teaching.job.close()


@pytest.fixture
def page(teaching: Teaching) -> Iterator[Page]:
    with served(teaching) as page:
        yield page


class served:  # noqa: N801 - used as a function
    def __init__(self, teaching: Teaching | None, password: str | None = None) -> None:
        environment = {} if password is None else {"EDGE_DETECTOR_WEB_PASSWORD": password}
        opened = configured_page(WebConfig("127.0.0.1:0"), "edge_detector/nursery", None, environment, teaching=teaching)
        assert opened is not None
        self.page = opened[0]

    def __enter__(self) -> Page:
        self.page.server.bind()
        self.page.server.start()
        return self.page

    def __exit__(self, *_error: object) -> None:
        self.page.server.close(DEADLINE_SECONDS)


def state(page: Page) -> dict[str, object]:
    answer = ask(page.server, "GET", "/api/teaching")
    assert answer.status == 200, answer.body
    values: dict[str, object] = json.loads(answer.body)
    return values


def notice(page: Page) -> object:
    bundle = state(page)["bundle"]
    assert isinstance(bundle, dict)
    return bundle["notice"]


def start(page: Page, *classes: object) -> Answer:
    return post(page.server, "/api/teaching/start", {"classes": classes})


def switch(page: Page, bundle: str) -> Answer:
    return post(page.server, "/api/teaching/switch", {"to": bundle})


def test_labels_are_shown_with_their_counts(page: Page) -> None:
    shown = state(page)
    bell = {"slug": "door_bell", "label": "Door bell", "recordings": 4, "originals": 4, "not": 0, "in_bundle": False}
    gate = {"slug": "gate", "label": "Gate", "recordings": 2, "originals": 2, "not": 0, "in_bundle": False}
    assert (shown["state"], shown["labels"], shown["fewest"], shown["background"]) == ("idle", [bell, gate], 3, 0)
    configured = shown["bundle"]
    assert isinstance(configured, dict)
    assert (configured["active"], configured["taught"], configured["notice"]) == ("configured", None, None)


@pytest.mark.parametrize(
    ("slug", "number"), [("gate", 2), ("rain", 0), ("../sounds", 0), ("background", 0), ("not", 0), ("", 0), ("x" * 500, 0)]
)
def test_a_sound_with_too_few_recordings_is_refused(page: Page, slug: str, number: int) -> None:
    answer = start(page, "door_bell", slug)
    sentence = f"there are recordings of {number} occasions of {slug[:64]}, and 3 are needed; review more of them"
    assert (answer.status, answer.error) == (400, sentence)
    assert state(page)["state"] == "idle"


@pytest.mark.parametrize("classes", [[], "door_bell", [1], [None], ["door_bell", 1], ["a"] * 21, {"door_bell": 1}])
def test_a_request_that_names_no_sounds_is_refused(page: Page, classes: object) -> None:
    answer = post(page.server, "/api/teaching/start", {"classes": classes})
    assert (answer.status, answer.error[:27]) == (400, "the request names no sounds")


@pytest.mark.parametrize(
    ("path", "body"),
    [("cancel", {"now": True}), ("cancel", None), ("switch", {}), ("switch", {"to": "default"}), ("switch", {"to": NAME})],
)
def test_a_request_that_is_not_clear_changes_nothing(page: Page, path: str, body: object) -> None:
    assert post(page.server, f"/api/teaching/{path}", body).status == 400
    assert not page.commands.restart_requested


def test_what_is_no_text_breaks_no_answer(page: Page) -> None:
    answer = start(page, "\ud800")
    assert (answer.status, answer.error[:48]) == (400, "there are recordings of 0 occasions of ?, and 3 ")


@pytest.mark.parametrize("name", [b"\xe9\xff", "時計".encode()])
def test_a_folder_that_names_no_sound_is_said_whatever_its_name(page: Page, teaching: Teaching, name: bytes) -> None:
    (teaching.sounds / "gate").rename(teaching.sounds / os.fsdecode(name))
    assert "cannot name a class" in str(notice(page))
    assert "cannot name a class" in start(page, "door_bell").error


def test_two_folders_of_one_label_are_said(page: Page, teaching: Teaching) -> None:
    record(teaching.sounds / "door_bell" / "take.wav")
    assert "are both the class door_bell; rename one or merge them" in str(notice(page))


def test_where_all_reviews_were_wrong_there_is_nothing_to_teach_and_nothing_to_put_right(tmp_path: Path, page: Page) -> None:
    (tmp_path / "sounds").rename(tmp_path / "away")
    assert (state(page)["labels"], notice(page)) == ([], None)
    record(tmp_path / "sounds" / "not" / "rain" / "take.wav")
    record(tmp_path / "sounds" / "background" / "room.wav")
    (tmp_path / "sounds" / "Emptied").mkdir()
    assert (state(page)["labels"], notice(page), state(page)["background"]) == ([], None, 1)
    assert start(page, "rain").status == 400


def test_links_that_lead_round_and_pipes_delay_no_answer(page: Page, teaching: Teaching) -> None:
    (teaching.sounds / "round").symlink_to(teaching.sounds)
    os.mkfifo(teaching.sounds / "pipe")
    (teaching.sounds / "gate" / "nowhere.wav").symlink_to("/nowhere")
    assert {"door_bell", "gate"} <= {label["slug"] for label in labels(page)}


def labels(page: Page) -> list[dict[str, object]]:
    found = state(page)["labels"]
    assert isinstance(found, list)
    return found


def test_ten_thousand_recordings_of_a_thousand_labels_are_counted(teaching: Teaching) -> None:
    for number in range(1_000):
        folder = teaching.sounds / f"sound {number}"
        folder.mkdir()
        for take in range(10):
            (folder / f"{take}.wav").touch()
    found = status(teaching)["labels"]
    assert isinstance(found, list)
    assert len(found) == 1_002
    assert {label["originals"] for label in found} == {2, 4, 10}


def test_of_many_starts_at_once_one_is_taken(page: Page) -> None:
    answers: list[int] = []
    threads = [threading.Thread(target=lambda: answers.append(start(page, "door_bell").status)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == [202] + [409] * 7
    assert start(page, "door_bell").error.startswith("teaching is under way; ")
    assert switch(page, "configured").error.startswith("teaching is under way, and a restart would end it; ")
    assert json.loads(post(page.server, "/api/teaching/cancel", {}).body) == {"cancelled": True}
    wait_until(lambda: state(page)["state"] == "idle", "the end of the teaching")
    assert json.loads(post(page.server, "/api/teaching/cancel", {}).body) == {"cancelled": False}
    assert not page.commands.restart_requested


def test_without_a_taught_bundle_there_is_none_to_switch_to(page: Page) -> None:
    answer = switch(page, "taught")
    assert (answer.status, answer.error) == (409, "there is no taught bundle; teach first")
    assert not page.commands.restart_requested


def test_a_bundle_that_the_next_start_could_not_use_is_refused(teaching: Teaching) -> None:
    signed_bundle(teaching.bundles.folder / NAME)

    def refuse(bundle: Path | None) -> None:
        assert bundle == teaching.bundles.folder / NAME
        raise UsageError("it does not fit; change it")

    with served(replace(teaching, require_usable=refuse)) as page:
        answer = switch(page, "taught")
        assert (answer.status, answer.error) == (409, "the other bundle cannot be used: it does not fit; change it")
        assert not page.commands.restart_requested
    assert teaching.bundles.chosen() is None


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to("/dev/zero"), lambda path: path.mkdir()])
def test_what_is_no_file_in_a_bundle_delays_no_switch(page: Page, teaching: Teaching, make: Callable[[Path], object]) -> None:
    make(signed_bundle(teaching.bundles.folder / NAME) / "odd")
    assert switch(page, "taught").status in (202, 503)


def test_a_choice_that_cannot_be_written_is_said_and_nothing_restarts(page: Page, teaching: Teaching) -> None:
    signed_bundle(teaching.bundles.folder / NAME)
    (teaching.bundles.folder / CHOICE).mkdir()
    for bundle in ("taught", "configured"):
        answer = switch(page, bundle)
        assert (answer.status, answer.error[-16:]) == (503, "; check the disk")
    assert not page.commands.restart_requested


def test_a_switch_is_answered_before_the_service_starts_again(page: Page, teaching: Teaching) -> None:
    signed_bundle(teaching.bundles.folder / NAME)
    answer = switch(page, "taught")
    assert (answer.status, json.loads(answer.body)) == (202, {"restarting": True})
    wait_until(lambda: page.commands.restart_requested, "the request to start again")
    assert teaching.bundles.chosen() == NAME


def test_a_damaged_taught_bundle_is_said(page: Page, teaching: Teaching) -> None:
    (signed_bundle(teaching.bundles.folder / NAME) / "manifest.json").write_text("{")
    shown = state(page)["bundle"]
    assert isinstance(shown, dict)
    assert shown["taught"] is None
    assert str(shown["notice"]).startswith("the taught bundle cannot be used (")


def test_a_bundle_of_another_configured_one_and_a_newer_one_are_noticed(teaching: Teaching) -> None:
    def taught_from(manifest: dict[str, object]) -> None:
        manifest["training"] = {"taught": [{"from": "older 1.0.0"}]}

    signed_bundle(teaching.bundles.folder / NAME, change=taught_from)
    with served(teaching) as page:
        assert str(notice(page)).startswith("the taught bundle was made from older 1.0.0, and the configured one is now default ")
    signed_bundle(teaching.bundles.folder / "taught-20261130T160512Z")
    with served(replace(teaching, active=NAME)) as page:
        assert notice(page) == "a newer taught bundle is there than the one in use; switch to it"


def test_a_configured_bundle_that_is_gone_is_one_sentence(teaching: Teaching, tmp_path: Path) -> None:
    with served(replace(teaching, configured=tmp_path / "gone")) as page:
        answer = ask(page.server, "GET", "/api/teaching")
    assert (answer.status, answer.error[-16:]) == (503, "; check the disk")
    with pytest.raises(EdgeDetectorError):
        status(replace(teaching, configured=tmp_path / "gone"))


@pytest.mark.parametrize(
    ("path", "body"), [("start", {"classes": ["door_bell"]}), ("cancel", {}), ("switch", {"to": "configured"})]
)
def test_teaching_takes_a_post_of_this_page_with_the_password(teaching: Teaching, path: str, body: object) -> None:
    with served(teaching) as page:
        for headers in ({"Origin": "http://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
            assert post(page.server, f"/api/teaching/{path}", body, headers).status == 403
        assert ask(page.server, "GET", f"/api/teaching/{path}").status == 405
    with served(teaching, "correct horse") as page:
        assert post(page.server, f"/api/teaching/{path}", body).status == 401
        assert ask(page.server, "GET", "/api/teaching").status == 401
        assert ask(page.server, "GET", "/api/teaching", basic("correct horse")).status == 200
        assert not page.commands.restart_requested
    assert teaching.job.status.state == "idle"


def test_without_a_state_directory_nothing_can_be_taught() -> None:
    with served(None) as page:
        answers = [ask(page.server, "GET", "/api/teaching"), start(page, "rain"), switch(page, "taught")]
        answers.append(post(page.server, "/api/teaching/cancel", {}))
    assert [(answer.status, answer.error) for answer in answers] == [
        (404, "nothing can be taught here; run the service with a state directory")
    ] * 4
