"""Merge of two streaming steps into one TFLite file: operators side by side, weights unchanged, classes concatenated."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tensorflow.lite.python import schema_py_generated as schema

from convert.sequence.steps import Step
from convert.tf.tflite_file import LEFT_OUT, add_operator, add_tensor, packed, parsed, set_interface
from edge_detector.errors import EdgeDetectorError
from edge_detector.types import Codes

SIGNATURE, PROBABILITIES = "step", "probabilities"
SHARED_INPUTS = ("embedding", "row")


def joined(first: Step, second: Step, kept: Sequence[int], rows: int, codes: Codes) -> Step:
    """Return a step that runs both on the same embeddings: the `kept` classes of the first, then all classes of the second.

    The states of the first keep their names. The merged step is compared with the two: raises EdgeDetectorError unless a bank of
    `rows` rows gives bit-identical probabilities on codes uint8 (frames, 128).
    """
    names = _new_names(first.states, second.states)
    states = {**first.states, **{names[name]: shape for name, shape in second.states.items()}}
    both = Step(_join_files(first.content, second.content, names, kept), states, len(kept) + second.classes)
    alone = [step.in_a_bank(rows, codes) for step in (first, second)]
    if not np.array_equal(both.in_a_bank(rows, codes), np.concatenate([alone[0][:, list(kept)], alone[1]], axis=1)):
        message = "the merged sequence model differs from its two parts; nothing is written, give --only"
        raise EdgeDetectorError(message)
    return both


def _new_names(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, str]:
    """Return a name for each state of the second step that the first lacks: h0_2, or h0_3 if the first is a merged step."""
    number = next(number for number in itertools.count(2) if not any(f"{name}_{number}" in first for name in second))
    return {name: f"{name}_{number}" for name in second}


def _join_files(first: bytes, second: bytes, names: Mapping[str, str], kept: Sequence[int]) -> bytes:
    model, other = parsed(first), parsed(second)
    signature, signature_of_other = _signature(model), _signature(other)
    inputs, outputs = _tensors(signature.inputs), _tensors(signature.outputs)
    its_inputs, its_outputs = _tensors(signature_of_other.inputs), _tensors(signature_of_other.outputs)
    place = _append(model, other, {its_inputs[name]: inputs[name] for name in SHARED_INPUTS})
    more = place[its_outputs[PROBABILITIES]]
    classes = int(model.subgraphs[0].tensors[more].shape[-1])
    indices = add_tensor(model, "kept", (len(kept),), np.array(kept, np.int32))
    chosen = add_tensor(model, "kept_probabilities", (1, len(kept)))
    every = add_tensor(model, "joined_probabilities", (1, len(kept) + classes))
    add_operator(model, "GATHER", schema.GatherOptionsT(axis=1), [outputs[PROBABILITIES], indices], chosen)
    add_operator(model, "CONCATENATION", schema.ConcatenationOptionsT(axis=1), [chosen, more], every)
    inputs |= {new: place[its_inputs[old]] for old, new in names.items()}
    outputs |= {f"next_{new}": place[its_outputs[f"next_{old}"]] for old, new in names.items()} | {PROBABILITIES: every}
    set_interface(model, signature, inputs, outputs)
    return packed(model)


def _signature(model: Any) -> Any:  # noqa: ANN401 - objects of a TFLite file have no types
    found = [item for item in model.signatureDefs or () if item.signatureKey.decode() == SIGNATURE]
    if len(found) != 1 or len(model.subgraphs) != 1:
        raise EdgeDetectorError("the bundle's sequence model cannot be merged with another; give --only")
    return found[0]


def _tensors(named: Sequence[Any]) -> dict[str, int]:
    return {item.name.decode(): int(item.tensorIndex) for item in named}


def _append(model: Any, other: Any, shared: Mapping[int, int]) -> list[int]:  # noqa: ANN401 - as above
    """Append the other's tensors except shared ones, its operators and weights; return the new index of each tensor."""
    graph = model.subgraphs[0]
    first_buffer, first_code = len(model.buffers), len(model.operatorCodes)
    model.buffers += other.buffers
    model.operatorCodes += other.operatorCodes
    place = []
    for index, tensor in enumerate(other.subgraphs[0].tensors):
        if index not in shared:
            tensor.buffer += first_buffer
            graph.tensors.append(tensor)
        place.append(shared.get(index, len(graph.tensors) - 1))
    for operator in other.subgraphs[0].operators:
        operator.opcodeIndex += first_code
        operator.inputs = _moved(operator.inputs, place)
        operator.outputs = _moved(operator.outputs, place)
        graph.operators.append(operator)
    return place


def _moved(indices: NDArray[np.int32], place: Sequence[int]) -> NDArray[np.int32]:
    return np.array([LEFT_OUT if index == LEFT_OUT else place[index] for index in indices], np.int32)
