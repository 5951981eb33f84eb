"""R-precision and MAP@R: how pure and how well ordered the first R places are.

Derived in docs/7-retrieval.md. The places of the correct items say all: each is found among the
nearest keys, and only these are sorted. Where rounding leaves an order open, `order` settles it.
"""

import math

import numpy as np

SAMPLE = 1000  # keys of a query that tell where the nearest end


def precision_at_r(key: np.ndarray, correct: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return R-precision (R4) and average precision at R, whose mean is MAP@R (R5).

    Exact keys and boolean `correct`, (M, N), (M, N) -> (M,), (M,) float64. R is the number of
    correct items of the query. Equal keys rank wrong items first (K54); without a correct item
    both are 0 (K55). Source: Musgrave, Belongie, Lim 2020, section 3.
    """
    found = []
    for row, right in zip(key, correct, strict=True):
        hits = row[right]
        near = np.sort(row[nearest(row, len(hits))])
        place, _ = hit_places(near, hits, row.dtype.type(0))
        found.append(from_places(place, len(hits)))
    pure, average = np.array(found, float).reshape(-1, 2).T
    return pure, average


def from_places(place: np.ndarray, r: int) -> tuple[float, float]:
    """Return both precisions (R4) (R5) from the places (N,), ascending, of correct items."""
    place = place[place < r]
    precision = np.arange(1, len(place) + 1) / (place + 1)
    return len(place) / max(r, 1), float(precision.sum()) / max(r, 1)


def nearest(key: np.ndarray, size: int) -> np.ndarray:
    """Return the items (N,) with the smallest keys (G,) of a query: more than `size`, or all.

    A sample tells where they end; it decides how many they are, and nothing else.
    """
    sample = key[:: max(1, len(key) // SAMPLE)]
    share = size * len(sample) / len(key)
    last = int(share + 4 * math.sqrt(share) + 4)
    if last < len(sample):
        end = np.partition(sample, last)[last]
        item = np.flatnonzero(key <= end)
        if size < len(item) and end < np.inf:
            return item
    return np.flatnonzero(key < np.inf)


def hit_places(near: np.ndarray, hits: np.ndarray, width: np.floating) -> tuple[np.ndarray, float]:
    """Return the places (N,) of the first correct items, ascending, and a limit.

    From keys: those of the `nearest`, sorted, of the correct items (R,), and how far apart an order
    is open. Where it leaves the places below R in doubt none of them has a key above the limit;
    elsewhere it is inf.
    """
    r = len(hits)
    if not r:
        return np.zeros(0, int), np.inf
    limit = near[r - 1] + width
    hits = np.sort(hits[hits <= limit])
    wrong = near.searchsorted(hits, "right") - hits.searchsorted(hits, "right")
    place = wrong + np.arange(len(hits))
    if width == 0 or not len(hits):
        return place, np.inf
    low, high = hits - width, hits + width
    all_open = near.searchsorted(high, "right") - near.searchsorted(low)
    right_open = hits.searchsorted(high, "right") - hits.searchsorted(low)
    in_doubt = (all_open != right_open).any() or high[-1] > near[-1]
    return place, limit if in_doubt else np.inf
