"""fetch on the command line: what it takes, says and leaves."""

import hashlib
import json
from pathlib import Path

import pytest

from convert.__main__ import main
from convert.commands import fetch as command
from convert.data import released, resume
from convert.data.resume import ReleasedFile
from tests.convert.test_fetch import CONTENT, FILE, OTHER, names
from tests.rigs.bad_web import BadWeb


@pytest.fixture
def made_up(monkeypatch: pytest.MonkeyPatch) -> tuple[ReleasedFile, ReleasedFile]:
    """Two small files in place of the released ones, and a command that knows no other and does not sleep."""
    files = (
        ReleasedFile("vggish_model.ckpt", hashlib.sha256(CONTENT).hexdigest(), 400_000),
        ReleasedFile("vggish_pca_params.npz", hashlib.sha256(OTHER).hexdigest(), 400_000),
    )
    monkeypatch.setattr(released, "FILES", files)
    monkeypatch.setattr(command, "PARTS", dict(zip(("checkpoint", "pca"), files, strict=True)))
    monkeypatch.setattr(resume, "LONGEST_WAIT_SECONDS", 0.0)
    return files


@pytest.mark.usefixtures("made_up")
def test_the_command_says_in_json_what_it_got(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["fetch", "--only", "checkpoint", "-o", str(tmp_path), "--json"]
    with BadWeb(CONTENT, "cut", "whole") as web:
        assert main([*arguments, "--mirror", web.url + "/"]) == 0
    result = json.loads(capsys.readouterr().out)
    expected = {"file": str(tmp_path / "vggish_model.ckpt"), "how": "resumed", "bytes": 300_000, "sha256": FILE.sha256}
    assert result == {"folder": str(tmp_path), "files": [expected], "missing": []}


@pytest.mark.usefixtures("made_up")
def test_progress_shows_a_bar_on_stderr(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with BadWeb(CONTENT, "whole") as web:
        assert main(["fetch", "--only", "checkpoint", "-o", str(tmp_path), "--mirror", web.url]) == 0
    captured = capsys.readouterr()
    assert f"[{'#' * 24}] 100 %" in captured.err
    assert captured.out == f"{tmp_path / 'vggish_model.ckpt'}: downloaded, 0.3 MB, checksum right\n"


@pytest.mark.usefixtures("made_up")
def test_files_from_a_stick_are_known_by_content_not_by_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "download(1)").write_bytes(CONTENT)
    (tmp_path / "download(2)").write_bytes(OTHER)
    sticks = [str(tmp_path / "download(2)"), str(tmp_path / "download(1)")]
    assert main(["fetch", "--from-file", *sticks, "-o", str(tmp_path / "out")]) == 0
    assert names(tmp_path / "out") == ["vggish_model.ckpt", "vggish_pca_params.npz"]
    assert (tmp_path / "out" / "vggish_pca_params.npz").read_bytes() == OTHER
    assert capsys.readouterr().out.count("copied") == 2


@pytest.mark.usefixtures("made_up")
def test_a_folder_from_a_stick_may_hold_one_of_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "stick").mkdir()
    (tmp_path / "stick" / "vggish_model.ckpt").write_bytes(CONTENT)
    assert main(["fetch", "--from-file", str(tmp_path / "stick"), "-o", str(tmp_path / "out"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["missing"] == ["vggish_pca_params.npz"]


@pytest.mark.parametrize(
    ("make", "code", "what"), [(b"other", 1, "is not the released"), (None, 1, "No such file"), ("folder", 2, "holds neither")]
)
@pytest.mark.usefixtures("made_up")
def test_what_is_not_the_released_file_is_refused(
    make: bytes | str | None, code: int, what: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stick = tmp_path / "stick"
    if isinstance(make, bytes):
        stick.write_bytes(make)
    elif make:
        stick.mkdir()
    assert main(["fetch", "--from-file", str(stick), "-o", str(tmp_path / "out")]) == code
    message = capsys.readouterr().err
    assert what in message
    assert message.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("address", ["ftp://example.org", "file:///etc/passwd", "example.org", "http://", "http://a b"])
@pytest.mark.usefixtures("made_up")
def test_an_address_that_is_not_of_the_web_is_wrong_usage(address: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exited:
        main(["fetch", "--mirror", address])
    assert exited.value.code == 2
    assert "is not a web address" in capsys.readouterr().err
