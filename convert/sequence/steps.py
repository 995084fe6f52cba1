"""Streaming step of a sequence model, and its probabilities in a sliding bank."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from edge_detector.detection.bundle import Bundle
from edge_detector.detection.state_bank import StateBank
from edge_detector.detection.tflite import TfliteSequenceStep
from edge_detector.types import Codes, Float32


@dataclass(frozen=True, slots=True)
class Step:
    """Streaming step: its TFLite file, the row shape of each state by name, and the number of outputs."""

    content: bytes
    states: Mapping[str, tuple[int, ...]]
    classes: int

    @classmethod
    def of_bundle(cls, bundle: Bundle) -> "Step":
        """Return the step of a bundle."""
        states = {state.name: state.shape for state in bundle.manifest.sequence.states}
        return cls(bundle.sequence, states, bundle.manifest.named_outputs.of_step)

    def in_a_bank(self, rows: int, codes: Codes) -> Float32:
        """Return probabilities float32 (frames, classes) of codes uint8 (frames, 128), through a sliding bank of `rows` rows."""
        runner = TfliteSequenceStep(self.content, rows=rows, states=self.states, classes=self.classes)
        bank = StateBank.empty(rows, list(self.states.values()))
        found = []
        for frame in codes:
            bank = bank.with_due_row_zeroed()
            probabilities, states = runner.step(frame, bank.next_row, bank.states)
            bank = bank.stepped(states)
            found.append(probabilities)
        return np.stack(found)
