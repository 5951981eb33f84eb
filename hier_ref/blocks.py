"""A block of triplets: its hinges and their gradient, every step by hand.

`hier_ref.levels.block_hinges` says the same one triplet at a time, and autograd differentiates
that: the tests hold the two together. What is saved here: a pair (i, j) occurs in several triplets,
so that its rates are found, and its slopes dealt out, once; and triplets without an active hinge
send nothing back. Chapter: docs/4-hier.md.
"""

from typing import NamedTuple

import numpy as np
import scipy
from numpy.typing import NDArray

from hier_ref.choice import Rule, among, farther_vjp

# glibc gives freed memory back to the system at once, and fetches each page of the next temporary
# anew, until it has seen a large array come and go. This one is never touched.
np.empty(3 * 2**20)


class Judged(NamedTuple):
    """What is known of some triplets once they are judged."""

    lca_pair: NDArray  # (T,) chosen proxy of (i, j)
    lca_triple: NDArray  # (T,) chosen proxy of (i, j, k)
    hinge: NDArray  # (T,) sum of the three hinges, 0 where both ancestors coincide
    grad_d: NDArray | float  # (N, P) gradient of the sum of hinges; 0 where nobody asked


class Pairs(NamedTuple):
    """The different pairs (i, j) of a block, and whose each triplet is."""

    i: NDArray  # (U,)
    j: NDArray  # (U,)
    of: NDArray  # (T,) row of the pair of each triplet


class Far(NamedTuple):
    """Distances of every proxy to the members, of each pair (U, P) and of each triplet (T, P)."""

    i: NDArray  # (U, P)
    j: NDArray  # (U, P)
    pair: NDArray  # (U, P) the larger of both
    k: NDArray  # (T, P)


def pairs_of(triplets: NDArray, n: int) -> Pairs:
    """Return the different pairs among triplets (T, 3) of n points."""
    codes, of = np.unique(triplets[:, 0] * n + triplets[:, 1], return_inverse=True)
    return Pairs(*np.divmod(codes, n), of)


def judge(
    d: NDArray,
    triplets: NDArray,
    pair: NDArray,
    triple: NDArray,
    rule: Rule,
    own_ancestor: bool = True,
    gradient: bool = True,
) -> Judged:
    """Compare triplets with their two ancestors, as `block_hinges` does, and differentiate. (H3').

    d (N, P), triplets (T, 3), pair and triple (T, P), which are overwritten. The gradient is that
    of the sum of all hinges.
    """
    triplets = triplets.astype(np.int64)  # products of narrow indices would wrap around
    pairs = pairs_of(triplets, len(d))
    d_i, d_j = d[pairs.i], d[pairs.j]
    far = Far(d_i, d_j, np.maximum(d_i, d_j), d[triplets[:, 2]])
    w_pair, w_triple = _races(far, pairs, triplets, pair, triple, rule, own_ancestor)
    lca_pair, lca_triple = w_pair.argmax(1), w_triple.argmax(1)
    gain = d[triplets, lca_pair[:, None]] - d[triplets, lca_triple[:, None]]
    signs = np.array([1, 1, -1], d.dtype)  # the pair's ancestor nearer to i and j, not to k
    inside = rule.margin + signs * gain
    counts = (lca_pair != lca_triple) | (not rule.convention.same_lca_mask)
    active = counts[:, None] & (inside > 0)
    hinge = np.where(active, inside, 0).sum(1)
    if not gradient:
        return Judged(lca_pair, lca_triple, hinge, 0.0)

    keep = np.flatnonzero(active.any(1))
    s, members = active[keep] * signs, triplets[keep]
    if rule.convention.straight_through:
        v = _columns(s, members, len(d)).T @ d  # (H2'): the cotangent of each weight
        races = w_pair[keep], w_triple[keep]
        chosen = lca_pair[keep], lca_triple[keep]
        scales = [_choice_vjp(v, w, p, rule.tau) for w, p in zip(races, chosen, strict=True)]
        grad_d = _through_maxima(races, scales, far, pairs, keep, members[:, 2], rule, len(d))
    else:
        grad_d = np.zeros_like(d)
    # The chosen distances themselves: + at the ancestor of the pair, - at that of the triple.
    flat, first = grad_d.reshape(-1), members * d.shape[1]
    np.add.at(flat, (first + lca_pair[keep, None]).ravel(), s.ravel())
    np.subtract.at(flat, (first + lca_triple[keep, None]).ravel(), s.ravel())
    return Judged(lca_pair, lca_triple, hinge, grad_d)


def _races(
    far: Far,
    pairs: Pairs,
    triplets: NDArray,
    pair: NDArray,
    triple: NDArray,
    rule: Rule,
    own_ancestor: bool,
) -> tuple[NDArray, NDArray]:
    """Weights of both choices, (T, P) and (T, P), but for the sum of each row."""
    each = far.pair[pairs.of]
    last = np.maximum(each, far.k)
    if not own_ancestor:  # (C7): an infinite distance is never chosen
        each, last = (
            np.where(among(triplets[:, :size], last.shape[1]), np.inf, distance)
            for size, distance in ((2, each), (3, last))
        )
    if rule.convention.noise_tempered:  # (C6): -(far + log E)/tau is (-far + G)/tau
        return _rates(each + np.log(pair), rule.tau), _rates(last + np.log(triple), rule.tau)
    rate = _rates(far.pair.copy(), rule.tau)[pairs.of] if own_ancestor else _rates(each, rule.tau)
    np.divide(rate, pair, out=pair)
    np.divide(_rates(last, rule.tau), triple, out=triple)
    return pair, triple


def _rates(far: NDArray, tau: float) -> NDArray:
    """Return `choice.rates` (T, P), written over the distances."""
    np.subtract(far.min(1, keepdims=True), far, out=far)
    with np.errstate(over="ignore"):
        far /= tau
    return np.exp(far, out=far)


def _choice_vjp(v: NDArray, w: NDArray, chosen: NDArray, tau: float) -> NDArray:
    """Do what `choice_weights_vjp` does in fewer passes, from weights w (T, P) without their sum.

    v (T, P) are the cotangents. Counted from the one of the chosen proxy (T,), which changes
    nothing and leaves nothing to cancel where nearly all weight is. Written over w, but for the
    factors of its rows, which are returned, (T,): who sums the rows applies them at no cost.
    """
    away = v - v[np.arange(len(v)), chosen][:, None]
    total = np.einsum("tp->t", w)
    mean = np.einsum("tp,tp->t", w, away) / total
    w *= np.subtract(mean[:, None], away, out=away)
    return 1 / (total * tau)


def _through_maxima(
    races: tuple[NDArray, NDArray],
    scales: list[NDArray],
    far: Far,
    pairs: Pairs,
    keep: NDArray,
    k: NDArray,
    rule: Rule,
    n: int,
) -> NDArray:
    """Send what `_choice_vjp` found for pairs and triples back to the distances (n, P)."""
    (to_pair, to_triple), (of_pair, of_triple) = races, scales
    of, size = pairs.of[keep], len(pairs.i)
    onwards = farther_vjp(to_triple, far.pair[of], far.k[keep], rule)
    to_triple -= onwards  # what is left is k's
    rest = _sums(of_pair, of, size) @ to_pair - _sums(of_triple, of, size) @ onwards
    to_i = farther_vjp(rest, far.i, far.j, rule)
    own = _sums(np.ones(2 * size, rest.dtype), np.concatenate([pairs.i, pairs.j]), n)
    return own @ np.concatenate([to_i, rest - to_i]) - _sums(of_triple, k, n) @ to_triple


def _sums(scale: NDArray, index: NDArray, n: int) -> "scipy.sparse.csc_array":
    """Return the matrix (n, T) that scales rows and sums them by index: d[index], transposed."""
    return _columns(scale[:, None], index[:, None], n)


def _columns(values: NDArray, rows: NDArray, n: int) -> "scipy.sparse.csc_array":
    """Return the matrix (n, T) with values (T, M) in the given rows (T, M) of each column."""
    start = np.arange(len(rows) + 1) * rows.shape[1]
    return scipy.sparse.csc_array((values.ravel(), rows.ravel(), start), shape=(n, len(rows)))
