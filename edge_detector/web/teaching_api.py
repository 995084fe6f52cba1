"""Answers of the HTTP interface about teaching: how far it is, what can be taught, which bundle is in use, and the switch."""

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from http import HTTPStatus
from pathlib import Path

from edge_detector.bounded_files import read_regular
from edge_detector.detection.bundle import MANIFEST, MAX_FILE_BYTES, Manifest, parse_manifest
from edge_detector.errors import EdgeDetectorError, UsageError
from edge_detector.files import BACKGROUND_FOLDER
from edge_detector.teaching.job import TeachingJob, TeachingRequest
from edge_detector.teaching.taught_bundles import TaughtBundles

MOST_CLASSES = 20


class TeachingRefusal(Exception):  # noqa: N818 - named as HTTP does
    """A request that cannot be fulfilled; the message is a sentence for the sender."""

    def __init__(self, status: HTTPStatus, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


@dataclass(frozen=True, slots=True)
class Teaching:
    """What teaching needs.

    Attributes:
        job: teaches.
        bundles: the taught bundles.
        sounds: folder of recordings.
        configured: folder of the configured bundle, which is extended.
        active: name of the taught bundle in use; None for the configured one.
        require_usable: raises EdgeDetectorError for a bundle (None: the configured one) that the next start could not use.

    """

    job: TeachingJob
    bundles: TaughtBundles
    sounds: Path
    configured: Path
    active: str | None
    require_usable: Callable[[Path | None], None]


def status(teaching: Teaching) -> dict[str, object]:
    """Return the state of everything, for JSON. Raises EdgeDetectorError."""
    from edge_detector.audio.clips import AUDIO_SUFFIXES  # noqa: PLC0415 - what reads recordings, only where it is asked for
    from edge_detector.teaching.recordings import FEWEST  # noqa: PLC0415 - as above

    try:
        configured = _manifest(teaching.configured)
        in_bundle = {sound.slug: sound.label for sound in configured.classes}
        labels, problem = _labels(teaching.sounds, in_bundle)
        room = teaching.sounds / BACKGROUND_FOLDER
        rooms = sum(path.suffix.lower() in AUDIO_SUFFIXES for path in room.iterdir()) if room.is_dir() else 0
        taught, notice = _taught(teaching, f"{configured.name} {configured.version}")
    except OSError as error:
        raise _disk(teaching, error) from error
    return {
        **asdict(teaching.job.status),
        "labels": labels,
        "fewest": FEWEST,
        "background": rooms,
        "bundle": {
            "active": "configured" if teaching.active is None else "taught",
            "configured": f"{configured.name} {configured.version}",
            "taught": taught,
            "notice": problem or notice,
        },
    }


def start(teaching: Teaching, classes: Sequence[str]) -> dict[str, object]:
    """Begin to teach these slugs; returns the values for JSON. Raises TeachingRefusal, EdgeDetectorError."""
    from edge_detector.teaching.recordings import FEWEST  # noqa: PLC0415 - as in status

    try:
        labels, problem = _labels(teaching.sounds, {})
    except OSError as error:
        raise _disk(teaching, error) from error
    if problem is not None:
        raise TeachingRefusal(HTTPStatus.BAD_REQUEST, problem)
    originals = {label["slug"]: label["originals"] for label in labels}
    for slug in classes:
        number = originals.get(slug, 0)
        if not isinstance(number, int) or number < FEWEST:
            sentence = f"there are recordings of {number} occasions of {slug[:64]}, and {FEWEST} are needed; review more of them"
            raise TeachingRefusal(HTTPStatus.BAD_REQUEST, sentence)
    if not teaching.job.start(TeachingRequest(teaching.sounds, teaching.configured, tuple(sorted(set(classes))))):
        raise TeachingRefusal(HTTPStatus.CONFLICT, "teaching is under way; wait for its end, or cancel it")
    return {"state": "running"}


def cancel(teaching: Teaching) -> dict[str, object]:
    """End the teaching; returns the values for JSON."""
    return {"cancelled": teaching.job.cancel()}


def switch(teaching: Teaching, *, to_taught: bool) -> dict[str, object]:
    """Choose the bundle of the next start; returns the values for JSON. Raises TeachingRefusal, EdgeDetectorError."""
    if teaching.job.status.state == "running":
        raise TeachingRefusal(HTTPStatus.CONFLICT, "teaching is under way, and a restart would end it; wait, or cancel it")
    try:
        name = teaching.bundles.newest() if to_taught else None
        if to_taught and name is None:
            raise TeachingRefusal(HTTPStatus.CONFLICT, "there is no taught bundle; teach first")
        try:
            teaching.require_usable(None if name is None else teaching.bundles.folder / name)
        except EdgeDetectorError as error:
            sentence = f"the other bundle cannot be used: {error}"
            raise TeachingRefusal(HTTPStatus.CONFLICT, sentence) from error
        teaching.bundles.choose(name)
    except OSError as error:
        raise _disk(teaching, error) from error
    return {"restarting": True}


def _labels(sounds: Path, in_bundle: dict[str, str]) -> tuple[list[dict[str, object]], str | None]:
    """Return what can be taught, and why the folder cannot be used, as a sentence. Raises OSError."""
    from edge_detector.audio.clips import classes_of, labels_of  # noqa: PLC0415 - as in status
    from edge_detector.teaching.recordings import find_recordings, find_wrong  # noqa: PLC0415 - as in status

    # Before the first one, and where all reviewed clips were wrong, there is nothing to teach, and nothing to put right.
    if not sounds.is_dir() or not any(_has_recordings(path) for path in sounds.iterdir()):
        return [], None
    try:
        clips, wrong = find_recordings(sounds).clips, Counter(clip.label for clip in find_wrong(sounds))
    except UsageError as error:
        return [], str(error)
    slugs, sources = labels_of(clips), defaultdict[str, list[str]](list)
    for clip in clips:
        sources[clip.label].append(clip.source)
    found: list[dict[str, object]] = []
    for named in classes_of(clips, slugs):
        own = sources[named.slug]
        label = in_bundle.get(named.slug, named.label)
        counts = {"recordings": len(own), "originals": len(set(own)), "not": wrong[named.slug]}
        found.append({"slug": named.slug, "label": label, **counts, "in_bundle": named.slug in in_bundle})
    return found, None


def _has_recordings(folder: Path) -> bool:
    from edge_detector.audio.clips import AUDIO_SUFFIXES  # noqa: PLC0415 - as in status

    if folder.name.startswith(".") or folder.name == BACKGROUND_FOLDER or not folder.is_dir():
        return False
    return any(path.suffix.lower() in AUDIO_SUFFIXES for path in folder.iterdir() if not path.name.startswith("."))


def _taught(teaching: Teaching, configured: str) -> tuple[dict[str, object] | None, str | None]:
    """Return what is known of the newest taught bundle, and what a person should know of it. Raises OSError."""
    name = teaching.bundles.newest()
    if name is None:
        return None, None
    folder = teaching.bundles.folder / name
    try:
        manifest = _manifest(folder)
    except EdgeDetectorError as error:
        return None, f"the taught bundle cannot be used ({error}); teach again"
    facts = manifest.training.get("taught")
    of_last = facts[-1] if isinstance(facts, list) and facts and isinstance(facts[-1], dict) else {}
    base = of_last.get("from")
    notice = None
    if isinstance(base, str) and base != configured:
        notice = f"the taught bundle was made from {base[:200]}, and the configured one is now {configured}; teach again"
    elif teaching.active is not None and teaching.active != name:
        notice = "a newer taught bundle is there than the one in use; switch to it"
    found = {"name": name, "created": manifest.created, "from": base, "report": teaching.bundles.report(name)}
    return found, notice


def _manifest(folder: Path) -> Manifest:
    path = folder / MANIFEST
    return parse_manifest(read_regular(path, MAX_FILE_BYTES[MANIFEST]), str(path))[0]


def _disk(teaching: Teaching, error: OSError) -> EdgeDetectorError:
    place = teaching.sounds.parent
    return EdgeDetectorError(f"{place} cannot be used ({error.strerror or error}); check the disk")
