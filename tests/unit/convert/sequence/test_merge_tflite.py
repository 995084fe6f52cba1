"""Two sequence models in one file: what each says by itself, they say together, bit for bit."""

import numpy as np
import pytest

from convert.embedder.runtime import DEFAULT_BUNDLE
from convert.sequence.probe_codes import stream_codes
from convert.sequence.steps import Step
from edge_detector.detection.bundle import load_bundle
from edge_detector.errors import EdgeDetectorError

pytest.importorskip("tensorflow")

from convert.sequence import merge_tflite
from convert.sequence.models import build_model
from convert.sequence.streaming import export_step
from convert.tf.tflite import Precision
from tests.support.models import options

ROWS = 4
CODES = stream_codes(12, 5)


def step(kind: str = "lstm", classes: int = 3, precision: Precision = "float32", seed: int = 0) -> Step:
    model = build_model(kind, options(kind, layers=2, cells=6, clusters=8, hidden=5, mixtures=2), classes, seed)
    return Step(export_step(model, precision), model.state_shapes, classes)


FIRST = step(classes=4, seed=1)


@pytest.mark.parametrize("precision", ["float32", "float16", "dynamic"])
@pytest.mark.parametrize("kind", ["lstm", "dbof", "frame-logistic"])
def test_merged_steps_of_every_kind_and_precision_give_what_each_gives_alone(kind: str, precision: Precision) -> None:
    second = step(kind, precision=precision)
    both = merge_tflite.joined(FIRST, second, (0, 1, 2, 3), ROWS, CODES)
    found = both.in_a_bank(ROWS, CODES)
    assert np.array_equal(found[:, :4], FIRST.in_a_bank(ROWS, CODES))
    assert np.array_equal(found[:, 4:], second.in_a_bank(ROWS, CODES))


def test_classes_can_be_left_out() -> None:
    both = merge_tflite.joined(FIRST, step(), (3, 1), ROWS, CODES)
    assert both.classes == 5
    assert np.array_equal(both.in_a_bank(ROWS, CODES)[:, :2], FIRST.in_a_bank(ROWS, CODES)[:, [3, 1]])


def test_a_merged_step_can_be_merged_again() -> None:
    third = step(seed=7)
    both = merge_tflite.joined(FIRST, step(), (0, 1, 2, 3), ROWS, CODES)
    three = merge_tflite.joined(both, third, tuple(range(7)), ROWS, CODES)
    assert sorted(three.states) == sorted(f"{name}{end}" for name in ("h0", "c0", "h1", "c1") for end in ("", "_2", "_3"))
    assert np.array_equal(three.in_a_bank(ROWS, CODES)[:, 7:], third.in_a_bank(ROWS, CODES))


def test_the_default_bundle_can_be_merged() -> None:
    shipped = Step.of_bundle(load_bundle(DEFAULT_BUNDLE))
    both = merge_tflite.joined(shipped, step(), tuple(range(shipped.classes)), 10, CODES)
    assert both.classes == shipped.classes + 3


def test_a_merge_that_changes_an_output_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    join = merge_tflite._join_files  # noqa: SLF001 - to give it other weights than were asked for
    other = step(seed=9)
    monkeypatch.setattr(merge_tflite, "_join_files", lambda first, _, names, kept: join(first, other.content, names, kept))
    with pytest.raises(EdgeDetectorError, match="differs from its two parts"):
        merge_tflite.joined(FIRST, step(), (0, 1, 2, 3), ROWS, CODES)


def test_a_file_without_a_step_is_refused() -> None:
    embedder = load_bundle(DEFAULT_BUNDLE).embedder
    with pytest.raises(EdgeDetectorError, match="cannot be merged with another"):
        merge_tflite.joined(FIRST, Step(embedder, {"h0": (6,)}, 3), (0,), ROWS, CODES)
