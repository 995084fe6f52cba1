"""Both networks on the TFLite runtime: ai-edge-litert, or tflite-runtime where there is no wheel of it.

Tensors are found by their names in the model's signature, never by position.
"""

import importlib
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from edge_detector.errors import BundleError
from edge_detector.params import EMBEDDING_SIZE, FRONT_END
from edge_detector.plain_text import without_controls
from edge_detector.schema import MAX_SLUG_CHARACTERS, shown
from edge_detector.streams import discarded_native_messages
from edge_detector.types import Codes, Float32

_RUNTIMES = ("ai_edge_litert.interpreter", "tflite_runtime.interpreter")


def interpreter_class() -> Any:  # noqa: ANN401 - neither runtime ships types
    """Return the Interpreter class of the installed runtime. Raises BundleError if there is none."""
    for name in _RUNTIMES:
        try:
            return importlib.import_module(name).Interpreter
        except ModuleNotFoundError:
            continue
    raise BundleError("no TFLite runtime is installed; run: pip install ai-edge-litert")


_GRAPH_ERRORS = (ValueError, RuntimeError, SystemError, IndexError, TypeError, KeyError, OverflowError, UnicodeError, MemoryError)
"""Errors of the runtimes for a damaged or manipulated file."""
MOST_NAMES_SHOWN = 20


def _reason(error: Exception) -> str:
    """Format a runtime error, which may have several lines and untrusted names, as part of a sentence."""
    return without_controls(" ".join(str(error).split()))[:200]


def _names(tensors: Iterable[str]) -> str:
    found = sorted(tensors)
    more = ", …" if len(found) > MOST_NAMES_SHOWN else ""
    return ", ".join(shown(name[:MAX_SLUG_CHARACTERS]) for name in found[:MOST_NAMES_SHOWN]) + more


class Graph:
    """One TFLite signature, single-threaded, with tensors by name. Not thread-safe.

    Args:
        content: the .tflite file's bytes.
        signature: name of the signature to run.
        rows: first dimension given to every input whose first dimension is free.

    """

    def __init__(self, content: bytes, signature: str, *, rows: int = 1) -> None:
        try:
            # The runtime reports its delegates there, and its errors in exceptions too.
            with discarded_native_messages():
                self._load(content, signature, rows)
        except _GRAPH_ERRORS as error:
            raise BundleError(f"the model cannot be loaded ({_reason(error)}); make the bundle again") from error

    def _load(self, content: bytes, signature: str, rows: int) -> None:
        self._interpreter = interpreter_class()(model_content=content, num_threads=1)
        runner = self._interpreter.get_signature_runner(signature)
        self.inputs: Mapping[str, Any] = runner.get_input_details()
        self.outputs: Mapping[str, Any] = runner.get_output_details()
        # The runtime cannot resize and allocate while the runner holds the interpreter.
        del runner
        for details in self.inputs.values():
            if len(details["shape_signature"]) and details["shape_signature"][0] == -1:
                shape = [rows, *details["shape"][1:]]
                self._interpreter.resize_tensor_input(details["index"], shape, strict=True)
        self._interpreter.allocate_tensors()

    def require(self, tensors: Mapping[str, Any], name: str, shape: tuple[int, ...], dtype: type) -> None:
        """Raise BundleError if tensor `name` is missing or has another shape (-1 is any) or dtype."""
        details = tensors.get(name)
        if details is None:
            raise BundleError(f"the model has no tensor {name!r}, only {_names(tensors)}")
        found = tuple(int(size) for size in details["shape_signature"])
        fits = len(found) == len(shape) and all(-1 in (want, got) or want == got for want, got in zip(shape, found, strict=True))
        if fits and details["dtype"] is dtype:
            return
        raise BundleError(
            f"the model's tensor {name!r} is {details['dtype'].__name__} {found}, expected {dtype.__name__} {shape}"
        )

    def run(self, /, **inputs: np.ndarray[Any, Any]) -> None:
        """Set the inputs by name and run once; `output` returns the results. Raises BundleError if the run fails."""
        try:
            for name, value in inputs.items():
                self._interpreter.set_tensor(self.inputs[name]["index"], value)
            self._interpreter.invoke()
        except _GRAPH_ERRORS as error:
            raise BundleError(f"the model cannot be run ({_reason(error)}); make the bundle again") from error

    def output(self, name: str) -> np.ndarray[Any, Any]:
        """Return a copy of one output of the last run."""
        try:
            result: np.ndarray[Any, Any] = self._interpreter.get_tensor(self.outputs[name]["index"])
        except _GRAPH_ERRORS as error:
            raise BundleError(f"the model has no output {name!r} ({_reason(error)}); make the bundle again") from error
        return result

    def row(self, name: str, size: int) -> Float32:
        """Return the only row of an output float32 (1, size). Raises BundleError for another shape, which a free size allows."""
        result = self.output(name)
        if result.shape != (1, size):
            raise BundleError(
                f"the model's output {name!r} has the shape {result.shape}, expected (1, {size}); make the bundle again"
            )
        only: Float32 = result[0]
        return only


class TfliteEmbedder:
    """The embedding network: signature embed(log_mel float32[1,96,64]) -> embedding float32[1,128]."""

    def __init__(self, content: bytes) -> None:
        self._graph = Graph(content, "embed")
        shape = (1, FRONT_END.patch_frames, FRONT_END.mel_bands)
        self._graph.require(self._graph.inputs, "log_mel", shape, np.float32)
        self._graph.require(self._graph.outputs, "embedding", (1, EMBEDDING_SIZE), np.float32)
        if unknown := set(self._graph.inputs) - {"log_mel"}:
            raise BundleError(f"the embedder has inputs that the detector does not give: {_names(unknown)}")

    def embed(self, log_mel: Float32) -> Float32:
        """Return the raw embedding float32 (128,) of one patch float32 (96, 64)."""
        self._graph.run(log_mel=log_mel[np.newaxis])
        return self._graph.row("embedding", EMBEDDING_SIZE)


class TfliteSequenceStep:
    """One stateless step of the sequence model over all rows of a bank.

    Args:
        content: the .tflite file's bytes.
        rows: R, the rows of the bank; the graph is resized once, here.
        states: name and row shape of each state tensor, from the manifest.
        classes: V.

    """

    def __init__(self, content: bytes, *, rows: int, states: Mapping[str, tuple[int, ...]], classes: int) -> None:
        self._graph = Graph(content, "step", rows=rows)
        self._graph.require(self._graph.inputs, "embedding", (1, EMBEDDING_SIZE), np.uint8)
        self._graph.require(self._graph.inputs, "row", (1,), np.int32)
        self._graph.require(self._graph.outputs, "probabilities", (1, classes), np.float32)
        for name, shape in states.items():
            self._graph.require(self._graph.inputs, name, (-1, *shape), np.float32)
            self._graph.require(self._graph.outputs, f"next_{name}", (-1, *shape), np.float32)
        if unknown := set(self._graph.inputs) - {"embedding", "row", *states}:
            raise BundleError(f"the sequence model has inputs that its manifest does not name: {_names(unknown)}")
        self._names, self._classes = tuple(states), classes

    def step(self, codes: Codes, row: int, states: tuple[Float32, ...]) -> tuple[Float32, tuple[Float32, ...]]:
        """Return the probabilities float32 (V,) of `row`, and all states float32 (rows, …), after the step."""
        self._graph.run(
            embedding=codes[np.newaxis],
            row=np.array([row], np.int32),
            **dict(zip(self._names, states, strict=True)),
        )
        probabilities = self._graph.row("probabilities", self._classes)
        return probabilities, tuple(self._graph.output(f"next_{name}") for name in self._names)
