"""The state directory: what of it can be reviewed."""

from pathlib import Path

from edge_detector.config import ClipsConfig, OutboxConfig
from edge_detector.service.state import open_state, reviewable


def test_clips_can_be_reviewed_where_they_are_stored_and_reviews_still_shown_where_they_were(tmp_path: Path) -> None:
    assert reviewable(None, None) is None, "no state directory"
    assert reviewable(tmp_path, None) is None
    state = open_state(tmp_path, OutboxConfig(), clips=ClipsConfig(enabled=True))
    assert state.clips is not None
    assert reviewable(tmp_path, state.clips) is not None
    state.clips.close()
    assert state.clips.wait_closed(20.0)
    assert reviewable(tmp_path, None) is None, "nothing was reviewed"
    (tmp_path / "sounds").mkdir()
    found = reviewable(tmp_path, None)
    assert found is not None
    clips, sounds = found
    assert (clips.folder, sounds.folder) == (tmp_path / "clips", tmp_path / "sounds")
