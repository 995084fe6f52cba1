"""Two opinions become one: an LSTM's, and the one that its embedder has of its teacher's classes."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from convert.commands.export import stream_codes
from convert.data.peer import LABELS, NAMES_BY_MID
from convert.files import write_arrays
from convert.serving import digest_of_pca
from edge_detector.core.embedding import Pca, dequantise
from edge_detector.types import Float32
from tests.convert.tiny_recipe import convert

pytest.importorskip("tensorflow")

from convert.graphs.models import Options, build_model, load_model, streaming

MIDS = {"dog_bark": "/m/05tny_", "gong": "/m/01m2v", "sneeze": "/m/01hsr_"}
LSTM = Options(layers=1, cells=6, head="logistic")
RNG = np.random.default_rng(1)
NAMES = [str(name) for name in RNG.permutation([name for names in NAMES_BY_MID.values() for name in names])]
PCA = Pca(
    (np.linalg.qr(RNG.normal(size=(128, 128)))[0] * RNG.uniform(0.5, 2.0, (128, 1))).astype(np.float32),
    RNG.normal(size=128).astype(np.float32),
)
TEACHER = {
    "teacher/kernel": RNG.normal(0.0, 0.2, (128, len(NAMES))).astype(np.float32),
    "teacher/bias": RNG.normal(size=len(NAMES)).astype(np.float32),
}
CODES = stream_codes(40, seed=2)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What train and train-embedder leave, a teacher's labels, and the classes' identifiers."""
    for name in ("lstm", "embedder"):
        (tmp_path / name).mkdir()
    write_lstm(tmp_path, LSTM)
    write_arrays(tmp_path / "embedder" / "learnt.npz", TEACHER)
    write_arrays(tmp_path / "embedder" / "pca.npz", {"pca_eigen_vectors": PCA.matrix, "pca_means": PCA.means})
    (tmp_path / LABELS).write_text("\n".join(NAMES), encoding="utf-8")
    (tmp_path / "classes.json").write_text(json.dumps({slug: {"label": slug, "mid": mid} for slug, mid in MIDS.items()}))
    return tmp_path


def write_lstm(folder: Path, options: Options, **facts: object) -> None:
    model = build_model("lstm", options, len(MIDS), seed=3)
    more = {"labels": list(MIDS), "classes": {}, "made_of": {}, "context": 10, **facts}
    (folder / "lstm" / "sequence.json").write_text(json.dumps({**model.facts, **more}))
    write_arrays(folder / "lstm" / "weights.npz", {name: 3.0 * v.numpy() for name, v in model.variables_by_name.items()})


def fuse(folder: Path, *more: object) -> int:
    source = ("--embedder-source", folder / "embedder", "--teacher", folder / "yamnet.tflite")
    return convert("fuse", folder / "lstm", *source, "--classes", folder / "classes.json", *more, "-o", folder / "fused")


def log_odds(probabilities: Float32) -> Any:  # noqa: ANN401 - an array of any precision
    exact = probabilities.astype(np.float64)
    return np.log(exact / (1.0 - exact))


def teachers_log_odds(mid: str) -> Any:  # noqa: ANN401 - as above
    """From codes back to the embedding, through the teacher's layer; the highest of the names that speak for the class."""
    embedding = np.linalg.solve(PCA.matrix.astype(np.float64), dequantise(CODES).T.astype(np.float64)).T + PCA.means
    scores = np.maximum(embedding, 0.0) @ TEACHER["teacher/kernel"] + TEACHER["teacher/bias"]
    return scores[:, [NAMES.index(name) for name in NAMES_BY_MID[mid]]].max(axis=1)


@pytest.mark.parametrize("share", [0.25, 0.6])
def test_log_odds_are_the_weighed_mean_of_both_opinions(folder: Path, share: float) -> None:
    assert fuse(folder, "--share", share) == 0
    alone, fused = (log_odds(load_model(folder / name).prefixes(CODES[np.newaxis])[0]) for name in ("lstm", "fused"))
    for column, mid in ((0, MIDS["dog_bark"]), (2, MIDS["sneeze"])):
        wanted = (1.0 - share) * alone[:, column] + share * (teachers_log_odds(mid) + 2.0)
        assert np.abs(fused[:, column] - wanted).max() < 1e-3


def test_of_a_class_that_the_teacher_does_not_know_the_lstm_is_heard_alone(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fuse(folder) == 0
    assert "it has none of gong" in capsys.readouterr().out
    alone, fused = (load_model(folder / name).prefixes(CODES[np.newaxis])[0] for name in ("lstm", "fused"))
    assert np.abs(fused[:, 1] - alone[:, 1]).max() < 1e-6


def test_the_exported_step_is_the_fused_model(folder: Path) -> None:
    assert fuse(folder) == 0
    model = load_model(folder / "fused")
    errors = streaming.step_errors(streaming.export_step(model, "float32"), model, 10, CODES)
    assert max(errors["largest_difference_prefix"], errors["largest_difference_bank"]) < 1e-5


def test_an_lstm_of_another_embedder_s_codes_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_lstm(folder, LSTM, made_of={"pca": digest_of_pca(PCA)})
    assert fuse(folder) == 0
    write_lstm(folder, LSTM, made_of={"pca": digest_of_pca(Pca(PCA.matrix, PCA.means + 1.0))})
    assert fuse(folder) == 2
    assert "records of another embedder" in capsys.readouterr().err


def test_what_has_no_log_odds_to_weigh_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_lstm(folder, Options(layers=1, cells=6, head="moe"))
    assert fuse(folder) == 2
    assert "logistic head" in capsys.readouterr().err
    write_lstm(folder, LSTM)
    assert fuse(folder) == 0
    (folder / "fused").rename(folder / "once")
    assert convert("fuse", folder / "once", "--embedder-source", folder, "--teacher", folder, "-o", folder / "twice") == 2


def test_an_embedder_without_a_teacher_or_with_nothing_in_common_is_refused(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "classes.json").write_text("{}")
    assert fuse(folder) == 2
    assert "knows none of these classes" in capsys.readouterr().err
    write_arrays(folder / "embedder" / "learnt.npz", {"classes/bias": np.zeros(3, np.float32)})
    assert fuse(folder) == 2
    assert "train it with --teacher" in capsys.readouterr().err
