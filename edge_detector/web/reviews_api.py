"""Answers of the HTTP interface about reviews: what waits for one, what they amount to, a new one, and deletion by label."""

from dataclasses import asdict
from http import HTTPStatus

from edge_detector.clips.store import MOST_IDS, Clip
from edge_detector.errors import UsageError
from edge_detector.mqtt.messages import rfc3339
from edge_detector.review.sounds import LabelCount, Overview, Review, Verdict
from edge_detector.web.clips_api import (
    ClipRefusal,
    Recordings,
    changes,
    disk_errors,
    head_of,
    lead_of,
    no_clip,
    refuse_missing,
)
from edge_detector.web.history_api import Query, check_keys, limit_of

DEFAULT_CLIPS, MOST_CLIPS = 50, 200
"""Clips that wait, in one answer; the head of each is read."""


def reviews(recordings: Recordings, query: Query) -> dict[str, object]:
    """Return the newest clips that wait for a review, figures and labels for JSON. Raises BadRequest, EdgeDetectorError."""
    check_keys(query, ("limit",))
    limit = limit_of(query, DEFAULT_CLIPS, MOST_CLIPS, "clips")
    with disk_errors(recordings):
        overview = recordings.sounds.overview()
        waiting = [clip for clip in recordings.clips.newest(MOST_IDS) if clip.name.id not in overview.reviews]
        clips = [_waiting(recordings, clip) for clip in waiting[:limit]]
    return {"waiting": len(waiting), "clips": clips, **_amounts(overview)}


def review(recordings: Recordings, clip_id: str, verdict: Verdict, label: str | None) -> dict[str, object]:
    """Review a clip, or take its review back; returns the values for JSON. Raises ClipRefusal, EdgeDetectorError."""
    with changes(recordings):
        try:
            done = recordings.sounds.review(recordings.clips, clip_id, verdict, label)
            if done is None:
                refuse_missing(recordings, clip_id)  # unless it has been completed meanwhile
                done = recordings.sounds.review(recordings.clips, clip_id, verdict, label)
        except UsageError as error:
            raise ClipRefusal(HTTPStatus.BAD_REQUEST, str(error)) from error
    if done is None:
        raise no_clip()
    return {"id": clip_id, **review_json(done)}


def delete_label(recordings: Recordings, slug: str) -> dict[str, object]:
    """Delete the recordings of a label, and what was taken for it; returns the values for JSON.

    Raises ClipRefusal, EdgeDetectorError.
    """
    with changes(recordings):
        deleted = recordings.sounds.delete_label(slug)
    if deleted is None:
        raise ClipRefusal(
            HTTPStatus.NOT_FOUND, "there are no recordings of this label; they may have been deleted: choose another"
        )
    return {"slug": slug, "deleted": deleted}


def review_json(done: Review) -> dict[str, object]:
    """Return a review for JSON."""
    return asdict(done)


def _waiting(recordings: Recordings, clip: Clip) -> dict[str, object]:
    head = head_of(recordings, clip)
    return {
        "id": clip.name.id,
        "start": rfc3339(clip.name.start_ms / 1e3),
        "source": clip.name.source,
        "slug": clip.name.slug,
        "label": head.comments.get("TITLE", clip.name.slug),
        "seconds": round(head.seconds, 3),
        "lead_seconds": lead_of(head),
    }


def _amounts(overview: Overview) -> dict[str, object]:
    return {"figures": [asdict(each) for each in overview.figures], "labels": [_label(each) for each in overview.labels]}


def _label(count: LabelCount) -> dict[str, object]:
    return {"slug": count.slug, "label": count.label, "recordings": count.recordings, "not": count.negatives}
