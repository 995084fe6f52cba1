"""The job that teaches: one at a time, in a child that has an end, whatever happens."""

from pathlib import Path

import psutil
import pytest

from edge_detector.teaching import job as job_module
from edge_detector.teaching.job import JobStatus, TeachingJob, TeachingRequest
from edge_detector.teaching.taught_bundles import TaughtBundles
from tests.support.synthetic import write_recordings
from tests.support.waiting import wait_until

NOWHERE = Path("/nowhere")


def ended(job: TeachingJob, request: TeachingRequest) -> JobStatus:
    assert job.start(request)
    wait_until(lambda: job.status.state != "running", "the end of the teaching", deadline_seconds=60.0)
    return job.status


def test_what_teach_refuses_is_the_error_of_the_job(tmp_path: Path) -> None:
    job = TeachingJob(TaughtBundles(tmp_path), None)
    status = ended(job, TeachingRequest(tmp_path / "none", NOWHERE, ("beep",)))
    assert status.state == "failed"
    assert status.error == "there is no bundle folder /nowhere; give the path of a folder with a manifest.json"


def test_a_teaching_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    job = TeachingJob(TaughtBundles(tmp_path), None, limit_seconds=0.0)
    status = ended(job, TeachingRequest(write_recordings(tmp_path / "sounds"), NOWHERE, ("beep",)))
    assert status.state == "failed"
    assert status.error is not None
    assert status.error.startswith("the teaching took longer than 0 hours")


def test_a_child_that_is_stopped_is_ended_by_the_limit_and_the_next_one_has_all_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_module, "CHILD", ("-c", "import os, signal; os.kill(os.getpid(), signal.SIGSTOP)"))
    job, request = TeachingJob(TaughtBundles(tmp_path), None, limit_seconds=0.5), TeachingRequest(tmp_path, NOWHERE, ("beep",))
    for _ in range(2):
        status = ended(job, request)
        assert status.error is not None
        assert status.error.startswith("the teaching took longer than ")


@pytest.mark.parametrize(
    ("program", "sentence"),
    [
        ("raise SystemExit(3)", "the teaching ended with code 3; see the service's log"),
        ("import os; os.abort()", "the teaching was ended by signal 6; the machine may have too little memory: "),
        (
            "print('x' * 1_000_000); print('[' * 50_000); print('null'); print('{\"type\": \"result\"}')",
            "the teaching ended with code 0",
        ),
        ("import os; os.close(0); os.close(1)", "the teaching "),
    ],
)
def test_a_child_that_breaks_off_or_says_something_else_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str, sentence: str
) -> None:
    monkeypatch.setattr(job_module, "CHILD", ("-c", program))
    status = ended(TeachingJob(TaughtBundles(tmp_path), None), TeachingRequest(tmp_path, NOWHERE, ("beep",)))
    assert status.state == "failed"
    assert status.error is not None
    assert status.error.startswith(sentence)


def test_a_folder_of_bundles_that_is_a_file_is_one_sentence_and_leaves_the_job_usable(tmp_path: Path) -> None:
    (tmp_path / "bundles").touch()
    job = TeachingJob(TaughtBundles(tmp_path / "bundles"), None)
    for _ in range(2):
        status = ended(job, TeachingRequest(tmp_path, NOWHERE, ("beep",)))
        assert status.error is not None
        assert status.error.startswith("the teaching cannot be done (Not a directory)")


def test_a_program_that_cannot_be_started_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", "/nowhere/python")
    status = ended(TeachingJob(TaughtBundles(tmp_path), None), TeachingRequest(tmp_path, NOWHERE, ("beep",)))
    assert status.error is not None
    assert status.error.startswith("the teaching cannot be done (No such file or directory)")


def test_a_folder_of_bundles_that_cannot_be_read_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "bundles").touch()
    status = ended(TeachingJob(TaughtBundles(tmp_path / "bundles"), None), TeachingRequest(tmp_path, NOWHERE, ("beep",)))
    assert status.error is not None
    assert status.error.startswith("the teaching cannot be done (Not a directory)")


def test_a_job_that_is_closed_takes_no_other(tmp_path: Path) -> None:
    job = TeachingJob(TaughtBundles(tmp_path), None)
    job.close()
    assert not job.start(TeachingRequest(tmp_path, NOWHERE, ("beep",)))
    assert job.status == JobStatus()


def test_a_job_that_is_closed_leaves_no_child_to_the_program_that_takes_the_place_of_this_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_module, "CHILD", ("-c", "import sys; sys.stdin.read()"))
    before = set(psutil.Process().children())
    job = TeachingJob(TaughtBundles(tmp_path), None)
    assert job.start(TeachingRequest(tmp_path, NOWHERE, ("beep",)))
    wait_until(lambda: len(set(psutil.Process().children()) - before) == 1, "the child")
    job.close()
    assert set(psutil.Process().children()) == before
    wait_until(lambda: job.status == JobStatus(), "the end of the teaching")
