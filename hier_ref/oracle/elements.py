"""The numbers behind a verdict: which are worst, and which way they are off."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hier_ref.oracle.case import answers
from hier_ref.oracle.finding import Finding, Report
from hier_ref.oracle.form import DTYPES
from hier_ref.oracle.stages import INTEGER

SHOWN = 3  # worst elements


@dataclass(frozen=True)
class Element:
    """One number of one stage: what the candidate gave and what is right."""

    case: str
    dtype: str
    stage: str
    index: tuple[int, ...]
    got: float
    want: float

    @property
    def ulp(self) -> float:
        """The difference in units in the last place of the right number."""
        return abs(self.got - self.want) / float(
            np.spacing(np.dtype(self.dtype).type(abs(self.want)))
        )

    def __str__(self) -> str:
        place = f"[{','.join(map(str, self.index))}]" if self.index else ""
        said = f"{self.case} {self.stage}{place} {self.dtype} got {self.got:.9g}"
        if self.stage in INTEGER:
            return f"{said} want {self.want:.9g}"
        return f"{said} want {self.want:.9g} ulp {self.ulp:.2g}"


def worst_elements(report: Report) -> list[Element]:
    """Return the worst numbers at the first divergence, each of another case."""
    found = []
    for finding in sorted(clearest(report), key=lambda f: -f.times)[:SHOWN]:
        got, want = values(report, finding)
        if got.shape == want.shape:
            off = np.where(np.isfinite(got), np.abs(got - want), np.inf)
            index = tuple(int(n) for n in np.unravel_index(np.argmax(off), off.shape))
            place = finding.case, finding.dtype, finding.stage, index
            found.append(Element(*place, float(got[index]), float(want[index])))
    return found


def clearest(report: Report) -> list[Finding]:
    """Return the failures at the first divergence in the most accurate dtype that has any."""
    failed = report.failed(report.first) if report.first else []
    dtype = next((t for t in DTYPES if any(f.dtype == t for f in failed)), None)
    return [f for f in failed if f.dtype == dtype]


def values(report: Report, finding: Finding) -> tuple[NDArray, NDArray]:
    """Return what a finding compared: the candidate's numbers (...,) and the nearest right ones."""
    case = next(entry.case for entry in report.entries if entry.case.id == finding.case)
    got = np.asarray(report.given[finding.case, finding.dtype].stages[finding.stage], np.float64)
    rights = [np.asarray(a[finding.stage], np.float64) for a in answers(case, report.declared)]
    return got, min(rights, key=lambda right: np.max(np.abs(got - right), initial=0.0))


def direction(report: Report) -> str:
    """Say whether the candidate's values are too large or too small, and by what factor."""
    pairs = [_moved(*values(report, finding)) for finding in clearest(report)]
    if report.first in INTEGER or not pairs:
        return ""
    got, want = (np.concatenate(side) for side in zip(*pairs, strict=True))
    if not len(got):
        return ""
    if report.first.startswith("grad_") and not np.any(got):
        end = {"grad_x": "x", "grad_proxies": "the proxies"}.get(report.first, report.first[5:])
        return f"no gradient reaches {end}: it is detached, or computed without gradients"
    ratio = got[want != 0] / want[want != 0]
    if len(ratio) > 1:
        low, middle, high = np.quantile(ratio, (0.1, 0.5, 0.9))
        if high - low <= 0.01 * abs(middle - 1):
            return f"the candidate's {report.first} is {middle:.4g} times the right one"
    larger = np.mean(np.abs(got) > np.abs(want))
    which, share = ("larger", larger) if larger >= 0.5 else ("smaller", 1 - larger)
    count = f"{share:.0%} of the {len(got)} entries that differ"
    return f"the candidate's {report.first} is {which} in magnitude in {count}"


def _moved(got: NDArray, want: NDArray) -> tuple[NDArray, NDArray]:
    """Return the entries that differ by more than a thousandth of the largest difference."""
    if got.shape != want.shape:
        return np.zeros(0), np.zeros(0)
    off = np.abs(got - want)
    moved = off > 1e-3 * np.max(off, initial=0.0)
    return got[moved], want[moved]
