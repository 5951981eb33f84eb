"""Budgets of conventions that the suite has none for: derived, as (V2) says, when they are needed.

The budgets of a suite come from right answers in EXACT and RELEASED. In another convention right
answers may round worse, and choices that were clear may tie. docs/13-oracle.md.
"""

import math

import numpy as np

from hier_ref.convention import EXACT, RELEASED, Convention
from hier_ref.oracle.case import Case
from hier_ref.oracle.generate import HOPELESS, budgets_in
from hier_ref.oracle.stages import INTEGER, NEEDS
from hier_ref.oracle.suite import Entry

NEAR = 1e4  # errors beyond so many budgets are none of rounding: nothing is derived for them
LARGEST = 2**18  # numbers in the noise of a case beyond which that would take too long
KNOWN: dict[tuple, tuple[Case, dict[str, float]]] = {}


def budget(entry: Entry, dtype: str, stage: str, convention: Convention) -> float:
    """Return the budget of a stage in a convention; inf where right answers have no digits left.

    Never less than that of the suite.
    """
    usual = entry.budgets[dtype][stage]
    size = sum(g.size for g in (*entry.case.gumbel_data, *entry.case.gumbel_proxy))
    if convention in (EXACT, RELEASED) or size > LARGEST:
        return usual
    own = _derived(entry.case, dtype, convention)[stage]
    hopeless = own > 0 if stage in INTEGER else own >= HOPELESS
    return math.inf if hopeless else max(usual, own)


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
