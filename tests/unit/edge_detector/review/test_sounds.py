"""Reviews: each clip is in one place, which says its verdict, whatever is reviewed, taken back, deleted, killed or misplaced."""

import fcntl
import os
import signal
import sys
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from edge_detector.audio.clips import find_clips
from edge_detector.class_names import label_problem, slug_of
from edge_detector.clips.clip_file import ClipFile
from edge_detector.clips.names import clip_id, clip_name
from edge_detector.clips.store import DAY_MS, ClipStore
from edge_detector.errors import UsageError
from edge_detector.review import sounds as sounds_module
from edge_detector.review.sounds import ClassFigures, LabelCount, Review, SoundsFolder, Verdict
from tests.support.clips import NOON_SECONDS, event_id, head, noise, pieces, stored, write
from tests.support.disks import remount, small_disk

ID = clip_id(event_id(1))
RIGHT, WRONG, NONE = Review("right", "Rain"), Review("wrong", None), Review("none", None)
SOUND = noise(0.1)


@pytest.fixture
def store(tmp_path: Path) -> ClipStore:
    """Clips of events 1 and 2, rain."""
    store = ClipStore(tmp_path / "clips")
    for number in (1, 2):
        write(store, number, SOUND)
    return store


@pytest.fixture
def sounds(tmp_path: Path) -> SoundsFolder:
    return SoundsFolder(tmp_path / "sounds")


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_a_verdict_is_where_the_clip_is_and_its_file_stays_the_same(
    store: ClipStore, sounds: SoundsFolder, tmp_path: Path
) -> None:
    name = head(1).name.file_name
    inode = (store.folder / name).stat().st_ino
    steps: tuple[tuple[Verdict, str | None, Review, str], ...] = (
        ("right", None, RIGHT, f"sounds/Rain/{name}"),
        ("wrong", None, WRONG, f"sounds/not/rain/{name}"),
        ("other", "Küchenuhr (neu)", Review("other", "Küchenuhr (neu)"), f"sounds/Küchenuhr (neu)/{name}"),
        ("other", " rain ", Review("right", "Rain"), f"sounds/Rain/{name}"),
        ("none", None, NONE, f"clips/{name}"),
        ("none", None, NONE, f"clips/{name}"),
    )
    other = f"clips/{head(2).name.file_name}"
    for verdict, label, review, place in steps:
        assert sounds.review(store, ID, verdict, label) == review
        assert files(tmp_path) == {place, other}
        assert (tmp_path / place).stat().st_ino == inode
        found = sounds.find(ID)
        assert (found.review if found is not None else NONE) == review
        assert sounds.reviews() == ({} if review == NONE else {ID: review})


def test_what_is_made_is_for_the_service_alone(store: ClipStore, sounds: SoundsFolder) -> None:
    sounds.review(store, ID, "wrong")
    folders = (sounds.folder, sounds.folder / "not", sounds.folder / "not" / "rain")
    assert {folder.stat().st_mode & 0o777 for folder in folders} == {0o700}


def test_what_root_makes_on_the_command_line_belongs_to_the_service(
    store: ClipStore, sounds: SoundsFolder, tmp_path: Path
) -> None:
    if os.geteuid():
        pytest.skip("only root may give folders away")
    os.chown(tmp_path, 1_234, 1_235)
    sounds.review(store, ID, "wrong")
    folders = (sounds.folder, sounds.folder / "not", sounds.folder / "not" / "rain")
    assert {(folder.stat().st_uid, folder.stat().st_gid) for folder in folders} == {(1_234, 1_235)}


def test_root_gives_the_service_no_file_that_a_link_in_place_of_the_new_folder_leads_to(
    store: ClipStore, sounds: SoundsFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if os.geteuid():
        pytest.skip("only root may give folders away")
    secret, made = tmp_path / "secret", Path.mkdir
    secret.mkdir()
    owner = secret.stat().st_uid

    def mkdir_and_swap(path: Path, mode: int = 0o777) -> None:
        made(path, mode)
        if path == sounds.folder:
            path.rmdir()
            path.symlink_to(secret)

    os.chown(store.folder.parent, 1_234, 1_235)
    monkeypatch.setattr(Path, "mkdir", mkdir_and_swap)
    sounds.review(store, ID, "wrong")
    assert secret.stat().st_uid == owner


def test_a_folder_of_the_same_slug_takes_the_reviews(store: ClipStore, sounds: SoundsFolder) -> None:
    for folder in ("RAIN", "rain", "door_bell"):
        (sounds.folder / folder).mkdir(parents=True)
    assert sounds.review(store, ID, "right") == Review("right", "RAIN"), "the first of two"
    assert sounds.review(store, ID, "other", "rain") == Review("right", "Rain"), "the one of that name"
    assert sounds.find(ID) is not None
    assert sounds.review(store, ID, "other", "Door bell") == Review("other", "Door bell")
    assert {path.name for path in sounds.folder.iterdir()} == {"RAIN", "rain", "door_bell"}


@pytest.mark.parametrize(
    "label",
    ["", "..", "../up", "a/b", "/etc", ".hidden", "Background", "not", "two\nlines", "時計", "\u202etxt", "a\udcff", "a" * 65],
)
def test_no_label_leads_elsewhere(store: ClipStore, sounds: SoundsFolder, tmp_path: Path, label: str) -> None:
    before = files(tmp_path)
    with pytest.raises(UsageError):
        sounds.review(store, ID, "other", label)
    assert files(tmp_path) == before


@pytest.mark.parametrize("text", ["", "0" * 16, ID.upper(), ID[:-1], f"../clips/{ID}", "*", "é"])
def test_no_other_id_moves_or_deletes_anything(store: ClipStore, sounds: SoundsFolder, tmp_path: Path, text: str) -> None:
    sounds.review(store, clip_id(event_id(2)), "right")
    before = files(tmp_path)
    verdicts: tuple[Verdict, ...] = ("right", "wrong", "none")
    for verdict in verdicts:
        assert sounds.review(store, text, verdict) is None
    assert sounds.find(text) is None
    assert not sounds.delete(store, text)
    assert files(tmp_path) == before


def test_a_clip_that_is_being_recorded_is_not_reviewed(store: ClipStore, sounds: SoundsFolder) -> None:
    file = ClipFile(store, head(3))
    assert sounds.review(store, clip_id(event_id(3)), "right") is None
    for piece in pieces(3, SOUND):
        file.write(piece)
    assert file.finish(head(3).name.start_ms, days=36_500, most_bytes=1 << 30)
    assert sounds.review(store, clip_id(event_id(3)), "right") == RIGHT


def test_a_damaged_clip_can_be_reviewed_under_its_slug(store: ClipStore, sounds: SoundsFolder) -> None:
    (store.folder / head(1).name.file_name).write_bytes(b"damaged")
    assert sounds.review(store, ID, "right") == Review("right", "Rain")
    assert (sounds.folder / "rain" / head(1).name.file_name).read_bytes() == b"damaged"


def test_retention_deletes_no_reviewed_clip(store: ClipStore, sounds: SoundsFolder) -> None:
    sounds.review(store, ID, "right")
    assert store.trim(round(1e3 * NOON_SECONDS) + 99 * DAY_MS, days=1, most_bytes=0) == 1
    assert sounds.ids() == {ID}


def test_a_recording_that_is_processed_again_leaves_one_clip_after_the_next_review(
    store: ClipStore, sounds: SoundsFolder, tmp_path: Path
) -> None:
    sounds.review(store, ID, "right")
    write(store, 1, noise(0.2), start_seconds=NOON_SECONDS + 30)
    assert sounds.reviews() == {ID: RIGHT}, "the review stands"
    assert sounds.review(store, ID, "wrong") == WRONG
    (found,) = sounds.clips()
    assert np.array_equal(stored(found.clip.path)[0], noise(0.2))
    assert len(files(tmp_path)) == 2
    write(store, 1, noise(0.3), start_seconds=NOON_SECONDS + 60)
    assert sounds.review(store, ID, "none") == NONE
    assert len(files(tmp_path)) == 2
    assert sounds.ids() == frozenset()


def test_of_two_places_the_later_one_counts_and_the_next_review_cleans_up(
    store: ClipStore, sounds: SoundsFolder, tmp_path: Path
) -> None:
    name = head(1).name.file_name
    sounds.review(store, ID, "wrong")
    (sounds.folder / "Bell").mkdir()
    (sounds.folder / "Bell" / name).write_bytes((sounds.folder / "not" / "rain" / name).read_bytes())
    os.utime(sounds.folder / "Bell" / name)
    later = sounds.find(ID)
    assert later is not None
    assert later.review.verdict in {"wrong", "other"}
    assert sounds.reviews() == {ID: later.review}
    assert sounds.review(store, ID, "right") == RIGHT
    assert files(tmp_path) == {f"sounds/Rain/{name}", f"clips/{head(2).name.file_name}"}


def test_figures_and_labels_count_reviews_and_a_persons_own_recordings(store: ClipStore, sounds: SoundsFolder) -> None:
    write(store, 3, SOUND)
    verdicts: tuple[Verdict, ...] = ("right", "wrong", "other")
    for number, verdict in enumerate(verdicts, 1):
        sounds.review(store, clip_id(event_id(number)), verdict, "Door bell")
    (sounds.folder / "Door bell" / "Door bell_001.wav").write_bytes(b"")
    (sounds.folder / "Door bell" / "notes.txt").write_bytes(b"")
    (sounds.folder / "Door bell" / ".hidden.wav").write_bytes(b"")
    for folder in ("background", "empty", "!"):
        (sounds.folder / folder).mkdir()
    (sounds.folder / "background" / "room_001.wav").write_bytes(b"")
    overview = sounds.overview()
    assert overview.figures == [ClassFigures("rain", "Rain", 1, 1, 1)]
    assert overview.labels == [LabelCount("door_bell", "Door bell", 2, 0), LabelCount("rain", "Rain", 1, 1)]
    assert sounds.delete_label("rain") == 2
    assert sounds.delete_label("door_bell") == 2
    assert sounds.delete_label("rain") is None
    assert [sounds.delete_label(slug) for slug in ("background", "not", "..", "", "/")] == [None] * 5
    left = {"Door bell/notes.txt", "Door bell/.hidden.wav", "background/room_001.wav"}
    assert files(sounds.folder) == left


def test_teach_finds_the_reviewed_clips_beside_recordings(store: ClipStore, sounds: SoundsFolder) -> None:
    sounds.review(store, ID, "right")
    sounds.review(store, clip_id(event_id(2)), "other", "Door bell")
    assert [clip.label for clip in find_clips(sounds.folder)] == ["door_bell", "rain"]


def test_links_are_neither_followed_nor_moved(store: ClipStore, sounds: SoundsFolder, tmp_path: Path) -> None:
    elsewhere, name = tmp_path / "elsewhere", head(7).name.file_name
    elsewhere.mkdir()
    (elsewhere / name).write_bytes(b"secret")
    sounds.folder.mkdir()
    (sounds.folder / "Rain").symlink_to(elsewhere)
    (sounds.folder / "Bell").mkdir()
    (sounds.folder / "Bell" / name).symlink_to(elsewhere / name)
    (sounds.folder / "not").symlink_to(elsewhere)
    assert sounds.ids() == frozenset()
    assert sounds.overview().labels == []
    assert sounds.review(store, clip_id(event_id(7)), "right") is None
    verdicts: tuple[Verdict, ...] = ("right", "wrong")
    for verdict in verdicts:
        with pytest.raises(OSError, match=r"Not a directory|Too many levels") as raised:
            sounds.review(store, ID, verdict)
        assert "is a file or a link, and a folder is needed" in sounds.trouble(store, raised.value)
    assert sounds.delete_label("rain") is None
    assert files(elsewhere) == {name}
    assert len(store.ids()) == 2


def test_a_full_disk_refuses_a_review_with_a_remedy_and_loses_no_clip(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk"):
        store, sounds = ClipStore(tmp_path / "disk" / "clips"), SoundsFolder(tmp_path / "disk" / "sounds")
        store.folder.mkdir()
        path = store.folder / head(1).name.file_name
        path.write_bytes(b"clip")
        # The root, both folders and the clip; a file system without a free block refuses a folder in the same way.
        remount(tmp_path / "disk", "rw,nr_inodes=4")
        with pytest.raises(OSError, match="No space left") as raised:
            sounds.review(store, ID, "right")
        assert sounds.trouble(store, raised.value) == f"{sounds.folder} cannot be used (No space left on device); make room"
        assert files(tmp_path / "disk") == {f"clips/{path.name}"}
        remount(tmp_path / "disk", "rw,nr_inodes=100")
        assert sounds.review(store, ID, "right") == RIGHT


def test_another_disk_is_said(store: ClipStore, sounds: SoundsFolder) -> None:
    with small_disk(sounds.folder):
        with pytest.raises(OSError, match="cross-device") as raised:
            sounds.review(store, ID, "right")
        assert sounds.trouble(store, raised.value).endswith("moves in one step; put both on one disk")
        assert len(store.ids()) == 2


def as_nobody(call: Callable[[], bool]) -> bool:
    """Run something as another user, in a child."""
    child = os.fork()
    if not child:
        os.setgid(65_534)
        os.setuid(65_534)
        os._exit(0 if call() else 1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_folder_of_another_user_is_said_with_a_remedy(store: ClipStore, sounds: SoundsFolder, tmp_path: Path) -> None:
    if os.geteuid():
        pytest.skip("only root may become another user")
    (sounds.folder / "Rain").mkdir(parents=True)
    for path in (tmp_path, store.folder, sounds.folder, *store.folder.iterdir()):
        os.chown(path, 65_534, 65_534)
    open_to_all = [folder for folder in tmp_path.parents if folder.stat().st_mode & 0o005 != 0o005]
    for folder in open_to_all:
        folder.chmod(0o755)

    def is_refused() -> bool:
        try:
            sounds.review(store, ID, "right")
        except PermissionError as error:
            owner = f"sudo chown -R --reference={tmp_path} {sounds.folder}"
            return sounds.trouble(store, error) == f"{sounds.folder} belongs to another user; give it back: {owner}"
        return False

    assert as_nobody(is_refused)
    assert len(store.ids()) == 2
    assert as_nobody(lambda: sounds.review(store, ID, "wrong") == WRONG)


def test_a_program_that_keeps_the_clips_locked_is_waited_for_and_then_said(
    store: ClipStore, sounds: SoundsFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sounds_module, "LOCK_SECONDS", 0.1)
    descriptor = os.open(sounds.folder.parent, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        for call in (
            lambda: sounds.review(store, ID, "right"),
            lambda: sounds.delete(store, ID),
            lambda: sounds.delete_label("rain"),
        ):
            with pytest.raises(BlockingIOError) as raised:
                call()
        assert sounds.trouble(store, raised.value).startswith("another program works on the clips in")
    finally:
        os.close(descriptor)
    assert sounds.review(store, ID, "right") == RIGHT


def test_reviews_at_once_lose_and_double_no_clip(store: ClipStore, sounds: SoundsFolder, tmp_path: Path) -> None:
    verdicts: tuple[Verdict, ...] = ("right", "wrong", "other", "none")

    def work(seed: int) -> None:
        random = np.random.default_rng(seed)
        own = SoundsFolder(sounds.folder)
        for _ in range(50):
            assert own.review(store, ID, verdicts[random.integers(4)], "Bell") is not None

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(Path(path).name for path in files(tmp_path)) == [head(number).name.file_name for number in (1, 2)]


def test_a_review_is_on_the_disk_before_it_is_answered(
    store: ClipStore, sounds: SoundsFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []

    def noted(name: str, call: Callable[..., None]) -> Callable[..., None]:
        def note(*arguments: object, **options: object) -> None:
            where = Path(f"/proc/self/fd/{arguments[0]}")
            calls.append(os.path.relpath(where.readlink(), tmp_path) if name == "fsync" else name)
            call(*arguments, **options)

        return note

    for name in ("fsync", "mkdir", "rename"):
        monkeypatch.setattr(os, name, noted(name, getattr(os, name)))
    sounds.review(store, ID, "wrong")
    folders = ["mkdir", ".", "mkdir", "sounds", "mkdir", "sounds/not"]
    assert calls == [*folders, "rename", "sounds/not/rain", "clips"]
    calls.clear()
    sounds.review(store, ID, "wrong")
    assert "rename" not in calls
    assert {".", "sounds", "sounds/not", "sounds/not/rain"} <= set(calls), "an answer before may have failed after the rename"
    calls.clear()
    sounds.review(store, ID, "none")
    assert calls[calls.index("rename") :] == ["rename", "clips", "sounds/not/rain"]


def test_a_deletion_is_on_the_disk_before_it_is_answered(
    store: ClipStore, sounds: SoundsFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sounds.review(store, ID, "wrong")
    sounds.review(store, clip_id(event_id(2)), "right")
    calls: list[str] = []

    def unlink(path: Path, **options: bool) -> None:
        calls.append("unlink")
        os.unlink(path)  # noqa: PTH108 - the method is replaced
        assert not options

    def fsync(descriptor: int) -> None:
        calls.append(os.path.relpath(Path(f"/proc/self/fd/{descriptor}").readlink(), tmp_path))

    monkeypatch.setattr(Path, "unlink", unlink)
    monkeypatch.setattr(os, "fsync", fsync)
    assert sounds.delete(store, ID)
    assert calls == ["unlink", "sounds/not/rain"]
    calls.clear()
    assert sounds.delete_label("rain") == 1
    assert calls[:2] == ["unlink", "sounds/Rain"]


def killed_at(step: int, call: Callable[[], object]) -> bool:
    """Call something in a process that kills itself at this call into the operating system; whether it was killed."""
    child = os.fork()
    if child:
        return os.WIFSIGNALED(os.waitpid(child, 0)[1])
    steps = 0

    def count(_frame: FrameType, event: str, argument: object) -> None:
        nonlocal steps
        if event in ("c_call", "c_return") and getattr(argument, "__module__", None) in {"posix", "fcntl"}:
            steps += 1
            if steps == step:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.setprofile(count)
    call()
    os._exit(0)


@dataclass(frozen=True, slots=True)
class Change:
    """One review, and what was there before it."""

    before: tuple[tuple[Verdict, str | None], ...]
    verdict: Verdict
    label: str | None = None
    written_again: bool = False


@pytest.mark.parametrize(
    "change",
    [
        Change((), "right"),
        Change((), "wrong"),
        Change((("right", None),), "other", "Bell"),
        Change((("wrong", None),), "none"),
        Change((("right", None),), "wrong", written_again=True),
        Change((("right", None),), "none", written_again=True),
    ],
    ids=str,
)
def test_a_kill_at_any_step_of_a_review_leaves_one_whole_clip_and_one_review(tmp_path: Path, change: Change) -> None:
    step = kills = 0
    found: Counter[Review] = Counter()
    is_killed = True
    while is_killed:
        step += 1
        state = tmp_path / str(step)
        store, sounds = ClipStore(state / "clips"), SoundsFolder(state / "sounds")
        write(store, 1, SOUND)
        for verdict, label in change.before:
            sounds.review(store, ID, verdict, label)
        if change.written_again:
            write(store, 1, SOUND, start_seconds=NOON_SECONDS + 30)
        before = sounds.reviews().get(ID, NONE)
        is_killed = killed_at(step, lambda: sounds.review(store, ID, change.verdict, change.label))  # noqa: B023 - called at once
        kills += is_killed
        places = files(state)
        assert len(places) in ({1, 2} if change.written_again else {1}), f"step {step}"
        assert all(np.array_equal(stored(state / place)[0], SOUND) for place in places)
        now = sounds.reviews().get(ID, NONE)
        found[now] += 1
        after = sounds.review(store, ID, change.verdict, change.label)
        assert now in {before, after}
        assert len(files(state)) == 1, "the next review cleans up"
        assert sounds.reviews().get(ID, NONE) == after
    assert kills > 10, "there are many steps"
    assert len(found) == 2, "it was killed before and after the review"


def test_a_kill_at_any_step_of_a_deletion_leaves_whole_clips_alone(tmp_path: Path) -> None:
    is_killed, step, left = True, 0, set()
    while is_killed:
        step += 1
        state = tmp_path / str(step)
        store, sounds = ClipStore(state / "clips"), SoundsFolder(state / "sounds")
        for number in (1, 2):
            write(store, number, SOUND)
            sounds.review(store, clip_id(event_id(number)), "right" if number == 1 else "wrong")
        is_killed = killed_at(step, lambda: sounds.delete_label("rain"))  # noqa: B023 - called at once
        left.add(len(sounds.ids()))
        assert all(np.array_equal(stored(each.clip.path)[0], SOUND) for each in sounds.clips())
    assert left == {0, 1, 2}


def test_ten_thousand_recordings_are_counted_and_one_is_found(store: ClipStore, sounds: SoundsFolder) -> None:
    folder = sounds.folder / "Bell"
    folder.mkdir(parents=True)
    for number in range(10_000):
        name = clip_name(f"event {number}", NOON_SECONDS + number, "cot", "rain")
        (folder / name.file_name).touch()
    assert len(sounds.reviews()) == 10_000
    assert sounds.overview().labels == [LabelCount("bell", "Bell", 10_000, 0)]
    assert sounds.find(clip_id("event 9999")) is not None
    assert sounds.review(store, clip_id("event 9999"), "none") == NONE
    assert len(sounds.clips()) == 9_999


def test_labels_are_limited_in_number(store: ClipStore, sounds: SoundsFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sounds_module, "MOST_FOLDERS", 3)
    for label in ("a", "b", "c"):
        assert sounds.review(store, ID, "other", label) == Review("other", label.upper())
    with pytest.raises(UsageError, match="has 3 folders already; delete"):
        sounds.review(store, ID, "other", "d")
    assert sounds.review(store, ID, "other", "A") == Review("other", "A"), "one that is there goes on"
    assert sounds.review(store, ID, "wrong") == WRONG


LABELS = ("Rain", "rain", "Bell", "door bell", "Door Bell", "Ünïcode", "not", "..", "")


class Reviews(RuleBasedStateMachine):
    """Reviews, deletions and clips written again, against a model: for each event its verdict and the slug of its folder."""

    root: Path
    count = 0

    def __init__(self) -> None:
        super().__init__()
        self.state: dict[int, tuple[Verdict, str]] = {}

    @initialize()
    def begin(self) -> None:
        Reviews.count += 1
        state = self.root / str(Reviews.count)
        self.store, self.sounds = ClipStore(state / "clips"), SoundsFolder(state / "sounds")
        self.store.folder.mkdir(parents=True)

    @rule(number=st.integers(1, 4))
    def write_clip(self, number: int) -> None:
        (self.store.folder / head(number).name.file_name).write_bytes(bytes([number]))
        self.state.setdefault(number, ("none", ""))

    @rule(number=st.integers(1, 4), verdict=st.sampled_from(["right", "wrong", "other", "none"]), label=st.sampled_from(LABELS))
    def review(self, number: int, verdict: Verdict, label: str) -> None:
        identity, folder = clip_id(event_id(number)), slug_of(label)
        if number not in self.state:
            assert self.sounds.review(self.store, identity, verdict, label) is None
        elif verdict == "other" and label_problem(label):
            with pytest.raises(UsageError):
                self.sounds.review(self.store, identity, verdict, label)
        else:
            if verdict in ("right", "wrong"):
                folder = "rain"
            elif verdict == "other" and folder == "rain":
                verdict = "right"
            done = self.sounds.review(self.store, identity, verdict, label)
            self.state[number] = (verdict, "" if verdict == "none" else folder)
            assert done is not None
            assert done.verdict == verdict

    @rule(number=st.integers(1, 4))
    def delete(self, number: int) -> None:
        assert self.sounds.delete(self.store, clip_id(event_id(number))) == (self.state.pop(number, None) is not None)

    @rule(slug=st.sampled_from(["rain", "bell", "door_bell"]))
    def delete_label(self, slug: str) -> None:
        self.sounds.delete_label(slug)
        for number, (_, folder) in list(self.state.items()):
            if folder == slug:
                del self.state[number]
                # One that was written again waits once more.
                if self.store.find(clip_id(event_id(number))):
                    self.state[number] = ("none", "")

    @invariant()
    def the_folders_say_what_the_model_says(self) -> None:
        if not hasattr(self, "store"):
            return
        by_id = {clip_id(event_id(number)): number for number in range(1, 5)}
        reviews = {by_id[identity]: review for identity, review in self.sounds.reviews().items()}
        assert {number: review.verdict for number, review in reviews.items()} == {
            number: verdict for number, (verdict, _) in self.state.items() if verdict != "none"
        }
        for number, review in reviews.items():
            assert review.label is None or slug_of(review.label) == self.state[number][1]
        waiting = {by_id[identity] for identity in self.store.ids()}
        assert waiting | set(reviews) == set(self.state)
        for path in self.store.folder.parent.rglob("*.flac"):
            assert path.read_bytes() == bytes([by_id[path.stem[-16:]]])


def test_any_sequence_of_reviews_and_deletions_leaves_each_clip_where_it_belongs(tmp_path: Path) -> None:
    class Here(Reviews):
        root = tmp_path

    run_state_machine_as_test(
        Here, settings=settings(max_examples=60, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck))
    )
