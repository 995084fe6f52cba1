"""The exported step is the offline model: at every prefix, in every window of a bank, for any number of rows."""

from functools import cache
from typing import Any

import numpy as np
import pytest

from convert.sequence.exported_step import StepErrors
from convert.sequence.probe_codes import stream_codes
from convert.sequence.steps import Step
from edge_detector.detection.bundle import SEQUENCE_KINDS
from edge_detector.detection.state_bank import StateBank
from edge_detector.errors import EdgeDetectorError
from tests.support.models import options

tf = pytest.importorskip("tensorflow")

from convert.sequence import streaming  # noqa: E402 - after TensorFlow was found
from convert.sequence.base import SequenceModel  # noqa: E402 - after TensorFlow was found
from convert.sequence.models import MODELS, build_model  # noqa: E402 - after TensorFlow was found
from convert.tf.tflite import Precision  # noqa: E402

ROWS = 10
CODES = stream_codes(300, seed=1)
VARIANTS: dict[str, dict[str, Any]] = {
    "lstm": {},
    "lstm of one layer and a logistic": {"layers": 1, "head": "logistic"},
    "lstm with a read-out": {"layers": 1, "head": "logistic", "readout_labels": 3, "readout_scores": 2},
    "readout": {"readout_labels": 5},
    "dbof": {},
    "dbof of relu6": {"activation": "relu6"},
    "dbof of averages": {"pooling": "average"},
    "dbof without batch norm": {"batch_norm": False},
    "frame-logistic": {},
    "moe": {},
    "logistic": {},
}


@cache
def model(name: str) -> SequenceModel:
    sizes = {"layers": 2, "cells": 32, "clusters": 48, "hidden": 16, **VARIANTS[name]}
    kind = name.split(" ", maxsplit=1)[0]
    built = build_model(kind, options(kind, **sizes), classes=5, seed=1)
    rng = np.random.default_rng(2)
    for key, variable in built.variables_by_name.items():
        if key.endswith(("beta", "mean")):
            variable.assign(rng.normal(0.0, 0.3, variable.shape))
        elif key.endswith(("gamma", "variance")):
            variable.assign(rng.uniform(0.5, 2.0, variable.shape))
        elif key.startswith("readout/"):
            variable.assign(rng.normal(0.0, 0.1, variable.shape))
        else:
            # Far from its small random start, so that gates saturate and old frames matter.
            variable.assign(variable * 3.0)
    return built


@cache
def exported(name: str, precision: Precision = "float32") -> bytes:
    return streaming.export_step(model(name), precision)


def test_a_bundle_may_hold_each_of_the_models() -> None:
    assert set(SEQUENCE_KINDS) == set(MODELS)


@pytest.mark.parametrize("name", VARIANTS)
def test_streaming_equals_offline_at_every_prefix_to_300(name: str) -> None:
    step = streaming.open_step(exported(name), model(name), rows=1)
    found = streaming.stream_prefixes(step, model(name), CODES)
    wanted = model(name).prefixes(CODES[np.newaxis])[0]
    assert np.abs(found - wanted).max() <= 1e-5
    assert np.abs(np.diff(wanted, axis=0)).max() > 1e-3, "every frame says the same: nothing was tested"


@pytest.mark.parametrize("name", VARIANTS)
def test_the_sliding_bank_equals_offline_on_each_window_of_the_last_frames(name: str) -> None:
    found = Step(exported(name), model(name).state_shapes, model(name).classes).in_a_bank(ROWS, CODES[:60])
    for end in range(1, 61):
        window = CODES[np.newaxis, max(0, end - ROWS) : end]
        wanted = model(name).predict(window, np.array([window.shape[1]], np.int32))[0]
        assert np.abs(found[end - 1] - wanted).max() <= 1e-5, f"at frame {end}"
    assert np.allclose(found, streaming.sliding_offline(model(name), CODES[:60], ROWS), atol=1e-6)


@pytest.mark.parametrize("name", ["dbof", "dbof of relu6", "dbof without batch norm"])
def test_dbofs_running_maximum_is_the_maximum_of_all_frames_to_the_bit(name: str) -> None:
    step = streaming.open_step(exported(name), model(name), rows=1)
    empty = StateBank.empty(1, list(model(name).state_shapes.values())).states
    alone = np.stack([step.step(frame, 0, empty)[1][0][0] for frame in CODES])
    states = empty
    for number, frame in enumerate(CODES, start=1):
        _, states = step.step(frame, 0, states)
        assert np.array_equal(states[0][0], alone[:number].max(axis=0)), f"after {number} frames"
        assert states[1][0, 0] == number


@pytest.mark.parametrize("name", VARIANTS)
def test_one_row_gives_what_the_same_row_gives_among_ten(name: str) -> None:
    one, ten = (streaming.open_step(exported(name), model(name), rows) for rows in (1, ROWS))
    bank = StateBank.empty(ROWS, list(model(name).state_shapes.values()))
    for frame in CODES[:23]:
        _, states = ten.step(frame, 0, bank.with_due_row_zeroed().states)
        bank = bank.stepped(states)
    for row in range(ROWS):
        wide, after_wide = ten.step(CODES[row], row, bank.states)
        narrow, after_narrow = one.step(CODES[row], 0, tuple(state[row : row + 1] for state in bank.states))
        assert np.abs(wide - narrow).max() <= 1e-6
        for wide_state, narrow_state in zip(after_wide, after_narrow, strict=True):
            assert np.allclose(wide_state[row], narrow_state[0], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", MODELS)
def test_a_gap_clears_the_bank(name: str) -> None:
    step = streaming.open_step(exported(name), model(name), ROWS)
    bank = StateBank.empty(ROWS, list(model(name).state_shapes.values())).with_due_row_zeroed()
    found, _ = step.step(CODES[50], bank.next_row, bank.states)
    wanted = model(name).predict(CODES[np.newaxis, 50:51], np.array([1], np.int32))[0]
    assert np.abs(found - wanted).max() <= 1e-5


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("precision", ["float16", "dynamic"])
def test_a_smaller_precision_stays_near_the_offline_model(name: str, precision: Precision) -> None:
    errors = streaming.step_errors(exported(name, precision), model(name), precision, ROWS, CODES)
    streaming.require_equal(errors)
    assert errors.largest_difference_prefix is not None
    assert errors.mean_difference_prefix is not None
    assert errors.largest_difference_prefix <= streaming.LARGEST_DIFFERENCE[precision]
    assert errors.mean_difference_prefix <= streaming.LARGEST_DIFFERENCE[precision] / 5
    assert errors.frames == 300


def test_a_step_that_is_not_finite_is_refused() -> None:
    broken = build_model("lstm", options("lstm", layers=1, cells=8), classes=5)
    broken.weights["experts/bias"].assign(np.full(10, np.nan, np.float32))
    errors = streaming.step_errors(streaming.export_step(broken, "float32"), broken, "float32", ROWS, CODES[:12])
    with pytest.raises(EdgeDetectorError, match="not finite"):
        streaming.require_equal(errors)


def test_a_read_out_may_differ_by_twice_as_much() -> None:
    errors = StepErrors("float32", 300, ROWS, finite=True, bytes=1, largest_difference_bank=1.5e-5)
    streaming.require_equal(errors, readout_labels=521)
    with pytest.raises(EdgeDetectorError, match=r"float32 may differ by 1e-05"):
        streaming.require_equal(errors)


def test_a_step_of_other_weights_is_refused() -> None:
    other = build_model("lstm", model("lstm").options, classes=5, seed=9)
    errors = streaming.step_errors(exported("lstm"), other, "float32", ROWS, CODES[:12])
    with pytest.raises(EdgeDetectorError, match="differs from the offline graph"):
        streaming.require_equal(errors)
