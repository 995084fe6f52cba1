"""The streaming step is the offline LSTM: at every prefix, in every window of a bank, for any number of rows."""

from functools import cache
from typing import Any

import numpy as np
import pytest

from convert.commands.export import stream_codes
from edge_detector.core.bank import Bank
from edge_detector.core.embedding import dequantise
from edge_detector.errors import EdgeDetectorError

tf = pytest.importorskip("tensorflow")

from convert.graphs import lstm_export  # noqa: E402 - after TensorFlow was found
from convert.graphs.lstm import Lstm, LstmShape  # noqa: E402
from convert.graphs.tflite import Precision  # noqa: E402

ROWS = 10
CODES = stream_codes(300, seed=1)


@cache
def model(layers: int = 1) -> Lstm:
    built = Lstm(LstmShape(layers, 32, 5), seed=layers)
    # Far from its small random start, so that gates saturate and old frames matter.
    for variable in built.parameters.values():
        variable.assign(variable * 3.0)
    return built


@cache
def exported(layers: int = 1, precision: Precision = "float32") -> bytes:
    return lstm_export.export_lstm(model(layers), precision)


def offline(codes: np.ndarray[Any, Any], layers: int = 1) -> np.ndarray[Any, Any]:
    return np.asarray(model(layers).offline(codes[np.newaxis])[0])


def reference_probabilities(codes: np.ndarray[Any, Any], weights: dict[str, np.ndarray[Any, Any]]) -> np.ndarray[Any, Any]:
    """The formulas of BasicLSTMCell, gate order i, j, f, o and forget bias 1, in float64."""

    def sigmoid(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        return np.asarray(1.0 / (1.0 + np.exp(-values)))

    kernel = np.concatenate([weights["layer0/input"], weights["layer0/state"]]).astype(np.float64)
    hidden = cell = np.zeros(kernel.shape[1] // 4)
    found = []
    for frame in dequantise(codes).astype(np.float64):
        unit = frame / np.sqrt(max(float(frame @ frame), 1e-12))
        i, j, f, o = np.split(np.concatenate([unit, hidden]) @ kernel + weights["layer0/bias"], 4)
        cell = sigmoid(f + 1.0) * cell + sigmoid(i) * np.tanh(j)
        hidden = sigmoid(o) * np.tanh(cell)
        found.append(sigmoid(hidden @ weights["head/kernel"] + weights["head/bias"]))
    return np.stack(found)


def test_offline_is_youtube_8ms_cell() -> None:
    weights = {name: variable.numpy() for name, variable in model().parameters.items()}
    assert np.abs(offline(CODES[:60]) - reference_probabilities(CODES[:60], weights)).max() < 1e-5


@pytest.mark.parametrize("layers", [1, 2])
def test_streaming_equals_offline_at_every_prefix_to_300(layers: int) -> None:
    step = lstm_export.open_step(exported(layers), model(layers).shape, rows=1)
    states = tuple(np.zeros((1, 32), np.float32) for _ in model(layers).state_names)
    wanted = offline(CODES, layers)
    for frame, want in zip(CODES, wanted, strict=True):
        found, states = step.step(frame, 0, states)
        assert np.abs(found - want).max() <= 1e-5


@pytest.mark.parametrize("layers", [1, 2])
def test_the_sliding_bank_equals_offline_on_each_window_of_the_last_frames(layers: int) -> None:
    step = lstm_export.open_step(exported(layers), model(layers).shape, ROWS)
    found = lstm_export.stream(step, model(layers).shape, CODES[:120], ROWS)
    for end in range(1, 121):
        window = CODES[max(0, end - ROWS) : end]
        assert np.abs(found[end - 1] - offline(window, layers)[-1]).max() <= 1e-5, f"at frame {end}"
    assert np.allclose(found, lstm_export.sliding_offline(model(layers), CODES[:120], ROWS), atol=1e-6)


def test_one_row_gives_what_the_same_row_gives_among_ten() -> None:
    shape = model().shape
    one, ten = (lstm_export.open_step(exported(), shape, rows) for rows in (1, ROWS))
    rng = np.random.default_rng(0)
    states = tuple(rng.uniform(-1, 1, (ROWS, 32)).astype(np.float32) for _ in range(2))
    for row in range(ROWS):
        wide, after_wide = ten.step(CODES[row], row, states)
        narrow, after_narrow = one.step(CODES[row], 0, tuple(state[row : row + 1] for state in states))
        assert np.abs(wide - narrow).max() <= 1e-6
        for wide_state, narrow_state in zip(after_wide, after_narrow, strict=True):
            assert np.abs(wide_state[row] - narrow_state[0]).max() <= 1e-6


def test_a_gap_makes_the_bank_forget() -> None:
    step = lstm_export.open_step(exported(), model().shape, ROWS)
    bank = Bank.empty(ROWS, [(32,), (32,)]).with_due_row_zeroed()
    found, _ = step.step(CODES[50], bank.next_row, bank.states)
    assert np.abs(found - offline(CODES[50:51])[0]).max() <= 1e-5


@pytest.mark.parametrize("precision", ["float16", "dynamic"])
def test_a_smaller_precision_stays_near_the_offline_graph(precision: Precision) -> None:
    errors = lstm_export.step_errors(exported(1, precision), model(), ROWS, CODES[:60])
    lstm_export.require_equal(errors, precision)
    assert errors["finite"]


def test_a_step_that_is_not_finite_is_refused() -> None:
    broken = Lstm(LstmShape(1, 32, 5))
    broken.parameters["head/bias"].assign(np.full(5, np.nan, np.float32))
    errors = lstm_export.step_errors(lstm_export.export_lstm(broken, "float32"), model(), ROWS, CODES[:12])
    with pytest.raises(EdgeDetectorError, match="not finite"):
        lstm_export.require_equal(errors, "float32")


def test_a_step_of_other_weights_is_refused() -> None:
    errors = lstm_export.step_errors(exported(), Lstm(model().shape, seed=9), ROWS, CODES[:12])
    with pytest.raises(EdgeDetectorError, match="differs from the offline graph"):
        lstm_export.require_equal(errors, "float32")
