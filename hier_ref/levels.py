"""One level of HIER: ancestors are chosen, triplets are compared with them, gradients flow back.

Everything here is computed from a matrix of distances d between points and proxies; where it
comes from is `hier_ref.hier`'s business. Every forward is directly followed by its gradient.
Chapter: docs/4-hier.md.
"""

from dataclasses import dataclass
from typing import NamedTuple

import autograd.numpy as np
import numpy as onp
import scipy
from autograd.tracer import getval
from numpy.typing import DTypeLike, NDArray

from hier_ref.convention import EXACT, Convention
from hier_ref.ranges import number, rows
from hier_ref.surrogates import pick
from hier_ref.threads import in_order
from hier_ref.triplets import Draws


@dataclass(frozen=True)
class Rule:
    """How the triplets of a level are judged; ValueError unless tau > 0 and margin >= 0."""

    tau: float = 0.1
    margin: float = 0.1
    convention: Convention = EXACT

    def __post_init__(self) -> None:
        """Refuse what no level can be judged by."""
        self.check(np.float64)

    def check(self, dtype: DTypeLike) -> None:
        """Refuse numbers that would be 0 or infinite in the dtype of the distances."""
        number("tau", self.tau, dtype=dtype)
        number("margin", self.margin, zero=True, dtype=dtype)


RULE = Rule()


def choice_weights(far: NDArray, arrival: NDArray, tau: float) -> NDArray:
    """Soft choice of the nearest proxy under noise, as a race. (H1).

    far (T, P) is the distance of each proxy to the farthest member of the set, arrival (T, P)
    Exp(1) noise, tau > 0 the temperature -> (T, P), rows summing to 1. The largest weight is
    the hard choice (T6). Equals softmax(-far/tau + Gumbel noise); it is p with the probability
    softmax(-far/tau)_p (T7). ValueError for another tau and for
    arrival times that are 0, negative or NaN.
    Source: derived in docs/3 and 4.
    """
    number("tau", tau)
    if not np.min(getval(arrival), initial=1) > 0:
        raise ValueError(f"arrival times from {np.min(arrival):.3g}: expected numbers above 0")
    with onp.errstate(over="ignore"):  # a tau far below all differences: exp(-inf) is right
        rate = np.exp((np.min(far, axis=1, keepdims=True) - far) / tau)
    w = rate / arrival
    return w / np.sum(w, axis=1, keepdims=True)


def choice_weights_vjp(g: NDArray, w: NDArray, tau: float) -> NDArray:
    """Gradient of `choice_weights` to `far`: (T, P) cotangent, (T, P) weights -> (T, P). (H1')."""
    number("tau", tau)
    return w * (onp.sum(w * g, axis=1, keepdims=True) - g) / tau


def _choose(far: NDArray, arrival: NDArray, out: NDArray | None, rule: Rule) -> NDArray:
    """Choice weights under a convention; proxies marked in out (T, P) cannot be chosen. (C7)."""
    if out is not None:
        far = np.where(out, np.inf, far)
    if rule.convention.noise_tempered:  # (C6): -(far + log E)/tau is (-far + G)/tau
        far, arrival = far + np.log(arrival), np.ones_like(arrival)
    w = choice_weights(far, arrival, rule.tau)
    return w if rule.convention.straight_through else getval(w)


class Block(NamedTuple):
    """What the forward pass of some triplets knows; T rows each."""

    lca_pair: NDArray  # (T,) chosen proxy of (i, j)
    lca_triple: NDArray  # (T,) chosen proxy of (i, j, k)
    hinge: NDArray  # (T,) sum of the three hinges, 0 where both ancestors coincide
    w_pair: NDArray  # (T, P)
    w_triple: NDArray  # (T, P)
    active: NDArray  # (T, 3) boolean: hinges with a slope


def block_hinges(
    d: NDArray,
    triplets: NDArray,
    pair: NDArray,
    triple: NDArray,
    rule: Rule,
    own_ancestor: bool = True,
) -> Block:
    """Compare every triplet with its two ancestors. (H3).

    d (N, P) distances of points to proxies, triplets (T, 3), pair and triple (T, P) arrival
    times; own_ancestor False takes the members themselves out of the choice. Of equal weights
    the first is chosen (K23). A hinge at exactly 0 has slope 0 (K24); triplets whose two
    ancestors are one and the same proxy count 0 (K25).
    """
    d_i, d_j, d_k = (d[triplets[:, member]] for member in range(3))
    out_pair, out_triple = (
        None if own_ancestor else _among(triplets[:, :size], d.shape[1]) for size in (2, 3)
    )
    far_pair = _farther(d_i, d_j, rule)
    w_pair = _choose(far_pair, pair, out_pair, rule)
    w_triple = _choose(_farther(far_pair, d_k, rule), triple, out_triple, rule)
    lca_pair, lca_triple = getval(w_pair).argmax(1), getval(w_triple).argmax(1)

    def gain(d_a: NDArray) -> NDArray:
        # (H3) distance to the pair's ancestor minus distance to the triple's
        return pick(w_pair, d_a, lca_pair) - pick(w_triple, d_a, lca_triple)

    counts = (lca_pair != lca_triple) | (not rule.convention.same_lca_mask)
    inside = [gain(d_i) + rule.margin, gain(d_j) + rule.margin, rule.margin - gain(d_k)]
    active = [counts & (getval(h) > 0) for h in inside]
    hinge = sum(np.where(slope, h, 0) for slope, h in zip(active, inside, strict=True))
    return Block(lca_pair, lca_triple, hinge, w_pair, w_triple, onp.stack(active, axis=1))


def block_hinges_vjp(g: float, d: NDArray, triplets: NDArray, rule: Rule, block: Block) -> NDArray:
    """Gradient of g * sum(hinge) to d: (N, P). (H3').

    Where distances tie for the farthest member, each gets half (K26).
    """
    keep = block.active.any(1)
    members, active = triplets[keep], block.active[keep] * d.dtype.type(g)
    d_i, d_j, d_k = (d[members[:, member]] for member in range(3))
    signs = active[:, 0, None], active[:, 1, None], -active[:, 2, None]
    if rule.convention.straight_through:
        # (H2'): the cotangent of each weight is a sum of distances.
        v = sum(sign * d_a for sign, d_a in zip(signs, (d_i, d_j, d_k), strict=True))
        to_pair = choice_weights_vjp(v, block.w_pair[keep], rule.tau)
        to_triple = choice_weights_vjp(-v, block.w_triple[keep], rule.tau)
        far_pair = onp.maximum(d_i, d_j)
        share_i, share_k = _share(d_i, d_j, rule), 1 - _share(far_pair, d_k, rule)
        to_pair += to_triple * (1 - share_k)
        rows = [to_pair * share_i, to_pair * (1 - share_i), to_triple * share_k]
    else:
        rows = [onp.zeros_like(d_i) for _ in range(3)]
    # The chosen distances themselves: + at the ancestor of the pair, - at that of the triple.
    t, pair, triple = onp.arange(len(members)), block.lca_pair[keep], block.lca_triple[keep]
    for row, sign in zip(rows, signs, strict=True):
        row[t, pair] += sign[:, 0]
        row[t, triple] -= sign[:, 0]
    of_i, of_j, of_k = (_scatter(row, members[:, m], len(d)) for m, row in enumerate(rows))
    return of_i + of_j + of_k


def _farther(d: NDArray, other: NDArray, rule: Rule) -> NDArray:
    """Return the larger of two distances, by which a set is far from a proxy. (T5).

    autograd splits the slope of a tie, `where` does not.
    """
    if rule.convention.max_tie == "split":
        return np.maximum(d, other)
    return np.where(d >= other if rule.convention.max_tie == "first" else d > other, d, other)


def _share(d: NDArray, other: NDArray, rule: Rule) -> NDArray:
    """Slope of `_farther` in d: 1, 0, and at a tie 1/2 or, all or nothing, 1 or 0 (K26)."""
    if rule.convention.max_tie == "split":
        return onp.add(d > other, d >= other, dtype=d.dtype) * d.dtype.type(0.5)
    return (d >= other if rule.convention.max_tie == "first" else d > other).astype(d.dtype)


def _among(members: NDArray, n: int) -> NDArray:
    """Mark each row's members among n proxies: (T, M) indices -> (T, n) boolean."""
    return (members[:, :, None] == onp.arange(n)).any(1)


def _scatter(rows: NDArray, index: NDArray, n: int) -> NDArray:
    """Sum rows (T, P) into (n, P) by index (T,): the transpose of d[index]."""
    t = len(rows)
    ones = onp.ones(t, rows.dtype), (index, onp.arange(t))
    return scipy.sparse.csr_array(ones, shape=(n, t)) @ rows


def _check(d: NDArray, draws: Draws, level: str, rule: Rule) -> None:
    """Refuse distances that are not finite, draws that do not fit, numbers that round to 0."""
    rows("d", d)
    draws.check(level, *d.shape)
    rule.check(getval(d).dtype)


def _judge(d: NDArray, draws: Draws, level: str, rule: Rule, number: int) -> tuple[NDArray, Block]:
    """Return the triplets of one block of a level, and what the forward pass knows of them."""
    n = d.shape[1]
    # With three proxies or fewer nobody else is left to choose, and the ban is lifted (K28).
    own = rule.convention.proxy_may_be_own_ancestor or level == "data" or n <= 3
    triplets, pair, triple = draws.arrivals(level, number, n, getval(d).dtype)
    return triplets, block_hinges(d, triplets, pair, triple, rule, own)


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
    blocks = [_judge(d, draws, level, rule, number)[1] for number in draws.blocks(level)]
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

    def work(number: int) -> tuple:
        triplets, block = _judge(d, draws, level, rule, number)
        grad = block_hinges_vjp(1.0, d, triplets, rule, block) if gradient else 0
        return *block[:3], grad

    grad_d = onp.zeros_like(d)
    rows = [(onp.zeros(0, int), onp.zeros(0, int), onp.zeros(0, d.dtype))]
    for *row, grad in in_order(work, draws.blocks(level)):
        rows.append(tuple(row))
        grad_d += grad
    lca_pair, lca_triple, hinge = (onp.concatenate(parts) for parts in zip(*rows, strict=True))
    mean = d.dtype.type(1 / _divisor(lca_pair, lca_triple, rule))
    return {
        "lca_pair": lca_pair,
        "lca_triple": lca_triple,
        "hinge": hinge,
        "loss": hinge.sum() * mean,
        "grad_d": grad_d * mean,
    }
