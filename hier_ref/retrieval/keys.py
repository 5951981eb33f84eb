"""The keys that order the gallery of each query, and how far rounding can move them.

Derived in docs/appendix-which-items-tie.md. One matrix product gives the keys of a block of
queries. Codes, points of small integers, have exact keys; other points have `rungs`, more exact
keys for pairs.
"""

import math
from collections.abc import Callable
from threading import local

import numpy as np

from hier_ref.retrieval.exact_keys import PairKeys

CODE = 2**16  # D times the largest square of the integers that `Codes` takes

Sides = tuple[np.ndarray, np.ndarray, np.ndarray]


class Points:
    """Keys (R3) of points of one float type, by one product, and their bound  (R6).

    Queries x (Q, D), gallery y (G, D). In the ball gaps (G,) are those of y in float64; without
    gaps the keys are those of cosines.
    """

    def __init__(self, x: np.ndarray, y: np.ndarray, c: float, gaps: np.ndarray | None):
        if gaps is None:
            x, y = alike(_scaled, x, y)
        else:
            power = math.frexp(max(x.max(), -x.min(), y.max(), -y.min()))[1]
            x, y = alike(lambda points: np.ldexp(points, -power), x, y)
            c = math.ldexp(c, 2 * power)
        self.copies = _first_copies(y)
        self.again = np.flatnonzero(self.copies != np.arange(len(y)))
        self.sure = not self.copies.any()  # one value: all keys are equal, and none is in doubt
        wide, exact = PairKeys(x, y, c, gaps).rungs()
        self.rungs = (wide, exact) if y.itemsize < 8 else (exact,)
        self.x, self.y, self.error = _directions(x, y) if gaps is None else _lifted(x, y, gaps)
        self.own = local()  # each thread writes its keys into a room of its own

    def first(self, rows: slice) -> np.ndarray:
        """Return the keys (R3) of a slice of M queries: (M, G).

        The next call from the same thread writes over them.
        """
        x = self.x[rows]
        size = len(x) * len(self.y)
        if len(getattr(self.own, "room", ())) < size:
            self.own.room = np.empty(size, self.y.dtype)
        key = _product(x, self.y, self.own.room[:size].reshape(len(x), -1))
        key[:, self.again] = key[:, self.copies[self.again]]
        return key

    def width(self, queries: slice | np.ndarray) -> np.ndarray:
        """Return how far apart (R6) the keys of these queries may be in open order: (M,)."""
        return (2.01 * self.error[queries]).astype(self.y.dtype)

    def settled(self, rows: np.ndarray) -> np.ndarray:
        """Return for which of the queries (M,) the order of all values is beyond doubt.

        Only looked at where there are few values: copies of one value alone need no closer look.
        """
        if self.sure:
            return np.ones(len(rows), bool)
        if 2 * len(self.again) < len(self.copies):
            return np.zeros(len(rows), bool)
        values = self.y[np.unique(self.copies)]
        key = np.sort(self.x[rows] @ values.T, axis=1)
        return np.logical_and.reduce(np.diff(key, axis=1) > self.width(rows)[:, None], axis=1)


class Codes:
    """Exact keys for the cosines of rows of small integers  (R9).

    Queries x (Q, D), gallery y (G, D), integers with D max(x, y)² at most CODE.
    """

    def __init__(self, x: np.ndarray, y: np.ndarray):
        self.x, self.y = x.astype(np.float32), y.astype(np.float32)
        self.norm = np.maximum(np.sum(y.astype(np.float64) ** 2, axis=1), 1)

    def first(self, rows: slice) -> np.ndarray:
        """Return the keys (M, G) of a slice of M queries, at least 0  (R9)."""
        dot = (self.x[rows] @ self.y.T).astype(np.float64)
        dot *= np.abs(dot)
        dot /= self.norm
        return np.subtract(CODE, dot, out=dot)

    def width(self, queries: slice | np.ndarray) -> np.ndarray:
        """Return 0 for these queries: no order is open."""
        return np.zeros(len(self.x))[queries]

    def settled(self, rows: np.ndarray) -> np.ndarray:
        """Return for which of the queries (M,) the order of all values is beyond doubt: for all."""
        return np.ones(len(rows), bool)


def ranking_keys(x: np.ndarray, y: np.ndarray, c: float, gaps: np.ndarray | None) -> Points | Codes:
    """Return the keys (R3) of queries x (Q, D) in a gallery y (G, D); gaps (G,) in the ball."""
    codes = _codes(x, y) if gaps is None else None
    return Points(x, y, c, gaps) if codes is None else Codes(*codes)


def alike(
    change: Callable[[np.ndarray], np.ndarray], x: np.ndarray, y: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return both sets (Q, D), (G, D) changed row by row, once where they are one."""
    changed = change(y)
    return changed if x is y else change(x), changed


def _product(x: np.ndarray, y: np.ndarray, out: np.ndarray) -> np.ndarray:
    return np.matmul(x, y.T, out=out)


def _lifted(x: np.ndarray, y: np.ndarray, gaps: np.ndarray) -> Sides:
    """Return (x, 1, |x|²) and (-2y/b, |y|²/b, 1/b), whose product is the key q/b  (R3).

    And the error of that product (R6). Shapes: (Q, D), (G, D), (G,) -> (Q, D + 2), (G, D + 2),
    (Q,). No coordinate is larger than 1.
    """
    dtype, dim = y.dtype, y.shape[1]
    middle = (x.sum(axis=0, dtype=float) + y.sum(axis=0, dtype=float)) / (len(x) + len(y))
    x, y = alike(lambda points: (points - middle).astype(dtype), x, y)
    x_sq, y_sq = (np.einsum("nd,nd->n", p, p, dtype=float) for p in (x, y))
    info, least = np.finfo(dtype), gaps.min()
    share = (2 * dim + 32) * float(info.eps) / 2 + dim * 2.0**-53  # squares are summed in float64
    error = share * (x_sq + y_sq.max()) / least + 16 * (dim + 2) * float(info.tiny) / least
    lifted = np.empty((len(x), dim + 2), dtype), np.empty((len(y), dim + 2), dtype)
    lifted[0][:, :dim], lifted[0][:, dim], lifted[0][:, dim + 1] = x, 1, x_sq
    lifted[1][:, :dim], lifted[1][:, dim] = -2 * y / gaps[:, None], y_sq / gaps
    lifted[1][:, dim + 1] = 1 / gaps
    return *lifted, error


def _directions(x: np.ndarray, y: np.ndarray) -> Sides:
    """Return -x/|x| and y/|y|, whose product orders as cosines do, and its error  (R6).

    Shapes: (Q, D), (G, D) -> (Q, D), (G, D), (Q,). A row of zeros has cosine 0 (K51).
    """
    dim, info = y.shape[1], np.finfo(y.dtype)
    error = (2 * dim + 16) * (float(info.eps) / 2 + 4 * float(info.tiny))
    x, y = alike(_unit, x, y)
    return -x, y, np.full(len(x), error)


def _codes(x: np.ndarray, y: np.ndarray) -> list[np.ndarray] | None:
    """Return both sets as integers in the directions of their rows, if they are small enough."""
    found: list[np.ndarray] = []
    for points in (x[:1], x, y):  # one row most often tells
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
    return found[1:]


def _scaled(points: np.ndarray) -> np.ndarray:
    """Return each row times a power of 2, exactly, its largest entry between 1/2 and 1."""
    return np.ldexp(points, -np.frexp(np.abs(points).max(axis=1, keepdims=True))[1])


def _unit(points: np.ndarray) -> np.ndarray:
    norm = np.sqrt(np.einsum("nd,nd->n", points, points, dtype=float))[:, None]
    return (points / np.where(norm == 0, 1, norm)).astype(points.dtype, copy=False)


def _first_copies(points: np.ndarray) -> np.ndarray:
    """Return for each row (N, D) the first row of the same value, (N,).

    One key per value makes equal items tie at once, and leaves fewer pairs in doubt. Equal rows
    are equal bytes once -0 is written as 0.
    """
    row = np.dtype((np.void, points.dtype.itemsize * points.shape[1]))
    as_bytes = np.ascontiguousarray(points + 0).view(row)[:, 0]
    _, kept, copies = np.unique(as_bytes, return_index=True, return_inverse=True)
    return kept[copies.reshape(-1)]
