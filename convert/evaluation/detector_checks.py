"""Comparison of the detector's streaming path with the files of its bundle, run window by window."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from convert.embedder.runtime import stream_probabilities
from edge_detector.detection.bundle import Bundle
from edge_detector.detection.embedding import quantise
from edge_detector.detection.linear_classifier import RECENT_FRAMES
from edge_detector.detection.logmel import patches
from edge_detector.detection.networks_of_bundle import networks_of
from edge_detector.detection.state_bank import StateBank
from edge_detector.detection.tflite import TfliteSequenceStep
from edge_detector.errors import UsageError
from edge_detector.types import Codes, Float32

LARGEST_STREAM_DIFFERENCE = {"float32": 1e-5, "float16": 1e-5, "dynamic": 2e-2}
"""Between the detector's sliding bank and one fresh state per window, through the same file.

In dynamic precision the file quantises a row's activations at run time, alone or among ten."""


@dataclass(frozen=True, slots=True)
class DetectorCheck:
    """Result of the comparison.

    Attributes:
        frames: number of windows.
        finite: every probability is a number.
        same_for_any_block_size: the stream gives the same probabilities in blocks of 1,000 samples and in one block.
        largest_difference: between stream and single windows; None unless finite.
        allowed: its limit.
        passed: all of this holds.

    """

    frames: int
    finite: bool
    same_for_any_block_size: bool
    largest_difference: float | None
    allowed: float
    passed: bool


def precision_of(bundle: Bundle, part: str) -> str:
    """Return the precision of a part by the manifest, by default "float32"."""
    facts = bundle.manifest.parity.get(part)
    return str(facts.get("precision", "float32")) if isinstance(facts, Mapping) else "float32"


def detector_checks(bundle: Bundle, samples: Float32) -> DetectorCheck:
    """Compare the detector's path with the same files run window by window, each from a fresh state."""
    model = networks_of(bundle)
    streamed = stream_probabilities(model, samples, block_samples=1_000)
    whole = stream_probabilities(model, samples)
    codes = np.stack(
        [quantise(model.embedder.embed(patch), model.pca) for patch in patches(samples, log_offset=model.log_offset)]
    )
    windowed = _window_by_window(bundle, codes)
    finite = bool(np.isfinite(streamed).all() and np.isfinite(windowed).all())
    difference = float(np.abs(streamed - windowed).max()) if finite else None
    precision = precision_of(bundle, "sequence")
    if precision not in LARGEST_STREAM_DIFFERENCE:
        known = ", ".join(LARGEST_STREAM_DIFFERENCE)
        raise UsageError(f"the manifest's parity.sequence.precision is {precision[:40]!r}; it must be one of {known}")
    allowed = LARGEST_STREAM_DIFFERENCE[precision]
    same = bool(np.array_equal(streamed, whole))
    return DetectorCheck(
        frames=len(codes),
        finite=finite,
        same_for_any_block_size=same,
        largest_difference=difference,
        allowed=allowed,
        passed=same and difference is not None and difference <= allowed,
    )


def _window_by_window(bundle: Bundle, codes: Codes) -> Float32:
    spec = bundle.manifest.sequence
    shapes = {state.name: state.shape for state in spec.states}
    step = TfliteSequenceStep(bundle.sequence, rows=1, states=shapes, classes=bundle.manifest.named_outputs.of_step)
    found = []
    for end in range(1, len(codes) + 1):
        states = StateBank.empty(1, list(shapes.values())).states
        for frame in codes[max(end - spec.context_frames, 0) : end]:
            probabilities, states = step.step(frame, 0, states)
        taught = () if bundle.taught is None else (bundle.taught.probabilities(codes[max(end - RECENT_FRAMES, 0) : end]),)
        found.append(np.concatenate([probabilities, *taught]))
    return np.stack(found)
