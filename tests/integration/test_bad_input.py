"""Whatever is wrong is one sentence on standard error and an exit code, never a traceback, and nothing half-written is left."""

import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import soundfile

from edge_detector.detection.bundle import SEQUENCE
from edge_detector.service.factory import DEFAULT_BUNDLE
from tests.support.fake_microphone import FakeMicrophone
from tests.support.hostile_bundle import sequence_of, signed_bundle


def edge_detector(
    *arguments: str | Path, stdin: bytes = b"", environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "edge_detector", *map(str, arguments)]
    return subprocess.run(command, input=stdin, capture_output=True, timeout=120, check=False, env=environment)


def assert_one_sentence(result: subprocess.CompletedProcess[bytes], code: int, *facts: str) -> None:
    error = result.stderr.decode()
    assert result.returncode == code, error
    assert "Traceback" not in error
    sentences = [line for line in error.splitlines() if line.startswith("edge-detector: ")]
    assert len(sentences) == 1, error
    for fact in facts:
        assert fact in sentences[0]


def wav(path: Path, samples: np.ndarray, rate_hz: int = 16_000, subtype: str = "PCM_16") -> Path:
    soundfile.write(path, samples, rate_hz, subtype=subtype)
    return path


def noise(seconds: float, rate_hz: int = 16_000, channels: int = 1) -> np.ndarray:
    return 0.05 * np.random.default_rng(0).standard_normal((round(seconds * rate_hz), channels))


def test_no_such_file(tmp_path: Path) -> None:
    assert_one_sentence(edge_detector("listen", tmp_path / "none.wav"), 1, "none.wav")


def test_a_folder(tmp_path: Path) -> None:
    assert_one_sentence(edge_detector("listen", tmp_path), 1, str(tmp_path))


def test_a_file_that_is_not_audio(tmp_path: Path) -> None:
    (tmp_path / "letter.wav").write_text("Dear Sir, this is a letter and no sound. " * 100)
    assert_one_sentence(edge_detector("listen", tmp_path / "letter.wav"), 1, "letter.wav", "audio")


def test_an_empty_file(tmp_path: Path) -> None:
    (tmp_path / "empty.wav").touch()
    assert_one_sentence(edge_detector("listen", tmp_path / "empty.wav"), 1, "empty")


def test_one_sample_at_a_high_rate_holds_no_sound(tmp_path: Path) -> None:
    result = edge_detector("listen", wav(tmp_path / "short.wav", noise(1 / 384_000, 384_000), 384_000))
    assert_one_sentence(result, 1, "too short", "16 kHz", "longer")


def test_an_8_khz_stereo_24_bit_file_works_and_says_what_it_lacks(tmp_path: Path) -> None:
    path = wav(tmp_path / "phone.wav", noise(3, 8_000, channels=2), 8_000, "PCM_24")
    result = edge_detector("listen", path, "--json")
    assert result.returncode == 0, result.stderr
    assert b"warning" in result.stderr
    assert b"4" in result.stderr
    assert result.stdout.count(b'"type": "probabilities"') == 4


def test_samples_that_are_not_numbers(tmp_path: Path) -> None:
    samples = noise(2)
    samples[20_000] = np.nan
    result = edge_detector("listen", wav(tmp_path / "nan.wav", samples, subtype="FLOAT"))
    assert_one_sentence(result, 1, "nan.wav", "20000")


def test_nothing_on_standard_input() -> None:
    assert_one_sentence(edge_detector("listen", "-"), 1, "standard input", "16 kHz")


def test_no_microphone(tmp_path: Path, microphone: FakeMicrophone) -> None:
    microphone.crash()
    dump = tmp_path / "kept.wav"
    environment = {"PATH": "/usr/bin:/bin", **microphone.environment}
    assert_one_sentence(edge_detector("listen", "mic", "--dump", dump, environment=environment), 1, "no microphone")
    assert not list(tmp_path.iterdir()), "nothing half-written"


def test_an_unknown_microphone_name_lists_those_there_are(microphone: FakeMicrophone) -> None:
    result = edge_detector("listen", "mic:Stradivari", environment={"PATH": "/usr/bin:/bin", **microphone.environment})
    assert_one_sentence(result, 2, "Stradivari", "fakemic")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_bundle_whose_network_gives_no_probabilities_is_refused_before_any_sound(tmp_path: Path, value: float) -> None:
    bundle = signed_bundle(tmp_path / "bundle", {SEQUENCE: sequence_of(value)})
    result = edge_detector("listen", wav(tmp_path / "noise.wav", noise(3)), "--json", "--bundle", bundle)
    assert_one_sentence(result, 1, "the sequence model gives", "which is not a probability")
    assert not result.stdout


def test_control_characters_of_a_file_s_name_do_not_reach_the_terminal(tmp_path: Path) -> None:
    result = edge_detector("listen", tmp_path / "\x1b[2J.wav")
    assert_one_sentence(result, 1, "\\x1b[2J.wav")
    assert b"\x1b" not in result.stderr


def test_a_bundle_with_one_byte_flipped(tmp_path: Path) -> None:
    bundle = tmp_path / "bundle"
    shutil.copytree(DEFAULT_BUNDLE, bundle)
    model = bytearray((bundle / "embedder.tflite").read_bytes())
    model[len(model) // 2] ^= 1
    (bundle / "embedder.tflite").write_bytes(model)
    assert_one_sentence(edge_detector("listen", "-", "--bundle", bundle), 1, "embedder.tflite", "manifest")


@pytest.mark.parametrize(
    ("settings", "facts"),
    [
        ("[mqtt]\nprot = 1884\n", ("unknown key 'prot'", "port")),
        ("[class.thunderclap]\non = 0.5\n", ("thunderclap", "rain")),
        ('[bundle]\npath = "/no/such"\n', ("/no/such",)),
    ],
)
@pytest.mark.parametrize("command", [["check-config"], ["run", "--config"]])
def test_a_wrong_configuration(tmp_path: Path, command: list[str], settings: str, facts: tuple[str, ...]) -> None:
    path = tmp_path / "edge.toml"
    path.write_text(settings)
    code = 1 if "bundle" in settings else 2
    assert_one_sentence(edge_detector(*command, path), code, *facts)


def test_an_unknown_command_is_wrong_usage() -> None:
    result = edge_detector("lisn")
    assert result.returncode == 2
    assert b"Traceback" not in result.stderr


def test_a_reader_that_goes_away_is_no_error(tmp_path: Path) -> None:
    path = wav(tmp_path / "long.wav", noise(60))
    pipeline = f"{sys.executable} -m edge_detector listen {path} --json | head -n 1; exit ${{PIPESTATUS[0]}}"
    result = subprocess.run(["bash", "-c", pipeline], capture_output=True, timeout=120, check=False)
    assert result.returncode == 0
    assert b"Broken" not in result.stderr
    assert b"Traceback" not in result.stderr
