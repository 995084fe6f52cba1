"""From 16 kHz sound to scores and detections: log-mel, embedding, sequence step, decision. One object per source."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from edge_detector.detection.bundle import SequenceSpec
from edge_detector.detection.classes import ClassMap
from edge_detector.detection.embedding import Pca, quantise
from edge_detector.detection.hysteresis import Decider, Rule
from edge_detector.detection.load_shedding import LoadShedder
from edge_detector.detection.logmel import LogMelStream
from edge_detector.detection.networks import Embedder, SequenceStep
from edge_detector.detection.state_bank import StateBank
from edge_detector.errors import BundleError
from edge_detector.params import FRONT_END
from edge_detector.types import Block, Codes, Detection, Embedding, EndReason, EventEnd, Float32, Patch, Scores

PROBABILITY_ROUNDING = 1e-3
"""So far outside 0 and 1 a network's rounding may bring a probability."""


@dataclass(frozen=True, slots=True)
class Networks:
    """The two networks and what lies around them; shared by all sources of the one thread that runs them.

    Attributes:
        embedder, pca: from a log-mel patch to codes.
        sequence, spec: from codes to outputs.
        classes: from outputs to the classes' probabilities; None where each output is a class.
        log_offset: of the log-mel spectrogram that the embedder was trained on.

    """

    embedder: Embedder
    pca: Pca
    sequence: SequenceStep
    spec: SequenceSpec
    classes: ClassMap | None = None
    log_offset: float = FRONT_END.log_offset

    def embed(self, patch: Patch) -> Embedding:
        """The patch's embedding in AudioSet's form."""
        return Embedding(quantise(self.embedder.embed(patch.log_mel), self.pca))

    def step(self, codes: Codes, bank: StateBank) -> tuple[Float32, StateBank]:
        """The outputs of the due row, each in [0, 1], and the bank after the step. Raises BundleError for any other output."""
        outputs, states = self.sequence.step(codes, bank.next_row, bank.states)
        # In this form, since no comparison with NaN is true.
        if not ((outputs >= -PROBABILITY_ROUNDING) & (outputs <= 1.0 + PROBABILITY_ROUNDING)).all():
            wrong = outputs[~((outputs >= 0.0) & (outputs <= 1.0))][0]
            raise BundleError(
                f"the sequence model gives {wrong:.6g}, which is no probability; take another bundle, or make this one again"
            )
        return np.clip(outputs, 0.0, 1.0), bank.stepped(states)

    def empty_bank(self) -> StateBank:
        """A bank as at the start of a stream."""
        return StateBank.empty(self.spec.context_frames, [state.shape for state in self.spec.states])


class StreamDetector:
    """Turns the blocks of one source into scores, one each hop, and detections.

    Each of the k phases of a hop has a bank of its own, so that every state steps once per 0.96 s, as it was trained.

    Attributes:
        failed: whether a network gave what is none of its outputs: `push` has then raised BundleError, and hears nothing more.

    """

    def __init__(self, model: Networks, decider: Decider, *, hops_per_patch: int = 1) -> None:
        self._model = model
        self._decider = decider
        self._log_mel = LogMelStream(hops_per_patch, model.log_offset)
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
        """The events that are open now: class index, and the first sample (16 kHz) that names the event."""
        return self._decider.open_events

    def push(self, block: Block) -> Iterator[Scores | Detection]:
        """Yield what `block` (16 kHz) completes. A gap first ends every open event, then every state starts anew.

        Raises BundleError, once, where a network fails.
        """
        if self.failed:
            return
        if block.lost_samples:
            yield from self._decider.close("gap", block.lost_samples)
            self._restart()
        for patch in self._log_mel.push(block):
            try:
                scores = self._step(patch)
            except BundleError:
                self.failed = True
                raise
            if scores is not None:
                yield scores
                yield from self._decider.decide(scores)

    def use_rules(self, rules: Sequence[Rule]) -> tuple[EventEnd, ...]:
        """Decide by other rules from now on, without a gap; returns the ends of events whose class is no longer enabled."""
        return self._decider.use(rules)

    def shed_load(self, waiting_seconds: float, sample: int) -> None:
        """Leave out phases while more sound waits than can be heard; `sample` (16 kHz) tells the time."""
        self._shedder.observe(waiting_seconds, sample)

    def close(self, end_reason: EndReason) -> Iterator[Detection]:
        """End every open event: there will be no more sound."""
        yield from self._decider.close(end_reason)

    def _step(self, patch: Patch) -> Scores | None:
        if not self._shedder.runs(self._phase):
            # A state that misses a frame is none the model was trained on: the phase will start anew.
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
