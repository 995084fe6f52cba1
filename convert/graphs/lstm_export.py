"""The trained LSTM as a streaming TFLite step, checked against the offline graph over long sequences and full banks."""

from pathlib import Path
from typing import Any

import numpy as np

from convert.files import read_arrays, read_json
from convert.graphs.lstm import Lstm, LstmShape
from convert.graphs.tflite import Precision, to_tflite
from edge_detector.core.bank import Bank
from edge_detector.edges.tflite import TfliteSequenceStep
from edge_detector.errors import EdgeDetectorError
from edge_detector.types import Codes, Float32

LARGEST_DIFFERENCE = {"float32": 1e-5, "float16": 5e-3, "dynamic": 5e-2}
"""Between a probability of the streaming step and the offline graph's."""


def load_lstm(folder: Path) -> tuple[Lstm, dict[str, Any]]:
    """What train left in a folder: the model, and sequence.json."""
    facts = read_json(folder / "sequence.json")
    weights = read_arrays(folder / "weights.npz")
    try:
        model = Lstm(LstmShape(int(facts["layers"]), int(facts["cells"]), len(facts["labels"])))
        model.load(weights)
    except (KeyError, ValueError, TypeError) as error:
        message = f"{folder} is not what train makes ({error}); train the model again"
        raise EdgeDetectorError(message) from error
    if not all(np.isfinite(value).all() for value in weights.values()):
        message = f"{folder / 'weights.npz'} holds values that are not finite; the training diverged, lower --learning-rate"
        raise EdgeDetectorError(message)
    return model, facts


def export_lstm(model: Lstm, precision: Precision) -> bytes:
    """A TFLite file with the signature step(embedding, row, h0, c0, …) -> (probabilities, next_h0, …), any number of rows."""
    return to_tflite(model, model.step_function(), "step", precision)


def state_shapes(shape: LstmShape) -> dict[str, tuple[int, ...]]:
    """Row shape of each state, by name, in the order of the bank."""
    return {f"{kind}{layer}": (shape.cells,) for layer in range(shape.layers) for kind in "hc"}


def open_step(content: bytes, shape: LstmShape, rows: int) -> TfliteSequenceStep:
    """The detector's own runner of the exported step."""
    return TfliteSequenceStep(content, rows=rows, states=state_shapes(shape), classes=shape.classes)


def stream(step: TfliteSequenceStep, shape: LstmShape, codes: Codes, rows: int) -> Float32:
    """Probabilities (frames, classes) of one stream through a sliding bank of `rows` rows."""
    bank = Bank.empty(rows, list(state_shapes(shape).values()))
    found = []
    for frame in codes:
        bank = bank.with_due_row_zeroed()
        probabilities, states = step.step(frame, bank.next_row, bank.states)
        bank = bank.stepped(states)
        found.append(probabilities)
    return np.stack(found)


def sliding_offline(model: Lstm, codes: Codes, context: int) -> Float32:
    """What the offline graph says of the last `context` frames (or all, at the start) at every frame."""
    first = model.offline(codes[np.newaxis, :context])[0]
    windows = [codes[end - context : end] for end in range(context + 1, len(codes) + 1)]
    if not windows:
        return np.asarray(first, np.float32)
    return np.concatenate([first, model.offline(np.stack(windows))[:, -1]]).astype(np.float32)


def step_errors(content: bytes, model: Lstm, context: int, codes: Codes) -> dict[str, Any]:
    """How far streaming is from offline on a stream: every prefix with one row never reset, every window with a bank."""
    shape = model.shape
    # A single row that is never zeroed has seen every frame since the start: the prefix.
    step = open_step(content, shape, 1)
    states = tuple(np.zeros((1, *row), np.float32) for row in state_shapes(shape).values())
    prefixes = []
    for frame in codes:
        probabilities, states = step.step(frame, 0, states)
        prefixes.append(probabilities)
    prefix = np.stack(prefixes)
    bank = stream(open_step(content, shape, context), shape, codes, context)
    finite = bool(np.isfinite(prefix).all() and np.isfinite(bank).all())
    result: dict[str, Any] = {"frames": len(codes), "context": context, "finite": finite, "bytes": len(content)}
    if not finite:
        return result
    return result | {
        "largest_difference_prefix": float(np.abs(prefix - model.offline(codes[np.newaxis])[0]).max()),
        "largest_difference_bank": float(np.abs(bank - sliding_offline(model, codes, context)).max()),
    }


def require_equal(errors: dict[str, Any], precision: Precision) -> None:
    """Refuse a step that is not finite or too far from the offline graph over windows it was trained on."""
    if not errors["finite"]:
        message = "the exported step gives values that are not finite; its source graph does not: nothing is written"
        raise EdgeDetectorError(message)
    if errors["largest_difference_bank"] > LARGEST_DIFFERENCE[precision]:
        message = (
            f"the exported step differs from the offline graph by {errors['largest_difference_bank']:.2g} in a probability, "
            f"{precision} may differ by {LARGEST_DIFFERENCE[precision]:g}; try another --precision"
        )
        raise EdgeDetectorError(message)
