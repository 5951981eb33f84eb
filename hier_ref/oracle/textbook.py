"""The same loss in the arithmetic that others use, to learn how far right answers may differ.

Each arithmetic is a right implementation in exact arithmetic; in float32 or float64 it rounds
elsewhere. Gradients are those of autograd. Budgets are made from the errors of these (docs/13).
"""

import warnings
from dataclasses import dataclass, replace
from typing import Any

import autograd.numpy as np
from autograd import make_vjp
from autograd.tracer import getval
from numpy.typing import NDArray

from hier_ref.balls import Ball, ball_of
from hier_ref.convention import Convention
from hier_ref.levels import Rule, level_loss
from hier_ref.oracle.case import Case
from hier_ref.oracle.stages import PAIRS, Graph
from hier_ref.released.arithmetic import artanh, curvature, norm


def expmap0(u: NDArray, c: float, r: float, k: Convention) -> NDArray:
    """Clip, map and project as released.py does, every step in the dtype of u: (..., D)."""
    n = norm(u)
    u = np.where(n + k.clip_eps > r, r / (np.where(n == 0, 1, n) + k.clip_eps), 1) * u
    least = u.dtype.type(max(k.min_norm, np.sqrt(np.finfo(getval(u).dtype).tiny)))
    zeta = u.dtype.type(np.sqrt(c)) * np.maximum(norm(u), least)
    z = np.tanh(np.minimum(zeta, k.tanh_limit)) / zeta * u
    n, largest = np.maximum(norm(z), least), (1 - k.ball_margin) / np.sqrt(c)
    return np.where(n > largest, z / n * largest, z).astype(getval(u).dtype)


def mobius_distance(x: NDArray, y: NDArray, c: float, k: Convention) -> NDArray:
    """(2/√c) artanh(√c |(-x) ⊕ y|) with the addition written out: (M, D), (N, D) -> (M, N)."""
    xy, x_sq, y_sq = x @ y.T, np.sum(x * x, 1)[:, None], np.sum(y * y, 1)
    over = (1 - 2 * c * xy + c * y_sq)[:, :, None] * -x[:, None] + (1 - c * x_sq)[:, :, None] * y
    under = 1 - 2 * c * xy + c**2 * x_sq * y_sq + k.mobius_denominator_eps
    s = np.sqrt(c) * norm(over / under[:, :, None])[:, :, 0]
    return 2 / np.sqrt(c) * artanh(s, max(k.artanh_margin, np.finfo(getval(s).dtype).epsneg))


def direct_distance(x: NDArray, y: NDArray, c: float, k: Convention) -> NDArray:
    """(2/√c) arsinh(√(c q)/√(a b)), every sum left to right: (M, D), (N, D) -> (M, N)."""
    q = np.sum((x[:, None] - y) ** 2, axis=2)
    a, b = 1 - c * np.sum(x * x, 1)[:, None], 1 - c * np.sum(y * y, 1)
    same = getval(q) == 0
    root = np.sqrt(np.where(same, 1, q))
    return np.where(same, 0, 2 / np.sqrt(c) * np.arcsinh(root * np.sqrt(c / (a * b))))


def arcosh_distance(x: NDArray, y: NDArray, c: float, k: Convention) -> NDArray:
    """(1/√c) arcosh(1 + 2 c q/(a b)): (M, D), (N, D) -> (M, N)."""
    q = np.sum((x[:, None] - y) ** 2, axis=2)
    a, b = 1 - c * np.sum(x * x, 1)[:, None], 1 - c * np.sum(y * y, 1)
    grown = 1 + 2 * c * q / (a * b)
    same = getval(grown) == 1
    return np.where(same, 0, np.arccosh(np.where(same, 2, grown)) / np.sqrt(c))


DISTANCES = {"mobius": mobius_distance, "direct": direct_distance, "arcosh": arcosh_distance}


def distances(convention: Convention) -> tuple[str, ...]:
    """Return the arithmetics that a convention leaves open: constants in ⊕ or artanh fix it."""
    fixed = convention.mobius_denominator_eps or convention.artanh_margin
    return ("mobius",) if fixed else tuple(DISTANCES)


@dataclass(frozen=True)
class Textbook(Convention):
    """A convention whose ball is computed in one of `DISTANCES`."""

    distance: str = "mobius"


@ball_of.register
def _(convention: Textbook) -> Ball:
    """Return to_ball, pairwise_distance and their gradients, everything in one dtype."""

    def cast(value: Any, like: Any) -> Any:
        return value.astype(getval(like).dtype)

    def to_ball(u: NDArray, c: float, r: float) -> NDArray:
        return expmap0(u, float(curvature(c, convention)), float(r), convention)

    def distance(x: NDArray, y: NDArray, c: float) -> NDArray:
        written = DISTANCES[convention.distance]
        return cast(written(x, y, float(curvature(c, convention)), convention), x)

    def to_ball_vjp(g: NDArray, u: NDArray, c: float, r: float) -> NDArray:
        return cast(make_vjp(lambda u: to_ball(u, c, r))(u)[0](g), u)

    def distance_vjp(g: NDArray, x: NDArray, y: NDArray, c: float) -> tuple[NDArray, NDArray]:
        grad_x = make_vjp(lambda a: distance(a, y, c))(x)[0](g)
        grad_y = make_vjp(lambda b: distance(x, b, c))(y)[0](g)
        return cast(grad_x, x), cast(grad_y, x)

    return Ball(to_ball, to_ball_vjp, distance, distance_vjp)


def textbook(convention: Convention, distance: str) -> Textbook:
    """Return the same choices in another arithmetic."""
    return Textbook(**vars(convention), distance=distance)


class ByLogarithm(Rule):
    """A rule whose softmax is exp(s - log Σ exp(s)), there and in the logarithm's slope. (V3)."""

    def weights(self, far: NDArray, arrival: NDArray) -> NDArray:
        """Return the soft choice, every weight of which has lost |s| eps of itself."""
        s = -far / self.tau - np.log(arrival)
        value = getval(s)
        top = value.max(axis=1, keepdims=True)
        log_sum = np.log(np.sum(np.exp(value - top), axis=1, keepdims=True)) + top
        slope = np.exp(value - log_sum)  # of the logarithm, as others compute it
        return np.exp(s - log_sum - np.sum(slope * (s - value), axis=1, keepdims=True))


def by_autograd(
    case: Case, convention: Convention, stages: dict, kind: type[Rule] = Rule
) -> dict[str, NDArray]:
    """Return the gradients again, those to the distances by autograd, from stages of a case."""
    rule, back = kind(case.tau, case.margin, convention), {}
    for level, d in PAIRS.items():
        with warnings.catch_warnings():  # a level of no slope: autograd warns, and 0 is right
            warnings.simplefilter("ignore", UserWarning)
            pull, loss = make_vjp(lambda d, level=level: level_loss(d, case.draws, level, rule))(
                stages[d]
            )
        back[f"grad_{d}"] = pull(loss * 0 + 1).astype(case.x.dtype)
    given = {name: stages[name] for name in ("z", "l", *PAIRS.values())} | back
    graph = Graph(case, convention, given)
    return back | {name: graph.value(name) for name in GRADIENTS}


GRADIENTS = ("grad_z", "grad_l", "grad_x", "grad_proxies")


def shuffled(case: Case, order: NDArray) -> Case:
    """Return the case with its coordinates in another order (D,): other sums, equal answers."""
    return replace(case, x=case.x[:, order], proxies=case.proxies[:, order])
