"""Detector of one source: log-mel, embedding, sequence step, decision."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from edge_detector.detection.bundle import SequenceSpec
from edge_detector.detection.classes import ClassMap
from edge_detector.detection.embedding import Pca, quantise
from edge_detector.detection.hysteresis import Decider, Rule
from edge_detector.detection.linear_classifier import RECENT_FRAMES, LinearClassifier
from edge_detector.detection.load_shedding import LoadShedder
from edge_detector.detection.logmel import LogMelStream
from edge_detector.detection.networks import Embedder, SequenceStep
from edge_detector.detection.state_bank import StateBank
from edge_detector.errors import BundleError
from edge_detector.params import FRONT_END
from edge_detector.types import Block, Codes, Detection, Embedding, EndReason, EventEnd, Float32, Patch, Scores

PROBABILITY_ROUNDING = 1e-3
"""Tolerated rounding error of a probability outside [0, 1]."""


@dataclass(frozen=True, slots=True)
class Networks:
    """The two networks with PCA and class map; shared by all sources of one thread.

    Attributes:
        embedder, pca: from a log-mel patch to codes.
        sequence, spec: from codes to outputs.
        taught: from recent codes to the taught outputs, which follow those of the sequence step; None without any.
        classes: from outputs to the classes' probabilities; None where each output is a class.
        log_offset: log-mel offset that the embedder was trained with.

    """

    embedder: Embedder
    pca: Pca
    sequence: SequenceStep
    spec: SequenceSpec
    taught: LinearClassifier | None = None
    classes: ClassMap | None = None
    log_offset: float = FRONT_END.log_offset

    def embed(self, patch: Patch) -> Embedding:
        """Return the patch's embedding in AudioSet's format."""
        return Embedding(quantise(self.embedder.embed(patch.log_mel), self.pca))

    def step(self, codes: Codes, bank: StateBank) -> tuple[Float32, StateBank]:
        """Return the outputs in [0, 1], with the sequence model's of the due row, and the bank after the step.

        Raises BundleError for other outputs.
        """
        outputs, states = self.sequence.step(codes, bank.next_row, bank.states)
        # Negated as a whole: comparisons with NaN are false.
        if not ((outputs >= -PROBABILITY_ROUNDING) & (outputs <= 1.0 + PROBABILITY_ROUNDING)).all():
            wrong = outputs[~((outputs >= 0.0) & (outputs <= 1.0))][0]
            raise BundleError(
                f"the sequence model gives {wrong:.6g}, which is not a probability; use another bundle, or make this one again"
            )
        outputs, bank = np.clip(outputs, 0.0, 1.0), bank.stepped(states)
        if self.taught is None:
            return outputs, bank
        bank = bank.remembering(codes, RECENT_FRAMES)
        return np.concatenate([outputs, self.taught.probabilities(bank.recent)]), bank

    def empty_bank(self) -> StateBank:
        """Return the bank at the start of a stream."""
        return StateBank.empty(self.spec.context_frames, [state.shape for state in self.spec.states])


class StreamDetector:
    """Converts blocks of one source into scores, one per hop, and detections.

    Each of the k phases of a hop has its own bank, so every state steps once per 0.96 s, as in training.

    Args:
        model: the networks.
        decider: from scores to detections.
        hops_per_patch: k of hop = 0.96 s / k.
        on_frames: called with log-mel frames as they are computed, as in `LogMelStream`.

    Attributes:
        failed: a network gave invalid output; `push` raised BundleError then and ignores all further blocks.

    """

    def __init__(
        self,
        model: Networks,
        decider: Decider,
        *,
        hops_per_patch: int = 1,
        on_frames: Callable[[Float32, int], None] | None = None,
    ) -> None:
        self._model = model
        self._decider = decider
        self._log_mel = LogMelStream(hops_per_patch, model.log_offset, on_frames)
        self._phases = hops_per_patch
        self._shedder = LoadShedder(hops_per_patch)
        self._hops = 0
        self.skipped_phases = 0
        self.failed = False
        self._restart()

    def _restart(self) -> None:
        self._banks = [self._model.empty_bank() for _ in range(self._phases)]
        self._phase = 0

    @property
    def open_events(self) -> frozenset[tuple[int, int]]:
        """Open events as pairs of class index and first sample (16 kHz)."""
        return self._decider.open_events

    def push(self, block: Block) -> Iterator[Scores | Detection]:
        """Yield the scores and detections that `block` (16 kHz) completes. A gap ends every open event and resets all states.

        Raises BundleError, once, if a network fails.
        """
        if self.failed:
            return
        if block.lost_samples:
            yield from self._decider.close("gap", block.lost_samples)
            self._restart()
        yield from self._decide(self._log_mel.push(block))

    def finish(self) -> Iterator[Scores | Detection]:
        """Yield the scores and detections of what was heard last, as if silence followed. No `push` may follow.

        Raises BundleError if a network fails.
        """
        if not self.failed:
            yield from self._decide(self._log_mel.finish())

    def _decide(self, patches: Iterable[Patch]) -> Iterator[Scores | Detection]:
        for patch in patches:
            try:
                scores = self._step(patch)
            except BundleError:
                self.failed = True
                raise
            if scores is not None:
                yield scores
                yield from self._decider.decide(scores)

    def use_rules(self, rules: Sequence[Rule]) -> tuple[EventEnd, ...]:
        """Apply new rules without a gap; return the ends of events whose class is no longer enabled."""
        return self._decider.use_rules(rules)

    def shed_load(self, waiting_seconds: float, sample: int) -> None:
        """Skip phases while sound piles up unprocessed; `sample` (16 kHz) is the time."""
        self._shedder.observe(waiting_seconds, sample)

    def close(self, end_reason: EndReason) -> Iterator[Detection]:
        """End every open event at the end of the stream."""
        yield from self._decider.close(end_reason)

    def _step(self, patch: Patch) -> Scores | None:
        if not self._shedder.runs(self._phase):
            # The model was not trained on states that miss a frame: the phase restarts.
            self._banks[self._phase] = self._model.empty_bank()
            self._phase = (self._phase + 1) % self._phases
            self.skipped_phases += 1
            return None
        bank = self._banks[self._phase].with_due_row_zeroed()
        embedding = self._model.embed(patch)
        outputs, bank = self._model.step(embedding.codes, bank)
        self._banks[self._phase] = bank
        self._phase = (self._phase + 1) % self._phases
        sequence_number, self._hops = self._hops, self._hops + 1
        return Scores(
            probabilities=outputs if self._model.classes is None else self._model.classes.probabilities(outputs),
            state_age_frames=bank.age_frames,
            sequence_number=sequence_number,
            first_sample=patch.first_sample,
            end_sample=patch.end_sample,
            lost_samples=patch.lost_samples,
            level_dbfs=patch.level_dbfs,
        )
