"""Which items of the gallery are correct for a query, found by sorted labels."""

import numpy as np


def _numbers(gallery: np.ndarray, query: np.ndarray) -> np.ndarray:
    """Give equal labels of both equal numbers, (G + Q,); ValueError for words beside numbers."""
    kinds = {labels.dtype.kind for labels in (gallery, query)}
    if len(kinds) > 1 and kinds & set("USM") and "O" not in kinds:
        found = f"labels of queries are {query.dtype}, of the gallery {gallery.dtype}"
        raise ValueError(f"{found}: expected one kind")
    if len(kinds) > 1 or "O" in kinds:  # as one array they could be floats, or have no order
        known: dict[object, int] = {}
        both = [*gallery.tolist(), *query.tolist()]
        return np.array([known.setdefault(label, len(known)) for label in both])
    _, number = np.unique(np.concatenate([gallery, query]), return_inverse=True, equal_nan=False)
    return number


class Members:
    """The correct items of every query under one kind of labels, (Q,) and (G,).

    With `own` the item of the query's own number is left out, which R (Q,) knows and `of` does not.
    """

    def __init__(self, query_labels: np.ndarray, gallery_labels: np.ndarray, own: bool):
        number = _numbers(gallery_labels, query_labels)
        self.gallery, self.query = np.split(number.reshape(-1), [len(gallery_labels)])
        self.items = np.argsort(self.gallery, kind="stable")
        ordered = self.gallery[self.items]
        first, stop = (ordered.searchsorted(self.query, side) for side in ("left", "right"))
        self.first, self.stop = first.tolist(), stop.tolist()
        self.most = int((stop - first).max())
        both = min(len(self.query), len(self.gallery)) if own else 0
        self.own, self.r = own, stop - first
        self.r[:both] -= self.query[:both] == self.gallery[:both]

    def of(self, query: int) -> np.ndarray:
        """Return the correct items of one query, in ascending order."""
        return self.items[self.first[query] : self.stop[query]]

    def correct(self, queries: np.ndarray, items: np.ndarray) -> np.ndarray:
        """Return which items are correct for the query beside them, (N,), (N,) -> (N,)."""
        right: np.ndarray = self.gallery[items] == self.query[queries]
        return right
