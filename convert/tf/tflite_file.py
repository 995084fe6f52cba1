"""Editing of TFLite files as objects: tensors and operators are added, everything else stays unchanged to the byte."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tensorflow.lite.python import schema_py_generated as schema
from tensorflow.lite.tools import flatbuffer_utils

LEFT_OUT = -1
"""Index of an optional input that an operator does not use."""


def parsed(content: bytes) -> Any:  # noqa: ANN401 - the objects of a TFLite file have no types
    """Parse a file into objects."""
    return flatbuffer_utils.convert_bytearray_to_object(bytearray(content))


def packed(model: Any) -> bytes:  # noqa: ANN401 - as above
    """Serialise objects into a file."""
    return bytes(flatbuffer_utils.convert_object_to_bytearray(model))


def add_tensor(model: Any, name: str, shape: tuple[int, ...], values: NDArray[Any] | None = None) -> int:  # noqa: ANN401 - as above
    """Add a float32 tensor, or a constant of float32 or int32 values, and return its index."""
    data = None if values is None else np.frombuffer(np.ascontiguousarray(values).tobytes(), np.uint8)
    whole = values is not None and values.dtype == np.int32
    model.buffers.append(schema.BufferT(data=data))
    tensor = schema.TensorT(
        name=name.encode(),
        shape=np.array(shape, np.int32),
        type=schema.TensorType.INT32 if whole else schema.TensorType.FLOAT32,
        buffer=len(model.buffers) - 1,
        hasRank=True,
    )
    model.subgraphs[0].tensors.append(tensor)
    return len(model.subgraphs[0].tensors) - 1


def add_operator(model: Any, name: str, options: Any, inputs: Sequence[int], output: int) -> None:  # noqa: ANN401 - as above
    """Add an operator after the others, such as GATHER with schema.GatherOptionsT; LEFT_OUT stands for an unused input."""
    code = getattr(schema.BuiltinOperator, name)
    model.operatorCodes.append(schema.OperatorCodeT(deprecatedBuiltinCode=code, builtinCode=code))
    operator = schema.OperatorT(
        opcodeIndex=len(model.operatorCodes) - 1,
        inputs=np.array(inputs, np.int32),
        outputs=np.array([output], np.int32),
        builtinOptionsType=getattr(schema.BuiltinOptions, type(options).__name__.removesuffix("T")),
        builtinOptions=options,
    )
    model.subgraphs[0].operators.append(operator)


def set_interface(model: Any, signature: Any, inputs: Mapping[str, int], outputs: Mapping[str, int]) -> None:  # noqa: ANN401 - as above
    """Set the inputs and outputs of the graph and of its signature, by name."""
    graph = model.subgraphs[0]
    graph.inputs, graph.outputs = (np.array(list(tensors.values()), np.int32) for tensors in (inputs, outputs))
    signature.inputs, signature.outputs = _named(inputs), _named(outputs)


def _named(tensors: Mapping[str, int]) -> list[Any]:
    return [schema.TensorMapT(name=name.encode(), tensorIndex=index) for name, index in tensors.items()]
