"""Which items of the gallery are correct for a query, found by sorted labels."""

import numpy as np


class Members:
    """The correct items of every query under one kind of labels, (Q,) and (G,)."""

    def __init__(self, query_labels: np.ndarray, gallery_labels: np.ndarray):
        labels = gallery_labels, query_labels
        if {each.dtype.kind for each in labels} == set("iu"):  # together they would become floats
            labels = gallery_labels.astype(object), query_labels.astype(object)
        _, number = np.unique(np.concatenate(labels), return_inverse=True, equal_nan=False)
        self.gallery, self.query = np.split(number.reshape(-1), [len(gallery_labels)])
        self.items = np.argsort(self.gallery, kind="stable")
        ordered = self.gallery[self.items]
        first, stop = (ordered.searchsorted(self.query, side) for side in ("left", "right"))
        self.first, self.stop = first.tolist(), stop.tolist()
        self.most = int((stop - first).max())

    def of(self, query: int) -> np.ndarray:
        """Return the correct items of one query, in ascending order."""
        return self.items[self.first[query] : self.stop[query]]

    def correct(self, queries: np.ndarray, items: np.ndarray) -> np.ndarray:
        """Return which items are correct for the query beside them, (N,), (N,) -> (N,)."""
        right: np.ndarray = self.gallery[items] == self.query[queries]
        return right
