"""Without the extra `convert` each command names it in one sentence."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from convert.__main__ import COMMANDS
from tests.support.synthetic import write_recordings

ROOT = Path(__file__).parents[2]
EXTRA = ("tensorflow", "keras", "scipy", "pooch", "requests", "matplotlib", "google_crc32c", "google")


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("base-install")
    for package in EXTRA:
        text = f"raise ModuleNotFoundError(name={package!r})\n"
        (folder / f"{package}.py").write_text(text)
    return {**os.environ, "PYTHONPATH": f"{folder}:{ROOT}"}


def run(environment: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "convert", *words]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_a_cluster_needs_an_extra_of_its_own(tmp_path: Path) -> None:
    for package in ("pyspark", "py4j"):
        (tmp_path / f"{package}.py").write_text(f"raise ModuleNotFoundError(name={package!r})\n")
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}:{ROOT}"}
    words = ("embed", "corpus", "--unlabelled", "--shards", "2", "--runner", "spark", "--master", "local", "-o", "out")
    done = run(environment, *words)
    sentence = (
        "pyspark is not installed, which --runner spark needs; run in the project's folder: pip install -e '.[spark]' (0.5 GB)"
    )
    assert (done.returncode, done.stderr) == (2, f"convert embed: {sentence}\n")


@pytest.mark.parametrize(
    ("options", "what"),
    [
        (("--runner", "spark"), "--runner spark and --master URL belong together; give both"),
        (("--master", "local"), "--runner spark and --master URL belong together; give both"),
        (("--runner", "spark", "--master", "local", "--jobs", "2"), "leave one out"),
    ],
)
def test_a_cluster_is_named_alone_and_whole(options: tuple[str, ...], what: str) -> None:
    done = run({**os.environ, "PYTHONPATH": str(ROOT)}, "embed", "corpus", "--shards", "2", "-o", "out", *options)
    assert done.returncode == 2
    assert what in done.stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_help_is_shown_or_the_extra_is_named(command: str, environment: dict[str, str]) -> None:
    done = run(environment, command, "--help")
    assert "Traceback" not in done.stderr
    if done.returncode:
        assert (done.returncode, done.stderr.count("\n")) == (2, 1)
        assert f"convert {command}: " in done.stderr
        assert "is not installed, which convert needs; run in the project's folder: pip install -e '.[convert]'" in done.stderr


def test_teaching_needs_no_extra(environment: dict[str, str], tmp_path: Path) -> None:
    write_recordings(tmp_path / "sounds", takes=3)
    done = run(environment, "teach", str(tmp_path / "sounds"), "-o", str(tmp_path / "bundle"))
    assert done.returncode == 0, done.stderr
    assert "new classes: 3" in done.stdout


def test_the_list_of_commands_needs_no_extra(environment: dict[str, str]) -> None:
    assert "teach" in run(environment, "--help").stdout
