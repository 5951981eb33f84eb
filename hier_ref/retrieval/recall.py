"""Recall@K as a rank statistic: how many wrong items come before the first correct one.

Derived in docs/7-retrieval.md. For a rank nothing is sorted: one minimum and two counts per
query, in blocks of queries, one a thread, so that memory does not grow with queries x gallery.
What is done with a block is in `search`, the keys and what rounding does to them in `keys`.
"""

from collections.abc import Sequence

import numpy as np

from hier_ref.poincare import gap
from hier_ref.progress import Progress
from hier_ref.retrieval.keys import alike, ranking_keys
from hier_ref.retrieval.members import Members
from hier_ref.retrieval.search import MISS as MISS
from hier_ref.retrieval.search import Ranking as Ranking
from hier_ref.retrieval.search import Search
from hier_ref.threads import in_order, one_blas_thread, pieces

SMALL = 2**22  # keys that a thread holds, so that all threads have some,
ROWS = 2**8  # or those of so many queries, as a product of fewer is slow,
BLOCK = 2**24  # and never more
CACHED = 2**17  # coordinates whose gaps are found together
DEEP = 32  # where R is beyond this part of the gallery, keys are computed in float64
LONG = 2**14  # and so are those of longer points: float32 would bound nothing
RIM = 64  # and those of a gallery with a gap below this part of 1, where it would bound little


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
    arguments = query, query_labels, gallery, gallery_labels, c, exclude_self
    return _measured(True, *arguments, released_inshop_index)


def first_hit_rank(
    query: np.ndarray,
    query_labels: np.ndarray,
    gallery: np.ndarray,
    gallery_labels: np.ndarray,
    c: float,
    exclude_self: bool,
) -> tuple[np.ndarray, np.ndarray]:
    """Return (ranks, ties): how many wrong items are no farther than the nearest correct.

    Arguments as for `rank_gallery` -> (Q,), (Q,) int64, or (Q, L), (Q, L). `ties` of the `ranks`
    are exactly as far as the nearest correct item and count against the query (K50); a zero
    vector has cosine 0 with everything (K51); without a correct item the rank is MISS (K52).
    Raises ValueError for empty sets, shapes that do not fit, NaN and points outside the ball.
    Source: derived in docs/7-retrieval.md.
    """
    found = _measured(False, query, query_labels, gallery, gallery_labels, c, exclude_self)
    return found.rank, found.ties


def _measured(
    precisions: bool,
    query: np.ndarray,
    query_labels: np.ndarray,
    gallery: np.ndarray,
    gallery_labels: np.ndarray,
    c: float,
    exclude_self: bool,
    exclude_same_index: bool = False,
) -> Ranking:
    """Rank by blocks of queries; without `precisions` these stay 0."""
    x, y = _points(query, gallery, exclude_self)
    x_labels, y_labels = _columns(query_labels, gallery_labels, len(x), len(y))
    own = exclude_self or exclude_same_index
    levels = [Members(a, b, own) for a, b in zip(x_labels.T, y_labels.T, strict=True)]
    gaps = _gaps_of_both(x, y, c)
    deep = precisions and max(level.most for level in levels) * DEEP > len(y)
    if deep or x.shape[1] > LONG or (gaps is not None and gaps.min() * RIM < 1):
        x, y = alike(lambda points: points.astype(np.float64), x, y)
    search = Search(ranking_keys(x, y, c, gaps), levels, precisions, len(x))
    progress = Progress(len(x), patience=5)
    most = min(BLOCK, max(SMALL, ROWS * len(y)))
    with one_blas_thread():
        for done in in_order(search.rank, pieces(len(x), len(y), most)):
            progress.step("ranking", parts=done)
    progress.expect(0)
    shape = np.shape(query_labels)
    return Ranking(*(array.reshape(shape) for array in search.found))


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


def _gaps_of_both(x: np.ndarray, y: np.ndarray, c: float) -> np.ndarray | None:
    """Return the gaps of the gallery for c > 0, when both sets are in the ball."""
    if not 0 <= c < np.inf:
        raise ValueError(f"c = {c}, expected c > 0 (ball) or c = 0 (cosine)")
    if not c:
        return None
    gaps = _gaps("query", x, c)
    return gaps if y is x else _gaps("gallery", y, c)


def _gaps(name: str, points: np.ndarray, c: float) -> np.ndarray:
    """Return the gaps (N,) in float64, some at a time: their temporaries stay in the cache."""

    def some(rows: slice) -> np.ndarray:
        """Return those of a slice; ValueError says where it begins."""
        try:
            return gap(points[rows].astype(np.float64), c)
        except ValueError as error:
            raise ValueError(f"{name}, rows counted from {rows.start}: {error}") from None

    return np.concatenate(list(in_order(some, pieces(len(points), points.shape[1], CACHED))))


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
    return alike(lambda points: points.astype(dtype, copy=False), *sets.values())


def _columns(
    query: np.ndarray, gallery: np.ndarray, q: int, g: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return both label arrays with one column per level, or refuse them."""
    query, gallery = np.asarray(query), np.asarray(gallery)
    for name, labels, rows in (("query", query, q), ("gallery", gallery, g)):
        if labels.ndim not in (1, 2) or len(labels) != rows or not labels.size:
            raise ValueError(
                f"{name} labels: shape {labels.shape}, expected ({rows},) or more columns"
            )
    if query.shape[1:] != gallery.shape[1:]:
        raise ValueError(
            f"labels: query {query.shape}, gallery {gallery.shape}, expected as many columns"
        )
    return query.reshape(q, -1), gallery.reshape(g, -1)
