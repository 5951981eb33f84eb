"""Recall@K as a rank statistic: how many wrong items come before the first correct one.

Derived in docs/7-retrieval.md. Nothing is sorted: one minimum and two counts per query, in
blocks of queries, so that memory stays the same however many queries there are.
"""

from collections.abc import Sequence

import numpy as np

from hier_ref.pairwise import pairwise_sq
from hier_ref.poincare import gap

MISS = np.iinfo(np.int64).max  # the rank of a query that has no correct item: below no k
BLOCK = 2**22  # keys held at once


def ranking_key(x: np.ndarray, y: np.ndarray, weight: np.ndarray, c: float) -> np.ndarray:
    """Return keys that order the gallery y of each query x as the distance does (R2).

    (M,D),(N,D),(N,) -> (M,N), with the `weight` of `_prepare`. The keys of different queries do
    not compare.
    """
    q = pairwise_sq(x, y)
    return q / weight if c else q + weight


def first_hit_rank(
    query: np.ndarray,
    query_labels: np.ndarray,
    gallery: np.ndarray,
    gallery_labels: np.ndarray,
    c: float,
    exclude_self: bool,
) -> tuple[np.ndarray, np.ndarray]:
    """Return (ranks, ties): wrong items not farther than the nearest correct one (R1).

    Embeddings (Q,D),(G,D), labels (Q,),(G,) -> (Q,),(Q,); with L columns of labels, fine and
    coarse, (Q,L),(G,L) -> (Q,L),(Q,L) from the same distances. `ties` of the `ranks` are exactly
    as far as the nearest correct item (K50): the optimistic rank is ranks - ties.
    c > 0 ranks by distance in the ball (c|x|^2 < 1), c = 0 by cosine (K51: the zero vector).
    exclude_self: query i is gallery item i and does not find itself.
    A query without a correct item has rank MISS and 0 ties (K52).
    Raises ValueError for empty sets, shapes that do not fit, NaN, points outside the ball.
    """
    x, y = _embeddings(query, gallery, c, exclude_self)
    labels = _codes(query_labels, gallery_labels, len(x), len(y))
    y, copies = _distinct(y)
    x, _ = _prepare(x, c)
    y, weight = _prepare(y, c)
    shape = np.shape(query_labels)
    ranks, ties = np.empty((2, *labels[0].shape), np.int64)
    step = max(1, BLOCK // len(labels[1]))
    for start in range(0, len(x), step):
        rows = slice(start, start + step)
        key = ranking_key(x[rows], y, weight, c)[:, copies]
        if exclude_self:
            np.fill_diagonal(key[:, rows], np.inf)
        for column, (right, item) in enumerate(zip(labels[0][rows].T, labels[1].T, strict=True)):
            ranks[rows, column], ties[rows, column] = _count(key, right[:, None] == item)
    return ranks.reshape(shape), ties.reshape(shape)


def recall_from_ranks(ranks: np.ndarray, ks: Sequence[int]) -> dict[int, float]:
    """Return k -> share of the ranks (Q,) below k (R3). Raises ValueError for k < 1."""
    for k in ks:
        if not isinstance(k, int | np.integer) or k < 1:
            raise ValueError(f"k = {k!r}, expected an integer of at least 1")
    return {int(k): float(np.mean(ranks < k)) for k in ks}


def recall_at_k(
    query: np.ndarray,
    query_labels: np.ndarray,
    gallery: np.ndarray,
    gallery_labels: np.ndarray,
    ks: Sequence[int],
    c: float,
    exclude_self: bool,
) -> dict[int, float]:
    """Return k -> share of queries with a correct item among the k nearest, ties against it (R3).

    Embeddings (Q,D),(G,D), labels (Q,),(G,); c, exclude_self and Raises of `first_hit_rank`.
    """
    ranks, _ = first_hit_rank(query, query_labels, gallery, gallery_labels, c, exclude_self)
    return recall_from_ranks(ranks, ks)


def _count(key: np.ndarray, correct: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return (ranks, ties) of a block: keys (M,N), which items are correct (M,N) (R1)."""
    nearest = np.where(correct, key, np.inf).min(axis=1, keepdims=True)
    closer = (key < nearest).sum(axis=1)  # never a correct one
    tied = ((key == nearest) & ~correct).sum(axis=1)
    found = np.isfinite(nearest[:, 0])
    return np.where(found, closer + tied, MISS), np.where(found, tied, 0)


def _embeddings(
    query: np.ndarray, gallery: np.ndarray, c: float, exclude_self: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Return both sets in one float type of at least float32, or say what is wrong with them."""
    if not 0 <= c < np.inf:
        raise ValueError(f"c = {c}, expected c > 0 (ball) or c = 0 (cosine)")
    dtype = np.result_type(np.float32, *(np.asarray(a).dtype for a in (query, gallery)))
    sets = []
    for name, points in (("query", query), ("gallery", gallery)):
        points = np.asarray(points, dtype)
        if points.ndim != 2 or not points.size:
            raise ValueError(f"{name}: shape {points.shape}, expected (rows, D), none of them 0")
        _refuse_rows(name, ~np.isfinite(points).all(axis=1), "NaN or infinite", "finite numbers")
        if c:
            _refuse_rows(name, ~(gap(points, c) > 0), "outside the ball", "c|x|^2 < 1")
        sets.append(points)
    x, y = sets
    if x.shape[1] != y.shape[1] or (exclude_self and len(x) != len(y)):
        raise ValueError(
            f"query {x.shape}, gallery {y.shape}: expected equal D, and equal rows "
            "to exclude each query itself"
        )
    return x, y


def _refuse_rows(name: str, bad: np.ndarray, found: str, expected: str) -> None:
    if bad.any():
        raise ValueError(f"{name}: row {np.argmax(bad)} is {found}, expected {expected}")


def _codes(query: np.ndarray, gallery: np.ndarray, q: int, g: int) -> list[np.ndarray]:
    """Return both label arrays as columns, (q,L) and (g,L)."""
    query, gallery = np.asarray(query), np.asarray(gallery)
    fits = query.shape[:1] == (q,) and gallery.shape[:1] == (g,)
    if not fits or query.shape[1:] != gallery.shape[1:] or query.ndim > 2:
        raise ValueError(
            f"labels {query.shape} of {q} queries, {gallery.shape} of {g} gallery "
            "items, expected one row each and equal columns"
        )
    return [query.reshape(q, -1), gallery.reshape(g, -1)]


def _distinct(points: np.ndarray) -> tuple[np.ndarray, np.ndarray | slice]:
    """Return the different rows, and for each row its place among them.

    Each distinct item's key is computed once, so that equal items tie exactly: a matrix product
    may round equal columns differently. Equal rows are equal bytes once -0 is written as 0.
    """
    row = np.dtype((np.void, points.dtype.itemsize * points.shape[1]))
    as_bytes = np.ascontiguousarray(points + 0).view(row).reshape(-1)
    _, first, place = np.unique(as_bytes, return_index=True, return_inverse=True)
    if len(first) == len(points):
        return points, slice(None)
    return points[first], place.reshape(-1)


def _prepare(points: np.ndarray, c: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the points to compare and each one's part in the key: (N,D) -> (N,D), (N,).

    In the ball the points themselves and their gaps; for cosines unit vectors and 1 for each
    zero vector, which has no direction and is given cosine 0 with everything (K51).
    """
    if c:
        return points, gap(points, c)
    largest = np.abs(points).max(axis=1, keepdims=True)  # first: a square could overflow
    zero = largest == 0
    points = points / np.where(zero, 1, largest)
    norm = np.sqrt(np.sum(points**2, axis=1, keepdims=True))
    return points / np.where(zero, 1, norm), zero[:, 0].astype(points.dtype)
