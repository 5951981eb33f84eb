"""Linear maps in closed form: principal components, whitening, linear discriminants.

What a trained head has to beat, and where it can start: each fit returns the weight (D, F) and the
bias (D,) of a linear head, found in seconds from the second moments of the training features.
Derived in docs/18-closed-form.md.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
import scipy
from numpy.random import Generator
from numpy.typing import NDArray

from hier_ref.features.arrays import forget
from hier_ref.retrieval.recall import rank_gallery
from hier_ref.training.head import layer_norm

BLOCK = 2**22  # numbers looked at together
HELD_ROWS, CLASS_ROWS = 4096, 256  # images that judge a shrinkage at most: in all, of a class
SHRINKAGES = (0.001, 0.01, 0.03, 0.1, 0.3, 0.5, 0.9)
EPS = np.finfo(float).eps
WIDE = 1024  # features that a shrinkage is chosen with at most: an eigenproblem each costs F^3
UNJUDGED = 0.3  # the shrinkage where there are too few classes to choose one by (K64)

Norm = Callable[[NDArray], NDArray]


class Moments(NamedTuple):
    """All that the closed forms know of the features: a mean and two covariances. (M1)."""

    mean: NDArray  # (F,)
    within: NDArray  # (F, F), of the images around the mean of their class
    between: NDArray  # (F, F), of the means of the classes, each as often as it has images

    @property
    def total(self) -> NDArray:
        """Covariance (F, F) of the images around the mean of all."""
        return self.within + self.between


def moments(
    f: NDArray, labels: NDArray, rows: NDArray | None = None, norm: Norm = layer_norm
) -> Moments:
    """Return mean and covariances of norm(f) in float64, block by block. (M1).

    (N, F), (N,) and rows (M,), the images that count: all unless given. f may be memory-mapped and
    of any float type. A class with one image adds nothing to `within` (K65). Raises ValueError for
    shapes that do not fit, no row, NaN and infinity.
    """
    f, labels, rows = _checked(f, labels, rows)
    order = rows[np.argsort(labels[rows], kind="stable")]
    counts = np.unique(labels[rows], return_counts=True)[1]
    step = max(1, BLOCK // f.shape[1])
    look = partial(_look, f, norm)
    with np.errstate(all="ignore"):  # what overflows is refused below, not warned of
        mean = sum(look(part).sum(axis=0) for part in _cut(order, step)) / len(rows)
        within, between = np.zeros((2, len(mean), len(mean)))  # norm may change the width
        for group, n in _whole_classes(order, counts, step):
            parts = list(_cut(group, step))
            means, spread = _around_own_mean(lambda part: look(part) - mean, parts, n)
            within += spread
            between += (n * means.T) @ means
    if not np.isfinite(np.trace(within + between)):
        raise ValueError("features: found NaN, infinity or squares beyond float64")
    return Moments(mean, within / len(rows), between / len(rows))


def _look(f: NDArray, norm: Norm, rows: NDArray) -> NDArray:
    part = np.asarray(f[rows], np.float64)
    forget(f)
    return norm(part)


def _around_own_mean(look: Norm, parts: list[NDArray], n: NDArray) -> tuple[NDArray, NDArray]:
    """Return the means (k, F) of k classes and the sum (F, F) over their images around them.

    `parts` are the rows of k whole classes of n (k,) images, or several pieces of a single class.
    """
    starts = np.cumsum(n) - n
    means = sum(np.add.reduceat(look(part), starts, axis=0) for part in parts) / n[:, None]
    spread = np.zeros(2 * means.shape[1:])
    for part in parts:
        apart = look(part) - np.repeat(means, np.minimum(n, len(part)), axis=0)
        spread += apart.T @ apart
    return means, spread


def _cut(rows: NDArray, step: int) -> Iterator[NDArray]:
    return (rows[start : start + step] for start in range(0, len(rows), step))


def _whole_classes(order: NDArray, counts: NDArray, step: int) -> Iterator[tuple[NDArray, NDArray]]:
    """Yield (rows, counts) of whole classes: of as many as fit into `step` rows, or of one."""
    ends = np.cumsum(counts)
    first = begin = 0
    while first < len(counts):
        last = max(first + 1, int(np.searchsorted(ends, begin + step, side="right")))
        yield order[begin : ends[last - 1]], counts[first:last]
        first, begin = last, ends[last - 1]


def _checked(f: NDArray, labels: NDArray, rows: NDArray | None) -> tuple[NDArray, NDArray, NDArray]:
    f, labels = f if isinstance(f, np.ndarray) else np.asarray(f), np.asarray(labels)
    rows = np.arange(len(f)) if rows is None else np.asarray(rows)
    if f.ndim != 2 or 0 in f.shape or labels.shape != f.shape[:1] or not len(rows):
        raise ValueError(
            f"features {f.shape}, labels {labels.shape}, {len(rows)} rows of them: "
            "expected (N, F), (N,) and at least one row"
        )
    return f, labels, rows


def pca(found: Moments, width: int) -> tuple[NDArray, NDArray]:
    """Return the map to the `width` directions of largest variance, lengths kept. (M2).

    Moments of (N, F) -> weight (D, F), bias (D,). Rows beyond F are 0 (K63). No label is used.
    """
    return _as_head(_leading(width, found.total)[1], found.mean, width)


def whitening(found: Moments, width: int) -> tuple[NDArray, NDArray]:
    """Return `pca` with each direction divided by its standard deviation. (M3).

    Moments of (N, F) -> weight (D, F), bias (D,). A direction without variance is left 0 (K61),
    as are rows beyond F (K63). No label is used. Source: derived in docs/18-closed-form.md.
    """
    variance, axes = _leading(width, found.total)
    there = variance > len(axes) * EPS * variance.max()
    axes = axes * there / np.sqrt(np.where(there, variance, 1.0))
    return _as_head(axes, found.mean, width)


def shrunk(covariance: NDArray, shrinkage: float, size: int | None = None) -> NDArray:
    """Mix a covariance (F, F) with the multiple of the identity that has its trace. (M4).

    (F, F), domain 0 <= shrinkage < 1 -> (F, F), its least eigenvalue kept above rounding (K60);
    a covariance of 0 counts as the identity (K62). Of a covariance that was cut down from more
    directions, `size` says how many, and the identity has their mean variance. Raises ValueError
    for another shrinkage. Source: Friedman 1989, equation 18; Ledoit and Wolf 2004.
    """
    if not 0 <= shrinkage < 1:
        raise ValueError(f"shrinkage {shrinkage}: expected at least 0 and less than 1")
    size = size or len(covariance)
    shrinkage = max(shrinkage, size**2 * EPS)
    mean_variance = np.trace(covariance) / size or 1.0
    return (1 - shrinkage) * covariance + shrinkage * mean_variance * np.eye(len(covariance))


def lda(
    found: Moments, width: int, shrinkage: float, size: int | None = None
) -> tuple[NDArray, NDArray]:
    """Return the map to the `width` directions in which classes differ most. (M5).

    Moments of (N, F) -> weight (D, F), bias (D,); each direction has a (shrunk) variance of 1
    within classes. Domain 0 <= shrinkage < 1; `size` as for `shrunk`. Rows beyond F are 0 (K63).
    Raises ValueError for another shrinkage. Source: Fisher 1936; Rao 1948; derived in
    docs/18-closed-form.md.
    """
    rounding = len(found.mean) * EPS * np.trace(found.total)
    between, within = (
        shrunk(c if np.trace(c) > rounding else 0 * c, shrinkage, size)
        for c in (found.between, found.within)
    )
    return _as_head(_leading(width, between, within)[1], found.mean, width)


def _leading(
    width: int, covariance: NDArray, metric: NDArray | None = None
) -> tuple[NDArray, NDArray]:
    """Return the largest eigenvalues (k,) and their vectors (F, k), largest first, k <= width."""
    size = len(covariance)
    if width < 1:
        raise ValueError(f"width {width}: expected at least 1")
    last = (max(0, size - width), size - 1)
    values, vectors = scipy.linalg.eigh(
        covariance, metric, subset_by_index=last, check_finite=False
    )
    return values[::-1], vectors[:, ::-1]


def _as_head(axes: NDArray, mean: NDArray, width: int) -> tuple[NDArray, NDArray]:
    """Return weight and bias of the map to axes (F, k), which have no sign of their own (K66)."""
    largest = np.abs(axes).argmax(axis=0)
    sign = np.where(axes[largest, np.arange(axes.shape[1])] < 0, -1.0, 1.0)
    weight = np.zeros((width, len(mean)))
    weight[: axes.shape[1]] = (axes * sign).T
    return weight, 0.0 - weight @ mean


def choose_shrinkage(
    f: NDArray,
    labels: NDArray,
    width: int,
    rng: Generator,
    norm: Norm = layer_norm,
    shrinkages: Sequence[float] = SHRINKAGES,
    rows: NDArray | None = None,
) -> float:
    """Return the shrinkage whose `lda` retrieves best among training classes held out. (M6).

    (N, F), (N,), of which the rows (M,) count, all unless given; domain of the shrinkages
    0 <= s < 1. Best is the largest MAP@R by cosine, the first of equals. Of more than WIDE
    features, so many principal components stand for all. With too few classes to hold any out,
    UNJUDGED (K64). Raises ValueError as `moments` and `lda` do.
    """
    f, labels, rows = _checked(f, labels, rows)
    kept, held = (rows[part] for part in _held_out(labels[rows], rng))
    if not (_has_pairs(labels[kept]) and _has_pairs(labels[held])):
        return UNJUDGED
    known, x, found = moments(f, labels, kept, norm), _look(f, norm, held), []
    size = len(known.mean)
    if size > WIDE:
        axes = _leading(WIDE, known.total)[1]
        known, x = _cut_down(known, axes), x @ axes
    for shrinkage in shrinkages:
        weight, bias = lda(known, width, shrinkage, size)
        found.append(_map_at_r(x @ weight.T + bias, labels[held]))
    return shrinkages[int(np.argmax(found))]


def _cut_down(found: Moments, axes: NDArray) -> Moments:
    """Return the moments along orthonormal axes (F, k): k numbers instead of F."""
    within, between = (axes.T @ c @ axes for c in (found.within, found.between))
    return Moments(axes.T @ found.mean, within, between)


def _map_at_r(z: NDArray, labels: NDArray) -> float:
    return float(rank_gallery(z, labels, z, labels, 0.0, True).average_precision.mean())


def _held_out(labels: NDArray, rng: Generator) -> tuple[NDArray, NDArray]:
    """Return the rows of the classes that are learnt from, and those of the classes held out.

    Held out is a quarter of the classes, at least two, drawn at random, or as many as fit.
    """
    _, index, counts = np.unique(labels, return_inverse=True, return_counts=True)
    drawn = rng.permutation(len(counts))[: max(2, len(counts) // 4)]
    fit = np.cumsum(np.minimum(counts[drawn], CLASS_ROWS)) <= HELD_ROWS
    held = np.isin(index, drawn[fit])
    order, place = np.argsort(index, kind="stable"), np.empty(len(labels), np.int64)
    place[order] = np.arange(len(labels)) - np.repeat(np.cumsum(counts) - counts, counts)
    return np.flatnonzero(~held), np.flatnonzero(held & (place < CLASS_ROWS))


def _has_pairs(labels: NDArray) -> bool:
    """Tell whether there is something to find and something to take it for."""
    counts = np.unique(labels, return_counts=True)[1]
    return len(counts) > 1 and counts.max() > 1


def fit_pca(f: NDArray, width: int, norm: Norm = layer_norm) -> tuple[NDArray, NDArray]:
    """Return `pca` of features (N, F): weight (D, F), bias (D,). (M2)."""
    return pca(moments(f, np.zeros(len(f), np.int64), norm=norm), width)


def fit_whitening(f: NDArray, width: int, norm: Norm = layer_norm) -> tuple[NDArray, NDArray]:
    """Return `whitening` of features (N, F): weight (D, F), bias (D,). (M3)."""
    return whitening(moments(f, np.zeros(len(f), np.int64), norm=norm), width)


def fit_lda(
    f: NDArray, labels: NDArray, width: int, shrinkage: float, norm: Norm = layer_norm
) -> tuple[NDArray, NDArray]:
    """Return `lda` of features (N, F) with labels (N,): weight (D, F), bias (D,). (M5)."""
    return lda(moments(f, labels, norm=norm), width, shrinkage)
