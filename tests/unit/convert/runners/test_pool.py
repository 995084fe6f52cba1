"""--jobs: the same files from several processes, whatever kills them."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import psutil
import pytest

from convert.embedder.plan import DAMAGED
from convert.locks import file_lock
from convert.records.files import sidecar
from convert.runners.pool import run_in_pool
from convert.tasks import Outcome, Task
from edge_detector.errors import EdgeDetectorError
from tests.support.corpus import contents, make_or_die, planned, wanted, write_corpus
from tests.support.recorded_clips import embed
from tests.support.waiting import wait_until

SHARDS = 4


@pytest.fixture
def recordings(tmp_path: Path) -> Path:
    return write_corpus(tmp_path / "corpus")


def test_two_processes_make_the_files_of_one(recordings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = (recordings, "--unlabelled", "--shards", SHARDS, "-o", tmp_path / "out", "--json")
    assert embed(*arguments, "--jobs", 2) == 0
    assert contents(tmp_path / "out") == wanted(recordings, SHARDS, tmp_path / "wanted")
    assert embed(*arguments, "--jobs", 2) == 0
    first, _, again = capsys.readouterr().out.splitlines()
    assert (json.loads(first)["records"], json.loads(first)["files_made_before"]) == (12, 0)
    assert (json.loads(again)["records"], json.loads(again)["files_made_before"]) == (12, SHARDS)


def test_files_of_a_process_that_is_killed_are_made_by_another(recordings: Path, tmp_path: Path) -> None:
    plan = planned(recordings, tmp_path / "out", SHARDS)
    outcomes: list[Outcome] = []
    run_in_pool(partial(make_or_die, plan, tmp_path / "killed"), range(SHARDS), outcomes.append, jobs=2)
    assert (tmp_path / "killed").exists()
    assert sorted(outcome.number for outcome in outcomes) == list(range(SHARDS))
    assert contents(tmp_path / "out") == wanted(recordings, SHARDS, tmp_path / "wanted")


def die(_: int) -> Outcome:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def test_processes_that_are_killed_again_and_again_are_an_error() -> None:
    with pytest.raises(EdgeDetectorError, match=r"a process was killed 3 times .* is the memory full\? give fewer --jobs"):
        run_in_pool(die, range(5), lambda _: None, jobs=2)


def interrupted() -> Task:
    """What a process calls to get its task."""
    os.kill(os.getpid(), signal.SIGINT)
    return done


def done(number: int) -> Outcome:
    return Outcome(number, "made")


class Interrupted:
    def __call__(self, number: int) -> Outcome:
        return done(number)

    def __reduce__(self) -> tuple[Callable[[], Task], tuple[()]]:
        return interrupted, ()


def test_a_process_ignores_ctrl_c_before_it_has_its_task(capfd: pytest.CaptureFixture[str]) -> None:
    """Ctrl-C reaches every process of a terminal."""
    outcomes: list[Outcome] = []
    run_in_pool(Interrupted(), range(3), outcomes.append, jobs=2)
    assert sorted(outcome.number for outcome in outcomes) == [0, 1, 2]
    assert capfd.readouterr().err == ""


def fail(number: int) -> Outcome:
    return Outcome(number, "failed", "the reason")


def test_nothing_more_is_begun_after_an_error() -> None:
    outcomes: list[Outcome] = []
    run_in_pool(fail, range(1_000), outcomes.append, jobs=2)
    assert [outcome.error for outcome in outcomes] == ["the reason"]


def test_damaged_recordings_are_the_same_list_and_the_same_error(
    recordings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(10):
        (recordings / f"text{number}.wav").write_text("no sound")
    base = (recordings, "--unlabelled", "--shards", SHARDS)
    assert embed(*base, "--skip-damaged", "-o", tmp_path / "one") == 0
    assert embed(*base, "--skip-damaged", "-o", tmp_path / "two", "--jobs", 2) == 0
    listed = (tmp_path / "one" / DAMAGED).read_text()
    assert (tmp_path / "two" / DAMAGED).read_text() == listed
    assert listed.count("\tunreadable recording\t") == 10
    capsys.readouterr()
    assert embed(*base, "-o", tmp_path / "none", "--jobs", 2) == 1
    *_, message = capsys.readouterr().err.splitlines()
    assert "wav is not audio that can be read" in message


def test_several_processes_need_several_files(recordings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert embed(recordings, "--unlabelled", "--jobs", 2, "-o", tmp_path / "out.tfrecord") == 2
    assert "give --shards N with --jobs" in capsys.readouterr().err


@contextmanager
def waiting_run(recordings: Path, output: Path) -> Iterator[subprocess.Popen[str]]:
    """A run that has made all files but the last, which another run seems to be making: it cannot end meanwhile."""
    plan = planned(recordings, output, SHARDS)
    with file_lock(plan.files[-1], wait=False):
        command = [sys.executable, "-m", "convert", "embed", recordings, "--unlabelled", "--shards", SHARDS, "--jobs", 2]
        with subprocess.Popen(
            [*map(str, command), "-o", str(output)], stderr=subprocess.PIPE, text=True, start_new_session=True
        ) as process:
            try:
                wait_until(
                    lambda: all(sidecar(path).exists() for path in plan.files[:-1]), "the other files", deadline_seconds=120
                )
                assert process.stderr is not None
                assert any("another run is making 1 of the files" in line for line in process.stderr)
                wait_until(lambda: bool(workers(process)), "the process that waits", deadline_seconds=120)
                yield process
            finally:
                process.kill()


def workers(process: subprocess.Popen[str]) -> list[psutil.Process]:
    found = []
    for child in psutil.Process(process.pid).children():
        try:
            if any("spawn_main" in word for word in child.cmdline()):
                found.append(child)
        except (psutil.NoSuchProcess, psutil.ZombieProcess):
            continue
    return found


def test_a_killed_worker_of_a_command_is_replaced(recordings: Path, tmp_path: Path) -> None:
    with waiting_run(recordings, tmp_path / "out") as process:
        (first,) = workers(process)
        first.kill()
        wait_until(lambda: [each for each in workers(process) if each != first] != [], "another", deadline_seconds=120)
        assert process.poll() is None


def test_ctrl_c_ends_all_processes_and_the_next_run_resumes(recordings: Path, tmp_path: Path) -> None:
    with waiting_run(recordings, tmp_path / "out") as process:
        children = psutil.Process(process.pid).children()
        os.killpg(process.pid, signal.SIGINT)
        assert process.stderr is not None
        assert "run the same command again to resume" in process.stderr.read()
        assert process.wait() == 130
        assert psutil.wait_procs(children, timeout=60)[1] == []
    assert embed(recordings, "--unlabelled", "--shards", SHARDS, "--jobs", 2, "-o", tmp_path / "out") == 0
    assert contents(tmp_path / "out") == wanted(recordings, SHARDS, tmp_path / "wanted")


def test_no_process_outlives_a_command_that_is_killed(recordings: Path, tmp_path: Path) -> None:
    with waiting_run(recordings, tmp_path / "out") as process:
        children = workers(process)
        process.kill()
        assert psutil.wait_procs(children, timeout=60)[1] == []
