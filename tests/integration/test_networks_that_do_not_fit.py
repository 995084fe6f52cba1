"""Networks whose files declare one thing and do another are refused with a sentence."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from edge_detector.detection.tflite import Graph, TfliteEmbedder, TfliteSequenceStep
from edge_detector.errors import BundleError

tf = pytest.importorskip("tensorflow")

from convert.tf.tflite import to_tflite  # noqa: E402 - it needs TensorFlow

Inputs = dict[str, tuple[list[int | None], str]]
STATE = "h0"
INPUTS: Inputs = {"embedding": ([1, 128], "uint8"), "row": ([1], "int32"), STATE: ([None, 4], "float32")}


def exported(signature: str, inputs: Inputs, compute: Callable[..., dict[str, Any]]) -> bytes:
    module = tf.Module()
    specs = {name: tf.TensorSpec(shape, dtype, name) for name, (shape, dtype) in inputs.items()}
    names = list(specs)
    function = tf.function(lambda *values: compute(dict(zip(names, values, strict=True))), input_signature=list(specs.values()))
    return to_tflite(module, function.get_concrete_function(), signature, "float32")


def content_of_step(probabilities: Callable[[Any], Any]) -> bytes:
    def compute(given: dict[str, Any]) -> dict[str, Any]:
        scores = tf.cast(given["embedding"], tf.float32) / 255.0 + 0.0 * tf.cast(given["row"], tf.float32)
        return {"probabilities": probabilities(scores), f"next_{STATE}": given[STATE] + 1.0}

    return exported("step", INPUTS, compute)


def test_a_state_with_the_name_of_a_parameter_is_an_input_like_any_other() -> None:
    graph = Graph(content_of_step(lambda scores: scores[:, :3]), "step", rows=2)
    with pytest.raises(BundleError, match="the model cannot be run"):
        graph.run(self=np.zeros((2, 4), np.float32))


def test_an_output_of_a_free_size_is_refused_once_it_has_another_size() -> None:
    content = content_of_step(lambda scores: tf.boolean_mask(scores, scores[0] > 0.5, axis=1))
    short = TfliteSequenceStep(content, rows=2, states={STATE: (4,)}, classes=3)
    codes = np.zeros(128, np.uint8)
    codes[:2] = 255
    with pytest.raises(BundleError, match=r"output 'probabilities' has the shape \(1, 2\), expected \(1, 3\)"):
        short.step(codes, 0, (np.zeros((2, 4), np.float32),))


def test_an_embedder_with_an_input_of_its_own_is_refused() -> None:
    inputs: Inputs = {"log_mel": ([1, 96, 64], "float32"), "mood": ([1], "float32")}
    content = exported(
        "embed", inputs, lambda given: {"embedding": tf.reduce_mean(given["log_mel"]) + tf.tile(given["mood"], [128])[None]}
    )
    with pytest.raises(BundleError, match="the embedder has inputs that the detector does not give: mood"):
        TfliteEmbedder(content)
