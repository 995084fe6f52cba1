"""Full-size VGGish from a checkpoint to MQTT: the trainer's commands one after another, then the daemon with a recording.

Google's own checkpoint cannot be shipped, so the 72 million weights are random. Every size and every file is the real one's.
"""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from convert.files import read_json
from convert.records.files import find_embedder, read_dataset
from convert.records.identity import embedder_id
from edge_detector.detection.bundle import EMBEDDER, PCA, load_bundle
from tests.support.broker import Broker
from tests.support.inbox import subscriber
from tests.support.synthetic import LABELS, RATE_HZ, sound, write_clips
from tests.support.tiny_recipe import convert
from tests.support.vggish_reference import random_weights, write_checkpoint

pytest.importorskip("tensorflow")

from convert.embedder.vggish import VGGISH

PARAMETERS = 72_141_184
BASE = "edge_detector/nursery/tape"
LOW = 0.001


def write_pca(path: Path) -> Path:
    """Parameters of Google's form: double precision, the means as a column."""
    rng = np.random.default_rng(5)
    rotation = np.linalg.qr(rng.normal(size=(128, 128)))[0]
    np.savez(path, pca_eigen_vectors=0.1 * rotation, pca_means=rng.normal(size=(128, 1)))
    return path


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all steps from the checkpoint to a bundle."""
    folder = tmp_path_factory.mktemp("vggish")
    checkpoint = write_checkpoint(folder / "vggish_model.ckpt", random_weights(VGGISH.shapes()))
    embedder = folder / "embedder" / EMBEDDER
    write_pca(folder / "vggish_pca_params.npz")
    assert convert("export-embedder", checkpoint, "--set", "embedder.measured_windows=8", "-o", embedder) == 0
    checkpoint.unlink()
    clips = write_clips(folder / "clips", folds=2, takes=1)
    assert convert("embed", clips, "--embedder", embedder, "-o", folder / "whole.tfrecord") == 0
    shape = ("--set", "lstm.cells=16", "lstm.layers=1", "training.context_frames=4", "training.epochs=4")
    assert convert("train", folder / "whole.tfrecord", *shape, "-o", folder / "lstm") == 0
    assert convert("export", folder / "lstm") == 0
    assert convert("bundle", folder / "lstm", "--embedder", embedder, "-o", folder / "bundle") == 0
    return folder


def test_the_bundle_holds_the_whole_network_and_the_pca_in_its_own_form(made: Path) -> None:
    assert read_json(made / "embedder" / "embedder.json")["parameters"] == PARAMETERS
    bundle = load_bundle(made / "bundle")
    assert len(bundle.embedder) > 72_000_000
    with np.load(made / "vggish_pca_params.npz") as given, np.load(made / "bundle" / PCA) as kept:
        assert np.array_equal(kept["pca_eigen_vectors"], given["pca_eigen_vectors"].astype(np.float32))
        assert np.array_equal(kept["pca_means"], given["pca_means"][:, 0].astype(np.float32))
    manifest = bundle.manifest
    assert manifest.log_offset == 0.01
    assert manifest.embedder is not None
    assert manifest.embedder.name == "vggish"
    assert manifest.embedder == manifest.sequence.embedder == embedder_id(find_embedder(made / "whole.tfrecord") or {})
    assert [sound.slug for sound in manifest.classes] == list(LABELS)


def test_its_codes_tell_sounds_apart(made: Path) -> None:
    records = list(read_dataset(made / "whole.tfrecord"))
    assert len(records) == 6
    first = np.stack([record.codes[0] for record in records])
    assert len({row.tobytes() for row in first}) == len(first)
    assert np.isin(first, (0, 255)).mean() < 0.5


def test_verify_passes_the_bundle(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert convert("verify", made / "bundle", "--sequence-source", made / "lstm") == 0
    assert capsys.readouterr().out.endswith("bundle: passed\n")


def test_the_daemon_publishes_probabilities_and_an_event_of_a_recording(made: Path, tmp_path: Path, broker: Broker) -> None:
    tape = tmp_path / "tape.wav"
    soundfile.write(tape, np.concatenate([sound("beep", 1), sound("hiss", 2), np.zeros(2 * RATE_HZ, np.float32)]), RATE_HZ)
    config = tmp_path / "edge.toml"
    config.write_text(
        f'[node]\nname = "nursery"\n[bundle]\npath = "{made / "bundle"}"\n'
        f'[[source]]\nname = "tape"\nkind = "file"\ndevice = "{tape}"\n[class.beep]\non = {LOW}\noff = {LOW}\n'
        f'[mqtt]\nhost = "{broker.host}"\nport = {broker.port}\n',
        encoding="utf-8",
    )
    command = [sys.executable, "-m", "edge_detector", "run", "--config", str(config)]
    with subscriber(broker.host, broker.port) as inbox:
        environment = {**os.environ, "STATE_DIRECTORY": str(tmp_path / "state")}
        result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
        assert result.returncode == 0, result.stderr
        inbox.wait_for_payload("edge_detector/nursery/status", b"offline")
    probabilities = [item["probabilities"] for item in inbox.json("probabilities")]
    assert len(probabilities) == 7, "one for each window that begins on the tape"
    assert all(set(each) == set(LABELS) for each in probabilities)
    assert all(0.0 <= value <= 1.0 for each in probabilities for value in each.values())
    assert max(each["beep"] for each in probabilities) >= LOW
    start, *_, end = [item for item in inbox.json("event") if item["slug"] == "beep"]
    assert (start["event_type"], end["event_type"]) == ("start", "end")
    assert start["source"] == "tape"
    states = [item.payload for item in inbox.messages if item.topic == f"{BASE}/class/beep"]
    assert b"ON" in states
