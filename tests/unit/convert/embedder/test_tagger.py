"""A tagger is any TFLite model that scores one window; any other file is rejected in one sentence."""

from pathlib import Path

import numpy as np
import pytest

from convert.embedder.tagger import Tagger
from edge_detector.errors import UsageError


def test_a_file_that_is_no_model_is_rejected(tmp_path: Path) -> None:
    path = tmp_path / "notes.tflite"
    path.write_text("not a model")
    for wrong in (path, tmp_path / "absent.tflite"):
        with pytest.raises(UsageError, match="is not a TFLite model that can be loaded"):
            Tagger(wrong)


@pytest.mark.data
def test_yamnet_scores_windows(data: Path) -> None:
    tagger = Tagger(data / "peers" / "yamnet.tflite")
    windows = np.zeros((2, 15_600), np.float32)
    windows[1] = 0.3 * np.sin(2 * np.pi * 440 * np.arange(15_600) / 16_000)
    scores = tagger.scores(windows)
    names = (data / "peers" / "yamnet_label_list.txt").read_text(encoding="utf-8").splitlines()
    assert scores.shape == (2, 521)
    assert names[int(scores[0].argmax())] == "Silence"
    assert scores[1].max() > 0.1
    assert names[int(scores[1].argmax())] != "Silence"
