"""A block of queries and their keys: what counts and closer looks ask of it."""

from typing import NamedTuple

import numpy as np

from hier_ref.retrieval.members import Members
from hier_ref.retrieval.nearest import Nearest
from hier_ref.retrieval.order import Items, items_to

PART = 2**18  # items that are looked at together


class Block(NamedTuple):
    """Some queries, what is known of their keys, and their nearest items, if these are needed."""

    queries: np.ndarray  # (M,)
    key: np.ndarray  # (M, G)
    width: np.ndarray  # (M,) how far apart keys in open order may be
    near: Nearest  # (M, S)

    def hits(self, n: int, members: Members) -> np.ndarray:
        """Return the keys of the correct items of row n."""
        key = self.key[n, members.of(self.queries[n])]
        return key[key < np.inf]

    def limit(self, rows: np.ndarray, members: Members) -> np.ndarray:
        """Return for some rows (N,) the largest key that may belong to the first R places."""
        last = np.maximum(members.r[self.queries[rows]] - 1, 0)
        key: np.ndarray = self.near.key[rows, last] + self.width[rows]
        return key

    def items_to(self, n: int, high: np.floating) -> Items:
        """Return all items of row n with keys to high, or more."""
        near = self.near
        few = high < near.end[n]
        return Items(near.item[n], near.key[n]) if few else items_to(self.key[n], high)

    def parts(self, rows: np.ndarray, high: np.ndarray) -> list[np.ndarray]:
        """Cut the places (N,) of some rows (N,) so that each part has few items to high (N,)."""
        items = np.where(high < self.near.end[rows], self.near.key.shape[1], self.key.shape[1])
        cuts = np.flatnonzero(np.diff(np.cumsum(items) // PART)) + 1
        return np.split(np.arange(len(rows)), cuts) if len(rows) else []

    def between(
        self, rows: np.ndarray, low: np.ndarray, high: np.ndarray, part: np.ndarray
    ) -> list[Items]:
        """Return the items from low to high (N,) of those rows (N,) that are in a part."""
        each = zip(rows[part], low[part], high[part], strict=True)
        return [self.items_to(n, end).between(start, end) for n, start, end in each]
