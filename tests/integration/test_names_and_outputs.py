"""Whatever files are called and wherever output goes: it works, or one sentence and exit code 1 or 2 say why not."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import soundfile

LONG = "b" * 300
PLAIN = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


def shell(words: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    """Run a line of shell, in which LISTEN and CONVERT are the programs."""
    line = words.replace("LISTEN", f"{sys.executable} -m edge_detector listen").replace("CONVERT", f"{sys.executable} -m convert")
    return subprocess.run(
        ["sh", "-c", line], capture_output=True, timeout=120, check=False, env=os.environ | environment, stdin=subprocess.DEVNULL
    )


def assert_one_sentence(result: subprocess.CompletedProcess[bytes], *facts: str) -> None:
    error = result.stderr.decode()
    assert result.returncode in (1, 2), (result.returncode, error)
    assert "Traceback" not in error
    sentences = [line for line in error.splitlines() if line.startswith(("edge-detector: ", "convert"))]
    assert len(sentences) == 1, error
    for fact in facts:
        assert fact in error


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sounds") / "noise.wav"
    soundfile.write(path, 0.05 * np.random.default_rng(0).standard_normal(32_000), 16_000)
    return path


@pytest.mark.parametrize("name", [b"caf\xe9.wav", "größe.wav".encode()])
@pytest.mark.parametrize("environment", [{}, PLAIN])
def test_a_file_whose_name_is_not_in_the_locales_encoding_is_heard(
    sound: Path, tmp_path: Path, name: bytes, environment: dict[str, str]
) -> None:
    path = os.path.join(os.fsencode(tmp_path), name)  # noqa: PTH118 - pathlib knows no bytes
    os.link(sound, path)
    command: Sequence[bytes | str] = [sys.executable, "-m", "edge_detector", "listen", path]
    result = subprocess.run(command, capture_output=True, timeout=120, check=False, env=os.environ | environment)
    assert result.returncode == 0, result.stderr
    missing = subprocess.run(
        [*command[:-1], path + b"x"], capture_output=True, timeout=120, check=False, env=os.environ | environment
    )
    assert_one_sentence(missing, "there is no such file", "größe.wav" if name.startswith(b"gr") else r"caf\xe9.wav")


@pytest.mark.parametrize("option", ["", "--bundle", "--dump", "--config"])
def test_a_name_that_is_too_long_is_one_sentence(sound: Path, option: str) -> None:
    assert_one_sentence(shell(f"LISTEN {sound if option else ''} {option} {LONG}"), "name too long")


@pytest.mark.parametrize("where", [">/dev/full", "--json >/dev/full", ">&-", "--json >&-"])
def test_an_output_that_cannot_be_written_is_one_sentence(sound: Path, where: str) -> None:
    assert_one_sentence(shell(f"LISTEN {sound} {where}"), "standard output")


def test_closed_standard_input_is_one_sentence() -> None:
    assert_one_sentence(shell("LISTEN - <&-"), "standard input is closed")


def test_without_standard_error_it_hears_all_the_same(sound: Path) -> None:
    result = shell(f"LISTEN {sound} 2>&-")
    assert result.returncode == 0
    assert b"processed 2.0 s" in result.stdout


def test_help_into_a_full_disk_is_one_sentence() -> None:
    assert_one_sentence(shell("CONVERT --help >/dev/full"), "standard output cannot be written")


@pytest.mark.parametrize("command", [f"embed {LONG} -o OUT/a", f"teach {LONG} -o OUT/b"])
def test_convert_says_the_same_of_names_that_are_too_long(tmp_path: Path, command: str) -> None:
    assert_one_sentence(shell(f"CONVERT {command.replace('OUT', str(tmp_path))}"), "name too long")
