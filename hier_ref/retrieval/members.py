"""Which items of the gallery are correct for a query, found by sorted labels."""

import numpy as np


class Members:
    """The correct items of every query under one kind of labels, (Q,) and (G,)."""

    def __init__(self, query_labels: np.ndarray, gallery_labels: np.ndarray):
        _, number = np.unique(
            np.concatenate([gallery_labels, query_labels]), return_inverse=True, equal_nan=False
        )
        number = number.reshape(-1)
        gallery, query = number[: len(gallery_labels)], number[len(gallery_labels) :]
        self.items = np.argsort(gallery, kind="stable")
        first, stop = (gallery[self.items].searchsorted(query, side) for side in ("left", "right"))
        self.first, self.stop = first.tolist(), stop.tolist()
        self.most = int((stop - first).max())

    def of(self, query: int) -> np.ndarray:
        """Return the correct items of one query, in ascending order."""
        return self.items[self.first[query] : self.stop[query]]

    def among(self, queries: np.ndarray, size: int) -> np.ndarray:
        """Return which of the items are correct for these queries, (M, size)."""
        correct = np.zeros((len(queries), size), bool)
        for row, query in zip(correct, queries, strict=True):
            row[self.of(query)] = True
        return correct
