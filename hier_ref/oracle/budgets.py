"""Budgets: how far right answers in other arithmetics and orders of summation are off. (V2)."""

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from hier_ref.convention import EXACT, RELEASED, Convention
from hier_ref.oracle.case import Case, answers, reference
from hier_ref.oracle.stages import INTEGER, NEEDS, PAIRS, deviation
from hier_ref.oracle.textbook import by_autograd, distances, shuffled, textbook
from hier_ref.triplets import LEVELS

SAFETY = 16  # a budget is this many times the largest error of the right variants
ROUNDINGS = 256  # and at least this many eps
GRADIENTS = tuple(stage for stage in NEEDS if stage.startswith("grad_"))
HOPELESS = 0.05  # budgets beyond this say that the dtype has no digits left


def variants(case: Case, dtype: str, convention: Convention) -> Iterator[dict[str, NDArray]]:
    """Yield right answers in other arithmetics and orders of summation."""
    rng = np.random.default_rng(0)
    case = case.astype(dtype)
    for order in (np.arange(case.x.shape[1]), *(rng.permutation(case.x.shape[1]) for _ in "ab")):
        moved = shuffled(case, order)
        for each in (convention, *(textbook(convention, name) for name in distances(convention))):
            with np.errstate(all="ignore"):
                plain = reference(moved, each)
                both = plain, plain | by_autograd(moved, each, plain)
            for stages in both:
                for name in ("z", "l", "grad_z", "grad_l", "grad_x", "grad_proxies"):
                    stages[name] = stages[name][:, np.argsort(order)]
                yield stages


def budgets(case: Case) -> dict[str, dict[str, float]]:
    """Return by dtype and stage how far a right answer may be off. (V2).

    Where right answers have no digits left, or differ in a choice, a stage is not asked.
    """
    table = {}
    for dtype in ("float32", "float64"):
        try:
            found = budgets_in(case, dtype, (EXACT, RELEASED))
        except ValueError:  # a point rounds onto the boundary
            continue
        kept = {stage: b for stage, b in found.items() if b < HOPELESS}
        table[dtype] = {
            stage: b for stage, b in kept.items() if b or set(NEEDS[stage]) <= kept.keys()
        }
    return table


def budgets_in(
    case: Case, dtype: str, conventions: tuple[Convention, ...], spread: Callable = variants
) -> dict[str, float]:
    """Return the budgets of all stages in one dtype, from right answers in some conventions. (V2).

    spread: yields them, given the case, the dtype and a convention.
    """
    worst = {stage: ROUNDINGS * float(np.finfo(dtype).eps) for stage in NEEDS}
    worst |= dict.fromkeys(INTEGER, 0.0)
    for convention in conventions:
        right = answers(case, convention)
        for name in GRADIENTS:
            worst[name] = max(worst[name], _softmax(case, right[0]) * float(np.finfo(dtype).eps))
        for stages in spread(case, dtype, convention):
            for stage in (s for s in stages if s in worst):
                off = min(deviation(case, stage, stages[stage], answer[stage]) for answer in right)
                worst[stage] = max(worst[stage], SAFETY * off)
    return worst


def _softmax(case: Case, right: dict[str, NDArray]) -> float:
    """Return how many eps the gradient may lose where weights are exp(s - log sum exp(s)). (V3)."""
    most = [0.0]
    for level in LEVELS:
        largest = np.max(right[PAIRS[level]]) / case.tau
        noise = max(np.max(np.abs(g), initial=0.0) for g in case.draws.level(level)[1] or ())
        most.append(float(3 * largest * (largest + noise)))
    return max(most)
