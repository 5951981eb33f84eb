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

from hier_ref.choice import Rule, among, choice_weights_vjp, farther, farther_vjp, rates

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
    far = Far(d[pairs.i], d[pairs.j], farther(d[pairs.i], d[pairs.j], rule), d[triplets[:, 2]])
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
        v = _sparse(s, members, len(d)) @ d  # (H2'): the cotangent of each weight
        to_pair = choice_weights_vjp(v, _normed(w_pair[keep]), rule.tau)
        to_triple = choice_weights_vjp(np.negative(v, out=v), _normed(w_triple[keep]), rule.tau)
        grad_d = _through_maxima(to_pair, to_triple, far, pairs, keep, members[:, 2], rule, len(d))
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
    last = farther(each, far.k, rule)
    if not own_ancestor:  # (C7): an infinite distance is never chosen
        each, last = (
            np.where(among(triplets[:, :size], last.shape[1]), np.inf, distance)
            for size, distance in ((2, each), (3, last))
        )
    if rule.convention.noise_tempered:  # (C6): -(far + log E)/tau is (-far + G)/tau
        return rates(each + np.log(pair), rule.tau), rates(last + np.log(triple), rule.tau)
    rate = rates(far.pair, rule.tau)[pairs.of] if own_ancestor else rates(each, rule.tau)
    np.divide(rate, pair, out=pair)
    np.divide(rates(last, rule.tau), triple, out=triple)
    return pair, triple


def _through_maxima(
    to_pair: NDArray,
    to_triple: NDArray,
    far: Far,
    pairs: Pairs,
    keep: NDArray,
    k: NDArray,
    rule: Rule,
    n: int,
) -> NDArray:
    """Send cotangents of both `far`, (T, P) each and overwritten, back to the distances (n, P)."""
    onwards = farther_vjp(to_triple, far.pair[pairs.of[keep]], far.k[keep], rule)
    to_pair += onwards
    to_triple -= onwards  # what is left is k's
    rest = _sums(to_pair, pairs.of[keep], len(far.pair))  # a row for each pair
    to_i = farther_vjp(rest, far.i, far.j, rule)
    rows = np.concatenate([to_triple, to_i, rest - to_i])
    return _sums(rows, np.concatenate([k, pairs.i, pairs.j]), n)


def _normed(w: NDArray) -> NDArray:
    w /= w.sum(1, keepdims=True)
    return w


def _sparse(values: NDArray, columns: NDArray, n: int) -> "scipy.sparse.csr_array":
    """Return the matrix (T, n) with values (T, M) in given columns (T, M) of each row."""
    t, m = columns.shape
    start = np.arange(t + 1) * m
    return scipy.sparse.csr_array((values.ravel(), columns.ravel(), start), shape=(t, n))


def _sums(rows: NDArray, index: NDArray, n: int) -> NDArray:
    """Sum rows (T, P) into (n, P) by index (T,): the transpose of d[index]."""
    ones = np.ones((len(rows), 1), rows.dtype)
    return np.asarray(_sparse(ones, index[:, None], n).T @ rows)
