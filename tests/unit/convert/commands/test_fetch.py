"""fetch on the command line: what it takes, says and leaves."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest

from convert.__main__ import main
from convert.download import released, resume
from convert.download.resume import ReleasedFile
from convert.embedder.yamnet_labels import read_labels
from tests.support.bad_web import BadWeb
from tests.unit.convert.download.test_resume import CONTENT, FILE, OTHER, names


@pytest.fixture
def made_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small files in place of the released ones, and no sleep between tries."""
    checkpoint = ReleasedFile("vggish_model.ckpt", hashlib.sha256(CONTENT).hexdigest(), 400_000)
    pca = ReleasedFile("vggish_pca_params.npz", hashlib.sha256(OTHER).hexdigest(), 400_000)
    yamnet = replace(checkpoint, name="yamnet.tflite", remote_name=released.YAMNET.published_name)
    models = {
        "vggish": replace(released.MODELS["vggish"], files={"checkpoint": checkpoint, "pca": pca}),
        "yamnet": replace(released.MODELS["yamnet"], files={"classifier": yamnet}),
    }
    monkeypatch.setattr(released, "MODELS", models)
    monkeypatch.setattr(resume, "LONGEST_WAIT_SECONDS", 0.0)


@pytest.mark.usefixtures("made_up")
def test_the_command_reports_in_json_what_it_got(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
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


@pytest.mark.parametrize(
    ("arguments", "name"), [([], "vggish_model.ckpt"), (["vggish"], "vggish_model.ckpt"), (["yamnet"], "yamnet.tflite")]
)
@pytest.mark.usefixtures("made_up")
def test_vggish_is_the_default_and_each_model_has_its_own_folder(
    arguments: list[str], name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "stick").write_bytes(CONTENT)
    assert main(["fetch", *arguments, "--from-file", "stick", "--json"]) == 0
    folder = Path("build") / (arguments[0] if arguments else "vggish")
    assert json.loads(capsys.readouterr().out)["folder"] == str(folder)
    assert names(tmp_path / folder) == [name]


@pytest.mark.usefixtures("made_up")
def test_yamnet_is_fetched_by_its_long_name_and_kept_by_its_short_one(tmp_path: Path) -> None:
    with BadWeb(CONTENT, "cut", "whole") as web:
        assert main(["fetch", "yamnet", "-o", str(tmp_path), "--mirror", f"{web.url}/rpi/", "--tries", "2"]) == 0
    assert web.paths == ["/rpi/lite-model_yamnet_classification_tflite_1.tflite"] * 2
    assert web.ranges == [None, "bytes=100000-"]
    assert names(tmp_path) == ["yamnet.tflite"]


@pytest.mark.parametrize("name", ["yamnet.tflite", "lite-model_yamnet_classification_tflite_1.tflite", "yamnet (1).bin"])
@pytest.mark.usefixtures("made_up")
def test_a_folder_may_hold_the_file_under_any_name(name: str, tmp_path: Path) -> None:
    stick = tmp_path / "stick"
    stick.mkdir()
    (stick / name).write_bytes(CONTENT)
    (stick / "film").write_bytes(bytes(500_000))
    (stick / "letter").write_bytes(b"hello")
    assert main(["fetch", "yamnet", "--from-file", str(stick), "-o", str(tmp_path / "out")]) == 0
    assert (tmp_path / "out" / "yamnet.tflite").read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["yamnet", "--only", "pca"], "is one of VGGish's files, and yamnet was asked for; leave --only out"),
        (["yamnet", "--from-file", "."], "holds no yamnet.tflite, under any name; give the file"),
        (["--from-file", "stick", "yamnet"], "give the model first: fetch yamnet --from-file PATH"),
    ],
)
@pytest.mark.usefixtures("made_up")
def test_what_makes_no_sense_is_wrong_usage(
    arguments: list[str], what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "stick").write_bytes(OTHER)
    assert main(["fetch", *arguments]) == 2
    assert what in capsys.readouterr().err
    assert names(tmp_path) == ["stick"]


def test_a_model_that_is_not_released_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exited:
        main(["fetch", "panns"])
    assert exited.value.code == 2
    assert "invalid choice: 'panns'" in capsys.readouterr().err


def test_the_real_yamnet_is_recognised_and_brings_its_labels(data: Path, tmp_path: Path) -> None:
    assert main(["fetch", "yamnet", "--from-file", str(data / "peers" / "yamnet.tflite"), "-o", str(tmp_path)]) == 0
    assert names(tmp_path) == ["yamnet.tflite"]
    assert (tmp_path / "yamnet.tflite").stat().st_size == released.YAMNET.largest_bytes == 4_126_810
    assert len(read_labels(tmp_path / "yamnet.tflite")) == 521
