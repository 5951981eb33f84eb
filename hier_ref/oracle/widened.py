"""Budgets of conventions that the suite has none for: derived, as (V2) says, when they are needed.

The budgets of a suite come from right answers in EXACT and RELEASED. In another convention right
answers may round worse, and choices that were clear may tie. docs/13-oracle.md.
"""

import math
from dataclasses import replace

import numpy as np

from hier_ref.convention import ARITHMETIC, EXACT, RELEASED, Convention
from hier_ref.oracle.budgets import HOPELESS, budgets_in
from hier_ref.oracle.case import Case
from hier_ref.oracle.stages import INTEGER, NEEDS
from hier_ref.oracle.suite import Entry

PRESETS = (EXACT, RELEASED)
FEW = 0.25  # of the cases: where more are off, it is no rounding, and nothing is derived
LEAST = 12  # cases of a declared convention, which a small suite of hard ones may need
FEWER = 2  # cases, if constants of the arithmetic are searched for
KEPT = 0.25  # the power of eps that a budget may reach with them: 10^-4 in float64
CONSTANTS = tuple(name for name in ARITHMETIC if name != "curvature_dtype")
LARGEST = 2**18  # numbers in the noise of a case beyond which that would take too long
KNOWN: dict[tuple, tuple[Case, dict[str, float]]] = {}


def budget(entry: Entry, dtype: str, stage: str, convention: Convention) -> float:
    """Return the budget of a stage in a convention; inf where right answers have no digits left.

    Never less than that of the suite.
    """
    usual = entry.budgets[dtype][stage]
    size = sum(g.size for g in (*entry.case.gumbel_data, *entry.case.gumbel_proxy))
    if convention in PRESETS or size > LARGEST:
        return usual
    own = _derived(entry.case, dtype, convention)[stage]
    hopeless = own > 0 if stage in INTEGER else own >= HOPELESS
    return math.inf if hopeless else max(usual, own)


def scaled(entry: Entry, dtype: str, stage: str, convention: Convention, times: float) -> float:
    """Return an error in budgets of the suite in those of a convention that is searched for.

    Constants of the arithmetic excuse no more than what leaves a quarter of the digits: what is
    off at the boundary alone must not be explained by constants that leave no digits there.
    """
    usual, own = entry.budgets[dtype][stage], budget(entry, dtype, stage, convention)
    if not _ordinary(convention) and own > float(np.finfo(dtype).eps) ** KEPT:
        own = budget(entry, dtype, stage, _without_constants(convention))
    if own == math.inf:
        return 0.0
    return times * usual / own if usual else times


def excusable(convention: Convention, cases: int) -> float:
    """Return in how many of some cases budgets may be derived anew for a convention."""
    return max(1, FEW * cases) if _ordinary(convention) else FEWER


def _ordinary(convention: Convention) -> bool:
    """Tell whether the constants of the arithmetic are those of a preset."""
    return any(all(getattr(convention, n) == getattr(k, n) for n in CONSTANTS) for k in PRESETS)


def _without_constants(convention: Convention) -> Convention:
    """Return the choices of a convention, in exact arithmetic."""
    return replace(convention, **{name: getattr(EXACT, name) for name in CONSTANTS})


def _derived(case: Case, dtype: str, convention: Convention) -> dict[str, float]:
    key = id(case), dtype, convention
    if key not in KNOWN:
        try:
            with np.errstate(all="ignore"):
                found = budgets_in(case, dtype, (convention,))
        except ValueError:  # a point leaves the ball
            found = dict.fromkeys(NEEDS, math.inf)
        KNOWN[key] = case, found  # the case is kept, so that no other gets its id
    return KNOWN[key][1]
