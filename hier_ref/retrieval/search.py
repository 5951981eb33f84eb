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
from hier_ref.retrieval.order import Items, Ordered, by_key, in_order, in_parts, items_to
from hier_ref.retrieval.precision import from_places, hit_places, nearest
from hier_ref.threads import in_order as in_turn

MISS = np.iinfo(np.int64).max  # rank of a query that has no correct item: below no k
PART = 2**22  # keys that a thread looks at before it takes others
FEW = 8  # the nearest items are kept where they are fewer than this part of the gallery


class Ranking(NamedTuple):
    """What is known of each query; arrays (Q,) or, with one column per level, (Q, L)."""

    rank: np.ndarray  # int64 (R1)
    ties: np.ndarray  # int64 (R1)
    r_precision: np.ndarray  # float64 (R4)
    average_precision: np.ndarray  # float64 (R5)


class Block(NamedTuple):
    """Some queries, what is known of their keys, and the few nearest items of some of them."""

    queries: np.ndarray  # (M,)
    key: np.ndarray  # (M, G)
    width: np.ndarray  # (M,) how far apart keys in open order may be
    few: dict[int, Items]  # by row

    def reaching(self, rows: np.ndarray, high: np.ndarray) -> list[Items]:
        """Return for each of the rows (N,) all items with keys to high (N,), or more."""
        return [self._reaching(*each) for each in zip(rows, high, strict=True)]

    def _reaching(self, n: int, high: np.floating) -> Items:
        known = n in self.few and high <= self.few[n].key[-1]
        return self.few[n] if known else items_to(self.key[n], high)


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
        measure = partial(self._measure, Block(queries, key, self.keys.width(queries), {}))
        size = -(-key.size // PART)
        parts = np.array_split(np.arange(len(queries)), min(size, len(queries)))
        deque(in_turn(measure, parts) if size > 1 else map(measure, parts), maxlen=0)

    def _measure(self, block: Block, part: np.ndarray) -> None:
        """Find the measures of the rows (N,) of a part of a block."""
        block = block._replace(few={})  # other parts have their own
        self._count(block, part)
        if isinstance(self.keys, Points):
            for level in range(len(self.levels)):
                self._settle_ranks(self.keys, level, block, part)
                self._settle_precisions(self.keys, level, block, part)

    def _count(self, block: Block, part: np.ndarray) -> None:
        rank, ties, pure, average = self.found
        for n in part:
            row, query, width = block.key[n], block.queries[n], block.width[n]
            near = self._nearest(block, n) if self.precisions else row[:0]
            for level, members in enumerate(self.levels):
                hits = row[members.of(query)]
                hits = hits[hits < np.inf]
                at = query, level
                rank[at], ties[at] = first_hit(row, near, hits, width)
                if self.precisions:
                    place, self.limit[at] = hit_places(near, hits, width)
                    pure[at], average[at] = from_places(place, len(hits))

    def _nearest(self, block: Block, n: int) -> np.ndarray:
        """Return the nearest keys of a row, sorted; the block keeps their items where few."""
        row = block.key[n]
        item = nearest(row, self.deepest)
        if not 0 < FEW * len(item) < len(row):
            return np.sort(row[item])
        block.few[n] = by_key(row, item)
        return block.few[n].key

    def _settle_ranks(self, keys: Points, level: int, block: Block, part: np.ndarray) -> None:
        members = self.levels[level]
        rank, ties = (array[block.queries, level] for array in self.found[:2])
        for rows in in_parts(keys, block.queries, part[ties[part] > 0]):
            queries, width = block.queries[rows], block.width[rows]
            right = map(members.of, queries)
            first = [block.key[n, items].min() for n, items in zip(rows, right, strict=True)]
            low, high = first - width, first + width
            items = in_order(keys, members, queries, block.reaching(rows, high), low, high)
            hit = np.flatnonzero(items.correct)
            hit = hit[np.unique(items.row[hit], return_index=True)[1]]  # the first of each query
            closer = rank[rows] - ties[rows]
            self.found.rank[queries, level] = closer + items.place()[hit]
            self.found.ties[queries, level] = hit - items.start[hit]

    def _settle_precisions(self, keys: Points, level: int, block: Block, part: np.ndarray) -> None:
        members, (_, _, pure, average) = self.levels[level], self.found
        limit = self.limit[block.queries, level].astype(block.key.dtype)
        for rows in in_parts(keys, block.queries, part[limit[part] < np.inf]):
            queries, high = block.queries[rows], limit[rows]
            low = np.full(len(rows), -np.inf, high.dtype)
            items = in_order(keys, members, queries, block.reaching(rows, high), low, high)
            places = _places_of_hits(items, len(rows))
            for n, query, place in zip(rows, queries, places, strict=True):
                hits = block.key[n, members.of(query)]
                both = from_places(place, int(np.count_nonzero(hits < np.inf)))
                pure[query, level], average[query, level] = both


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
