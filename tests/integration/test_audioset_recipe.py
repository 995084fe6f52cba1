"""convert/recipes/audioset.mk on a mirror with a few segments, and the daemon with its bundle.

The features are two of AudioSet's shards in the layout of its archive. VGGish has a tenth of its width and random weights;
tests/unit/convert/embedder/test_vggish_end_to_end.py has the whole network.
"""

import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
import soundfile

from convert.files import read_json
from edge_detector.detection.bundle import load_bundle
from tests.support.broker import Broker
from tests.support.inbox import subscriber
from tests.support.narrow_vggish import taken_for_vggish, write_released
from tests.support.synthetic import RATE_HZ, sound
from tests.support.tiny_recipe import convert

pytest.importorskip("tensorflow")

MAKEFILE = Path("convert/recipes/audioset.mk")
SHARDS = {"bal_train": "rm", "eval": "z8", "unbal_train": "rm"}


def write_mirror(folder: Path, data: Path) -> Path:
    for part, name in SHARDS.items():
        path = folder / "audioset_v1_embeddings" / part / f"{name}.tfrecord"
        path.parent.mkdir(parents=True)
        shutil.copyfile(data / "audioset" / f"{name}.tfrecord", path)
    with tarfile.open(folder / "features.tar.gz", "w:gz") as archive:
        archive.add(folder / "audioset_v1_embeddings", "audioset_v1_embeddings")
    return folder


@pytest.fixture(scope="module")
def made(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which the makefile worked."""
    folder = tmp_path_factory.mktemp("audioset")
    mirror, work = write_mirror(folder / "mirror", data), folder / "work"
    write_released(work / "vggish", [sound("hiss", seed, 4.0) for seed in range(8)])
    with taken_for_vggish():
        embedder = work / "embedder" / "embedder.tflite"
        assert convert("export-embedder", work / "vggish", "--set", "embedder.measured_windows=4", "-o", embedder) == 0
    given = {
        "PYTHON": sys.executable,
        "WORK": work,
        "FEATURES": mirror,
        "FETCHED": "--any-count",
        "OPTIONS": "--set lstm.cells=8 training.batch=16 training.epochs=2",
        "CRITERIA": "--set thresholds.enabled_found=0.0 thresholds.enabled_per_hour=100000.0",
    }
    command = ["make", "-f", str(MAKEFILE), *(f"{name}={value}" for name, value in given.items())]
    result = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert result.returncode == 0, result.stderr
    return work


def test_the_bundle_has_audiosets_classes_with_thresholds_and_evidence(made: Path) -> None:
    bundle = load_bundle(made / "bundle")
    assert len(bundle.manifest.classes) == 527
    assert bundle.manifest.classes[0].label == "Speech"
    assert bundle.manifest.classes[0].mid == "/m/09x0r"
    tested = [each for each in bundle.manifest.classes if each.evidence and each.evidence.clips]
    assert tested
    calibration = read_json(made / "calibration.json")
    assert calibration["classes"]["speech"]["0.24"]["rule"] == calibration["classes"]["speech"]["0.96"]["rule"]
    assert read_json(made / "eval.json")["classes"] == 527


def test_the_daemon_publishes_probabilities_of_audiosets_classes(made: Path, tmp_path: Path, broker: Broker) -> None:
    tape = tmp_path / "tape.wav"
    soundfile.write(tape, sound("hiss", 2, 5.0), RATE_HZ)
    config = tmp_path / "edge.toml"
    config.write_text(
        f'[node]\nname = "nursery"\n[bundle]\npath = "{made / "bundle"}"\n'
        f'[[source]]\nname = "tape"\nkind = "file"\ndevice = "{tape}"\n[class.speech]\non = 0.0001\noff = 0.0001\n'
        f'[mqtt]\nhost = "{broker.host}"\nport = {broker.port}\n',
        encoding="utf-8",
    )
    with subscriber(broker.host, broker.port) as inbox:
        environment = {**os.environ, "STATE_DIRECTORY": str(tmp_path / "state")}
        command = [sys.executable, "-m", "edge_detector", "run", "--config", str(config)]
        result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
        assert result.returncode == 0, result.stderr
        inbox.wait_for_payload("edge_detector/nursery/status", b"offline")
    probabilities = [item["probabilities"] for item in inbox.json("probabilities")]
    assert len(probabilities) == 6
    assert all("speech" in each for each in probabilities)
    assert {item["event_type"] for item in inbox.json("event") if item["slug"] == "speech"} == {"start", "end"}
