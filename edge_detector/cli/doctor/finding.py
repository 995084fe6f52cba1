"""One finding of `doctor`: a fact, its severity and its remedy."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

Verdict: TypeAlias = Literal["good", "warning", "bad"]

_MARKS: dict[Verdict, str] = {"good": "ok  ", "warning": "note", "bad": "BAD "}


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report.

    Attributes:
        about: subject: bundle, speed, a source's name, …
        said: the fact, in a sentence.
        advice: the remedy, or None.
        figures: measured values, for the JSON output.

    """

    about: str
    verdict: Verdict
    said: str
    advice: str | None = None
    figures: Mapping[str, object] = field(default_factory=dict)

    def line(self) -> str:
        """Format the finding as text."""
        advice = "" if self.advice is None else f"\n                    -> {self.advice}"
        return f"{_MARKS[self.verdict]}  {self.about:<12}  {self.said}{advice}"

    def record(self) -> dict[str, object]:
        """Return the finding as a JSON object."""
        head = {"type": "finding", "about": self.about, "verdict": self.verdict, "said": self.said, "advice": self.advice}
        return head | dict(self.figures)
