"""Budgets: how far right answers in other arithmetics and orders of summation are off. (V2)."""

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from hier_ref.balls import ball_of
from hier_ref.convention import EXACT, RELEASED, Convention
from hier_ref.oracle.case import Case, answers, reference
from hier_ref.oracle.stages import INTEGER, NEEDS, PAIRS, deviation
from hier_ref.oracle.textbook import ByLogarithm, by_autograd, distances, shuffled, textbook
from hier_ref.triplets import LEVELS

SAFETY = 16  # a budget is this many times the largest error of the right variants
SHARP = 4  # and this many times that of gradients whose weights have lost digits in a known way
ROUNDINGS = 256  # and at least this many eps
GRADIENTS = tuple(stage for stage in NEEDS if stage.startswith("grad_"))
OF_POINTS = ("z", "l", "grad_z", "grad_l", "grad_x", "grad_proxies")  # rows of coordinates
HOPELESS = 0.05  # budgets beyond this say that the dtype has no digits left


def orders(case: Case) -> Iterator[tuple[NDArray, Case]]:
    """Yield orders of the coordinates (D,), the first as it is, and the case in each."""
    rng, size = np.random.default_rng(0), case.x.shape[1]
    for order in (np.arange(size), *(rng.permutation(size) for _ in "ab")):
        yield order, shuffled(case, order)


def variants(case: Case, dtype: str, convention: Convention) -> Iterator[dict[str, NDArray]]:
    """Yield right answers in other arithmetics and orders of summation."""
    for order, moved in orders(case.astype(dtype)):
        for each in (convention, *(textbook(convention, name) for name in distances(convention))):
            with np.errstate(all="ignore"):
                try:
                    plain = reference(moved, each)
                    both = [plain, plain | by_autograd(moved, each, plain)]
                except ValueError:  # a distance is infinite here
                    both = [_points(moved, each)]
            yield from (_in_order(stages, order) for stages in both)


def _points(case: Case, convention: Convention) -> dict[str, NDArray]:
    """Return the points of a case; of other stages nothing is left, so that they are not asked."""
    sides = {"z": case.x, "l": case.proxies}
    to_ball = ball_of(convention).to_ball
    points = {name: to_ball(u, case.c, case.clip_radius) for name, u in sides.items()}
    return dict.fromkeys(NEEDS, np.empty((0, 0))) | points


def logarithms(case: Case, dtype: str, convention: Convention) -> Iterator[dict[str, NDArray]]:
    """Yield right gradients whose softmax is exp(s - log sum exp(s)). (V3)."""
    for order, moved in orders(case.astype(dtype)):
        with np.errstate(all="ignore"):
            plain = reference(moved, convention)
            found = by_autograd(moved, convention, plain, ByLogarithm)
        yield _in_order({name: found[name] for name in GRADIENTS}, order)


def _in_order(stages: dict[str, NDArray], order: NDArray) -> dict[str, NDArray]:
    """Return stages with their coordinates in the first order again."""
    wide = [name for name in OF_POINTS if np.size(stages.get(name, ()))]
    return stages | {name: stages[name][:, np.argsort(order)] for name in wide}


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
        for safety, kind in ((SAFETY, spread), (SHARP, logarithms)):
            for stages in kind(case, dtype, convention):
                for stage in (s for s in right[0] if s in worst and s in stages):
                    off = min(deviation(case, stage, stages[stage], a[stage]) for a in right)
                    worst[stage] = max(worst[stage], safety * off)
    return worst


def _softmax(case: Case, right: dict[str, NDArray]) -> float:
    """Return how many eps the gradient may lose where weights are exp(s - log sum exp(s)). (V3)."""
    most = [0.0]
    for level in LEVELS:
        largest = np.max(right[PAIRS[level]]) / case.tau
        noise = max(np.max(np.abs(g), initial=0.0) for g in case.draws.level(level)[1] or ())
        most.append(float(3 * largest * (largest + noise)))
    return max(most)
