"""fetch: released files arrive whole and with the right checksum, or not at all."""

import hashlib
import json
import time
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from convert.__main__ import main
from convert.download import download, released
from convert.download.released import Release, ReleasedFile
from tests.support.web_server import WebServer

CONTENT = np.random.default_rng(0).bytes(300_000)
FILE = ReleasedFile("yamnet.tflite", hashlib.sha256(CONTENT).hexdigest(), 400_000, remote_name="long_name.tflite")


class Web(WebServer):
    """Serves the next of `answers` under every path, the last one again and again; bytes, or a status."""

    def __init__(self, *answers: bytes | int) -> None:
        self.answers, self.paths = list(answers), list[str]()
        web = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                web.paths.append(self.path)
                answer = web.answers.pop(0) if len(web.answers) > 1 else web.answers[0]
                self.send_response(answer if isinstance(answer, int) else 200)
                content = b"" if isinstance(answer, int) else answer
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: Any) -> None:  # noqa: ANN401 - the base class's signature
                pass

        super().__init__(Handler)


@pytest.fixture(autouse=True)
def small_release(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A small file in place of the released one; the waits between tries are noted, not slept."""
    waits: list[float] = []
    monkeypatch.setattr(released, "MODELS", {"yamnet": Release("http://127.0.0.1:9", (FILE,))})
    monkeypatch.setattr("convert.commands.fetch.MODELS", released.MODELS)
    monkeypatch.setattr(time, "sleep", waits.append)
    return waits


def fetch(folder: Path, mirror: object) -> int:
    return main(["fetch", "yamnet", "--mirror", str(mirror), "-o", str(folder), "--json"])


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def test_a_file_is_downloaded_once_under_its_local_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Web(CONTENT) as web:
        assert fetch(tmp_path / "out", f"{web.url}/rpi/") == 0
        first = json.loads(capsys.readouterr().out)
        assert fetch(tmp_path / "out", web.url) == 0
        second = json.loads(capsys.readouterr().out)
    assert web.paths == ["/rpi/long_name.tflite"]
    assert names(tmp_path / "out") == ["yamnet.tflite"]
    assert (tmp_path / "out" / "yamnet.tflite").read_bytes() == CONTENT
    expected = {"file": str(tmp_path / "out" / "yamnet.tflite"), "how": "downloaded", "bytes": 300_000, "sha256": FILE.sha256}
    assert first == {"folder": str(tmp_path / "out"), "files": [expected]}
    assert second["files"][0]["how"] == "already there"


def test_a_failed_download_is_repeated(tmp_path: Path, small_release: list[float]) -> None:
    with Web(503, 429, CONTENT) as web:
        assert fetch(tmp_path / "out", web.url) == 0
    assert len(web.paths) == 3
    assert small_release == [2.0, 4.0]


@pytest.mark.parametrize(
    ("answer", "what"),
    [
        (CONTENT[:-1] + b"x", "is not the released yamnet.tflite: SHA256 hash of downloaded file"),
        (bytes(400_001), "is not the released yamnet.tflite: it is longer than 0 MB"),
        (404, "cannot be downloaded: 404 Client Error"),
    ],
)
def test_another_file_than_the_released_one_is_refused_and_not_kept(
    answer: bytes | int, what: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Web(answer) as web:
        assert fetch(tmp_path / "out", web.url) == 1
        assert len(web.paths) == 1, "another try would not help"
    *_, message = capsys.readouterr().err.splitlines()
    assert what in message
    assert names(tmp_path / "out") == []


def test_an_unreachable_server_is_a_one_sentence_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(download, "TRIES", 2)
    assert fetch(tmp_path / "out", "http://127.0.0.1:9") == 1
    message = capsys.readouterr().err
    assert "cannot be downloaded" in message
    assert "give a folder with --mirror" in message


@pytest.mark.parametrize("name", ["yamnet.tflite", "long_name.tflite"])
def test_without_internet_a_folder_is_the_mirror(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "stick").mkdir()
    (tmp_path / "stick" / name).write_bytes(CONTENT)
    assert fetch(tmp_path / "out", tmp_path / "stick") == 0
    assert json.loads(capsys.readouterr().out)["files"][0]["how"] == "copied"
    assert (tmp_path / "out" / "yamnet.tflite").read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("content", "code", "what"),
    [
        (b"other", 1, "is not the released yamnet.tflite: its sha256 is"),
        (None, 1, "has no yamnet.tflite; give a folder that holds it"),
        ("away", 2, "is neither a folder nor a web address such as"),
    ],
)
def test_a_folder_without_the_file_is_refused(
    content: bytes | str | None, code: int, what: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stick = tmp_path / "stick"
    if content != "away":
        stick.mkdir()
    if isinstance(content, bytes):
        (stick / "yamnet.tflite").write_bytes(content)
    assert fetch(tmp_path / "out", stick) == code
    assert what in capsys.readouterr().err
    assert not (tmp_path / "out" / "yamnet.tflite").exists()
