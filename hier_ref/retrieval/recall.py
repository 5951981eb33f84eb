"""Recall@K as a rank statistic: how many wrong items come before the first correct one.

Derived in docs/7-retrieval.md. For a rank nothing is sorted: one minimum and two counts per
query, in blocks of queries, so that memory does not grow with queries x gallery. The measures
that look at more places are in `precision`, the keys and what rounding does to them in `keys`.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from hier_ref.poincare import gap
from hier_ref.retrieval.keys import Codes, Points, ranking_keys
from hier_ref.retrieval.order import in_order, in_parts
from hier_ref.retrieval.precision import precision_at_r

MISS = np.iinfo(np.int64).max  # rank of a query that has no correct item: below no k
BLOCK = 2**22  # keys held at once
DEEP = 32  # where R is beyond this part of the gallery, keys are computed in float64
LONG = 2**14  # and so are those of longer points: float32 would bound nothing


class Ranking(NamedTuple):
    """What is known of each query; arrays (Q,) or, with one column per level, (Q, L)."""

    rank: np.ndarray  # int64 (R1)
    ties: np.ndarray  # int64 (R1)
    r_precision: np.ndarray  # float64 (R4)
    average_precision: np.ndarray  # float64 (R5)


def rank_gallery(
    query: np.ndarray,
    query_labels: np.ndarray,
    gallery: np.ndarray,
    gallery_labels: np.ndarray,
    c: float,
    exclude_self: bool,
    released_inshop_index: bool = False,
) -> Ranking:
    """Return all that is known of each query, from one pass over the distances.

    Shapes: points (Q, D), (G, D); labels (Q,), (G,), or one column per level (Q, L), (G, L). c > 0
    ranks by distance in the ball (c|x|^2 < 1), c = 0 by cosine. With exclude_self, query i is
    gallery item i and does not find itself. The authors' released code leaves out item i of
    another gallery too; `released_inshop_index` does the same (K56). Ranks and ties as in
    `first_hit_rank`, precisions as in `precision_at_r`, also for Raises.
    """
    measures = (_count, precision_at_r)
    arguments = query, query_labels, gallery, gallery_labels, c, exclude_self
    return Ranking(*_measured(measures, *arguments, released_inshop_index))


def first_hit_rank(
    query: np.ndarray,
    query_labels: np.ndarray,
    gallery: np.ndarray,
    gallery_labels: np.ndarray,
    c: float,
    exclude_self: bool,
) -> tuple[np.ndarray, np.ndarray]:
    """Return (ranks, ties): how many wrong items are no farther than the nearest correct  (R1).

    Arguments as for `rank_gallery` -> (Q,), (Q,) int64, or (Q, L), (Q, L). `ties` of the `ranks`
    are exactly as far as the nearest correct item and count against the query (K50); a zero
    vector has cosine 0 with everything (K51); without a correct item the rank is MISS (K52).
    Raises ValueError for empty sets, shapes that do not fit, NaN and points outside the ball.
    Source: derived in docs/7-retrieval.md.
    """
    ranks, ties = _measured(
        (_count,), query, query_labels, gallery, gallery_labels, c, exclude_self
    )
    return ranks, ties


def _measured(
    measures: tuple[Callable, ...],
    query: np.ndarray,
    query_labels: np.ndarray,
    gallery: np.ndarray,
    gallery_labels: np.ndarray,
    c: float,
    exclude_self: bool,
    exclude_same_index: bool = False,
) -> list[np.ndarray]:
    """Apply measures of (key, correct, keys, queries), by blocks of queries, level by level."""
    x, y = _points(query, gallery, exclude_self)
    x_labels, y_labels = _columns(query_labels, gallery_labels, len(x), len(y))
    if x.shape[1] > LONG or (precision_at_r in measures and _deep(y_labels)):
        x, y = x.astype(np.float64), y.astype(np.float64)
    keys = ranking_keys(x, y, c, _gaps_of_both(x, y, c))
    blocks = []
    for rows in _blocks(len(x), len(y_labels)):
        key, queries = keys.first(rows), np.arange(rows.start, rows.stop)
        if exclude_self or exclude_same_index:
            np.fill_diagonal(key[:, rows], np.inf)
        levels, there = zip(x_labels[rows].T, y_labels.T, strict=True), key < np.inf
        correct = ((a[:, None] == b) & there for a, b in levels)
        found = ([a for m in measures for a in m(key, each, keys, queries)] for each in correct)
        blocks.append([np.stack(arrays, axis=1) for arrays in zip(*found, strict=True)])
    shape = np.shape(query_labels)
    return [np.concatenate(parts).reshape(shape) for parts in zip(*blocks, strict=True)]


def recall_from_ranks(ranks: np.ndarray, ks: Sequence[int]) -> dict[int, float]:
    """Return k -> share of the ranks (Q,) below k  (R2).

    A k beyond the gallery finds any correct item (K53). Raises ValueError unless each k is an
    integer of at least 1.
    """
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
    """Return k -> share of queries with a correct item among the k nearest  (R2).

    Shapes: points (Q, D), (G, D), labels (Q,), (G,). Arguments, conventions and Raises of
    `first_hit_rank`; ks of `recall_from_ranks`.
    """
    ranks, _ = first_hit_rank(query, query_labels, gallery, gallery_labels, c, exclude_self)
    return recall_from_ranks(ranks, ks)


def _deep(labels: np.ndarray) -> bool:
    """Return whether R of some level (N, L) reaches far into the gallery.

    Many of the first R keys would then be so near to each other that float32 leaves their order
    open: it is cheaper to have them in float64 at once.
    """
    counts = (np.unique(column, return_counts=True)[1].max() for column in labels.T)
    return max(counts) * DEEP > len(labels)


def _count(
    key: np.ndarray, correct: np.ndarray, keys: Points | Codes, queries: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return (ranks, ties) of a block from its keys and which items are correct, both (M, N)."""
    nearest = np.where(correct, key, np.inf).min(axis=1, keepdims=True)
    found = np.isfinite(nearest)
    nearest[~found] = 0
    slack = keys.width(nearest) if isinstance(keys, Points) and not keys.sure else 0
    closer = (key < nearest - slack).sum(axis=1)  # wrong: nothing correct is closer than nearest
    rank = ((key <= nearest + slack) & ~correct).sum(axis=1)
    ties = rank - closer
    if isinstance(keys, Points):
        for rows in in_parts(keys, queries, np.flatnonzero(found[:, 0] & (ties > 0))):
            low, high = ((nearest + sign * slack)[rows] for sign in (-1, 1))
            items = in_order(keys, queries[rows], key[rows], correct[rows], low, high)
            hit = np.flatnonzero(items.correct)
            hit = hit[np.unique(items.row[hit], return_index=True)[1]]  # the first of each query
            rank[rows] = closer[rows] + items.place()[hit]
            ties[rows] = hit - items.start[hit]
    return np.where(found[:, 0], rank, MISS), np.where(found[:, 0], ties, 0)


def _gaps_of_both(x: np.ndarray, y: np.ndarray, c: float) -> np.ndarray | None:
    """Return the gaps of the gallery for c > 0, when both sets are in the ball."""
    if not 0 <= c < np.inf:
        raise ValueError(f"c = {c}, expected c > 0 (ball) or c = 0 (cosine)")
    if not c:
        return None
    _gaps("query", x, c)
    return _gaps("gallery", y, c)


def _gaps(name: str, points: np.ndarray, c: float) -> np.ndarray:
    """Return the gaps (N,) in float64, in blocks: they need long temporaries."""
    gaps = np.empty(len(points))
    for rows in _blocks(*points.shape):
        try:
            gaps[rows] = gap(points[rows].astype(np.float64), c)
        except ValueError as error:
            raise ValueError(f"{name}, rows counted from {rows.start}: {error}") from None
    return gaps


def _blocks(size: int, width: int) -> Iterator[slice]:
    """Cut range(size) into slices that hold about BLOCK numbers when each item has `width`."""
    step = max(1, BLOCK // width)
    return (slice(start, min(start + step, size)) for start in range(0, size, step))


def _points(
    query: np.ndarray, gallery: np.ndarray, exclude_self: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Return both sets in their common float type, at least float32, or refuse them."""
    sets = {"query": np.asarray(query), "gallery": np.asarray(gallery)}
    dtype = np.result_type(np.float32, *sets.values())
    if dtype not in (np.float32, np.float64):
        raise ValueError(f"points of type {dtype}, expected numbers of at most 64 bits")
    for name, points in sets.items():
        if points.ndim != 2 or not points.size:
            raise ValueError(f"{name}: shape {points.shape}, expected (rows, D), neither of them 0")
        bad = ~np.isfinite(points).all(axis=1)
        if bad.any():
            raise ValueError(f"{name}: NaN or inf in row {np.argmax(bad)}, expected finite numbers")
    (q, d), (g, e) = (points.shape for points in sets.values())
    if d != e:
        raise ValueError(f"query has {d} columns, gallery {e}, expected as many")
    if exclude_self and q != g:
        raise ValueError(f"{q} queries, {g} gallery items, expected as many to exclude_self")
    return sets["query"].astype(dtype, copy=False), sets["gallery"].astype(dtype, copy=False)


def _columns(
    query: np.ndarray, gallery: np.ndarray, q: int, g: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return both label arrays with one column per level, or refuse them."""
    query, gallery = np.asarray(query), np.asarray(gallery)
    for name, labels, rows in (("query", query, q), ("gallery", gallery, g)):
        if labels.ndim not in (1, 2) or len(labels) != rows:
            raise ValueError(
                f"{name} labels: shape {labels.shape}, expected ({rows},) or more columns"
            )
    if query.shape[1:] != gallery.shape[1:]:
        raise ValueError(
            f"labels: query {query.shape}, gallery {gallery.shape}, expected as many columns"
        )
    return query.reshape(q, -1), gallery.reshape(g, -1)
