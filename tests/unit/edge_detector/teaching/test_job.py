"""The job that teaches: one at a time, in a child that has an end, whatever happens."""

from pathlib import Path

import pytest

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
