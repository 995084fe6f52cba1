"""Model of a few-shot training."""

from dataclasses import dataclass

from convert.sequence.exported_step import StepErrors
from convert.sequence.steps import Step


@dataclass(frozen=True, slots=True)
class FewShotModel:
    """Streaming step of the new classes.

    Attributes:
        kind: of the network, such as "lstm".
        step: its outputs are the new classes.
        errors: of the step against its offline graph.

    """

    kind: str
    step: Step
    errors: StepErrors
