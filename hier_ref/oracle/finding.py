"""What `check` found: one line for each stage of each case, and what follows from all of them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from hier_ref.convention import Convention
from hier_ref.oracle.fingerprint import Explanation
from hier_ref.oracle.run import Answer
from hier_ref.oracle.suite import Entry

CODES = {
    "conforms": 0,
    "another convention": 1,
    "unexplained": 2,
    "poor accuracy": 3,
    "no usable answer": 4,
    "inconclusive": 5,
}


@dataclass(frozen=True)
class Finding:
    """One stage of one case in one dtype: its error in budgets, and whether it began here."""

    case: str
    stage: str
    dtype: str
    error: float
    budget: float
    begins_here: bool = False
    local: float = math.nan  # the error that its own earlier stages leave to it, if it fails

    @property
    def times(self) -> float:
        """The error as a multiple of the budget; a wrong integer is infinitely many."""
        if not self.budget:
            return float("inf") if self.error else 0.0
        return self.error / self.budget if self.budget < math.inf else 0.0


@dataclass
class Report:
    """What `check` found; `hier_ref.oracle.report` puts it into words and JSON."""

    candidate: str
    declared: Convention
    verdict: str = "conforms"
    first: str = ""  # stage of the first divergence
    findings: list[Finding] = field(default_factory=list)
    troubles: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)  # what the errors look like
    explanations: list[Explanation] = field(default_factory=list)
    scaling: float | None = None  # error in float32 over error in float64 at the first divergence
    not_exercised: list[str] = field(default_factory=list)
    entries: Sequence[Entry] = ()
    given: dict[tuple[str, str], Answer] = field(default_factory=dict)  # (case, dtype) -> answer
    excused: tuple[str, ...] = ()  # stages that may differ between right candidates, and do

    @property
    def cases(self) -> int:
        """How many cases were there to ask."""
        return len(self.entries)

    @property
    def code(self) -> int:
        """The exit code of the verdict."""
        return CODES[self.verdict]

    def failed(self, stage: str | None = None) -> list[Finding]:
        """Return the findings over their budget, of one stage or of all but those excused."""
        return [
            f
            for f in self.findings
            if f.times > 1 and stage in (None, f.stage) and f.stage not in self.excused
        ]
