"""A report in words and in JSON: where a candidate differs, which way, and why.

How to read one: docs/13-oracle.md.
"""

import json
import math
from collections.abc import Iterable
from typing import Any

import hier_ref
from hier_ref.convention import EXACT, RELEASED, Convention, differences
from hier_ref.oracle.elements import SHOWN, direction, worst_elements
from hier_ref.oracle.finding import Finding, Report
from hier_ref.oracle.form import DTYPES
from hier_ref.oracle.narrow import ALONE
from hier_ref.oracle.stages import INTEGER, NEEDS, SHARES
from hier_ref.oracle.suite import CORE, load_suite
from hier_ref.oracle.verdict import FORMULA, ROUNDING

WIDTH = 32  # of a column


def text(report: Report, options: str = "") -> str:
    """Return the report for a terminal; `options` end the command that shows a case again."""
    asked = [suite_name(report)] if report.entries else []
    against = f"against {convention_name(report.declared)}"
    head = " · ".join(
        [f"hier_ref oracle {hier_ref.__version__}", *asked, report.candidate, against]
    )
    lines = [head, *stage_lines(report)]
    lines += _labelled("WHY", why(report))
    lines += _labelled("NOT EXERCISED", report.not_exercised if report.findings else [])
    lines += _labelled("NOTE", report.notes)
    lines += _labelled("largest", [largest(report)] if report.findings else [])
    worst = worst_elements(report)
    lines += _labelled("worst", map(str, worst))
    if worst:
        command = f"python -m hier_ref.oracle explain {worst[0].case} --stage {report.first}"
        lines += _labelled("again", [f"{command} {options}".rstrip()])
    return "\n".join([*lines, f"exit {report.code}: {report.verdict}"])


def _labelled(label: str, lines: Iterable[str]) -> list[str]:
    indent = max(7, len(label) + 2)
    return [f"{label if not n else '':{indent}}{line}" for n, line in enumerate(lines)]


def largest(report: Report) -> str:
    """Return the largest sizes that were asked: what goes wrong beyond them was not seen."""
    asked = {case for case, _ in report.given}
    cases = [entry.case for entry in report.entries if entry.case.id in asked]
    levels = [level for case in cases for level in (case.triplets_data, case.triplets_proxy)]
    sizes = {
        "B": [len(case.x) for case in cases],
        "P": [len(case.proxies) for case in cases],
        "D": [case.x.shape[1] for case in cases],
        "T": list(map(len, levels)),
    }
    return ", ".join(f"{name} {max(found, default=0)}" for name, found in sizes.items())


def suite_name(report: Report) -> str:
    """Return the suite, and how many of its cases were there to ask."""
    core = {id(entry) for entry in load_suite()}
    if all(id(entry) in core for entry in report.entries):
        return f"suite {CORE}, {report.cases} of {len(core)} cases"
    return f"{report.cases} cases from files"


def convention_name(convention: Convention, declared: Convention | None = None) -> str:
    """Return the nearest preset, or the declared convention, with the fields that differ."""
    presets = {"EXACT": EXACT, "RELEASED": RELEASED} | ({"declared": declared} if declared else {})
    name, base = min(presets.items(), key=lambda item: len(differences(item[1], convention)))
    changed = (f"{field} = {now}" for field, (_, now) in differences(base, convention).items())
    return " with ".join([name, *([", ".join(changed)] if base != convention else [])])


# ---- The stages


def stage_lines(report: Report) -> list[str]:
    """Return a line for every stage that was judged: its state and error in each dtype."""
    judged: dict[str, list[Finding]] = {}
    for finding in report.findings:
        judged.setdefault(finding.stage, []).append(finding)
    lines = []
    for stage in (stage for stage in NEEDS if stage in judged):
        cells = [_cell(report, [f for f in judged[stage] if f.dtype == t]) for t in _asked(report)]
        failed = {f.case for f in judged[stage] if f.times > 1}
        asked = len({f.case for f in judged[stage]})
        tail = f"{len(failed)}/{asked} cases  {_mark(report, stage)}" if failed else ""
        tail = tail if stage not in report.excused else "see the note"
        lines.append(f"{stage:18}{''.join(f'{cell:{WIDTH}}' for cell in cells)}{tail}".rstrip())
    names = "".join(f"{dtype:{WIDTH}}" for dtype in _asked(report))
    return [f"{'stage':18}{names}".rstrip(), *lines] if lines else []


def _asked(report: Report) -> list[str]:
    return [dtype for dtype in DTYPES if any(f.dtype == dtype for f in report.findings)]


def _cell(report: Report, findings: list[Finding]) -> str:
    if not findings:
        return "-"
    worst = max(findings, key=lambda f: f.times)
    failed = "note" if worst.stage in report.excused else "FAIL"
    state = failed if worst.times > 1 else "ok"
    if worst.stage not in INTEGER:
        return f"{state:5} {worst.times:.2g}x budget"
    wrong = sum(f.error for f in findings)
    said = f"{wrong:.0f} differ" if math.isfinite(wrong) else "another shape"
    return f"{state:5} {said}{_least_margin(report, findings)}"


def _least_margin(report: Report, findings: list[Finding]) -> str:
    """Say how far the choices that were right are from a tie, exact ties left out."""
    kind = "lca" if findings[0].stage.startswith("lca_") else "rank"
    cases = {e.case.id: e.case for e in report.entries if not e.case.swaps}
    found = [dict(cases[f.case].margins).get(kind) for f in findings if f.case in cases]
    least = min((m for m in found if m), default=None)
    return f" (margin {least:.1g})" if least and not any(f.error for f in findings) else ""


def _mark(report: Report, stage: str) -> str:
    if stage == report.first:
        return "<- first divergence"
    supplied = {f.stage for f in report.findings}
    begins = any(f.begins_here for f in report.failed(stage)) and set(NEEDS[stage]) <= supplied
    follows = any(report.failed(other) for other in SHARES.get(stage, ()))
    return "<- begins here too" if begins and not follows else ""


# ---- The reason


def why(report: Report) -> list[str]:
    """Return the verdict's reasons, one a line."""
    lines = report.troubles[:SHOWN]
    more = len(report.troubles) - len(lines)
    lines += [f"and {more} more such answers"] if more else []
    if report.first:
        lines += [_place(report), *(report.reasons or _scaling(report))]
        lines += [*_direction(report), *_name(report)]
    elif not lines and report.findings:
        lines.append("every stage that was supplied is within its budget in every case")
    return lines


def _place(report: Report) -> str:
    supplied = {f.stage for f in report.findings}
    needs = NEEDS[report.first]
    missing = [stage for stage in _before(report.first) if stage not in supplied]
    if missing and not set(needs) <= supplied:
        return (
            f"it begins at {report.first} or before it: supply {' '.join(missing[:4])} ... to see"
        )
    if not needs:
        return f"it begins at {report.first}, which is computed from the inputs alone"
    if any(f.begins_here for f in report.failed(report.first)):
        return f"still wrong from its own {', '.join(needs)}: {report.first} is where it begins"
    return f"{report.first} is the first to be over its budget; the fault may lie before it"


def _before(stage: str) -> list[str]:
    """Return all stages that a stage is computed from, in order."""
    found = set(NEEDS[stage])
    for earlier in reversed(NEEDS):
        if earlier in found:
            found |= set(NEEDS[earlier])
    return [earlier for earlier in NEEDS if earlier in found]


def _scaling(report: Report) -> list[str]:
    ratio = report.scaling
    if ratio is None:
        one = len(_asked(report)) == 1 and report.first not in INTEGER
        return ["only one dtype was asked: both tell rounding from a formula"] if one else []
    said = f"error(float32)/error(float64) = {ratio:.3g}"
    if ratio < FORMULA:
        return [f"{said}: not rounding, another formula"]
    if ratio > ALONE:
        return [f"{said}: more than rounding, float32 alone is wrong"]
    return [f"{said}: " + ("rounding" if ratio > ROUNDING else "neither rounding nor a constant")]


def _direction(report: Report) -> list[str]:
    said = direction(report) if report.verdict != "poor accuracy" else ""
    return [said] if said else []


def _name(report: Report) -> list[str]:
    changed = named(report)
    if not changed:
        said = {"poor accuracy": "right convention, too many digits lost"}
        if report.reasons:
            said["poor accuracy"] = "right convention"
        said["unexplained"] = "no named convention explains it"
        return [said[report.verdict]] if report.verdict in said else []
    best = report.explanations[0]
    lines = [f"{field} = {now}, expected {was}" for field, (was, now) in changed.items()]
    residual = f"residual {best.worst:.2g}x budget, {best.explained}/{best.asked} cases"
    whole = convention_name(best.convention, report.declared)
    return [*lines, f"{'explains' if len(lines) == 1 else 'explain'} it ({residual}): {whole}"]


def named(report: Report) -> dict[str, tuple]:
    """Return the choices that explain the candidate: field -> (declared, found)."""
    best = report.explanations[0] if report.explanations else None
    return differences(report.declared, best.convention) if best and best.explains else {}


# ---- JSON


def as_json(report: Report) -> str:
    """Return the report as JSON; a number that is not finite is null."""
    content = {
        "schema": 1,
        "version": hier_ref.__version__,
        "suite": suite_name(report),
        "candidate": report.candidate,
        "declared": convention_name(report.declared),
        "verdict": report.verdict,
        "exit": report.code,
        "first": report.first or None,
        "why": why(report),
        "largest": largest(report),
        "differences": named(report),
        "scaling": report.scaling,
        "troubles": report.troubles,
        "notes": report.notes,
        "not_exercised": report.not_exercised,
        "worst": [{**vars(e), "ulp": e.ulp} for e in worst_elements(report)],
        "findings": [{**vars(f), "times": f.times} for f in report.findings],
    }
    return json.dumps(_plain(content), indent=1, allow_nan=False) + "\n"


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
