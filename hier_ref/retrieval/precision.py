"""R-precision and MAP@R: how pure and how well ordered the first R places are.

Derived in docs/7-retrieval.md. The places of the correct items say all. `nearest` finds them for
many queries at once, `hit_places` one by one from sorted keys.
"""

import numpy as np


def from_places(row: np.ndarray, place: np.ndarray, r: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return both precisions (M,) of queries with R (M,) correct items  (R4) (R5).

    From the places of these, which ascend, and the rows of their queries, one after the other:
    (N,), (N,). The terms of a query are added one by one, whatever stands beside it.
    """
    row, place = row[place < r[row]], place[place < r[row]]
    hits = np.bincount(row, minlength=len(r))
    nth = np.arange(1, len(row) + 1) - (np.cumsum(hits) - hits)[row]
    precisions = np.bincount(row, nth / (place + 1), len(r))
    return hits / np.maximum(r, 1), precisions / np.maximum(r, 1)


def hit_places(near: np.ndarray, hits: np.ndarray, width: np.floating) -> np.ndarray:
    """Return the places (N,) of the first correct items, ascending, the wrong ones first in a tie.

    From keys: those of the nearest items, sorted, at least to the last that may take a place below
    R, of the correct items (R,), and how far apart keys are that count as equal.
    """
    if not len(hits):
        return np.zeros(0, int)
    hits = np.sort(hits[hits <= near[len(hits) - 1] + width])
    high = hits + width
    wrong = near.searchsorted(high, "right") - hits.searchsorted(high, "right")
    return wrong + np.arange(len(hits))


def ragged(parts: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Return which part (N,) each number of the parts comes from, and all numbers (N,)."""
    row = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
    return row, np.concatenate([np.zeros(0, int), *parts])


def precision_at_r(key: np.ndarray, correct: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return R-precision (R4) and average precision at R, whose mean is MAP@R (R5).

    Exact keys and boolean `correct`, (M, N), (M, N) -> (M,), (M,) float64. R is the number of
    correct items of the query. Equal keys rank wrong items first (K54); without a correct item
    both are 0 (K55). Source: Musgrave, Belongie, Lim 2020, section 3.
    """
    places = [
        hit_places(np.sort(row), row[right], row.dtype.type(0))
        for row, right in zip(key, correct, strict=True)
    ]
    return from_places(*ragged(places), np.count_nonzero(correct, axis=1))
