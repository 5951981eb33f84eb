"""R-precision and MAP@R: how pure and how well ordered the first R places are.

Derived in docs/7-retrieval.md. Nothing is sorted but the R nearest, and each key says itself
whether its item is correct. Where rounding leaves an order open, `order` settles it.
"""

import numpy as np

from hier_ref.retrieval.keys import Codes, Points
from hier_ref.retrieval.order import in_order, in_parts, marked, unmarked


def precision_at_r(
    key: np.ndarray,
    correct: np.ndarray,
    keys: Points | Codes | None = None,
    queries: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Return R-precision (R4) and average precision at R, whose mean is MAP@R (R5).

    Keys not below 0 and boolean `correct`, (M, N), (M, N) -> (M,), (M,) float64. R is the number of
    correct items of the query. Equal keys rank wrong items first (K54); without a correct item
    both are 0 (K55). Keys are exact, or those of these queries (M,) in `keys`, by default of the
    first M, which settle what their rounding leaves open.
    Source: Musgrave, Belongie, Lim 2020, section 3.
    """
    r = correct.sum(axis=1, keepdims=True)
    hit, limit = _hits(key, correct, r, keys)
    if isinstance(keys, Points):
        queries = np.arange(len(key)) if queries is None else queries
        for rows in in_parts(keys, queries, np.flatnonzero(np.isfinite(limit))):
            high = limit[rows, None]
            found = in_order(keys, queries[rows], key[rows], correct[rows], 0, high)
            place = found.place()
            first = place < hit.shape[1]
            hit[rows] = False
            hit[rows[found.row[first]], place[first]] = found.correct[first]
    place = np.arange(1, hit.shape[1] + 1)
    hit &= place <= r
    hits = np.cumsum(hit, axis=1)
    precision = np.sum(hits / place, axis=1, where=hit)
    at_least_1 = np.maximum(r[:, 0], 1)
    return hit.sum(axis=1) / at_least_1, precision / at_least_1


def _hits(
    key: np.ndarray, correct: np.ndarray, r: np.ndarray, keys: Points | Codes | None
) -> tuple[np.ndarray, np.ndarray]:
    """Return which of the first R items are correct (M, max R), in their order, and a limit (M,).

    Where the order of the first R is in doubt, none of them has a key above the limit; elsewhere
    it is inf.
    """
    size = int(r.max())
    bits = marked(key, correct)
    if 0 < size < bits.shape[1] - 1:
        bits.partition(size, axis=1)
    bits = np.sort(bits[:, : size + 1], axis=1)
    hit = bits & 1 == 1
    if not isinstance(keys, Points) or keys.sure or not size:
        return hit[:, :size], np.full(len(key), np.inf)
    return hit[:, :size], _limit(unmarked(bits, key.dtype), hit, r, keys)


def _limit(near: np.ndarray, hit: np.ndarray, r: np.ndarray, keys: Points) -> np.ndarray:
    """Return the limits (M,) from the max R + 1 nearest keys, or one fewer, in their order.

    In doubt are two neighbours of open order if one is wrong and one right, and the last of the R
    with the one that follows, as others may come after that.
    """
    between = np.arange(1, near.shape[1])
    open_ = np.diff(near, axis=1) <= keys.width(near[:, :-1])
    differ = (hit[:, 1:] != hit[:, :-1]) & (between < r)
    doubt = (open_ & (differ | (between == r))).any(axis=1)
    last = np.take_along_axis(near, np.maximum(r - 1, 0), axis=1)
    return np.where(doubt, (last + keys.width(last))[:, 0], np.inf)
