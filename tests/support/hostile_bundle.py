"""The bundle that ships with something in it changed, and signed again: whoever makes a bundle signs it."""

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from edge_detector.detection.bundle import FILES, MANIFEST, SEQUENCE
from edge_detector.detection.tflite import interpreter_class
from edge_detector.service.factory import DEFAULT_BUNDLE

LEAST_WEIGHTS = 32


def signed_bundle(
    folder: Path, files: Mapping[str, bytes] | None = None, change: Callable[[dict[str, Any]], object] = lambda _manifest: None
) -> Path:
    """A new folder with these files in place of the shipped ones, and a change of the manifest's values."""
    shutil.copytree(DEFAULT_BUNDLE, folder)
    for name, content in (files or {}).items():
        (folder / name).write_bytes(content)
    manifest = json.loads((folder / MANIFEST).read_bytes())
    manifest["files"] = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in FILES}
    change(manifest)
    (folder / MANIFEST).write_text(json.dumps(manifest))
    return folder


def sequence_of(value: float) -> bytes:
    """The shipped sequence model with `value` in place of its weights."""
    content = (DEFAULT_BUNDLE / SEQUENCE).read_bytes()
    interpreter = interpreter_class()(model_content=content)
    interpreter.allocate_tensors()
    # Before a run, an intermediate result is whatever was in memory, such as a piece of the file.
    for tensor in interpreter.get_input_details():
        interpreter.set_tensor(tensor["index"], np.zeros(tensor["shape"], tensor["dtype"]))
    interpreter.invoke()
    changed = 0
    for tensor in interpreter.get_tensor_details():
        if tensor["dtype"] not in (np.float16, np.float32) or np.prod(tensor["shape"]) < LEAST_WEIGHTS:
            continue
        try:
            constant = interpreter.get_tensor(tensor["index"])
        except ValueError:  # an intermediate result, of which there is none yet
            continue
        old = constant.tobytes()
        if any(old) and old in content:
            content = content.replace(old, np.full(constant.shape, value, constant.dtype).tobytes())
            changed += 1
    assert changed, "the network has constants"
    return content
