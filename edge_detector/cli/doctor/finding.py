"""One finding of `doctor`: a fact, its severity and its remedy."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

Verdict: TypeAlias = Literal["good", "warning", "bad"]

_MARKS: dict[Verdict, str] = {"good": "ok  ", "warning": "note", "bad": "BAD "}


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the doctor's report.

    Attributes:
        about: what was looked at: bundle, speed, a source's name…
        advice: what to do; None where nothing is to be done.
        figures: what was measured, for machines.

    """

    about: str
    verdict: Verdict
    said: str
    advice: str | None = None
    figures: Mapping[str, object] = field(default_factory=dict)

    def line(self) -> str:
        """For people."""
        advice = "" if self.advice is None else f"\n                    -> {self.advice}"
        return f"{_MARKS[self.verdict]}  {self.about:<12}  {self.said}{advice}"

    def record(self) -> dict[str, object]:
        """For machines."""
        head = {"type": "finding", "about": self.about, "verdict": self.verdict, "said": self.said, "advice": self.advice}
        return head | dict(self.figures)
