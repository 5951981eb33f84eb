"""R-precision and MAP@R: how pure and how well ordered the first R places are.

Derived in docs/7-retrieval.md. Nothing is sorted but the R nearest, and each key says itself
whether its item is correct.
"""

import numpy as np


def precision_at_r(key: np.ndarray, correct: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return R-precision (R4) and average precision at R, whose mean is MAP@R (R5).

    Keys not below 0 and boolean `correct`, (M, N), (M, N) -> (M,), (M,) float64. R is the number of
    correct items of the query. Equal keys rank wrong items first (K54); without a correct item
    both are 0 (K55). Source: Musgrave, Belongie, Lim 2020, section 3.
    """
    r = correct.sum(axis=1, keepdims=True)
    hit = _hits(key, correct, int(r.max()))
    place = np.arange(1, hit.shape[1] + 1)
    hit &= place <= r
    hits = np.cumsum(hit, axis=1)
    precision = np.sum(hits / place, axis=1, where=hit)
    at_least_1 = np.maximum(r[:, 0], 1)
    return hit.sum(axis=1) / at_least_1, precision / at_least_1


def _hits(key: np.ndarray, correct: np.ndarray, size: int) -> np.ndarray:
    """Return whether each of the `size` first items is correct, (M, size), in their order.

    Floats that are not below 0 have the order of their bits, and their highest bit is 0. Shifting
    it out makes room for one at the end: 1 for correct, so that among equals the wrong come first.
    One sort of integers then orders items and labels together.
    """
    marked = np.ascontiguousarray(key).view(f"u{key.itemsize}") << 1
    marked |= correct
    if 0 < size < marked.shape[1]:
        marked.partition(size - 1, axis=1)
    return np.sort(marked[:, :size], axis=1) & 1 == 1
