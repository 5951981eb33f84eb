"""The verdict: rounding, float32 inside, float32 alone, a convention, or no name at all.

Rounding shrinks with eps, by 5·10^8 from float32 to float64 or, in a cancellation, by its root: not
by more, and not by less. What float32 alone gets wrong is no rounding. docs/13-oracle.md.
"""

from collections.abc import Callable

import numpy as np

from hier_ref.convention import differences
from hier_ref.oracle.finding import Finding, Report
from hier_ref.oracle.fingerprint import Explanation, alternatives, explain, judged
from hier_ref.oracle.narrow import ALONE, Usable, a_step_inside, alone, inside, name_in_float32
from hier_ref.oracle.stages import INTEGER, NEEDS, REQUIRED

FORMULA, ROUNDING = 10.0, 1e3  # error(float32)/error(float64) below, above; beyond ALONE no more
SLIGHT = 30.0  # budgets: an error that a formula of poor accuracy makes
WITHIN = ("grad_d_zl", "grad_d_ll", "grad_z", "grad_l")  # where a graph may be cut in other places


def diagnose(report: Report, usable: Usable, progress: Callable[[str], None]) -> None:
    """Find where it begins, what it looks like and what explains it; set the verdict."""
    if cut_elsewhere(report):
        return
    report.first = first_divergence(report)
    report.scaling = scaling(report)
    wide, narrow = (
        {key: answer for key, answer in usable.items() if key[1] == dtype}
        for dtype in ("float64", "float32")
    )
    failing = {finding.dtype for finding in report.failed()}
    report.verdict = "poor accuracy"
    if failing == {"float64"} and inside(report, wide):
        return
    if failing == {"float32"} and wide:
        alone(report, narrow, progress)
    elif not (len(failing) == 2 and shrinks(report)):
        search(report, wide or narrow, narrow, progress)


def search(report: Report, asked: Usable, narrow: Usable, progress: Callable) -> None:
    """Ask for a name; what has none may still be of poor accuracy."""
    report.explanations = explain(report.entries, asked, report.declared, progress)
    best = report.explanations[0] if report.explanations else None
    if best and best.explains:
        if differences(best.convention, report.declared):
            named(report, best, asked, narrow, progress)
        return
    report.verdict = "poor accuracy" if is_rounding(report) else "unexplained"
    if report.verdict == "unexplained":
        a_step_inside(report)


def named(
    report: Report, best: Explanation, asked: Usable, narrow: Usable, progress: Callable
) -> None:
    """Settle on what explains float64, if float32 follows it or another that has a name."""
    entries = [e for e in report.entries if (e.case.id, "float32") in narrow]
    pairs = [(e, narrow[e.case.id, "float32"]) for e in entries]
    report.verdict = "another convention"
    if judged(best.convention, pairs, "float32").explained == len(pairs):
        if same := alternatives(best, report.entries, asked):
            report.notes.append(f"these answers cannot tell it from {', '.join(same)}")
        return
    if other := name_in_float32(report, narrow, progress):
        changed = differences(report.declared, other[0].convention)
        said = ", ".join(f"{name} = {now}" for name, (_, now) in changed.items())
        report.reasons.append(f"the name is that of float64; in float32 it is {said}")
        return
    report.explanations, report.verdict = [], "unexplained"
    report.reasons.append("a convention explains float64, and not float32: two things are off")


def cut_elsewhere(report: Report) -> bool:
    """Excuse gradients within the graph where the loss and both ends are right.

    A gap computed from the tangent vector is as right as one computed from z, and then the slope
    that autograd finds in z is a part of the whole.
    """
    stages = {f.stage for f in report.findings}
    failed = {f.stage for f in report.failed()}
    if not failed <= set(WITHIN) or not set(REQUIRED) <= stages:
        return False
    report.excused = tuple(stage for stage in WITHIN if stage in failed)
    said = "not all that the loss depends on passes through the stages as they were given"
    report.notes.append(f"{' '.join(report.excused)}: another part of the whole slope; {said}")
    return True


def first_divergence(report: Report) -> str:
    """Return the earliest stage where a fault begins; where none can be told, that is off."""
    failed = report.failed()
    beginning = {f.stage for f in failed if f.begins_here} or {f.stage for f in failed}
    return next(stage for stage in NEEDS if stage in beginning)


def scaling(report: Report) -> float | None:
    """Return the error in float32 over that in float64 at the first divergence, if both ran.

    A difference of convention does not care for the dtype: the quotient is near 1.
    """
    pairs: dict[str, dict[str, Finding]] = {}
    for f in report.findings:
        if f.stage == report.first and np.isfinite(f.error):
            pairs.setdefault(f.case, {})[f.dtype] = f
    both = [pair for pair in pairs.values() if len(pair) == 2]
    if not both or report.first in INTEGER:
        return None
    wide = any(f.dtype == "float64" for f in report.failed(report.first))
    dtype = "float64" if wide else "float32"
    worst = max(both, key=lambda pair: pair[dtype].times)
    return worst["float32"].error / max(worst["float64"].error, 2.0**-60)


def shrinks(report: Report) -> bool:
    """Tell whether the errors of every stage shrink with eps, as only rounding does."""
    wide = [f for f in report.failed() if f.dtype == "float64"]
    if any(f.stage in INTEGER for f in wide) or report.scaling is None:
        return False
    short = {(f.case, f.stage): f.error for f in report.findings if f.dtype == "float32"}
    ratios: dict[str, list[float]] = {}
    for f in wide:
        if (f.case, f.stage) in short:
            ratios.setdefault(f.stage, []).append(short[f.case, f.stage] / f.error)
    every = all(np.median(found) > ROUNDING for found in ratios.values())
    return every and ROUNDING < report.scaling <= ALONE


def is_rounding(report: Report) -> bool:
    """Tell whether what is off shrinks with eps, or is small in the only dtype that failed."""
    failed = report.failed()
    if any(f.stage in INTEGER for f in failed if f.dtype == "float64"):
        return False
    slight = all(f.times < SLIGHT for f in failed)
    if report.scaling is None:
        return slight
    return shrinks(report) and (slight or len({f.dtype for f in failed}) == 2)
