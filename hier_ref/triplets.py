"""Which triplets, and which noise: everything random about HIER, drawn from a Generator.

A triplet (i, j, k) says that i and j belong together and k does not. Nothing tells HIER so but
the distances (and, for images, their classes): i and j are *mutual* nearest neighbours.
Chapter: docs/3-triplets.md.
"""

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike, DTypeLike, NDArray

from hier_ref.convention import EXACT, Convention
from hier_ref.ranges import whole

LEVELS = ("data", "proxy")
STREAM = 256  # triplets whose noise is one stream
BLOCK = 2 * STREAM  # triplets worked on at once: fewer cost more calls of NumPy, more cost memory
LEAST_NOISE = -80.0  # no Gumbel number is below -4 or so, and exp(80) is finite in float32


@dataclass(frozen=True)
class Draws:
    """The random part of one evaluation of the loss, for both levels.

    triplets_data, triplets_proxy: (T, 3) integers, rows (i, j, k); T may be 0.
    gumbel_data, gumbel_proxy: (pair, triple), two (T, P) arrays of standard Gumbel noise for
    the choices of LCA(i, j) and LCA(i, j, k); or None, and the noise comes from `seed`, a stream
    for each STREAM triplets, the same at every evaluation.
    """

    triplets_data: NDArray
    triplets_proxy: NDArray
    gumbel_data: tuple[NDArray, NDArray] | None = None
    gumbel_proxy: tuple[NDArray, NDArray] | None = None
    seed: int = 0

    def level(self, level: str) -> tuple[NDArray, tuple[NDArray, NDArray] | None]:
        """Return the triplets and the captured noise of one level."""
        return getattr(self, f"triplets_{level}"), getattr(self, f"gumbel_{level}")

    def check(self, level: str, n_points: int, n_proxies: int) -> None:
        """Raise ValueError unless the triplets and the noise of a level fit so many points."""
        triplets, gumbel = self.level(level)
        if triplets.ndim != 2 or triplets.shape[1] != 3:
            raise ValueError(f"triplets_{level} {triplets.shape}: expected (T, 3)")
        if len(triplets) and triplets.dtype.kind not in "iu":
            raise ValueError(f"triplets_{level} is {triplets.dtype}: expected integers")
        if len(triplets) and not 0 <= triplets.min() <= triplets.max() < n_points:
            raise ValueError(f"triplets_{level} has indices outside 0..{n_points - 1}")
        for noise in gumbel or ():
            expected = (len(triplets), n_proxies)
            if noise.shape != expected:
                raise ValueError(f"gumbel_{level} {noise.shape}: expected {expected}")
            if noise.size and not LEAST_NOISE <= noise.min() <= noise.max() < np.inf:
                found = f"gumbel_{level} from {noise.min():.3g} to {noise.max():.3g}"
                raise ValueError(f"{found}: expected finite noise, above {LEAST_NOISE}")

    def blocks(self, level: str) -> range:
        """Return the numbers of the blocks of a level, BLOCK triplets each, the last one fewer."""
        return range(-(-len(self.level(level)[0]) // BLOCK))

    def arrivals(
        self, level: str, block: int, n: int, dtype: DTypeLike
    ) -> tuple[NDArray, NDArray, NDArray]:
        """Return the triplets of one block and the arrival times (T4) of their two choices.

        (T, 3), (T, n), (T, n). Each choice has a stream of its own for every STREAM triplets, so
        that blocks can be worked on in any order, and their size changes nothing.
        """
        triplets, gumbel = self.level(level)
        rows = slice(block * BLOCK, (block + 1) * BLOCK)
        times = np.empty((2, len(triplets[rows]), n), dtype)
        if gumbel is None:
            for choice, u in enumerate(times):
                self._draw(u, LEVELS.index(level), block, choice)
            arrival_times(times)
        else:
            for noise, e in zip(gumbel, times, strict=True):
                np.exp(-noise[rows].astype(dtype), out=e)
        pair, triple = not_at_once(times)
        return triplets[rows], pair, triple

    def _draw(self, u: NDArray, level: int, block: int, choice: int) -> None:
        """Draw the uniform numbers u (T, n) of one choice in a block of a level."""
        for start in range(0, len(u), STREAM):
            stream, part = (block * BLOCK + start) // STREAM, u[start : start + STREAM]
            rng = np.random.default_rng([self.seed, level, stream, choice])
            rng.random(part.shape, u.dtype, part)


def arrival_times(u: NDArray) -> NDArray:
    """Turn uniform numbers from 0 to 1, without 1, into Exp(1) variables, -log(1 - U). (T4).

    Any shape, (T, P) -> (T, P), written over u. U has 24 random bits in float32 and 53 in float64,
    and so may be 0.
    """
    np.subtract(1, u, out=u)
    return np.negative(np.log(u, out=u), out=u)


def not_at_once(e: NDArray) -> NDArray:
    """Move arrival times, any shape, that are 0 to a little later, in place. (K22)."""
    return np.maximum(e, np.finfo(e.dtype).tiny ** 0.4, out=e)


def nearest_neighbours(d: NDArray, neighbours: int, first: NDArray | None = None) -> NDArray:
    """Mark the K nearest columns of every row. (T1).

    d (N, N) distances, neighbours = K >= 0, first (N, N) boolean: columns that rank before
    all others -> (N, N) boolean. Columns as near as the K-th are all marked (K20), so that the
    answer does not depend on the order of the points. K >= N marks everything. ValueError for a K
    that is no integer from 0 on.
    """
    if not whole("neighbours", neighbours):
        return np.zeros(d.shape, bool)
    if neighbours >= d.shape[1]:
        return np.ones(d.shape, bool)
    if first is None:
        return d <= np.partition(d, neighbours - 1, axis=1)[:, neighbours - 1, None]
    last = ~first
    kth = np.lexsort((d, last))[:, neighbours - 1, None]
    d_kth, last_kth = np.take_along_axis(d, kth, 1), np.take_along_axis(last, kth, 1)
    return (last < last_kth) | ((last == last_kth) & (d <= d_kth))


def mutual_neighbours(
    d: ArrayLike, neighbours: int, labels: ArrayLike | None = None, convention: Convention = EXACT
) -> NDArray:
    """Mark the pairs in which each is among the other's K nearest neighbours. (T2).

    d (N, N) distances, labels (N,) classes or None -> (N, N) boolean, symmetric, with a False
    diagonal: nobody is its own positive. Raises ValueError for shapes that do not fit, for NaN
    among the distances, and for a K that is no integer from 0 on.
    """
    d, first = _square(d), None
    if labels is not None and convention.same_class_first:
        first = _same_class(labels, len(d))
    if not convention.neighbours_count_self:
        np.fill_diagonal(d, np.inf)
        if first is not None:
            np.fill_diagonal(first, False)
        neighbours = min(whole("neighbours", neighbours), max(0, len(d) - 1))
    near = nearest_neighbours(d, neighbours, first)
    return near & near.T & ~np.eye(len(d), dtype=bool)


def _square(d: ArrayLike) -> NDArray:
    """Return a copy of distances (N, N); ValueError for another shape and for NaN."""
    d = np.array(d)
    if d.ndim != 2 or d.shape[0] != d.shape[1]:
        raise ValueError(f"distances of shape {d.shape}: expected a square (N, N) matrix")
    if np.isnan(d).any():
        row, column = np.argwhere(np.isnan(d))[0]
        raise ValueError(f"distance {row}, {column} is NaN: expected numbers")
    return d


def _same_class(labels: ArrayLike, n: int) -> NDArray:
    """Mark the pairs of one class (N, N); ValueError for NaN and for other than n labels."""
    same = np.equal.outer(labels, labels)
    if not same.diagonal().all():
        raise ValueError("a label is NaN: expected classes")
    if same.shape != (n, n):
        raise ValueError(f"{len(same)} labels for {n} points")
    return same


def drawable(mutual: NDArray, convention: Convention = EXACT) -> tuple[NDArray, NDArray]:
    """Mark who can be drawn for each anchor: (positives, negatives). (T3).

    mutual (N, N) boolean -> (N, N), (N, N) boolean; the rows of anchors with fewer than
    `min_reciprocal` positives, or without a positive or a negative, are empty (K21).
    """
    negatives = ~mutual
    if not convention.negative_may_be_anchor:
        negatives = negatives & ~np.eye(len(mutual), dtype=bool)
    enough = mutual.sum(1) >= max(1, convention.min_reciprocal)
    used = (enough & negatives.any(1))[:, None]
    return mutual & used, negatives & used


def sample_triplets(
    rng: Generator, mutual: NDArray, per_anchor: int, convention: Convention = EXACT
) -> NDArray:
    """Draw `per_anchor` triplets for every anchor that has a positive and a negative. (T3).

    mutual (N, N) boolean -> (T, 3) integers (i, j, k), grouped by anchor i. j is uniform over
    the mutual neighbours of i and k over all the others, both with replacement. Anchors without
    either give none (K21). Raises ValueError for a number of triplets below 1.
    """
    whole("per_anchor", per_anchor, 1)
    positives, negatives = drawable(mutual, convention)
    anchors = np.flatnonzero(positives.any(1))
    columns = [_draw(rng, marked[anchors], per_anchor) for marked in (positives, negatives)]
    return np.stack([np.repeat(anchors, per_anchor), *columns], axis=1)


def _draw(rng: Generator, marked: NDArray, size: int) -> NDArray:
    """Draw `size` marked columns of every row, with replacement: (A, N) -> (A * size,)."""
    first_marked = np.argsort(~marked, axis=1, kind="stable")
    place = rng.integers(0, marked.sum(1)[:, None], (len(marked), size))
    return np.take_along_axis(first_marked, place, 1).ravel()


def sample_draws(
    rng: Generator,
    d_zz: NDArray,
    d_ll: NDArray,
    labels: ArrayLike,
    *,
    neighbours: int = 20,
    per_anchor: int = 50,
    convention: Convention = EXACT,
    keep_noise: bool = False,
) -> Draws:
    """Draw the triplets of both levels, and the noise of their choices, from `rng`. (T3).

    d_zz (B, B) and d_ll (P, P) are distances among data and among proxies, labels (B,) the
    classes of the data. With keep_noise the Gumbel noise is stored in the result, to be handed
    to another implementation; without it only a seed is, and memory stays small.
    """
    data = sample_triplets(
        rng, mutual_neighbours(d_zz, neighbours, labels, convention), per_anchor, convention
    )
    proxy = sample_triplets(
        rng, mutual_neighbours(d_ll, neighbours, None, convention), per_anchor, convention
    )
    draws = Draws(data, proxy, seed=int(rng.integers(2**63)))
    return capture_noise(draws, len(d_ll)) if keep_noise else draws


def capture_noise(draws: Draws, n_proxies: int) -> Draws:
    """Return the same draws with their seeded float64 noise written out as Gumbel arrays."""
    gumbel = {}
    for level in LEVELS:
        times = [draws.arrivals(level, k, n_proxies, np.float64)[1:] for k in draws.blocks(level)]
        none = np.zeros((0, n_proxies))
        pair, triple = (
            (np.concatenate([none, *each]) for each in zip(*times, strict=True))
            if times
            else (none, none)
        )
        gumbel[f"gumbel_{level}"] = (-np.log(pair), -np.log(triple))
    return Draws(draws.triplets_data, draws.triplets_proxy, **gumbel, seed=draws.seed)
