"""The keys of a ranking in about 30 digits, pair by pair, where rounding left their order open.

Derived in docs/appendix-which-items-tie.md. A number is a pair high + low of float64, of which low
is what rounding took from high ("double-double", as in `hier_ref.compensated`).
"""

import math
from collections.abc import Callable
from threading import Lock

import numpy as np

from hier_ref.compensated import product, total, two_sum
from hier_ref.threads import pieces

BLOCK = 2**16  # numbers in a temporary
UNIT = 2.0**-106  # what one rounding of a pair can change: the square of that of a float64
TINY = float(np.finfo(np.float64).tiny)

Pair = tuple[np.ndarray, np.ndarray]
Rung = tuple[Callable[[np.ndarray, np.ndarray], Pair], tuple[float, float]]


def width(key: np.ndarray, rho: float, sigma: float) -> np.ndarray:
    """Return how far from this key another may be for their order to be open  (R7).

    Shapes: (..., N) -> (..., N). Domain: keys at least 0, rho at most 0.01. The roots of keys are
    known within rho of themselves and sigma besides.
    """
    return 4.2 * (rho * key + sigma * np.sqrt(key) + sigma**2)


class PairKeys:
    """Keys (R3) of single pairs of points, from differences of the stored coordinates  (R7).

    Points x (Q, D) and y (G, D), no coordinate larger than 1. In the ball gaps (G,) are those of y
    in float64, and c is the curvature in the unit of the points; without gaps the directions of
    the rows count. `wide` computes in float64, `exact` in pairs of float64.
    """

    def __init__(self, x: np.ndarray, y: np.ndarray, c: float, gaps: np.ndarray | None):
        self.x, self.y, self.c, self.gaps = x, y, float(c), gaps
        least = 1.0 if gaps is None else gaps.min()
        self.floor = math.sqrt(y.shape[1] * TINY / least)  # of roots of keys: squares underflow
        self.gap_pairs = np.full((2, len(y)), np.nan)  # computed where they are needed
        self.finding = Lock()  # one thread after the other

    def rungs(self) -> tuple[Rung, Rung]:
        """Return both ways to compute keys, the quick one first, each with its rho and sigma  (R7).

        These are what `width` takes; for cosines, where there is no gap, sigma is as large as rho.
        """
        dim = self.y.shape[1]
        shares = (dim + 16) * 2.0**-53, (dim * (math.ceil(math.log2(dim)) + 1) + 24) * UNIT
        bounds = [(rho, rho if self.gaps is None else self.floor) for rho in shares]
        return (self.wide, bounds[0]), (self.exact, bounds[1])

    def wide(self, i: np.ndarray, j: np.ndarray) -> Pair:
        """Return the keys of the pairs x[i], y[j], (N,), (N,) -> (N,), (N,), the second 0."""
        return self._by_blocks(self._wide, i, j)

    def exact(self, i: np.ndarray, j: np.ndarray) -> Pair:
        """Return the keys of the pairs x[i], y[j], (N,), (N,) -> (N,), (N,)."""
        if self.gaps is not None:
            self._find_gaps(np.unique(j))
        return self._by_blocks(self._exact, i, j)

    def _by_blocks(self, keys: Callable[..., Pair], i: np.ndarray, j: np.ndarray) -> Pair:
        parts = []
        for rows in pieces(len(i), self.y.shape[1], BLOCK):
            x, y = self.x[i[rows]].astype(np.float64), self.y[j[rows]].astype(np.float64)
            parts.append(keys(x, y, j[rows]))
        high, low = (np.concatenate(part) for part in zip(*parts, strict=True))
        return high, low

    def _wide(self, x: np.ndarray, y: np.ndarray, j: np.ndarray) -> Pair:
        if self.gaps is not None:
            return np.sum((x - y) ** 2, axis=1) / self.gaps[j], np.zeros(len(j))
        x, y, zero = _unit(x), _unit(y), _zero(x, y)
        return np.where(zero, 2.0, np.sum((x - y) ** 2, axis=1)), np.zeros(len(j))

    def _exact(self, x: np.ndarray, y: np.ndarray, j: np.ndarray) -> Pair:
        if self.gaps is not None:
            q = _squared_difference((x, np.zeros(())), (y, np.zeros(())))
            return _quotient(q, (self.gap_pairs[0, j], self.gap_pairs[1, j]))
        high, low = _squared_difference(_direction(x), _direction(y))
        zero = _zero(x, y)
        return np.where(zero, 2.0, high), np.where(zero, 0.0, low)

    def _find_gaps(self, j: np.ndarray) -> None:
        with self.finding:
            j = j[np.isnan(self.gap_pairs[0, j])]
            for part in pieces(len(j), self.y.shape[1], BLOCK):
                self.gap_pairs[:, j[part]] = _gap(self.y[j[part]].astype(np.float64), self.c)


def _zero(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return which pairs (N, D), (N, D) -> (N,) have no angle  (K51)."""
    return np.logical_not(x.any(axis=1) & y.any(axis=1))


def _unit(x: np.ndarray) -> np.ndarray:
    norm = np.sqrt(np.sum(x**2, axis=1, keepdims=True))
    return x / np.where(norm == 0, 1.0, norm)


def _settled(high: np.ndarray, low: np.ndarray) -> Pair:
    """Return the same sum with high rounded to nearest: such pairs compare place by place."""
    s = high + low
    return s, low - (s - high)


def _squared_difference(x: Pair, y: Pair) -> Pair:
    """Return |x - y|^2 of pairs (N, D) -> (N,)."""
    d, e = two_sum(x[0], -y[0])
    d, e = two_sum(d, e + (x[1] - y[1]))  # again, as d may cancel
    p, l = product(d, d)
    s, lost = total(p)
    return _settled(s, lost + np.sum(l + (2.0 * d + e) * e, axis=1))


def _quotient(q: Pair, b: Pair) -> Pair:
    """Return q/b, by one step of long division."""
    t = q[0] / b[0]
    p, e = product(t, b[0])
    return _settled(t, ((q[0] - p) - e + (q[1] - t * b[1])) / b[0])


def _direction(x: np.ndarray) -> Pair:
    """Return x/|x| (N, D) as pairs; 0 for zero rows. One step of Newton's makes 1/√s a pair."""
    p, l = product(x, x)
    s, lost = total(p)
    low = lost + np.sum(l, axis=1)
    r = 1.0 / np.sqrt(np.where(s == 0, 1.0, s))
    r_sq, e = product(r, r)
    one, f = product(s, r_sq)  # s r² = one + f + s e, nearly 1
    r_low = 0.5 * r * ((1.0 - one) - f - s * e - low * r_sq)
    p, e = product(r[:, None], x)
    return p, e + x * r_low[:, None]


def _gap(y: np.ndarray, c: float) -> np.ndarray:
    """Return 1 - c|y|^2 (2, N): its terms are known exactly, and fsum rounds their sum once."""
    squares, errors = product(y, y)
    terms = [*product(c, squares), *(product(c, errors) if errors.any() else ())]
    rows = (-np.concatenate(terms, axis=1)).tolist()
    pairs = []
    for row in rows:
        high = math.fsum((1.0, *row))
        pairs.append((high, math.fsum((1.0, -high, *row))))
    return np.transpose(pairs)
