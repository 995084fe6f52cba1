"""The page of a node that keeps clips, without the rest of the service."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from edge_detector.clips.store import ClipStore
from edge_detector.config import WebConfig
from edge_detector.files import SOUNDS_FOLDER
from edge_detector.review.sounds import SoundsFolder
from edge_detector.web.page import Page, configured_page
from edge_detector.web.password import PASSWORD_VARIABLE
from tests.support.node_view import FIGURES, VIEW

KEPT = "the sound of each event is stored in /var/lib/edge-detector/clips, for 30 days and in 500 MB at most"
DEADLINE_SECONDS = 20.0


@contextmanager
def clip_page(history: Path | None, clips: ClipStore | None, *, password: str | None = None) -> Iterator[Page]:
    """Serve the page at a free port while entered; its node works, and says where clips are, if there are any."""
    environment = {} if password is None else {PASSWORD_VARIABLE: password}
    sounds = None if clips is None else SoundsFolder(clips.folder.parent / SOUNDS_FOLDER)
    opened = configured_page(WebConfig("127.0.0.1:0"), "edge_detector/nursery", history, environment, clips=clips, sounds=sounds)
    assert opened is not None
    page, _ = opened
    page.feed.put_view(replace(VIEW, history=history is not None, clips=KEPT if clips is not None else None))
    page.feed.figures = FIGURES
    page.server.bind()
    page.server.start()
    try:
        yield page
    finally:
        page.server.close(DEADLINE_SECONDS)
