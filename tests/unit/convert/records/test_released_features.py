"""AudioSet's features: the archive is downloaded in parts, unpacked where it belongs, and every record of it is verified."""

import io
import json
import tarfile
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from convert.__main__ import main
from convert.download import download
from convert.records import released_features
from convert.records.files import write_dataset
from convert.records.forms import Record
from tests.support.web_server import WebServer

SEGMENTS = {"bal_train": 2, "eval": 3, "unbal_train": 5}


def shard(folder: Path, count: int) -> bytes:
    codes = np.zeros((10, 128), np.uint8)
    write_dataset(folder / "shard.tfrecord", (Record(f"v{n}", 0, 10, (n,), codes + n) for n in range(count)), ())
    return (folder / "shard.tfrecord").read_bytes()


def archive(members: Mapping[str, bytes]) -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as file:
        for name, payload in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(payload)
            file.addfile(info, io.BytesIO(payload))
    return content.getvalue()


def members(folder: Path) -> dict[str, bytes]:
    return {f"audioset_v1_embeddings/{part}/0a.tfrecord": shard(folder, count) for part, count in SEGMENTS.items()}


class Server(WebServer):
    """Sends at most `most` bytes for each request, and continues where it is asked to."""

    def __init__(self, content: bytes, most: int, *, resumes: bool) -> None:
        self.ranges: list[str | None] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked = self.headers.get("Range")
                server.ranges.append(asked)
                start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked and resumes else 0
                self.send_response(206 if start else 200)
                self.send_header("Content-Length", str(len(content) - start))
                self.end_headers()
                end = start + most if resumes or len(server.ranges) == 1 else None
                self.wfile.write(content[start:end])

            def log_message(self, *_: Any) -> None:  # noqa: ANN401 - the base class's signature
                pass

        super().__init__(Handler)
        self.url += "/features"


@pytest.fixture(autouse=True)
def small_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(released_features, "SEGMENTS", SEGMENTS)
    monkeypatch.setattr("time.sleep", lambda _: None)
    monkeypatch.setattr(download, "CHUNK_BYTES", 64)


def fetch(folder: Path, mirror: object, *more: str) -> int:
    return main(["fetch", "audioset", "--mirror", str(mirror), "-o", str(folder), *more, "--json"])


@pytest.mark.parametrize("resumes", [True, False])
def test_an_archive_that_arrives_in_parts_is_whole(tmp_path: Path, capsys: pytest.CaptureFixture[str], *, resumes: bool) -> None:
    content = archive(members(tmp_path))
    with Server(content, len(content) // 2 + 1, resumes=resumes) as server:
        assert fetch(tmp_path / "out", server.url) == 0
    first, second, *_ = server.ranges
    assert first is None
    assert second is not None
    assert 0 < int(second.removeprefix("bytes=").removesuffix("-")) <= len(content) // 2 + 1
    assert (tmp_path / "out" / "features.tar.gz").read_bytes() == content
    found = json.loads(capsys.readouterr().out)["parts"]
    assert {name: part["segments"] for name, part in found.items()} == SEGMENTS
    assert (tmp_path / "out" / "eval" / "0a.tfrecord").read_bytes() == shard(tmp_path, 3)
    assert not list((tmp_path / "out").glob("**/*.part"))


def test_a_part_of_the_segments_is_refused_unless_it_is_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    some = members(tmp_path) | {"audioset_v1_embeddings/unbal_train/0a.tfrecord": shard(tmp_path, 4)}
    (tmp_path / "features.tar.gz").write_bytes(archive(some))
    assert fetch(tmp_path / "out", tmp_path) == 1
    assert "has 4 segments in unbal_train, AudioSet's page states 5" in capsys.readouterr().err
    assert not (tmp_path / "out" / "segments.json").exists()
    assert fetch(tmp_path / "out", tmp_path, "--any-count") == 0
    assert json.loads((tmp_path / "out" / "segments.json").read_text())["unbal_train"] == {"files": 1, "segments": 4}


def test_a_damaged_record_or_archive_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spoilt = bytearray(shard(tmp_path, 3))
    spoilt[-20] ^= 1
    path = tmp_path / "features.tar.gz"
    path.write_bytes(archive(members(tmp_path) | {"audioset_v1_embeddings/eval/0a.tfrecord": bytes(spoilt)}))
    assert fetch(tmp_path / "out", tmp_path) == 1
    assert "the record's content is damaged" in capsys.readouterr().err
    assert not (tmp_path / "out" / "eval" / "0a.tfrecord").exists()
    path.write_bytes(path.read_bytes()[:-200])
    assert fetch(tmp_path / "out", tmp_path) == 1
    *_, message = capsys.readouterr().err.splitlines()
    assert "is damaged or not AudioSet's archive" in message
    path.write_bytes(b"<html>")
    assert fetch(tmp_path / "out", tmp_path) == 1


def test_no_file_outside_the_folder_is_written(tmp_path: Path) -> None:
    others = dict.fromkeys(("/etc/x.tfrecord", "audioset_v1_embeddings/eval/../../x.tfrecord", "eval/x.tfrecord"), b"x")
    (tmp_path / "features.tar.gz").write_bytes(archive(members(tmp_path) | others))
    assert fetch(tmp_path / "out", tmp_path) == 0
    assert sorted(path.name for path in (tmp_path / "out").glob("**/*.tfrecord")) == ["0a.tfrecord"] * 3
