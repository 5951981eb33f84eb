"""float32: what it alone gets wrong, and what was computed in it although float64 was asked.

docs/13-oracle.md.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from hier_ref.convention import differences
from hier_ref.oracle.case import answers
from hier_ref.oracle.finding import Finding, Report
from hier_ref.oracle.fingerprint import Explanation, explain, judged
from hier_ref.oracle.run import Answer
from hier_ref.oracle.stages import INTEGER, NEEDS

ALONE = 5e11  # error(float32)/error(float64) beyond which float32 alone is wrong
COARSE = 2.0**-6  # relative: products in bfloat16 lose no more in one stage
SHORT = 2.0**-18  # relative: a step in float32 loses no more
POINTS = {"z", "l", "d_zl", "d_ll"}  # without these no constant of the arithmetic is sure
Usable = Mapping[tuple[str, str], Answer]


def alone(report: Report, narrow: Usable, progress: Callable) -> None:
    """Judge what float32 alone gets wrong: by its size, by names, by the kind of noise."""
    if report.first not in INTEGER and (report.scaling or 0) <= ALONE:
        return
    report.verdict = "unexplained"
    if found := name_in_float32(report, narrow, progress):
        report.explanations = found
        report.verdict = "another convention"
        report.reasons.append("in float32 alone")
        return
    report.reasons.append("float64 is right, and no rounding to float32 loses so much")
    failed = [f for f in report.failed() if f.dtype == "float32"]
    if not _noisy(report, failed) or np.median([f.error for f in failed]) >= 0.2:
        return
    if told(report) and all(f.local <= COARSE for f in report.failed(report.first)):
        report.verdict = "poor accuracy"
        report.reasons.append("it looks as products in TF32 or bfloat16 do: switch them off")
    elif not told(report):
        said = "whether products in TF32 or bfloat16 or another formula cannot be told"
        report.reasons.append(f"{said}: supply the stages before it")


def name_in_float32(report: Report, narrow: Usable, progress: Callable) -> list[Explanation]:
    """Search the convention of the answers in float32; an empty list where none explains them.

    The constants of the arithmetic are near what float32 rounds: they are searched last, and need
    the points and distances to be shown.
    """
    shown = POINTS <= {f.stage for f in report.findings if f.dtype == "float32"}
    for words in (True, False) if shown else (True,):
        found = explain(report.entries, narrow, report.declared, progress, words=words)
        if found[0].explains and differences(found[0].convention, report.declared):
            return found
    return []


def told(report: Report) -> bool:
    """Tell whether all that the first divergence is computed from was supplied."""
    return set(NEEDS[report.first]) <= {f.stage for f in report.findings}


def _noisy(report: Report, failed: list[Finding]) -> bool:
    """Tell whether errors have either sign, as lost digits do, and turn no choice by themselves."""
    entries = {entry.case.id: entry for entry in report.entries}
    if any(f.stage in INTEGER and f.begins_here for f in failed):
        return False
    signs = [np.zeros(0, bool)]
    for f in (f for f in failed if f.stage not in INTEGER):
        want = answers(entries[f.case].case, report.declared)[0][f.stage]
        got = np.asarray(report.given[f.case, f.dtype].stages[f.stage], np.float64)
        off = np.abs(got) - np.abs(want)
        signs.append(np.ravel(off[np.abs(off) > 1e-2 * np.max(np.abs(off), initial=0)]) > 0)
    larger = np.concatenate(signs)
    return bool(len(larger) and 0.15 < np.mean(larger) < 0.85)


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


def a_step_inside(report: Report) -> None:
    """Say where float64 alone is off by what a step in float32 would lose, in either direction."""
    failed = report.failed()
    first = report.failed(report.first)
    if report.first in INTEGER or {f.dtype for f in failed} != {"float64"}:
        return
    if not _noisy(report, first):
        return
    entries = {entry.case.id: entry for entry in report.entries}
    short = [entries[f.case].budgets.get("float32", {}).get(f.stage, np.inf) for f in first]
    slight = np.median([f.local for f in first]) <= SHORT
    if told(report) and slight and all(f.local <= b for f, b in zip(first, short, strict=True)):
        report.verdict = "poor accuracy"
        report.reasons.append("as a step computed in float32 would be: its inputs are right")
    elif not told(report) and np.median([f.error for f in failed]) <= SHORT:
        said = "whether a step is computed in float32 or another formula is near cannot be told"
        report.reasons.append(f"{said}: supply the stages before it")


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
                short: dict[str, Any] = {
                    n: float(np.float32(getattr(entry.case, n))) for n in names
                }
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
