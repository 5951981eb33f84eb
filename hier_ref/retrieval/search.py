"""The measures of a block of queries: counts of keys, and a closer look where they leave doubt.

Derived in docs/7-retrieval.md. Each query is a row of keys that stays in the cache while all
levels of labels are counted.
"""

from collections import deque
from functools import partial
from typing import NamedTuple

import numpy as np

from hier_ref.retrieval.keys import Codes, Points
from hier_ref.retrieval.members import Members
from hier_ref.retrieval.order import Ordered, in_order, in_parts
from hier_ref.retrieval.precision import from_places, hit_places, nearest
from hier_ref.threads import in_order as in_turn

MISS = np.iinfo(np.int64).max  # rank of a query that has no correct item: below no k
PART = 2**22  # keys that a thread looks at before it takes others


class Ranking(NamedTuple):
    """What is known of each query; arrays (Q,) or, with one column per level, (Q, L)."""

    rank: np.ndarray  # int64 (R1)
    ties: np.ndarray  # int64 (R1)
    r_precision: np.ndarray  # float64 (R4)
    average_precision: np.ndarray  # float64 (R5)


class Search:
    """A search of all queries, block by block; what is `found` has a column per level."""

    def __init__(self, keys: Points | Codes, levels: list[Members], precisions: bool, size: int):
        self.keys, self.levels, self.precisions = keys, levels, precisions
        self.deepest = max(level.most for level in levels)
        shape = size, len(levels)
        counts, shares = (np.zeros((2, *shape), kind) for kind in (np.int64, np.float64))
        self.found = Ranking(*counts, *shares)
        self.limit = np.full(shape, np.inf)  # how far the precisions need a closer look

    def rank(self, rows: slice, exclude_same_index: bool) -> None:
        """Find the measures of a slice of queries, perhaps without the item of each number."""
        key, queries = self.keys.first(rows), np.arange(rows.start, rows.stop)
        if exclude_same_index:
            np.fill_diagonal(key[:, rows], np.inf)
        width = self.keys.width(queries)
        size = -(-key.size // PART)
        measure = partial(self._measure, key, queries, width)
        parts = np.array_split(np.arange(len(queries)), min(size, len(queries)))
        deque(in_turn(measure, parts) if size > 1 else map(measure, parts), maxlen=0)

    def _measure(
        self, key: np.ndarray, queries: np.ndarray, width: np.ndarray, part: np.ndarray
    ) -> None:
        self._count(key, queries, width, part)
        if isinstance(self.keys, Points):
            for level in range(len(self.levels)):
                self._settle_ranks(self.keys, level, key, queries, width, part)
                self._settle_precisions(self.keys, level, key, queries, part)

    def _count(
        self, key: np.ndarray, queries: np.ndarray, width: np.ndarray, part: np.ndarray
    ) -> None:
        rank, ties, pure, average = self.found
        for n in part:
            row, query = key[n], queries[n]
            near = nearest(row, self.deepest) if self.precisions else row[:0]
            for level, members in enumerate(self.levels):
                hits = row[members.of(query)]
                hits = hits[hits < np.inf]
                at = query, level
                rank[at], ties[at] = first_hit(row, near, hits, width[n])
                if self.precisions:
                    place, self.limit[at] = hit_places(near, hits, width[n])
                    pure[at], average[at] = from_places(place, len(hits))

    def _settle_ranks(
        self,
        keys: Points,
        level: int,
        key: np.ndarray,
        queries: np.ndarray,
        width: np.ndarray,
        part: np.ndarray,
    ) -> None:
        members = self.levels[level]
        rank, ties = (array[queries, level] for array in self.found[:2])
        for rows in in_parts(keys, queries, part[ties[part] > 0]):
            first = [key[n, members.of(queries[n])].min() for n in rows]
            low, high = first - width[rows], first + width[rows]
            items = in_order(keys, members, queries[rows], [key[n] for n in rows], low, high)
            hit = np.flatnonzero(items.correct)
            hit = hit[np.unique(items.row[hit], return_index=True)[1]]  # the first of each query
            closer = rank[rows] - ties[rows]
            self.found.rank[queries[rows], level] = closer + items.place()[hit]
            self.found.ties[queries[rows], level] = hit - items.start[hit]

    def _settle_precisions(
        self, keys: Points, level: int, key: np.ndarray, queries: np.ndarray, part: np.ndarray
    ) -> None:
        members, (_, _, pure, average) = self.levels[level], self.found
        limit = self.limit[queries, level].astype(key.dtype)
        for rows in in_parts(keys, queries, part[limit[part] < np.inf]):
            low = np.full(len(rows), -np.inf, key.dtype)
            items = in_order(keys, members, queries[rows], [key[n] for n in rows], low, limit[rows])
            for n, place in zip(rows, _places_of_hits(items, len(rows)), strict=True):
                hits = key[n, members.of(queries[n])]
                both = from_places(place, int(np.count_nonzero(hits < np.inf)))
                pure[queries[n], level], average[queries[n], level] = both


def first_hit(
    row: np.ndarray, near: np.ndarray, hits: np.ndarray, width: np.floating
) -> tuple[int, int]:
    """Return rank and ties of a query, as if keys within the width were equal  (R1).

    From all its keys (G,), the `nearest` of them (N,), if any, and those of the correct items (R,).
    """
    if not len(hits):
        return MISS, 0
    first = hits.min()
    low, high = first - width, first + width
    if len(near) and high < near[-1]:
        closer, to_high = near.searchsorted(low), near.searchsorted(high, "right")
    else:
        closer = np.count_nonzero(row < low)
        to_high = np.count_nonzero(row <= high)
    wrong = to_high - np.count_nonzero(hits <= high)
    return wrong, wrong - closer


def _places_of_hits(items: Ordered, size: int) -> list[np.ndarray]:
    place, hit = items.place()[items.correct], items.row[items.correct]
    return np.split(place, hit.searchsorted(np.arange(1, size)))
