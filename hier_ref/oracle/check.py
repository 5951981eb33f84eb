"""check: right, or the first stage that differs, whether rounding can explain it, and its name.

Each value is compared with the right one, in multiples of the budget of its case, stage and
dtype. A stage that is off while the reference, fed with the candidate's own earlier stages, makes
something else of them is where the fault lies; the stages after it only inherit. docs/13-oracle.md.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from hier_ref.convention import EXACT, Convention
from hier_ref.oracle.case import answers
from hier_ref.oracle.finding import CODES, Finding, Report
from hier_ref.oracle.form import DTYPES
from hier_ref.oracle.narrow import float32_troubles
from hier_ref.oracle.run import Answer, Candidate, ask, check_dtypes
from hier_ref.oracle.stages import NEEDS, REQUIRED, Graph, deviation, error
from hier_ref.oracle.suite import Entry, load_suite
from hier_ref.oracle.verdict import diagnose
from hier_ref.oracle.widened import FEW, LEAST, budget

__all__ = ["CODES", "Finding", "Report", "check", "judge"]


def check(
    candidate: Candidate,
    suite: Sequence[Entry] | None = None,
    *,
    dtypes: Sequence[str] = DTYPES,
    convention: Convention = EXACT,
    name: str = "candidate",
    seconds: float = 60.0,
    progress: Callable[[str], None] = lambda doing: None,
) -> Report:
    """Compare a candidate with the reference on every case of a suite.

    candidate: takes a `Case`, returns a mapping of stages, the more the sharper. dtypes: asked
    in each, "float64" and "float32". convention: what the candidate says it follows. seconds:
    limit for one case. progress: told what is being done. Never raises for what the candidate
    does; ValueError for another dtype. Source: docs/13-oracle.md.
    """
    check_dtypes(dtypes)
    entries = load_suite() if suite is None else tuple(suite)
    report = Report(name, convention, entries=entries)
    given = report.given
    for dtype in dtypes:
        for entry in (e for e in entries if dtype in e.budgets):
            progress(f"{entry.case.id} in {dtype}")
            answer = _ask_twice(candidate, entry, dtype, seconds, report)
            given[entry.case.id, dtype] = answer
            if answer.trouble:
                report.troubles.append(f"{entry.case.id} {dtype}: {answer.trouble}")
                if answer.trouble.startswith("no answer"):
                    return _conclude(report, progress)
            else:
                report.findings += judge(entry, dtype, answer, convention)
    return _conclude(report, progress)


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
    return [_locate(finding, graph) if finding.times > 1 else finding for finding in findings]


def widen(report: Report) -> None:
    """Give findings in few cases the budgets of the declared convention, where it needs its own."""
    entries = {entry.case.id: entry for entry in report.entries}
    failed = {f.case for f in report.failed()}
    if len(failed) > max(LEAST, FEW * len({f.case for f in report.findings})):
        return
    for n, f in enumerate(report.findings):
        if f.times > 1:
            own = budget(entries[f.case], f.dtype, f.stage, report.declared)
            report.findings[n] = replace(f, budget=own)


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


def _locate(finding: Finding, graph: Graph) -> Finding:
    """Tell cause from consequence: whether the stage follows from the candidate's earlier ones."""
    try:
        follows = graph.follows(finding.stage)
    except (ValueError, IndexError):  # the earlier stages are no points, or no proxies
        return finding
    off = deviation(graph.case, finding.stage, graph.given[finding.stage], follows)
    begins = off > max(finding.budget, 1e-3 * min(finding.error, 1.0))
    return replace(finding, begins_here=bool(begins), local=float(off))


def _conclude(report: Report, progress: Callable[[str], None]) -> Report:
    """Turn findings into a verdict."""
    usable = {key: answer for key, answer in report.given.items() if not answer.trouble}
    supplied = set().union(*(answer.stages for answer in usable.values())) if usable else set()
    report.not_exercised = not_exercised(supplied, report.entries, report.given)
    widen(report)
    if report.failed():
        diagnose(report, usable, progress)
    if report.troubles and not float32_troubles(report):
        report.verdict = "no usable answer"
    elif not usable:
        report.verdict = "inconclusive"
        report.notes.append("no case was asked")
    elif not report.failed() and not set(REQUIRED) <= supplied:
        report.verdict = "inconclusive"
        report.notes.append(f"right as far as it goes: {' '.join(REQUIRED)} make a verdict")
    return report


def not_exercised(supplied: set[str], entries: Sequence[Entry], given: dict) -> list[str]:
    """List what this run cannot have seen: stages that were not supplied, cases not asked."""
    missing = [stage for stage in NEEDS if stage not in supplied]
    lines = [f"stages not supplied: {' '.join(missing)}"] if missing else []
    unasked = [e.case.id for e in entries if not any((e.case.id, t) in given for t in DTYPES)]
    return lines + ([f"cases not asked: {' '.join(unasked)}"] if unasked else [])
