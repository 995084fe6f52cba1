"""Teaching over HTTP, without the rest of the service: what cannot be taught is one sentence."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_detector.config import WebConfig
from edge_detector.service.factory import DEFAULT_BUNDLE
from edge_detector.teaching.job import TeachingJob
from edge_detector.teaching.taught_bundles import TaughtBundles
from edge_detector.web.page import Page, configured_page
from edge_detector.web.teaching_api import Teaching
from tests.support.page_server import ask, post

DEADLINE_SECONDS = 20.0


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Page]:
    """The page of a node without recordings."""
    bundles = TaughtBundles(tmp_path / "bundles")
    teaching = Teaching(TeachingJob(bundles, None), bundles, tmp_path / "sounds", DEFAULT_BUNDLE, None, lambda _: None)
    opened = configured_page(WebConfig("127.0.0.1:0"), "edge_detector/nursery", None, {}, teaching=teaching)
    assert opened is not None
    page, _ = opened
    page.server.bind()
    page.server.start()
    try:
        yield page
    finally:
        page.server.close(DEADLINE_SECONDS)


def test_a_folder_whose_name_is_no_text_is_said_with_a_remedy(page: Page, tmp_path: Path) -> None:
    folder = tmp_path / "sounds" / os.fsdecode(b"\xff")
    folder.mkdir(parents=True)
    (folder / "1.wav").touch()
    answer = ask(page.server, "GET", "/api/teaching")
    assert answer.status == 200
    values = json.loads(answer.body)
    assert values["labels"] == []
    assert values["bundle"]["notice"].endswith("/? cannot name a class: its name has no letter a to z and no digit; rename it")


def test_a_class_without_recordings_is_refused_whatever_its_name(page: Page) -> None:
    for name in ("rooster", "\ud800"):
        answer = post(page.server, "/api/teaching/start", {"classes": [name]})
        assert answer.status == 400
        assert "there are recordings of 0 occasions of" in json.loads(answer.body)["error"]
