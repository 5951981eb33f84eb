"""One level of HIER: ancestors are chosen, triplets are compared with them, gradients flow back.

Everything here is computed from a matrix of distances d between points and proxies; where it
comes from is `hier_ref.hier`'s business. `block_hinges` is the formula, which autograd can
differentiate; `hier_ref.blocks` is the same with its gradient by hand. Chapter: docs/4-hier.md.
"""

from typing import NamedTuple

import autograd.numpy as np
import numpy as onp
from autograd.tracer import getval
from numpy.typing import NDArray

from hier_ref.blocks import Judged, judge
from hier_ref.choice import RULE, Rule, among, choice_weights, choice_weights_vjp, farther
from hier_ref.ranges import rows
from hier_ref.surrogates import pick
from hier_ref.threads import in_order
from hier_ref.triplets import Draws

__all__ = [
    "RULE",
    "Block",
    "Rule",
    "block_hinges",
    "choice_weights",
    "choice_weights_vjp",
    "level_loss",
    "level_stages",
]


def _choose(far: NDArray, arrival: NDArray, out: NDArray | None, rule: Rule) -> NDArray:
    """Choice weights under a convention; proxies marked in out (T, P) cannot be chosen. (C7)."""
    if out is not None:
        far = np.where(out, np.inf, far)
    if rule.convention.noise_tempered:  # (C6): -(far + log E)/tau is (-far + G)/tau
        far, arrival = far + np.log(arrival), np.ones_like(arrival)
    w = rule.weights(far, arrival)
    return w if rule.convention.straight_through else getval(w)


class Block(NamedTuple):
    """What the forward pass of some triplets knows; T rows each."""

    lca_pair: NDArray  # (T,) chosen proxy of (i, j)
    lca_triple: NDArray  # (T,) chosen proxy of (i, j, k)
    hinge: NDArray  # (T,) sum of the three hinges, 0 where both ancestors coincide
    w_pair: NDArray  # (T, P)
    w_triple: NDArray  # (T, P)
    active: NDArray  # (T, 3) boolean: hinges with a slope


def three_hinges(
    gains: tuple[NDArray, NDArray, NDArray], counts: NDArray, margin: float
) -> tuple[NDArray, NDArray]:
    """Sum of the hinges of i, j and k, and which of them have a slope. (H3).

    gains (T,) each, counts (T,) boolean -> (T,), (T, 3) boolean. A hinge at exactly 0 has slope 0
    (K24); a triplet whose two ancestors are one and the same proxy counts 0 (K25).
    """
    gain_i, gain_j, gain_k = gains
    inside = [gain_i + margin, gain_j + margin, margin - gain_k]
    active = [counts & (getval(h) > 0) for h in inside]
    hinge = sum(np.where(slope, h, 0) for slope, h in zip(active, inside, strict=True))
    return hinge, onp.stack(active, axis=1)


def block_hinges(
    d: NDArray,
    triplets: NDArray,
    pair: NDArray,
    triple: NDArray,
    rule: Rule,
    own_ancestor: bool = True,
) -> Block:
    """Compare every triplet with its two ancestors (H3), autograd's witness of `blocks.judge`.

    d (N, P) distances of points to proxies, triplets (T, 3), pair and triple (T, P) arrival
    times; own_ancestor False takes the members themselves out of the choice. Of equal weights
    the first is chosen (K23).
    """
    d_i, d_j, d_k = (d[triplets[:, member]] for member in range(3))
    out_pair, out_triple = (
        None if own_ancestor else among(triplets[:, :size], d.shape[1]) for size in (2, 3)
    )
    far_pair = farther(d_i, d_j, rule)
    w_pair = _choose(far_pair, pair, out_pair, rule)
    w_triple = _choose(farther(far_pair, d_k, rule), triple, out_triple, rule)
    lca_pair, lca_triple = getval(w_pair).argmax(1), getval(w_triple).argmax(1)

    def gain(d_a: NDArray) -> NDArray:
        # distance to the pair's ancestor minus distance to the triple's
        return pick(w_pair, d_a, lca_pair) - pick(w_triple, d_a, lca_triple)

    counts = (lca_pair != lca_triple) | (not rule.convention.same_lca_mask)
    hinge, active = three_hinges((gain(d_i), gain(d_j), gain(d_k)), counts, rule.margin)
    return Block(lca_pair, lca_triple, hinge, w_pair, w_triple, active)


def _check(d: NDArray, draws: Draws, level: str, rule: Rule) -> None:
    """Refuse distances that are not finite, draws that do not fit, numbers that round to 0."""
    rows("d", d)
    draws.check(level, *d.shape)
    rule.check(getval(d).dtype)


def _arguments(
    d: NDArray, draws: Draws, level: str, rule: Rule, number: int
) -> tuple[NDArray, NDArray, NDArray, NDArray, Rule, bool]:
    """Return the arguments of `block_hinges` for one block of a level."""
    n = d.shape[1]
    # With three proxies or fewer nobody else is left to choose, and the ban is lifted (K28).
    own = rule.convention.proxy_may_be_own_ancestor or level == "data" or n <= 3
    return d, *draws.arrivals(level, number, n, getval(d).dtype), rule, own


def _divisor(lca_pair: NDArray, lca_triple: NDArray, rule: Rule) -> int:
    """Return what the sum of hinges is divided by, at least 1. (C8)."""
    apart = rule.convention.mean_over == "apart"
    return max(1, int(onp.sum(lca_pair != lca_triple)) if apart else len(lca_pair))


def level_loss(d: NDArray, draws: Draws, level: str, rule: Rule = RULE) -> float:
    """Mean hinge over the triplets of one level, 0 if there is none (K27). (H4).

    d (N, P) distances of the level's points to the proxies. Differentiable by autograd. Raises
    ValueError for distances that are not finite and draws that do not fit.
    """
    _check(d, draws, level, rule)
    blocks = [
        block_hinges(*_arguments(d, draws, level, rule, number)) for number in draws.blocks(level)
    ]
    if not blocks:
        return 0.0
    pair, triple = (onp.concatenate([b[which] for b in blocks]) for which in (0, 1))
    return sum(np.sum(block.hinge) for block in blocks) / _divisor(pair, triple, rule)


def level_stages(
    d: NDArray, draws: Draws, level: str, rule: Rule = RULE, gradient: bool = True
) -> dict:
    """Every intermediate of one level and its gradient `grad_d` (N, P), 0 unless asked. (H4').

    Raises as `level_loss`.
    """
    _check(d, draws, level, rule)

    def work(number: int) -> Judged:
        return judge(*_arguments(d, draws, level, rule, number), gradient)

    grad_d = onp.zeros_like(d)
    none = onp.zeros(0, int), onp.zeros(0, int), onp.zeros(0, d.dtype)
    found: list[tuple[NDArray, ...]] = [none]
    for judged in in_order(work, draws.blocks(level)):
        found.append(judged[:3])
        grad_d += judged.grad_d
    lca_pair, lca_triple, hinge = (onp.concatenate(parts) for parts in zip(*found, strict=True))
    mean = d.dtype.type(1 / _divisor(lca_pair, lca_triple, rule))
    return {
        "lca_pair": lca_pair,
        "lca_triple": lca_triple,
        "hinge": hinge,
        "loss": hinge.sum() * mean,
        "grad_d": grad_d * mean,
    }
