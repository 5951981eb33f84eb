"""The measures of a block of queries: counts of keys, and a closer look where they leave doubt.

Derived in docs/7-retrieval.md. What the order of the `nearest` items tells is read off it for many
queries at once; the others are counted one by one, and `order` settles what rounding left open.
"""

from typing import NamedTuple

import numpy as np

from hier_ref.retrieval.block import PART, Block
from hier_ref.retrieval.keys import Codes, Points
from hier_ref.retrieval.members import Members
from hier_ref.retrieval.nearest import Nearest, Order
from hier_ref.retrieval.order import in_order
from hier_ref.retrieval.precision import from_places, hit_places, ragged
from hier_ref.threads import pieces

MISS = np.iinfo(np.int64).max  # rank of a query that has no correct item: below no k
MORE = 32  # nearest items beyond R: most first hits are among them, and what rounding moves


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
        shape = size, len(levels)
        counts, shares = (np.zeros((2, *shape), kind) for kind in (np.int64, np.float64))
        self.found = Ranking(*counts, *shares)
        self.size = max(level.most for level in levels) + MORE if precisions else 0

    def rank(self, rows: slice) -> int:
        """Find the measures of a slice of queries; return how many they are."""
        key, queries = self.keys.first(rows), np.arange(rows.start, rows.stop)
        if self.levels[0].own:
            np.fill_diagonal(key[:, rows], np.inf)
        width = self.keys.width(queries)
        for part in pieces(len(key), min(self.size, key.shape[1]), PART):
            near = Nearest.of(key[part], self.size)
            block = Block(queries[part], key[part], width[part], near)
            for level in range(len(self.levels)):
                self._measure(level, block)
        return len(queries)

    def _measure(self, level: int, block: Block) -> None:
        """Find the measures of a level: read off what can be, count the rest, settle the open."""
        unranked, unscored = np.arange(len(block.queries)), np.arange(0)
        if self.precisions:
            unranked, unscored = self._tell(level, block)
        self._count_ranks(level, block, unranked)
        tied = unranked[self.found.ties[block.queries[unranked], level] > 0]
        settled = self.keys.settled(block.queries[unscored])
        self._count_precisions(level, block, unscored[settled])
        if isinstance(self.keys, Points):
            tied = tied[~self.keys.settled(block.queries[tied])]
            self._settle_ranks(self.keys, level, block, tied)
            self._settle_precisions(self.keys, level, block, unscored[~settled])

    def _tell(self, level: int, block: Block) -> tuple[np.ndarray, np.ndarray]:
        """Read off what the order of the nearest items tells; return the rows that it does not.

        First the rows without a rank, then those without precisions.
        """
        members, (rank, _, pure, average) = self.levels[level], self.found
        queries, rows = block.queries, np.arange(len(block.queries))
        item, key = (array[:, : members.most + MORE] for array in block.near[:2])
        order = Order(key, members.correct(queries[:, None], item), block.width)
        ranked, first = order.first_hits()
        rank[queries[ranked], level] = first
        scored, precisions = order.precisions(members.r[queries])
        at = queries[scored], level
        pure[at], average[at] = precisions
        return np.delete(rows, ranked), np.delete(rows, scored)

    def _count_ranks(self, level: int, block: Block, rows: np.ndarray) -> None:
        """Find ranks and ties of some rows (N,), as if keys within the width were equal."""
        members, (rank, ties, _, _) = self.levels[level], self.found
        for n in rows:
            at, hits = (block.queries[n], level), block.hits(n, members)
            rank[at], ties[at] = first_hit(block.key[n], block.near.key[n], hits, block.width[n])

    def _count_precisions(self, level: int, block: Block, rows: np.ndarray) -> None:
        """Find the precisions of some rows (N,), as if keys within the width were equal."""
        members, places = self.levels[level], []
        for n, high in zip(rows, block.limit(rows, members), strict=True):
            near, hits = block.items_to(n, high).key, block.hits(n, members)
            places.append(hit_places(near, hits, block.width[n]))
        queries = block.queries[rows]
        found = from_places(*ragged(places), members.r[queries])
        self.found.r_precision[queries, level], self.found.average_precision[queries, level] = found

    def _settle_ranks(self, keys: Points, level: int, block: Block, rows: np.ndarray) -> None:
        """Count anew, with closer keys, what lies as far as the first hit of some rows (N,)."""
        members, (rank, ties, _, _) = self.levels[level], self.found
        first = np.array([block.hits(n, members).min() for n in rows], block.key.dtype)
        low, high = first - block.width[rows], first + block.width[rows]
        for part in block.parts(rows, high):
            at, found = (block.queries[rows[part]], level), block.between(rows, low, high, part)
            items = in_order(keys, members, at[0], found)
            hit = np.flatnonzero(items.correct)
            hit = hit[np.unique(items.row[hit], return_index=True)[1]]  # the first of each query
            rank[at] += items.place()[hit] - ties[at]
            ties[at] = hit - items.start[hit]

    def _settle_precisions(self, keys: Points, level: int, block: Block, rows: np.ndarray) -> None:
        """Find the precisions of some rows (N,) from closer keys of what may be among the R."""
        members, (_, _, pure, average) = self.levels[level], self.found
        high = block.limit(rows, members)
        low = np.full_like(high, -np.inf)
        for part in block.parts(rows, high):
            at, found = (block.queries[rows[part]], level), block.between(rows, low, high, part)
            items = in_order(keys, members, at[0], found)
            hits = items.row[items.correct], items.place()[items.correct]
            pure[at], average[at] = from_places(*hits, members.r[at[0]])


def first_hit(
    row: np.ndarray, near: np.ndarray, hits: np.ndarray, width: np.floating
) -> tuple[int, int]:
    """Return rank and ties of a query, as if keys within the width were equal  (R1).

    From all its keys (G,), the nearest of them (S,), if any, and those of the correct items (R,).
    """
    if not len(hits):
        return MISS, 0
    first = hits.min()
    low, high = first - width, first + width
    known = len(near) and high < near[-1]
    to_high = near.searchsorted(high, "right") if known else np.count_nonzero(row <= high)
    wrong = to_high - np.count_nonzero(hits <= high)
    if not wrong:
        return 0, 0
    closer = near.searchsorted(low) if known else np.count_nonzero(row < low)
    return wrong, wrong - closer
