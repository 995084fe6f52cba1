"""fuse: AudioSet's labels read out of the codes, alone, or before an LSTM's classes and weighed into them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from convert.embedder.readout import FILE
from convert.embedder.runtime import CodeEmbedder
from convert.files import read_arrays, read_json, write_arrays
from convert.sequence.facts import read_facts, write_facts
from convert.sequence.options import ModelOptions
from convert.sequence.probe_codes import stream_codes
from edge_detector.detection.bundle import EMBEDDER
from edge_detector.detection.embedding import dequantise
from edge_detector.types import Float32
from tests.support.labelled_embedder import AUDIOSET, NAMES, made_readout, write_embedder
from tests.support.models import facts_of, options
from tests.support.tiny_recipe import convert

pytest.importorskip("tensorflow")

from convert.sequence import streaming
from convert.sequence.models import build_model, load_model

LABELS_OF = {"dog_bark": ["Beep, bleep", "Knock", "Hiss"], "gong": [], "sneeze": ["Thump, thud"]}
LSTM = options("lstm", layers=1, cells=6, head="logistic")
OFFSET = 2.0
CODES = stream_codes(40, seed=2)
LABELS = len(AUDIOSET)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What train and export-embedder leave, and the labels of each class."""
    (tmp_path / "lstm").mkdir()
    write_embedder(tmp_path / "embedder")
    write_lstm(tmp_path, LSTM)
    write_classes(tmp_path, LABELS_OF)
    return tmp_path


def write_classes(folder: Path, labels_of: dict[str, list[str]]) -> None:
    content = {slug: {"label": slug, "mid": None, "audioset": names} for slug, names in labels_of.items()}
    (folder / "classes.json").write_text(json.dumps(content), encoding="utf-8")


def write_lstm(folder: Path, its_options: ModelOptions, **facts: Any) -> None:  # noqa: ANN401 - facts are of any kind
    model = build_model("lstm", its_options, len(LABELS_OF), seed=3)
    write_facts(folder / "lstm", facts_of(model, tuple(LABELS_OF), **facts))
    write_arrays(folder / "lstm" / "weights.npz", {name: 3.0 * v.numpy() for name, v in model.variables_by_name.items()})


def fuse(folder: Path, *more: object) -> int:
    source = ("--embedder", folder / "embedder" / EMBEDDER, "--classes", folder / "classes.json")
    return convert("fuse", folder / "lstm", *source, *more, "-o", folder / "fused")


def log_odds(probabilities: Float32) -> Any:  # noqa: ANN401 - an array of any precision
    exact = probabilities.astype(np.float64)
    return np.log(exact / (1.0 - exact))


def highest_label(names: list[str]) -> Any:  # noqa: ANN401 - as above
    """The log-odds that a class's labels have for it, straight from the read-out."""
    found = dequantise(CODES).astype(np.float64) @ made_readout().kernel + made_readout().bias
    return found[:, [NAMES.index(name) for name in names]].max(axis=1)


def outputs(folder: Path) -> Float32:
    found: Float32 = load_model(folder).prefixes(CODES[np.newaxis])[0]
    return found


@pytest.mark.parametrize("share", [0.25, 0.6])
def test_a_fused_class_is_the_weighted_mean_of_log_odds_and_its_highest_label_s(folder: Path, share: float) -> None:
    assert fuse(folder, "--set", f"fusion.label_share={share}") == 0
    alone, fused = (log_odds(outputs(folder / name)) for name in ("lstm", "fused"))
    for column, names in enumerate(LABELS_OF.values()):
        if names:
            wanted = (1.0 - share) * alone[:, column] + share * (highest_label(names) + OFFSET)
            assert np.abs(fused[:, LABELS + column] - wanted).max() < 1e-3


def test_a_class_without_labels_stays_the_lstm_s(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert fuse(folder) == 0
    said = capsys.readouterr().out
    assert said == "lstm: 6 AudioSet labels and 3 classes of the LSTM; 2 of them fused, 30% of each is its labels\n"
    assert np.abs(outputs(folder / "fused")[:, LABELS + 1] - outputs(folder / "lstm")[:, 1]).max() < 1e-6


def test_the_labels_before_the_classes_are_the_read_out_s(folder: Path) -> None:
    assert fuse(folder) == 0
    found = outputs(folder / "fused")
    assert found.shape == (len(CODES), LABELS + len(LABELS_OF))
    assert np.abs(found[:, :LABELS] - made_readout().probabilities(CODES)).max() < 1e-5


def test_without_classes_the_labels_stand_beside_an_lstm_that_nothing_is_fused_into(folder: Path) -> None:
    assert convert("fuse", folder / "lstm", "--embedder", folder / "embedder" / EMBEDDER, "-o", folder / "fused") == 0
    facts = read_json(folder / "fused" / "sequence.json")
    assert facts["fused"] == []
    assert "label_share" not in facts
    found = outputs(folder / "fused")
    assert np.abs(found[:, LABELS:] - outputs(folder / "lstm")).max() < 1e-6
    assert np.abs(found[:, :LABELS] - made_readout().probabilities(CODES)).max() < 1e-5


def test_without_an_lstm_the_read_out_is_the_whole_model(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    embedder = folder / "embedder" / EMBEDDER
    assert convert("fuse", "--embedder", embedder, "-o", folder / "readout") == 0
    assert capsys.readouterr().out == "readout: 6 AudioSet labels\n"
    facts = read_json(folder / "readout" / "sequence.json")
    assert (facts["model"], facts["labels"], facts["context"]) == ("readout", [], 1)
    assert facts["audioset"] == [[label.name, label.mid] for label in AUDIOSET]
    assert facts["made_of"] == CodeEmbedder.load(embedder).made_of
    assert np.abs(outputs(folder / "readout") - made_readout().probabilities(CODES)).max() < 1e-5


@pytest.mark.parametrize("name", ["fused", "readout"])
def test_the_exported_step_is_the_model(folder: Path, name: str) -> None:
    assert fuse(folder) == 0
    assert convert("fuse", "--embedder", folder / "embedder" / EMBEDDER, "-o", folder / "readout") == 0
    model = load_model(folder / name)
    errors = streaming.step_errors(
        streaming.export_step(model, "float32"), model, "float32", read_facts(folder / name).context, CODES
    )
    assert max(errors.largest_difference_prefix or 1.0, errors.largest_difference_bank or 1.0) < 1e-5


def test_a_padded_batch_gives_the_read_out_of_each_example_s_last_frame(folder: Path) -> None:
    assert fuse(folder) == 0
    assert convert("fuse", "--embedder", folder / "embedder" / EMBEDDER, "-o", folder / "readout") == 0
    frames = np.array([7, 40], np.int32)
    wanted = made_readout().probabilities(CODES[frames - 1])
    for name in ("fused", "readout"):
        found = load_model(folder / name).predict(np.stack([CODES, CODES]), frames)
        assert np.abs(found[:, :LABELS] - wanted).max() < 1e-5


def test_a_model_of_unknown_records_becomes_one_of_the_read_out_s_embedder(folder: Path) -> None:
    assert fuse(folder) == 0
    made_of = read_json(folder / "fused" / "sequence.json")["made_of"]
    assert made_of == CodeEmbedder.load(folder / "embedder" / EMBEDDER).made_of


def test_a_model_without_log_odds_to_fuse_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_lstm(folder, options("lstm", layers=1, cells=6, head="moe"))
    assert fuse(folder) == 2
    assert "logistic head" in capsys.readouterr().err
    write_lstm(folder, LSTM)
    assert fuse(folder) == 0
    (folder / "fused").rename(folder / "once")
    embedder = ("--embedder", folder / "embedder" / EMBEDDER)
    for source in ("once", "readout"):
        assert convert("fuse", *embedder, "-o", folder / "readout") == 0
        assert convert("fuse", folder / source, *embedder, "-o", folder / "twice") == 2
    assert not (folder / "twice").exists()


def test_a_label_that_the_read_out_lacks_is_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_classes(folder, {**LABELS_OF, "sneeze": ["Sneezing"]})
    assert fuse(folder) == 2
    said = capsys.readouterr().err
    assert said == "convert fuse: 'Sneezing' is no AudioSet label of the read-out; see to its spelling in the file of classes\n"


def test_an_embedder_without_a_read_out_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "embedder" / FILE).unlink()
    assert fuse(folder) == 2
    assert "has no read-out of AudioSet's labels beside it; only YAMNet's body has one" in capsys.readouterr().err


def test_a_read_out_that_is_damaged_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arrays = read_arrays(folder / "embedder" / FILE)
    write_arrays(folder / "embedder" / FILE, {**arrays, "names": arrays["names"][:-1]})
    assert fuse(folder) == 1
    assert "is not what export-embedder writes" in capsys.readouterr().err
