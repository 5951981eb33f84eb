"""check: right, or the first stage that differs, whether rounding can explain it, and its name.

Each value is compared with the right one, in multiples of the budget of its case, stage and
dtype. A stage that is off while the reference, fed with the candidate's own earlier stages, makes
something else of them is where the fault lies; the stages after it only inherit. docs/13-oracle.md.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from hier_ref.convention import EXACT, Convention, differences
from hier_ref.oracle.case import answers
from hier_ref.oracle.fingerprint import Explanation, explain
from hier_ref.oracle.form import DTYPES
from hier_ref.oracle.run import Answer, Candidate, ask, check_dtypes
from hier_ref.oracle.stages import INTEGER, NEEDS, REQUIRED, Graph, deviation, error
from hier_ref.oracle.suite import Entry, load_suite

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

    @property
    def times(self) -> float:
        """The error as a multiple of the budget; a wrong integer is infinitely many."""
        if not self.budget:
            return float("inf") if self.error else 0.0
        return self.error / self.budget


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
    explanations: list[Explanation] = field(default_factory=list)
    scaling: float | None = None  # error in float32 over error in float64 at the first divergence
    not_exercised: list[str] = field(default_factory=list)
    entries: Sequence[Entry] = ()
    given: dict[tuple[str, str], Answer] = field(default_factory=dict)  # (case, dtype) -> answer

    @property
    def cases(self) -> int:
        """How many cases were there to ask."""
        return len(self.entries)

    @property
    def code(self) -> int:
        """The exit code of the verdict."""
        return CODES[self.verdict]

    def failed(self, stage: str | None = None) -> list[Finding]:
        """Return the findings over their budget, of one stage or of all."""
        return [f for f in self.findings if f.times > 1 and stage in (None, f.stage)]


def check(
    candidate: Candidate,
    suite: Sequence[Entry] | None = None,
    *,
    dtypes: Sequence[str] = DTYPES,
    convention: Convention = EXACT,
    name: str = "candidate",
    seconds: float = 60.0,
) -> Report:
    """Compare a candidate with the reference on every case of a suite.

    candidate: takes a `Case`, returns a mapping of stages, the more the sharper. dtypes: asked
    in each, "float64" and "float32". convention: what the candidate says it follows. seconds:
    limit for one case. Never raises for what the candidate does; ValueError for another dtype.
    Source: docs/13-oracle.md.
    """
    check_dtypes(dtypes)
    entries = load_suite() if suite is None else tuple(suite)
    report = Report(name, convention, entries=entries)
    given = report.given
    for dtype in dtypes:
        for entry in (e for e in entries if dtype in e.budgets):
            answer = _ask_twice(candidate, entry, dtype, seconds, report)
            given[entry.case.id, dtype] = answer
            if answer.trouble:
                report.troubles.append(f"{entry.case.id} {dtype}: {answer.trouble}")
                if answer.trouble.startswith("no answer"):
                    return _conclude(report, entries, given)
            else:
                report.findings += judge(entry, dtype, answer, convention)
    return _conclude(report, entries, given)


def _ask_twice(
    candidate: Candidate, entry: Entry, dtype: str, seconds: float, report: Report
) -> Answer:
    first = ask(candidate, entry.case, dtype, seconds, entry.budgets[dtype])
    again = first
    if not first.trouble:
        again = ask(candidate, entry.case, dtype, seconds, entry.budgets[dtype])
    report.notes += [note for note in first.notes if note not in report.notes]
    for stage, value in first.stages.items():
        other = again.stages.get(stage)
        off = np.inf if other is None else error(stage, other, value)
        if off > entry.budgets[dtype][stage]:
            return Answer({}, f"answers differently each time, first in stage {stage}")
    return first


def judge(entry: Entry, dtype: str, answer: Answer, convention: Convention) -> list[Finding]:
    """Compare one answer with the nearest right one, stage by stage."""
    candidates = [
        _compare(entry, dtype, answer, right) for right in answers(entry.case, convention)
    ]
    findings = min(candidates, key=lambda found: (sum(f.times > 1 for f in found), _worst(found)))
    graph = Graph(entry.case.astype(np.float64), convention, answer.wide())
    return [
        _locate(finding, graph, dtype) if finding.times > 1 else finding for finding in findings
    ]


def _worst(findings: list[Finding]) -> float:
    return max((f.times for f in findings), default=0.0)


def _compare(entry: Entry, dtype: str, answer: Answer, right: dict) -> list[Finding]:
    return [
        Finding(
            entry.case.id,
            stage,
            dtype,
            deviation(entry.case, stage, answer.stages[stage], right[stage]),
            entry.budgets[dtype][stage],
        )
        for stage in NEEDS
        if stage in answer.stages and stage in right
    ]


def _locate(finding: Finding, graph: Graph, dtype: str) -> Finding:
    """Tell cause from consequence: whether the stage follows from the candidate's earlier ones."""
    try:
        follows = graph.follows(finding.stage)
    except (ValueError, IndexError):  # the earlier stages are no points, or no proxies
        return finding
    off = deviation(graph.case, finding.stage, graph.given[finding.stage], follows)
    begins = off > max(finding.budget, 1e-3 * min(finding.error, 1.0))
    return replace(finding, begins_here=bool(begins))


def _conclude(report: Report, entries: Sequence[Entry], given: dict) -> Report:
    """Turn findings into a verdict."""
    usable = {key: answer for key, answer in given.items() if not answer.trouble}
    supplied = set().union(*(answer.stages for answer in usable.values())) if usable else set()
    report.not_exercised = not_exercised(supplied, entries, given)
    if report.failed():
        _diagnose(report, entries, usable)
    if report.troubles:
        report.verdict = "no usable answer"
    elif not usable:
        report.verdict = "inconclusive"
        report.notes.append("no case was asked")
    elif not report.failed() and not set(REQUIRED) <= supplied:
        report.verdict = "inconclusive"
        report.notes.append(f"right as far as it goes: {' '.join(REQUIRED)} make a verdict")
    return report


def _diagnose(report: Report, entries: Sequence[Entry], usable: dict) -> None:
    report.first = first_divergence(report)
    report.scaling = scaling(report)
    report.explanations = explain(entries, usable, report.declared)
    best = report.explanations[0] if report.explanations else None
    if best and best.explains:
        same = not differences(best.convention, report.declared)
        report.verdict = "poor accuracy" if same else "another convention"
    elif is_rounding(report):
        report.verdict = "poor accuracy"
    else:
        report.verdict = "unexplained"


def first_divergence(report: Report) -> str:
    """Return the earliest stage where a fault begins; where none can be told, that is off."""
    failed = report.failed()
    beginning = {f.stage for f in failed if f.begins_here} or {f.stage for f in failed}
    return next(stage for stage in NEEDS if stage in beginning)


def scaling(report: Report) -> float | None:
    """Return the error in float32 over that in float64 at the first divergence, if both ran.

    A difference of convention does not care for the dtype: the quotient is near 1. Rounding
    shrinks with eps: 10^4 and more.
    """
    stage = report.first
    pairs: dict[str, dict[str, float]] = {}
    for f in report.findings:
        if f.stage == stage and np.isfinite(f.error):
            pairs.setdefault(f.case, {})[f.dtype] = f.error
    both = [p for p in pairs.values() if len(p) == 2 and p["float64"] > 0]
    if not both or stage in INTEGER:
        return None
    worst = max(both, key=lambda p: p["float64"])
    return worst["float32"] / worst["float64"]


def is_rounding(report: Report) -> bool:
    """Tell whether what is off shrinks with eps, or is small in the only dtype that ran."""
    failed = report.failed()
    if any(f.stage in INTEGER for f in failed if f.dtype == "float64"):
        return False
    if report.scaling is not None:
        return report.scaling > 1e3
    return all(f.times < 30 for f in failed)


def not_exercised(supplied: set[str], entries: Sequence[Entry], given: dict) -> list[str]:
    """List what this run cannot have seen: stages that were not supplied, cases not asked."""
    missing = [stage for stage in NEEDS if stage not in supplied]
    lines = [f"stages not supplied: {' '.join(missing)}"] if missing else []
    unasked = [e.case.id for e in entries if not any((e.case.id, t) in given for t in DTYPES)]
    return lines + ([f"cases not asked: {' '.join(unasked)}"] if unasked else [])
