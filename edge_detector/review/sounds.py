"""The folder of a person's sounds, as `record -o` and `teach` use it, with the reviewed clips. Where a clip is shows its verdict.

A review is one rename, so that no second record can disagree with it. Other processes may use the folder meanwhile.
"""

import errno
import fcntl
import os
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Literal, TypeAlias

from edge_detector.class_names import label_problem, named, slug_of
from edge_detector.clips.names import ClipName, is_clip_id, parse_clip_name
from edge_detector.clips.store import Clip, ClipStore
from edge_detector.errors import UsageError
from edge_detector.files import BACKGROUND_FOLDER, NEGATIVES_FOLDER, entries_of, remove_file, sync_folder

MOST_FOLDERS = 1_000
"""Labels, and classes with wrong detections, that are looked at."""
MOST_RECORDINGS = 100_000
"""Files of all folders that are looked at."""
LOCK_SECONDS = 5.0
"""Longest wait for another process, or thread, that reviews or deletes."""
_POLL_SECONDS = 0.02
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_FULL = {errno.ENOSPC, errno.EDQUOT}
_NOT_OURS = {errno.EACCES, errno.EPERM}
_NO_FOLDER = {errno.ENOTDIR, errno.ELOOP}

Verdict: TypeAlias = Literal["right", "wrong", "other", "none"]
"""It is the class that was detected; it is not; it is another sound; not reviewed."""


@dataclass(frozen=True, slots=True)
class Review:
    """What was said about a clip; `label` is that of its folder, None for wrong and none."""

    verdict: Verdict
    label: str | None


NOT_REVIEWED = Review("none", None)


@dataclass(frozen=True, slots=True)
class ReviewedClip:
    """A clip in the folder, and its review."""

    clip: Clip
    review: Review


@dataclass(frozen=True, slots=True)
class ClassFigures:
    """How many reviewed detections of a class were right, wrong, and another sound that has a label."""

    slug: str
    label: str
    right: int
    wrong: int
    other: int


@dataclass(frozen=True, slots=True)
class LabelCount:
    """Recordings of a label, a person's own ones included, and recordings that were taken for it; one of both at least."""

    slug: str
    label: str
    recordings: int
    negatives: int


@dataclass(frozen=True, slots=True)
class Overview:
    """All reviews by the ids of their clips, figures of the detected classes, and labels; the latter two by their slugs."""

    reviews: Mapping[str, Review]
    figures: Sequence[ClassFigures]
    labels: Sequence[LabelCount]


@dataclass(frozen=True, slots=True)
class _Folder:
    """A folder of recordings; its label is None where it holds what is not the class `slug`."""

    path: Path
    slug: str
    label: str | None


@dataclass(frozen=True, slots=True)
class _Found:
    """A clip in a folder."""

    name: ClipName
    path: Path
    folder: _Folder

    @property
    def review(self) -> Review:
        if self.folder.label is None:
            return Review("wrong", None)
        return Review("right" if slug_of(self.name.slug) == self.folder.slug else "other", self.folder.label)

    @property
    def moved_ns(self) -> int:
        """When it came here, by the disk's clock."""
        try:
            return self.path.lstat().st_ctime_ns
        except FileNotFoundError:
            return 0


class SoundsFolder:
    """The recordings in `folder`, which may be missing. Every method may raise OSError, and waits for the disk.

    `folder` lies beside the folder of clips, on its file system. Links below it are not followed. Where a clip is in two places,
    as after a power cut between the two steps of a replacement, the one that came last counts, and the next review removes
    the other.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def find(self, clip_id: str) -> ReviewedClip | None:
        """Return the reviewed clip of this id; None if there is none, or the id is none."""
        if not is_clip_id(clip_id):
            return None
        found = self._newest(clip_id).get(clip_id)
        return None if found is None else next(_with_sizes([found]), None)

    def ids(self) -> frozenset[str]:
        """Return the ids of all reviewed clips. Only names are looked at."""
        return frozenset(self._newest())

    def reviews(self) -> dict[str, Review]:
        """Return all reviews by the ids of their clips. Only names are looked at."""
        return {clip_id: found.review for clip_id, found in self._newest().items()}

    def clips(self) -> tuple[ReviewedClip, ...]:
        """Return all reviewed clips, in no order."""
        return tuple(_with_sizes(self._newest().values()))

    def overview(self) -> Overview:
        """Return all reviews, and what they and the other recordings amount to."""
        found = self._newest()
        reviews = {clip_id: each.review for clip_id, each in found.items()}
        verdicts = Counter((slug_of(each.name.slug), reviews[clip_id].verdict) for clip_id, each in found.items())
        labels = self._labels()
        names = {each.slug: each.label for each in labels}
        figures = [
            ClassFigures(
                slug, names.get(slug) or named(slug).label, *(verdicts[slug, which] for which in ("right", "wrong", "other"))
            )
            for slug in sorted({slug for slug, _ in verdicts})
        ]
        return Overview(reviews, figures, labels)

    def review(self, store: ClipStore, clip_id: str, verdict: Verdict, label: str | None = None) -> Review | None:
        """Move a clip to where its verdict says, or back among the clips; None if there is no complete clip of this id.

        Once it returns, the review survives a power cut. Raises UsageError for a label that cannot be one.

        Args:
            store: the clips that are not reviewed.
            clip_id: of a clip there, or here.
            verdict: "other" needs a label.
            label: what it was, or with "right" the label of its class.

        """
        if not is_clip_id(clip_id):
            return None
        try:
            with self._locked():
                return self._review(store, clip_id, verdict, label)
        except FileNotFoundError:  # deleted meanwhile, by its age
            return None

    def delete(self, store: ClipStore, clip_id: str) -> bool:
        """Delete a clip, reviewed or not, for good even if the power is cut next; whether there was one."""
        if not is_clip_id(clip_id):
            return False
        try:
            with self._locked():
                # Both: after a power cut it may be in two places.
                is_waiting, is_reviewed = store.delete(clip_id), self._remove_but(None, clip_id)
                return is_waiting or is_reviewed
        except FileNotFoundError:  # there is not even the folder of both
            return False

    def delete_label(self, slug: str) -> int | None:
        """Delete all recordings of a label, and what was taken for it, for good as `delete`.

        Returns how many, or None if there is no such label.
        """
        try:
            with self._locked():
                folders = [folder for folder in self._folders() if folder.slug == slug]
                removed = 0
                for folder in folders:
                    removed += sum([remove_file(Path(entry.path)) for entry in list(_recordings(folder.path))])
                    sync_folder(folder.path)
                    with suppress(OSError):  # somebody keeps other files in it
                        folder.path.rmdir()
        except FileNotFoundError:
            return None
        return removed if folders else None

    def trouble(self, store: ClipStore, error: OSError) -> str:
        """Return why a review or deletion failed, as a sentence with its remedy."""
        state = self.folder.parent
        if error.errno == errno.EXDEV:
            return f"{self.folder} is on another disk than {store.folder}, and a clip moves in one step; put both on one disk"
        if error.errno == errno.EAGAIN:
            return f"another program works on the clips in {state}; try again in a moment"
        if error.errno in _NOT_OURS:
            return f"{self.folder} belongs to another user; give it back: sudo chown -R --reference={state} {self.folder}"
        if error.errno in _NO_FOLDER:
            return f"{self.folder / (error.filename or '')} is a file or a link, and a folder is needed; move it elsewhere"
        remedy = "make room" if error.errno in _FULL else "check the disk"
        return f"{self.folder} cannot be used ({error.strerror or error}); {remedy}"

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Keep other reviews and deletions away: what one of them has just moved, another would take for a copy to remove."""
        descriptor = os.open(self.folder.parent, _FOLDER)
        try:
            until_seconds = time.monotonic() + LOCK_SECONDS
            while not _is_locked(descriptor, may_wait=time.monotonic() < until_seconds):
                time.sleep(_POLL_SECONDS)
            yield
        finally:
            os.close(descriptor)

    def _review(self, store: ClipStore, clip_id: str, verdict: Verdict, label: str | None) -> Review | None:
        waiting, reviewed = store.find(clip_id), self._newest(clip_id).get(clip_id)
        if verdict == "none":
            return self._take_back(store, waiting, reviewed)
        if waiting is not None:
            name, path = waiting.name, waiting.path
        elif reviewed is not None:
            name, path = reviewed.name, reviewed.path
        else:
            return None
        parts = self._parts(store, Clip(name, 0, path), verdict, label)
        kept = self.folder.joinpath(*parts, path.name)
        _move(path, kept.parent, self._open_made(parts))
        # A recording that is processed again has the same ids: what was there before is replaced.
        if store.delete(clip_id):
            sync_folder(store.folder)
        self._remove_but(kept, clip_id)
        return _Found(name, kept, _folder_of(parts)).review

    def _take_back(self, store: ClipStore, waiting: Clip | None, reviewed: _Found | None) -> Review | None:
        if waiting is None and reviewed is None:
            return None
        if reviewed is not None:
            if waiting is None:
                _move(reviewed.path, store.folder, _open_made_store(store))
            self._remove_but(None, reviewed.name.id)
        return NOT_REVIEWED

    def _remove_but(self, kept: Path | None, clip_id: str) -> bool:
        """Remove the clip durably from all other places here; whether it was in one."""
        others = [found.path for found in self._found(clip_id) if found.path != kept]
        for path in others:
            remove_file(path)
            sync_folder(path.parent)
        return bool(others)

    def _parts(self, store: ClipStore, clip: Clip, verdict: Verdict, label: str | None) -> list[str]:
        """Return the folder of a verdict, below this one. Raises UsageError."""
        slug = slug_of(clip.name.slug)
        if verdict == "wrong":
            return [NEGATIVES_FOLDER, slug]
        wanted = (label or "").strip() if verdict == "other" else _label_of_class(store, clip, label)
        problem = label_problem(wanted)
        if problem is not None:
            raise UsageError(problem)
        slug, folders = slug_of(wanted), self._folders()
        present = [folder.path.name for folder in folders if folder.label is not None and folder.slug == slug]
        if not present and len(folders) >= MOST_FOLDERS:
            raise UsageError(f"{self.folder} has {MOST_FOLDERS} folders already; delete those of labels that you do not need")
        return [wanted if wanted in present or not present else present[0]]

    def _open_made(self, parts: Sequence[str]) -> int:
        """Open a folder below this one, which is made, durably, where it is missing."""
        with suppress(FileExistsError):
            self.folder.mkdir(mode=0o700)
            _give_to_owner_of(self.folder.parent, self.folder)
        sync_folder(self.folder.parent)
        descriptor = os.open(self.folder, _FOLDER)
        for part in parts:
            try:
                is_made = False
                with suppress(FileExistsError):
                    os.mkdir(part, 0o700, dir_fd=descriptor)
                    is_made = True
                os.fsync(descriptor)
                inner = os.open(part, _FOLDER | os.O_NOFOLLOW, dir_fd=descriptor)
                if is_made:
                    _give_to_owner_of(descriptor, inner)
            finally:
                os.close(descriptor)
            descriptor = inner
        return descriptor

    def _labels(self) -> list[LabelCount]:
        labels, recordings, negatives = dict[str, str](), Counter[str](), Counter[str]()
        for folder in self._folders():
            count = sum(1 for _ in _recordings(folder.path))
            (negatives if folder.label is None else recordings)[folder.slug] += count
            if folder.label is not None and count:
                labels.setdefault(folder.slug, folder.label)
        return [
            LabelCount(slug, labels.get(slug) or named(slug).label, recordings[slug], negatives[slug])
            for slug in sorted({*recordings, *negatives})
            if recordings[slug] or negatives[slug]
        ]

    def _newest(self, clip_id: str = "") -> dict[str, _Found]:
        """Return the clips here, or the one of an id, by id."""
        newest: dict[str, _Found] = {}
        for found in self._found(clip_id):
            there = newest.setdefault(found.name.id, found)
            if there is not found and found.moved_ns >= there.moved_ns:
                newest[found.name.id] = found
        return newest

    def _found(self, clip_id: str = "") -> Iterator[_Found]:
        """Yield all clips here, or those of an id."""
        entries = ((folder, entry) for folder in self._folders() for entry in _files(folder.path))
        for folder, entry in islice(entries, MOST_RECORDINGS):
            name = parse_clip_name(entry.name) if clip_id in entry.name else None
            if name is not None and clip_id in ("", name.id):
                yield _Found(name, Path(entry.path), folder)

    def _folders(self) -> list[_Folder]:
        """Return the folders of recordings in the order of their names, but for the room's."""
        return list(islice(self._all_folders(), MOST_FOLDERS))

    def _all_folders(self) -> Iterator[_Folder]:
        for path in _folders_in(self.folder):
            slug = slug_of(path.name)
            if path.name == NEGATIVES_FOLDER:
                yield from (_Folder(inner, inner.name, None) for inner in _folders_in(path) if slug_of(inner.name) == inner.name)
            elif slug not in ("", BACKGROUND_FOLDER, NEGATIVES_FOLDER):
                yield _folder_of([path.name], path)


def _is_locked(descriptor: int, *, may_wait: bool) -> bool:
    """Lock; False where that needs another try. Raises BlockingIOError if there may be none."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        if may_wait:
            return False
        raise
    return True


def _folder_of(parts: Sequence[str], path: Path = Path()) -> _Folder:
    *outer, name = parts
    if outer:
        return _Folder(path, name, None)
    known = named(name)
    return _Folder(path, known.slug, known.label)


def _label_of_class(store: ClipStore, clip: Clip, label: str | None) -> str:
    """Return the label of the class that was detected: the given one, the clip's title, or the slug."""
    slug, known = slug_of(clip.name.slug), [label or ""]
    with suppress(ValueError):  # damaged
        known.append(store.head(clip).comments.get("TITLE", ""))
    fitting = (each.strip() for each in known if slug_of(each) == slug and label_problem(each.strip()) is None)
    return next(fitting, slug)


def _move(path: Path, folder: Path, descriptor: int) -> None:
    """Move a file durably into the folder of a descriptor, which is closed."""
    try:
        if path.parent != folder:
            os.rename(path, path.name, dst_dir_fd=descriptor)
        # Also what is there already: an earlier try may have failed after the rename.
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    sync_folder(path.parent)


def _open_made_store(store: ClipStore) -> int:
    """Open the folder of clips, which a person may have deleted, with all clips."""
    with suppress(FileExistsError):
        store.folder.mkdir(mode=0o700)
        _give_to_owner_of(store.folder.parent, store.folder)
    sync_folder(store.folder.parent)
    return os.open(store.folder, _FOLDER)


def _give_to_owner_of(outer: Path | int, made: Path | int) -> None:
    """Give a folder that root makes on the command line to the service."""
    if not os.geteuid():
        status = os.stat(outer)  # noqa: PTH116 - a descriptor, too
        # A link that the service puts in its place meanwhile would give it another file; a descriptor is none.
        os.chown(made, status.st_uid, status.st_gid, follow_symlinks=isinstance(made, int))


def _with_sizes(clips: Iterable[_Found]) -> Iterator[ReviewedClip]:
    for found in clips:
        with suppress(FileNotFoundError):  # moved or deleted meanwhile
            yield ReviewedClip(Clip(found.name, found.path.lstat().st_size, found.path), found.review)


def _folders_in(folder: Path) -> list[Path]:
    found = (Path(entry.path) for entry in entries_of(folder) if entry.is_dir(follow_symlinks=False) and entry.name[0] != ".")
    return sorted(islice(found, MOST_FOLDERS))


def _files(folder: Path) -> Iterator[os.DirEntry[str]]:
    for entry in entries_of(folder):
        if entry.is_file(follow_symlinks=False) and entry.name[0] != ".":
            yield entry


def _recordings(folder: Path) -> Iterator[os.DirEntry[str]]:
    """Yield the files that teach takes for recordings."""
    from edge_detector.audio.clips import AUDIO_SUFFIXES  # noqa: PLC0415 - libsndfile only where clips are looked at

    found = (entry for entry in _files(folder) if os.path.splitext(entry.name)[1].lower() in AUDIO_SUFFIXES)  # noqa: PTH122 - faster
    return islice(found, MOST_RECORDINGS)
