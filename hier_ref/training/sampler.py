"""Batches with a fixed number of images per class; derived in docs/appendix-batches.md."""

from collections.abc import Iterator

import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike, NDArray

from hier_ref.ranges import whole


def batches_per_epoch(labels: ArrayLike, batch_size: int, per_class: int) -> int:
    """Return how many batches `class_batches` gives: full groups over groups per batch. (S1).

    Raises ValueError when per_class is below 1, when batch_size is no multiple of it, when the
    labels do not fill one batch, and for labels that are no row or have NaN among them.
    """
    labels = np.asarray(labels)
    if labels.ndim != 1 or (labels.dtype.kind == "f" and np.isnan(labels).any()):
        raise ValueError(f"labels {labels.dtype} {labels.shape}: expected (N,), none of them NaN")
    whole("batch size", batch_size)
    whole("images per class", per_class)
    if per_class < 1 or batch_size < 1 or batch_size % per_class:
        raise ValueError(
            f"batch of {batch_size} with {per_class} per class: expected a positive multiple"
        )
    groups = int(np.sum(np.unique(labels, return_counts=True)[1] // per_class))
    if groups * per_class < batch_size:
        raise ValueError(
            f"batch of {batch_size} with {per_class} per class: "
            f"expected at most {groups * per_class}, all that the labels can fill"
        )
    return groups * per_class // batch_size


def class_batches(
    rng: Generator, labels: ArrayLike, batch_size: int, per_class: int
) -> Iterator[NDArray]:
    """Return one epoch of batches, each an array of `batch_size` different image indices. (S2).

    The images of each class are shuffled and cut into groups of `per_class`, and the groups are
    dealt to the batches in turn. No image occurs twice in an epoch. A class occurs in a batch at
    most once, unless it has more groups than there are batches: then as evenly as can be. What
    does not fill a group or a batch waits for the next epoch (K43). Raises as
    `batches_per_epoch`.
    """
    n_batches = batches_per_epoch(labels, batch_size, per_class)
    n_groups = batch_size // per_class
    groups = _groups(rng, np.asarray(labels), per_class)[: n_batches * n_groups]
    dealt = groups.reshape(n_groups, n_batches, per_class).swapaxes(0, 1)  # group t: t mod n
    return iter(dealt.reshape(n_batches, batch_size)[rng.permutation(n_batches)])


def _groups(rng: Generator, labels: NDArray, per_class: int) -> NDArray:
    """Image indices (G, per_class): classes in random order, images random within their class."""
    _, class_of, counts = np.unique(labels, return_inverse=True, return_counts=True)
    images = rng.permutation(len(labels))
    classes = rng.permutation(len(counts))
    order = np.argsort(class_of[images], kind="stable")  # stable: the same on every machine
    by_class = np.split(images[order], np.cumsum(counts)[:-1])
    full = [by_class[k][: counts[k] // per_class * per_class] for k in classes]
    return np.concatenate(full).reshape(-1, per_class)
