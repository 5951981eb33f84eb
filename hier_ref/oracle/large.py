"""One case of the size of a real batch, drawn on the spot: `check --large`.

What goes wrong in the last block of a kernel, or beyond an index of 8 or 16 bits, shows in no small
case. Its noise alone has 200 MB, so it does not travel with the package. docs/13-oracle.md.
"""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from hier_ref.convention import EXACT, RELEASED, Convention
from hier_ref.oracle.budgets import HOPELESS, budgets_in
from hier_ref.oracle.case import Case, reference
from hier_ref.oracle.drawing import clear, margins, random_case
from hier_ref.oracle.edits import few
from hier_ref.oracle.suite import Entry

SIZES = {"b": 180, "p": 512, "dim": 128, "neighbours": 20, "per_anchor": 50}
TRIPLETS = 9_000, 18_000  # at most, of data and of proxies
LOOSER = 4.0  # budgets are derived from fewer right answers than those of the suite


def large_entry(sizes: dict = SIZES, triplets: tuple[int, int] = TRIPLETS) -> Entry:
    """Return the case and its budgets; equal sizes give equal numbers."""
    case = random_case(np.random.default_rng(0), asked=False, size=1.0, **sizes)
    for level, most in zip(("data", "proxy"), triplets, strict=True):
        if len(getattr(case, f"triplets_{level}")) > most:
            case = few(case, most, (level,))
    case = clear(case)
    reason = "the size of a real batch: last blocks, indices of more than 8 bits"
    case = replace(case, id="large-batch", reason=reason, flags=("size",))
    case = replace(case, margins=tuple(margins(case).items()))
    table = {}
    for dtype in ("float64", "float32"):
        found = budgets_in(case, dtype, (EXACT, RELEASED), spread=_reordered)
        table[dtype] = {s: LOOSER * b for s, b in found.items() if LOOSER * b < HOPELESS}
    return Entry(case, table)


def _reordered(case: Case, dtype: str, convention: Convention) -> Iterator[dict]:
    """Yield the reference in a dtype, and with its coordinates the other way round."""
    case = case.astype(dtype)
    yield reference(case, convention)
    back = replace(case, x=case.x[:, ::-1], proxies=case.proxies[:, ::-1])
    stages = reference(back, convention)
    for name in ("z", "l", "grad_z", "grad_l", "grad_x", "grad_proxies"):
        stages[name] = stages[name][:, ::-1]
    yield stages
