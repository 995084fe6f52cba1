"""YouTube-8M's features of the pictures are learnt from on request; what the detector runs is of audio."""

import json
from pathlib import Path

import numpy as np
import pytest

from convert.__main__ import main
from convert.records import protobuf, tfrecord

pytest.importorskip("tensorflow")


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Videos whose class is in the pictures alone: a test by audio is at chance."""
    rng = np.random.default_rng(0)
    content = []
    for number in range(60):
        rgb = rng.integers(0, 256, (6, 1024), dtype=np.uint8) // 4 + 96
        rgb[:, 100 * (number % 3) : 100 * (number % 3) + 100] += 90
        audio = rng.integers(0, 256, (6, 128), dtype=np.uint8)
        context: dict[str, protobuf.Feature] = {"id": (f"v{number}".encode(),), "labels": (number % 3,)}
        lists = {name: [(frame.tobytes(),) for frame in frames] for name, frames in (("rgb", rgb), ("audio", audio))}
        content.append(protobuf.encode(protobuf.SequenceExample(context, lists)))
    path = tmp_path_factory.mktemp("features") / "videos.tfrecord"
    tfrecord.write_records(path, content)
    return path


@pytest.mark.parametrize("kind", ["lstm", "dbof", "frame-logistic", "moe", "logistic"])
def test_models_learn_from_the_pictures(kind: str, records: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sizes = {"lstm": ["lstm.cells=8", "lstm.layers=1"], "dbof": ["dbof.clusters=32", "dbof.hidden=8"]}.get(kind, [])
    given = ["--set", f"model={kind}", *sizes, f"{kind}.learning_rate=0.03", "training.epochs=25", "training.batch=10"]
    assert main(["train", str(records), "--classes", "3", *given, "training.features=rgb-and-audio", "-o", str(tmp_path)]) == 0
    capsys.readouterr()
    assert main(["eval", str(tmp_path), str(records), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["hit_at_1"] > 0.9
    assert main(["infer", str(tmp_path), str(records), "-o", str(tmp_path / "out.csv")]) == 0
    assert len((tmp_path / "out.csv").read_text().splitlines()) == 61
    assert main(["export", str(tmp_path)]) == 2
    assert "is a model of rgb-and-audio, which the detector cannot run; train one of audio" in capsys.readouterr().err


def test_features_that_records_lack_are_named(records: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = protobuf.SequenceExample({"id": (b"a",), "labels": (1,)}, {"audio": [(bytes(128),)]})
    tfrecord.write_records(tmp_path / "audio.tfrecord", [protobuf.encode(content)])
    changes = ["--set", "model=logistic", "training.features=rgb"]
    assert main(["train", str(tmp_path / "audio.tfrecord"), "--classes", "3", *changes, "-o", str(tmp_path / "model")]) == 1
    assert "the key rgb is missing, it has audio" in capsys.readouterr().err
    assert main(["compare", str(records), "--classes", "3", "--set", "training.features=rgb", "-o", str(tmp_path / "c")]) == 2
    assert 'compare is for training.features = "audio"' in capsys.readouterr().err
