"""--runner spark: the files of one process from a cluster, whatever of it is killed."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from convert.__main__ import main
from convert.embedder.plan import DAMAGED
from convert.locks import file_lock, lock_of
from convert.records.files import sidecar, write_dataset
from tests.support.corpus import contents, planned, wanted, write_corpus
from tests.support.recorded_clips import embed
from tests.support.spark import SparkCluster, missing
from tests.support.synthetic import EXAMPLE_LABELS, examples
from tests.support.waiting import wait_until

pytestmark = pytest.mark.skipif(missing() is not None, reason=f"{missing()} is not installed")
SHARDS = 6


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkCluster]:
    with SparkCluster(tmp_path_factory.mktemp("spark")) as running:
        yield running


@pytest.fixture
def recordings(tmp_path: Path) -> Path:
    return write_corpus(tmp_path / "corpus")


def command(master: str, *words: object) -> list[str]:
    return [sys.executable, "-m", "convert", *map(str, words), "--runner", "spark", "--master", master]


def on_spark(cluster: SparkCluster, *words: object, **environment: str) -> subprocess.CompletedProcess[str]:
    variables = {**cluster.environment, **environment}
    return subprocess.run(command(cluster.master, *words), env=variables, capture_output=True, text=True, check=False)


def embedding(recordings: Path, output: Path) -> tuple[object, ...]:
    return ("embed", recordings, "--unlabelled", "--skip-damaged", "--shards", SHARDS, "-o", output)


def test_a_cluster_makes_the_files_of_one_process(cluster: SparkCluster, recordings: Path, tmp_path: Path) -> None:
    for number in range(10):
        (recordings / f"text{number}.wav").write_text("no sound")
    done = on_spark(cluster, *embedding(recordings, tmp_path / "out"), "--json")
    assert done.returncode == 0, done.stderr
    assert (json.loads(done.stdout)["records"], json.loads(done.stdout)["skipped"]) == (12, 10)
    assert embed(*embedding(recordings, tmp_path / "wanted" / "out")[1:]) == 0
    assert contents(tmp_path / "out") == contents(tmp_path / "wanted" / "out")
    assert (tmp_path / "out" / DAMAGED).read_text().count("\n") == 10
    again = on_spark(cluster, *embedding(recordings, tmp_path / "out"), "--json")
    assert json.loads(again.stdout)["files_made_before"] == SHARDS


def test_a_damaged_recording_is_one_sentence_and_not_tried_again(cluster: SparkCluster, recordings: Path, tmp_path: Path) -> None:
    (recordings / "text.wav").write_text("no sound")
    words = [each for each in embedding(recordings, tmp_path / "out") if each != "--skip-damaged"]
    done = on_spark(cluster, *words)
    assert done.returncode == 1
    assert "text.wav is not audio that can be read" in done.stderr.splitlines()[-1]
    assert "Lost task" not in done.stderr


@contextmanager
def waiting_run(
    cluster: SparkCluster, recordings: Path, output: Path
) -> Iterator[tuple[subprocess.Popen[str], Path, Callable[[], None]]]:
    """A run that has made all files but the last, which another run seems to be making, until that lets go.

    Yields the run, the lock, and what frees it.
    """
    plan = planned(recordings, output, SHARDS)
    others = [sidecar(path) for path in plan.files[:-1]]
    words = command(cluster.master, *embedding(recordings, output))
    with ExitStack() as held, output.with_name("said").open("w") as said:
        held.enter_context(file_lock(plan.files[-1], wait=False))
        process = subprocess.Popen(words, env=cluster.environment, stderr=said, text=True, start_new_session=True)
        try:
            wait_until(lambda: all(path.exists() for path in others), "the other files", deadline_seconds=180)
            yield process, lock_of(plan.files[-1]), held.close
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def test_lost_python_processes_and_lost_workers_are_replaced(cluster: SparkCluster, recordings: Path, tmp_path: Path) -> None:
    with waiting_run(cluster, recordings, tmp_path / "out") as (process, lock, release):
        first = waiting(cluster, lock, set())
        first.kill()
        second = waiting(cluster, lock, {first.pid})
        worker = worker_of(cluster, second)
        worker.kill()
        third = waiting(cluster, lock, {first.pid, second.pid})
        assert worker_of(cluster, third) != worker
        assert process.poll() is None
        release()
        assert process.wait(timeout=180) == 0, (tmp_path / "said").read_text()
    cluster.start_worker("another")
    assert contents(tmp_path / "out") == wanted(recordings, SHARDS, tmp_path / "wanted")


def test_ctrl_c_ends_the_job_and_the_next_run_resumes(cluster: SparkCluster, recordings: Path, tmp_path: Path) -> None:
    with waiting_run(cluster, recordings, tmp_path / "out") as (process, lock, _):
        waiting(cluster, lock, set())
        children = psutil.Process(process.pid).children(recursive=True)
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(timeout=180) == 130, (tmp_path / "said").read_text()
        assert psutil.wait_procs(children, timeout=60)[1] == []
        wait_until(lambda: not cluster.with_open(lock), "the executors to end", deadline_seconds=60)
    assert embed(*embedding(recordings, tmp_path / "out")[1:]) == 0
    assert contents(tmp_path / "out") == wanted(recordings, SHARDS, tmp_path / "wanted")


def waiting(cluster: SparkCluster, lock: Path, gone: set[int]) -> psutil.Process:
    """The process of the cluster that waits for a lock, once there is one."""
    found: list[psutil.Process] = []

    def is_there() -> bool:
        found[:] = [each for each in cluster.with_open(lock) if each.pid not in gone]
        return bool(found)

    wait_until(is_there, "a process that waits for the last file", deadline_seconds=180)
    return found[0]


def worker_of(cluster: SparkCluster, process: psutil.Process) -> psutil.Process:
    pids = {worker.pid for worker in cluster.workers}
    return next(each for each in process.parents() if each.pid in pids)


def test_infer_gives_the_csv_of_one_process(cluster: SparkCluster, tmp_path: Path) -> None:
    pytest.importorskip("tensorflow")
    for number in range(2):
        write_dataset(tmp_path / "records" / f"{number}.tfrecord", examples(40, seed=number), EXAMPLE_LABELS)
    small = ["--set", "model=logistic", "training.epochs=1"]
    first, model = tmp_path / "records" / "0.tfrecord", tmp_path / "model"
    assert main(["train", str(first), "--classes", "3", *small, "-o", str(model)]) == 0
    assert main(["infer", str(model), str(tmp_path / "records"), "-o", str(tmp_path / "one.csv")]) == 0
    done = on_spark(cluster, "infer", model, tmp_path / "records", "-o", tmp_path / "two.csv")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "one.csv").read_bytes() == (tmp_path / "two.csv").read_bytes()


def test_what_is_missing_is_named(cluster: SparkCluster, recordings: Path, tmp_path: Path) -> None:
    variables = {name: value for name, value in cluster.environment.items() if name != "JAVA_HOME"}
    words = embedding(recordings, tmp_path / "out")
    without = subprocess.run(
        command(cluster.master, *words), env={**variables, "PATH": "/nowhere"}, capture_output=True, text=True, check=False
    )
    sentence = "Spark needs Java, which is not installed; run: sudo apt install default-jre-headless"
    assert (without.returncode, without.stderr) == (2, f"convert embed: {sentence}\n")
    wrong = subprocess.run(command("nonsense", *words), env=variables, capture_output=True, text=True, check=False)
    assert wrong.returncode == 1
    assert "Could not parse Master URL: 'nonsense'" in wrong.stderr or "Master must" in wrong.stderr
    assert "convert embed: Spark gave up ([JAVA_GATEWAY_EXITED]" in wrong.stderr.splitlines()[-1]
