"""Interfaces of the two networks."""

from typing import Protocol

from edge_detector.types import Codes, Float32


class Embedder(Protocol):
    """The embedding network."""

    def embed(self, log_mel: Float32) -> Float32:
        """Return the raw embedding float32 (128,) of a log-mel patch float32 (96, 64)."""


class SequenceStep(Protocol):
    """One step of the sequence model for all rows of a bank."""

    def step(self, codes: Codes, row: int, states: tuple[Float32, ...]) -> tuple[Float32, tuple[Float32, ...]]:
        """Return the probabilities float32 (V,) of `row`, and the states after the step."""
