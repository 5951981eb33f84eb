"""The keys that order the gallery of each query, and how far rounding can move them.

Derived in docs/appendix-which-items-tie.md. One matrix product gives the keys of a block of
queries. Codes, points of small integers, have exact keys; other points have `rungs`, more exact
keys for pairs.
"""

import math

import numpy as np

from hier_ref.pairwise import CLOSE, pairwise_sq
from hier_ref.retrieval.exact_keys import PairKeys, width

CODE = 2**16  # D times the largest square of the integers that `Codes` takes


class Points:
    """Keys (R3) of points of one float type, by `pairwise_sq`, and their bound  (R6).

    Queries x (Q, D), gallery y (G, D). In the ball gaps (G,) are those of y in float64; without
    gaps the keys are those of cosines.
    """

    def __init__(self, x: np.ndarray, y: np.ndarray, c: float, gaps: np.ndarray | None):
        if gaps is None:
            x, y = _scaled(x), _scaled(y)
        else:
            power = math.frexp(max(np.abs(x).max(), np.abs(y).max()))[1]
            x, y, c = np.ldexp(x, -power), np.ldexp(y, -power), math.ldexp(c, 2 * power)
        kept, self.copies = _distinct(y)
        y, gaps = y[kept], None if gaps is None else gaps[kept]
        self.weight = None if gaps is None else gaps.astype(y.dtype)
        self.sure = len(y) == 1  # one value: all keys are equal, and none is in doubt
        pairs = PairKeys(x, y, c, gaps)
        wide, exact = pairs.rungs()
        self.rungs = (wide, exact) if y.itemsize < 8 else (exact,)
        self.x, self.y = (_unit(x), _unit(y)) if gaps is None else (x, y)

    def first(self, rows: slice) -> np.ndarray:
        """Return the keys (M, G) of a slice of M queries, at least 0  (R3)."""
        key = self._of_values(rows)
        return key if len(self.copies) == len(self.y) else key[:, self.copies]

    def settled(self, rows: np.ndarray) -> np.ndarray:
        """Return for which of the queries (M,) the order of all values is beyond doubt.

        Only looked at where there are few values: copies of one value alone need no closer look.
        """
        if 2 * len(self.y) > len(self.copies):
            return np.zeros(len(rows), bool)
        key = np.sort(self._of_values(rows), axis=1)
        return np.logical_and.reduce(np.diff(key, axis=1) > self.width(key[:, :-1]), axis=1)

    def _of_values(self, rows: slice | np.ndarray) -> np.ndarray:
        x = self.x[rows]
        key = pairwise_sq(x, self.y)
        if self.weight is not None:
            key /= self.weight
        else:  # no direction, no angle (K51)
            key[~x.any(axis=1)] = 2
            key[:, ~self.y.any(axis=1)] = 2
        return key

    def width(self, key: np.ndarray) -> np.ndarray:
        """Return how far above these keys others are in open order, any shape -> same  (R6)."""
        return width(key, *self.bounds())

    def bounds(self) -> tuple[float, float]:
        """Return rho and sigma: how well the roots of the keys are known  (R6)."""
        dim, info = self.y.shape[1], np.finfo(self.y.dtype)
        unit = float(info.eps) / 2
        rho = ((2 * dim + 3) / CLOSE + 16) / 2 * unit
        if self.weight is None:
            return rho, (dim + 16) * unit
        return rho, math.sqrt(dim * float(info.tiny) / float(self.weight.min()))


class Codes:
    """Exact keys for the cosines of rows of small integers  (R9).

    Queries x (Q, D), gallery y (G, D), integers with D max(x, y)² at most CODE.
    """

    sure = True

    def __init__(self, x: np.ndarray, y: np.ndarray):
        self.x, self.y = x.astype(np.float32), y.astype(np.float32)
        self.norm = np.maximum(np.sum(y.astype(np.float64) ** 2, axis=1), 1)

    def first(self, rows: slice) -> np.ndarray:
        """Return the keys (M, G) of a slice of M queries, at least 0  (R9)."""
        dot = (self.x[rows] @ self.y.T).astype(np.float64)
        dot *= np.abs(dot)
        dot /= self.norm
        return np.subtract(CODE, dot, out=dot)


def ranking_keys(x: np.ndarray, y: np.ndarray, c: float, gaps: np.ndarray | None) -> Points | Codes:
    """Return the keys of queries x (Q, D) in a gallery y (G, D); gaps (G,) in the ball  (R3)."""
    codes = _codes(x, y) if gaps is None else None
    return Points(x, y, c, gaps) if codes is None else Codes(*codes)


def _codes(x: np.ndarray, y: np.ndarray) -> list[np.ndarray] | None:
    """Return both sets as integers in the directions of their rows, if they are small enough."""
    found = []
    for points in (x, y):
        size = np.abs(points)
        largest = size.max(axis=1, keepdims=True)
        signs = ((size == largest) | (size == 0)).all(axis=1)[:, None]
        whole = np.where(signs, np.sign(points), np.ldexp(_scaled(points), 8))
        if (whole != np.rint(whole)).any():
            return None
        whole = whole.astype(np.int64)
        whole //= np.maximum(np.gcd.reduce(whole, axis=1, keepdims=True), 1)
        if points.shape[1] * np.abs(whole).max() ** 2 > CODE:
            return None
        found.append(whole)
    return found


def _scaled(points: np.ndarray) -> np.ndarray:
    """Return each row times a power of 2, exactly, its largest entry between 1/2 and 1."""
    return np.ldexp(points, -np.frexp(np.abs(points).max(axis=1, keepdims=True))[1])


def _unit(points: np.ndarray) -> np.ndarray:
    norm = np.sqrt(np.sum(points**2, axis=1, keepdims=True))
    return points / np.where(norm == 0, 1, norm)


def _distinct(points: np.ndarray) -> tuple[np.ndarray | slice, np.ndarray]:
    """Return (kept, copies): one row of each value, and for each row its place among them.

    One key per value makes equal items tie at once, and leaves fewer pairs in doubt. Equal rows
    are equal bytes once -0 is written as 0.
    """
    row = np.dtype((np.void, points.dtype.itemsize * points.shape[1]))
    as_bytes = np.ascontiguousarray(points + 0).view(row)[:, 0]
    _, kept, copies = np.unique(as_bytes, return_index=True, return_inverse=True)
    if len(kept) == len(points):
        return slice(None), np.arange(len(points))
    return kept, copies.reshape(-1)
