"""The nearest items of each query in their order, and what this order tells beyond doubt.

Derived in docs/7-retrieval.md. One sort of the few nearest answers for all levels of labels, for
many queries at once. It does not tell a query where rounding leaves open whether a right item or a
wrong one comes first: `search` looks closer at that one.
"""

import math
from typing import NamedTuple

import numpy as np

from hier_ref.retrieval.order import by_key
from hier_ref.retrieval.precision import from_places

SAMPLE = 2000  # keys of a query that tell where the nearest end


class Nearest(NamedTuple):
    """The S nearest items of M queries."""

    item: np.ndarray  # (M, S)
    key: np.ndarray  # (M, S) ascending; inf where there are fewer
    end: np.ndarray  # (M,) all items with smaller keys are there

    @classmethod
    def of(cls, key: np.ndarray, size: int) -> "Nearest":
        """Return the `size` items with the smallest finite keys (M, G) of each query."""
        shape = len(key), min(size, key.shape[1])
        items, keys = np.zeros(shape, int), np.full(shape, np.inf, key.dtype)
        if not size:
            return cls(items, keys, np.full(len(key), -np.inf, key.dtype))
        for n, end in enumerate(_ends(key, size)):
            row = key[n]
            item = np.flatnonzero(row <= end)
            if not size <= len(item) < len(row):
                item = np.flatnonzero(row < np.inf)
            near = by_key(row, item)
            items[n, : len(item)], keys[n, : len(item)] = near.item[:size], near.key[:size]
        return cls(items, keys, keys[:, -1])


def _ends(key: np.ndarray, size: int) -> np.ndarray:
    """Return a key (M,) that most likely `size` items of the query do not exceed.

    A sample tells it; it decides how many keys are sorted, and nothing else.
    """
    sample = key[:, :: max(1, key.shape[1] // SAMPLE)]
    share = size * sample.shape[1] / key.shape[1]
    last = min(int(share + 3 * math.sqrt(share) + 3), sample.shape[1] - 1)
    end: np.ndarray = np.partition(sample, last, axis=1)[:, last]
    return end


class Order:
    """The order of right and wrong among the nearest items of M queries.

    Keys (M, S), ascending, which items are right (M, S), and how far apart keys in open order may
    be (M,). No answer reaches a key of inf, whatever stands there.
    """

    def __init__(self, key: np.ndarray, right: np.ndarray, width: np.ndarray):
        self.key, self.right, self.width = key, right, width
        self.rows = np.arange(len(key))
        self.open = self.right[:, 1:] != self.right[:, :-1]
        self.open &= key[:, 1:] <= key[:, :-1] + width[:, None]

    def first_hits(self) -> tuple[np.ndarray, np.ndarray]:
        """Return which queries (N,) have a clear first hit, without a tie, and its rank."""
        rank = self.right.argmax(axis=1)
        clear = self.right[self.rows, rank] & self._clear(rank)
        return np.flatnonzero(clear), rank[clear]

    def precisions(self, r: np.ndarray) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray]]:
        """Return which queries (N,) have clear first R (M,) places, and both precisions."""
        clear = self._clear(np.maximum(r - 1, 0))
        row, place = self.right[clear].nonzero()
        return np.flatnonzero(clear), from_places(row, place, r[clear])

    def _clear(self, place: np.ndarray) -> np.ndarray:
        """Return where nothing open (M,) can change what comes up to this place (M,)."""
        high = self.key[self.rows, place] + self.width
        changes = self.open & (self.key[:, :-1] <= high[:, None])
        clear: np.ndarray = (self.key[:, -1] > high) & ~changes.any(axis=1)
        return clear
