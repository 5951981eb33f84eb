"""Items in the order of their keys where rounding leaves it open, the wrong ones first in a tie.

Derived in docs/appendix-which-items-tie.md: sort, cut where the order is beyond doubt, and look
closer only at pieces that hold right and wrong items of more than one value, rung by rung.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from hier_ref.retrieval.exact_keys import width
from hier_ref.retrieval.keys import Points
from hier_ref.retrieval.members import Members


class Items(NamedTuple):
    """Some items of the gallery (N,) and their keys for one query, ascending (N,)."""

    item: np.ndarray
    key: np.ndarray

    def between(self, low: np.floating, high: np.floating) -> "Items":
        """Return those with keys from low to high."""
        start, stop = self.key.searchsorted(low), self.key.searchsorted(high, "right")
        return Items(self.item[start:stop], self.key[start:stop])


def items_to(key: np.ndarray, high: np.floating) -> Items:
    """Return the items whose keys (G,) reach at most to high."""
    return by_key(key, np.flatnonzero(key <= high))


def by_key(key: np.ndarray, item: np.ndarray) -> Items:
    """Return the items (N,) in the order of their keys (G,)."""
    near = key[item]
    order = np.argsort(near)
    return Items(item[order], near[order])


class Ordered(NamedTuple):
    """Items (N,) of several queries, one query after the other, each in its order."""

    row: np.ndarray  # which query
    correct: np.ndarray
    start: np.ndarray  # the place in these arrays at which the ties of the item begin

    def place(self) -> np.ndarray:
        """Return how many items of the same query come before each  (N,)."""
        first = self.row.searchsorted(np.arange(self.row.max(initial=-1) + 1))
        return np.arange(len(self.row)) - first[self.row]


def in_order(keys: Points, members: Members, queries: np.ndarray, found: list[Items]) -> Ordered:
    """Return the items found for each of the queries (M,) in their order  (R8) (K57).

    Equal ones are ties. What is not found must be farther, or nearer, beyond doubt.
    """
    item, k = (np.concatenate(part) for part in zip(*found, strict=True))
    row = np.repeat(np.arange(len(found)), [len(items) for items, _ in found])
    apart = np.diff(k) > keys.width(queries)[row[:-1]]
    start = _starts((row[1:] != row[:-1]) | apart)
    right = members.correct(queries[row], item)
    at = np.flatnonzero(_mixed(start, right))  # elsewhere nothing is open
    by = at[np.argsort(2 * start[at] + right[at], kind="stable")]  # wrong first
    right[at], value = right[by], keys.copies[item[by]]
    for closer, bounds in keys.rungs:
        still = np.flatnonzero(_mixed(start[at], right[at], value))
        at, value = at[still], value[still]
        if not len(at):
            break
        pairs = _of_pairs(closer, queries[row[at]], value, len(keys.copies))
        by, first = _cut(start[at], right[at], pairs, bounds)
        start[at], right[at], value = at[first], right[at][by], value[by]
    return Ordered(row, right, start)


def _cut(
    piece: np.ndarray, right: np.ndarray, pairs: tuple[np.ndarray, np.ndarray], bounds: tuple
) -> tuple[np.ndarray, np.ndarray]:
    """Return the order (N,) of items by closer keys, and the first of the new piece of each (N,).

    Pieces (N,) stay one after the other. In a new one the wrong items come first.
    """
    by = np.lexsort((*pairs[::-1], piece))
    (high, low), piece = (each[by] for each in pairs), piece[by]
    apart = np.diff(high) + np.diff(low) > width(high[:-1], *bounds)
    first = _starts((piece[1:] != piece[:-1]) | apart)
    return by[np.lexsort((right[by], first))], first


def _starts(cut: np.ndarray) -> np.ndarray:
    """Return for each place the first of its piece, from the cuts (N - 1,) -> (N,)."""
    places = np.arange(len(cut) + 1)
    places[1:][~cut] = 0
    return np.maximum.accumulate(places)


def _mixed(start: np.ndarray, *kinds: np.ndarray) -> np.ndarray:
    """Return whether the piece of each item (N,) holds more than one of each of the kinds (N,)."""
    mixed = np.ones(len(start), bool)
    together = start[1:] == start[:-1]
    for kind in kinds:
        several = np.zeros(start.max(initial=0) + 1, bool)
        several[start[1:][together & (kind[1:] != kind[:-1])]] = True
        mixed &= several[start]
    return mixed


def _of_pairs(
    closer: Callable, queries: np.ndarray, values: np.ndarray, size: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the keys of pairs of a query and a value, (N,), (N,) -> (N,), (N,), each once."""
    pairs, copies = np.unique(queries * size + values, return_inverse=True)
    high, low = closer(*np.divmod(pairs, size))
    return high[copies], low[copies]
