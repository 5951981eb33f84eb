"""The verdict: rounding, float32 inside, float32 alone, a convention, or no name at all.

Rounding shrinks with eps, by 5·10^8 from float32 to float64 or, in a cancellation, by its root: not
by more, and not by less. What float32 alone gets wrong is no rounding. docs/13-oracle.md.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from hier_ref.convention import differences
from hier_ref.oracle.case import answers
from hier_ref.oracle.finding import Finding, Report
from hier_ref.oracle.fingerprint import alternatives, explain, judged
from hier_ref.oracle.run import Answer
from hier_ref.oracle.stages import INTEGER, NEEDS, REQUIRED

FORMULA, ROUNDING, ALONE = 10.0, 1e3, 5e11  # error(float32)/error(float64) below, above, above
SLIGHT = 30.0  # budgets: an error that a formula of poor accuracy makes
COARSE = 2.0**-6  # relative: products in bfloat16 lose no more in one stage
WITHIN = ("grad_d_zl", "grad_d_ll", "grad_z", "grad_l")  # where a graph may be cut in other places
Usable = Mapping[tuple[str, str], Answer]


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
    if best and best.explains and differences(best.convention, report.declared):
        pairs = [
            (e, narrow[e.case.id, "float32"])
            for e in report.entries
            if (e.case.id, "float32") in narrow
        ]
        if judged(best.convention, pairs, "float32").explained == len(pairs):
            report.verdict = "another convention"
            if same := alternatives(best, report.entries, asked):
                report.notes.append(f"these answers cannot tell it from {', '.join(same)}")
            return
        report.explanations = []
        report.reasons.append("a convention explains float64, and not float32: two things are off")
    elif best and best.explains:
        return
    report.verdict = "poor accuracy" if is_rounding(report) else "unexplained"


def alone(report: Report, narrow: Usable, progress: Callable) -> None:
    """Judge what float32 alone gets wrong: by its size, by names, by the kind of noise."""
    if report.first not in INTEGER and (report.scaling or 0) <= ALONE:
        return
    report.verdict = "unexplained"
    found = explain(report.entries, narrow, report.declared, progress, words=True)
    if found[0].explains and differences(found[0].convention, report.declared):
        report.explanations = found
        report.verdict = "another convention"
        report.reasons.append("in float32 alone")
        return
    report.reasons.append("float64 is right, and no rounding to float32 loses so much")
    told = set(NEEDS[report.first]) <= {f.stage for f in report.findings}
    if not noisy(report):
        return
    if told and all(f.local <= COARSE for f in report.failed(report.first)):
        report.verdict = "poor accuracy"
        report.reasons.append("it looks as products in TF32 or bfloat16 do: switch them off")
    elif not told:
        said = "whether products in TF32 or bfloat16 or another formula cannot be told"
        report.reasons.append(f"{said}: supply the stages before it")


def noisy(report: Report) -> bool:
    """Tell whether errors in float32 have either sign and are small, as lost digits are."""
    entries = {entry.case.id: entry for entry in report.entries}
    failed = [f for f in report.failed() if f.dtype == "float32"]
    if any(f.stage in INTEGER and f.begins_here for f in failed):
        return False
    numbers = [f for f in failed if f.stage not in INTEGER]
    signs = []
    for f in numbers:
        want = answers(entries[f.case].case, report.declared)[0][f.stage]
        got = np.asarray(report.given[f.case, f.dtype].stages[f.stage], np.float64)
        off = np.abs(got) - np.abs(want)
        signs.append(np.ravel(off[np.abs(off) > 1e-2 * np.max(np.abs(off), initial=0)]) > 0)
    larger = np.mean(np.concatenate(signs)) if signs else 0.0
    return bool(0.15 < larger < 0.85 and np.median([f.error for f in numbers]) < 0.2)


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
    """Tell whether the error at the first divergence shrinks with eps, as only rounding does."""
    flips = any(f.stage in INTEGER for f in report.failed() if f.dtype == "float64")
    return not flips and report.scaling is not None and ROUNDING < report.scaling <= ALONE


def is_rounding(report: Report) -> bool:
    """Tell whether what is off shrinks with eps, or is small in the only dtype that failed."""
    failed = report.failed()
    if any(f.stage in INTEGER for f in failed if f.dtype == "float64"):
        return False
    slight = all(f.times < SLIGHT for f in failed)
    if report.scaling is None:
        return slight
    return shrinks(report) and (slight or len({f.dtype for f in failed}) == 2)


# ---- float32 within a float64 run


def inside(report: Report, wide: Usable) -> bool:
    """Tell whether a float64 answer was computed in float32, and is right as such."""
    entries = {entry.case.id: entry for entry in report.entries}
    for f in report.failed():
        short = entries[f.case].budgets.get("float32", {})
        if f.stage in short and f.error > short[f.stage]:
            return False
    said = "advice: check it with --dtype float32"
    if shortened(report):
        lines = ["computed in float32, whatever dtype is asked, and right as such", said]
    elif names := _rounded(report, wide):
        lines = [f"{', '.join(names)} rounded to float32 before use: float64 asks for more digits"]
    else:
        return False
    report.reasons += lines
    return True


def shortened(report: Report) -> bool:
    """Tell whether some stage that is off in float64 consists of float32 numbers in every case."""
    stages = {f.stage for f in report.failed() if f.dtype == "float64"} - INTEGER
    wide = [a.stages for (_, t), a in report.given.items() if t == "float64" and not a.trouble]
    return any(all(_is_short(np.asarray(s[n])) for s in wide if n in s) for n in stages)


def _is_short(value: np.ndarray) -> bool:
    with np.errstate(over="ignore"):
        return value.dtype == np.float32 or bool(np.all(value.astype(np.float32) == value))


def _rounded(report: Report, wide: Usable) -> tuple[str, ...]:
    """Return the parameters which, rounded to float32, explain all answers in float64."""
    ways = (("tau",), ("margin",), ("clip_radius",), ("tau", "margin"))
    for names in (*ways, ("c", "clip_radius", "tau", "margin")):
        pairs = []
        for entry in report.entries:
            if (entry.case.id, "float64") in wide:
                short = {n: float(np.float32(getattr(entry.case, n))) for n in names}
                moved = entry._replace(case=replace(entry.case, **short))
                pairs.append((moved, wide[entry.case.id, "float64"]))
        if judged(report.declared, pairs, "float64", all_or_none=True).explains:
            return names
    return ()


def float32_troubles(report: Report) -> bool:
    """Excuse what a float32 candidate cannot do in float64: cases that float32 is not asked in."""
    entries = {entry.case.id: entry for entry in report.entries}
    troubled = [key for key, answer in report.given.items() if answer.trouble]
    for case, dtype in troubled:
        if dtype != "float64" or "loss" in entries[case].budgets.get("float32", ()):
            return False
    if report.verdict != "poor accuracy" or not shortened(report):
        return False
    report.notes.append(f"{len(troubled)} cases have no answer in float32: {report.troubles[0]}")
    report.troubles.clear()
    return True
