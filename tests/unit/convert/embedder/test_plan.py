"""What embed writes in several files, takes up again, and shares with another run."""

import json
import os
import pickle
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from convert.embedder import corpus
from convert.embedder.corpus import recordings_of, unlabelled
from convert.embedder.plan import DAMAGED, EmbedPlan, make_shard, plan_embedding, require_one_set
from convert.embedder.provenance import RECORDINGS
from convert.embedder.runtime import DEFAULT_BUNDLE, CodeEmbedder
from convert.files import atomic_path
from convert.locks import Lock, file_lock, lock_of
from convert.records.files import read_sidecar, sidecar
from convert.tasks import Outcome
from edge_detector.errors import UsageError
from tests.support.corpus import contents, planned
from tests.support.recorded_clips import codes, embed, record, write_damaged, write_kitchen
from tests.support.waiting import wait_until


@pytest.fixture
def kitchen(tmp_path: Path) -> Path:
    return write_kitchen(tmp_path / "kitchen")


def times(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in folder.glob("*.tfrecord")}


@pytest.mark.parametrize("shards", [3, 4, 20])
def test_shards_have_the_records_of_a_single_file(kitchen: Path, tmp_path: Path, shards: int) -> None:
    assert embed(kitchen, "-o", tmp_path / "one.tfrecord") == 0
    assert embed(kitchen, "--shards", shards, "-o", tmp_path / "many") == 0
    names = [f"many-{number:05d}-of-{shards:05d}.tfrecord" for number in range(shards)]
    assert sorted(path.name for path in (tmp_path / "many").iterdir()) == sorted([*names, *(f"{name}.json" for name in names)])
    assert codes(tmp_path / "many") == codes(tmp_path / "one.tfrecord")
    assert len(codes(tmp_path / "many")) == 7


def test_a_shard_is_the_same_bytes_in_another_folder_and_from_a_plan_that_was_sent(kitchen: Path, tmp_path: Path) -> None:
    assert embed(kitchen, "--unlabelled", "--shards", 3, "-o", tmp_path / "here" / "out") == 0
    plan = pickle.loads(pickle.dumps(planned(kitchen, tmp_path / "there" / "out", shards=3)))  # noqa: S301 - its own
    made = [make_shard(plan, number, wait=False) for number in (2, 0, 1)]
    assert made == [Outcome(number, "made") for number in (2, 0, 1)]
    assert contents(tmp_path / "here" / "out") == contents(tmp_path / "there" / "out")


def test_complete_shards_of_an_interrupted_run_are_kept(
    kitchen: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    heard: list[str] = []

    def embedded(recording: corpus.Recording, embedder: CodeEmbedder) -> object:
        heard.append(recording.name)
        if len(heard) == 6:
            signal.raise_signal(signal.SIGINT)
        return corpus.embedded(recording, embedder)

    monkeypatch.setattr("convert.embedder.plan.embedded", embedded)
    assert embed(kitchen, "--shards", 3, "-o", tmp_path / "out") == 130
    assert "run the same command again to resume" in capsys.readouterr().err
    first = times(tmp_path / "out")
    assert len(list((tmp_path / "out").iterdir())) == 2 * len(first) < 6, "what was begun is not there, nor its lock"
    assert embed(kitchen, "--shards", 3, "-o", tmp_path / "out", "--json") == 0
    assert times(tmp_path / "out").items() > first.items()
    result = json.loads(capsys.readouterr().out)
    assert (result["records"], result["files"], result["files_made_before"]) == (7, 3, len(first))


def test_a_truncated_shard_is_made_again(kitchen: Path, tmp_path: Path) -> None:
    assert embed(kitchen, "--shards", 2, "-o", tmp_path / "out") == 0
    path = tmp_path / "out" / "out-00001-of-00002.tfrecord"
    whole = path.read_bytes()
    path.write_bytes(whole[:100])
    assert embed(kitchen, "--shards", 2, "-o", tmp_path / "out") == 0
    assert path.read_bytes() == whole


def added(kitchen: Path) -> None:
    record(kitchen / "door" / "late.wav")


def removed(kitchen: Path) -> None:
    (kitchen / "door" / "1.wav").unlink()


def recorded_anew(kitchen: Path) -> None:
    record(kitchen / "door" / "1.wav", seconds=2.0, level=0.2)


def moved_to_the_other_class(kitchen: Path) -> None:
    (kitchen / "door" / "1.wav").rename(kitchen / "Kettle boils" / "1.wav")


@pytest.mark.parametrize("change", [added, removed, recorded_anew])
def test_another_recording_changes_its_shard_alone(kitchen: Path, tmp_path: Path, change: Callable[[Path], None]) -> None:
    base = (kitchen, "--shards", 5)
    assert embed(*base, "-o", tmp_path / "out") == 0
    before = times(tmp_path / "out")
    change(kitchen)
    assert embed(*base, "-o", tmp_path / "out") == 0
    assert len(before.items() - times(tmp_path / "out").items()) == 1
    assert embed(*base, "-o", tmp_path / "anew" / "out") == 0
    assert contents(tmp_path / "out") == contents(tmp_path / "anew" / "out")
    complete = times(tmp_path / "out")
    assert embed(*base, "-o", tmp_path / "out") == 0
    assert times(tmp_path / "out") == complete, "nothing is left to make"


def test_a_recording_of_another_class_is_embedded_with_its_new_label(kitchen: Path, tmp_path: Path) -> None:
    base = (kitchen, "--shards", 5)
    assert embed(*base, "-o", tmp_path / "out") == 0
    moved_to_the_other_class(kitchen)
    assert embed(*base, "-o", tmp_path / "out") == 0
    assert embed(*base, "-o", tmp_path / "anew" / "out") == 0
    assert contents(tmp_path / "out") == contents(tmp_path / "anew" / "out")


def another_embedder(kitchen: Path) -> list[object]:
    content = bytearray((DEFAULT_BUNDLE / "embedder.tflite").read_bytes()) + b"\0"
    (kitchen.parent / "embedder.tflite").write_bytes(content)
    (kitchen.parent / "pca.npz").write_bytes((DEFAULT_BUNDLE / "pca.npz").read_bytes())
    return ["--embedder", kitchen.parent / "embedder.tflite"]


def another_class(kitchen: Path) -> list[object]:
    record(kitchen / "alarm" / "0.wav")
    return []


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (another_embedder, "differs in embedder"),
        (another_class, "differs in classes from"),
        (lambda _: ["--shards", 3], "is not one of these 3 shards; remove it, or give another folder"),
    ],
)
def test_shards_with_other_facts_are_an_error_with_a_remedy(
    kitchen: Path, tmp_path: Path, change: Callable[[Path], list[object]], what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    base = (kitchen, "--shards", 2, "-o", tmp_path / "out")
    assert embed(*base) == 0
    before = codes(tmp_path / "out")
    assert embed(*base, *change(kitchen)) == 2
    assert what in capsys.readouterr().err
    assert codes(tmp_path / "out") == before


def test_a_folder_as_output_needs_a_number_of_shards(kitchen: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert embed(kitchen, "-o", tmp_path) == 2
    assert "is a folder; give --shards N with it, or name a file" in capsys.readouterr().err


def leave(path: Path, *, host: str = "", age_seconds: float = 0.0, of: str = "") -> Path:
    """What a killed run leaves of `path`, and of the file beside it that ends in `of`; `host` is another machine's."""
    with atomic_path(path.with_name(f"{path.name}{of}")) as temporary:
        _, unique, part = temporary.name.rsplit(".", 2)
        temporary.write_bytes(b"whole")
    left = temporary.with_name(f".{path.name}{of}.{f'{host}-7-0a1b2c3d' if host else unique}.{part}")
    (path.with_name(f"{path.name}{of}")).unlink()
    left.write_bytes(b"half")
    then = time.time() - age_seconds
    os.utime(left, (then, then))
    return left


def test_what_killed_runs_leave_is_removed(kitchen: Path, tmp_path: Path) -> None:
    first = tmp_path / "out" / "out-00000-of-00002.tfrecord"
    elsewhere = "0123abcd"
    of_others = [
        leave(first.with_name("out-00001-of-00064.tfrecord")),
        leave(first, of=".json"),
        leave(first, host=elsewhere, age_seconds=7_200.0, of=".json"),
    ]
    maybe_alive = leave(first, host=elsewhere)
    of_another_set = leave(first.with_name("another.tfrecord"))
    lock_of(first).write_bytes(b"")
    assert embed(kitchen, "--shards", 2, "-o", tmp_path / "out") == 0
    assert not any(path.exists() for path in of_others)
    assert {path.name for path in first.parent.iterdir() if path.name[0] == "."} == {maybe_alive.name, of_another_set.name}
    leave(first)
    lock_of(first).write_bytes(b"")
    assert embed(kitchen, "--shards", 2, "-o", tmp_path / "out") == 0
    hidden = {path.name for path in first.parent.iterdir() if path.name[0] == "."}
    assert hidden == {maybe_alive.name, of_another_set.name}, "beside complete files too"


def test_a_temporary_file_of_a_longer_name_is_left_alone(kitchen: Path, tmp_path: Path) -> None:
    other = leave(tmp_path / "kitchen.train")
    assert embed(kitchen, "-o", tmp_path / "kitchen.tfrecord") == 0
    another = leave(tmp_path / "kitchen.tfrecord.again")
    assert embed(kitchen, "-o", tmp_path / "kitchen.tfrecord") == 0
    assert [other.exists(), another.exists()] == [True, True]


def test_two_runs_with_other_options_in_one_folder_are_an_error(kitchen: Path, tmp_path: Path) -> None:
    """Both begin while the folder is empty."""
    plans = [planned(kitchen, tmp_path / "out", shards) for shards in (2, 3)]
    for plan in plans:
        assert make_shard(plan, 0, wait=False).state == "made"
    for plan in plans:
        with pytest.raises(UsageError, match=r"is not one of these [23] shards; remove it"):
            require_one_set(plan)


def test_the_file_of_a_run_with_another_embedder_is_an_error(kitchen: Path, tmp_path: Path) -> None:
    """Both begin while the folder is empty."""
    mine = planned(kitchen, tmp_path / "out")
    _, path = another_embedder(kitchen)
    other = plan_embedding(
        unlabelled([kitchen]), (), None, embedder=Path(str(path)), output=tmp_path / "out", shards=2, skip_damaged=False
    )
    assert make_shard(mine, 0, wait=False).state == "made"
    refused = make_shard(other, 0, wait=False)
    assert (refused.state, refused.exit_code) == ("failed", 2)
    assert "differs in embedder" in refused.error


def test_a_set_whose_recordings_were_assigned_otherwise_is_refused(
    kitchen: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As earlier versions did: until all were made anew, a recording would be in two shards or in none."""
    assert embed(kitchen, "--shards", 2, "-o", tmp_path / "out") == 0
    for path in (tmp_path / "out").glob("*.json"):
        content = json.loads(path.read_text())
        del content["made_of"]["assignment"]
        path.write_text(json.dumps(content))
    assert embed(kitchen, "--shards", 2, "-o", tmp_path / "out") == 2
    assert "differs in assignment from these records; remove" in capsys.readouterr().err


def test_two_runs_on_a_single_file_make_it_once(kitchen: Path, tmp_path: Path) -> None:
    plan = planned(kitchen, tmp_path / "one.tfrecord", None)
    assert make_shard(plan, 0, wait=False).state == "made"
    made = plan.files[0].stat().st_mtime_ns
    assert make_shard(plan, 0, wait=True).state == "made"
    assert plan.files[0].stat().st_mtime_ns == made
    recorded_anew(kitchen)
    anew = planned(kitchen, tmp_path / "one.tfrecord", None)
    assert make_shard(anew, 0, wait=True).state == "made"
    assert read_sidecar(plan.files[0]).made_of != {**plan.facts, RECORDINGS: plan.digests[0]}


def test_two_runs_share_the_work(kitchen: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """This test is the first run, which is at one shard; the second makes the others, and waits for it."""
    assert embed(kitchen, "--unlabelled", "--shards", 3, "-o", tmp_path / "wanted" / "out") == 0
    plan = planned(kitchen, tmp_path / "out", shards=3)
    codes_of_runs: list[int] = []
    arguments = (kitchen, "--unlabelled", "--shards", 3, "-o", tmp_path / "out")
    with file_lock(plan.files[1], wait=False) as lock:
        assert lock is Lock.HELD
        second = threading.Thread(target=lambda: codes_of_runs.append(embed(*arguments)))
        second.start()
        wait_until(lambda: sidecar(plan.files[0]).exists() and sidecar(plan.files[2]).exists(), "the shards that are free")
        said = ""

        def is_waiting() -> bool:
            nonlocal said
            said += capfd.readouterr().err
            return "another run is making 1 of the files; waiting for them" in said

        wait_until(is_waiting, "the second run to say that it waits")
        unlocked = make_unlocked(plan, 1)
    second.join()
    assert codes_of_runs == [0]
    assert plan.files[1].stat().st_mtime_ns == unlocked, "made once"
    assert contents(tmp_path / "out") == contents(tmp_path / "wanted" / "out")


def make_unlocked(plan: EmbedPlan, number: int) -> int:
    """Make a shard elsewhere and put it in its place; return its time."""
    (away,) = (plan.files[number].parent.parent / "wanted" / "out").glob(f"*-{number:05d}-of-*.tfrecord")
    for path in (plan.files[number], sidecar(plan.files[number])):
        path.write_bytes((away if path.suffix == ".tfrecord" else sidecar(away)).read_bytes())
    return plan.files[number].stat().st_mtime_ns


def test_a_shard_is_made_where_the_file_system_has_no_locks(
    kitchen: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr("fcntl.flock", refuse)
    plan = planned(kitchen, tmp_path / "out")
    maybe_alive = leave(plan.files[0])
    assert make_shard(plan, 0, wait=False) == Outcome(0, "made")
    assert maybe_alive.exists(), "without a lock nobody knows whether its process is alive"
    assert not lock_of(plan.files[0]).exists()


def test_damaged_recordings_are_listed_by_name(kitchen: Path, tmp_path: Path) -> None:
    folder = write_damaged(kitchen)
    (folder / "door" / "a\tb.wav").write_bytes(b"no sound")
    (folder / "door" / os.fsdecode(b"\xff.wav")).write_bytes(b"no sound")
    assert embed(folder, "--skip-damaged", "--shards", 3, "-o", tmp_path / "out") == 0
    listed = (tmp_path / "out" / DAMAGED).read_bytes()
    lines = [line.split(b"\t") for line in listed.splitlines()]
    assert [(name, kind) for name, kind, _ in lines] == [
        (b"door/a b", b"unreadable recording"),
        (b"door/empty", b"unreadable recording"),
        (b"door/quiet", b"silent"),
        (b"door/short", b"too short"),
        (b"door/text", b"unreadable recording"),
        (b"door/\xff", b"unreadable recording"),
    ]
    assert lines[2][2].endswith(b"quiet.wav is silent from end to end; remove it")
    assert embed(folder, "--skip-damaged", "-o", tmp_path / "one.tfrecord") == 0
    assert (tmp_path / f"one.tfrecord.{DAMAGED}").read_bytes() == listed
    assert embed(folder, "--skip-damaged", "--shards", 3, "-o", tmp_path / "out") == 0
    assert (tmp_path / "out" / DAMAGED).read_bytes() == listed, "of a run that makes nothing"


def test_the_list_goes_when_no_recording_is_damaged(kitchen: Path, tmp_path: Path) -> None:
    (kitchen / "door" / "text.wav").write_text("no sound")
    arguments = (kitchen, "--skip-damaged", "--shards", 3, "-o", tmp_path / "out")
    assert embed(*arguments) == 0
    assert (tmp_path / "out" / DAMAGED).exists()
    record(kitchen / "door" / "text.wav")
    assert embed(*arguments) == 0
    assert not (tmp_path / "out" / DAMAGED).exists()


def test_a_recording_that_is_not_there_is_not_passed_over_as_damaged(kitchen: Path, tmp_path: Path) -> None:
    plan = planned(kitchen, tmp_path / "out", shards=1, skip_damaged=True)
    (kitchen / "door" / "1.wav").unlink()
    outcome = make_shard(plan, 0, wait=False)
    assert outcome.state == "failed"
    assert "door/1.wav is not there on " in outcome.error
    assert not plan.files[0].exists()


def test_a_machine_with_another_embedder_is_refused(kitchen: Path, tmp_path: Path) -> None:
    (options, path) = another_embedder(kitchen)
    assert options == "--embedder"
    plan = plan_embedding(
        unlabelled([kitchen]), (), None, embedder=Path(str(path)), output=tmp_path / "out", shards=1, skip_damaged=False
    )
    Path(str(path)).write_bytes((DEFAULT_BUNDLE / "embedder.tflite").read_bytes())
    outcome = make_shard(plan, 0, wait=False)
    assert outcome.state == "failed"
    assert "differs in embedder from the machine that planned; install the same program" in outcome.error


def test_no_json_file_describes_a_shard_that_is_being_replaced(
    kitchen: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert embed(kitchen, "--unlabelled", "--shards", 1, "-o", tmp_path / "out") == 0
    recorded_anew(kitchen)
    plan = planned(kitchen, tmp_path / "out", shards=1)
    seen: list[bool] = []
    replace = Path.replace

    def replacing(path: Path, target: Path) -> Path:
        seen.append(sidecar(plan.files[0]).exists())
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", replacing)
    assert make_shard(plan, 0, wait=False).state == "made"
    assert seen == [False, False], "neither before the records are replaced, nor before their description is"
    assert read_sidecar(plan.files[0]).records == 7


def test_a_shard_that_cannot_be_made_anew_stays_as_it_was(kitchen: Path, tmp_path: Path) -> None:
    base = (kitchen, "--unlabelled", "--shards", 1, "-o", tmp_path / "out")
    assert embed(*base) == 0
    whole = contents(tmp_path / "out")
    (kitchen / "door" / "text.wav").write_text("no sound")
    assert embed(*base) == 1
    assert contents(tmp_path / "out") == whole


def test_clips_of_one_name_in_several_classes_are_all_kept(tmp_path: Path) -> None:
    for label in ("bark", "cough"):
        record(tmp_path / "clips" / label / "1-20-A.wav")
    clips, classes = corpus.labelled(tmp_path / "clips", None)
    plan = plan_embedding(
        recordings_of(clips), classes, [1], embedder=DEFAULT_BUNDLE, output=tmp_path / "out", shards=4, skip_damaged=False
    )
    assert sorted(each.labels or () for own in plan.recordings for each in own) == [(0,), (1,)]
