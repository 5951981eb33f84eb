"""Scores of a tree against known labels, and of distances against any tree at all.

Every score with its definition and source: docs/appendix-scores-of-a-tree.md.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import scipy
from numpy.typing import NDArray

from hier_ref.tree.structure import Tree

PAIRS = 200_000  # more pairs than these are sampled
BATCHES = 20  # independent samples, whose spread gives the interval
CLASSES = 64  # classes counted at once
SUBSET = 48  # points in each sample for δ
NAN = float("nan")


class Estimate(NamedTuple):
    """A score and half the width of its 95 % interval; 0 where it was computed exactly."""

    value: float
    half_width: float = 0.0

    def __str__(self) -> str:
        if np.isnan(self.value):
            return "-"
        return f"{self.value:.3f}" + (f" ±{self.half_width:.3f}" if self.half_width else "")


def estimate(sample: Callable[[], float], batches: int = BATCHES) -> Estimate:
    """Mean of independent samples of a score, with Student's interval. (Y7)."""
    values = np.array([sample() for _ in range(batches)])
    error = values.std(ddof=1) / np.sqrt(batches)
    return Estimate(float(values.mean()), float(scipy.stats.t.ppf(0.975, batches - 1) * error))


def dendrogram_purity(tree: Tree, labels: NDArray) -> float:
    """Return the expected share of one class below the LCA of two of its points. (Y4).

    labels (N,) -> number in 0..1, exact. NaN if no class has two points (K74).
    Source: Heller and Ghahramani, ICML 2005.
    """
    classes, index, count = np.unique(labels, return_inverse=True, return_counts=True)
    size, total = tree.subtree_size, 0.0
    for first in range(0, len(classes), CLASSES):
        block = np.arange(first, min(first + CLASSES, len(classes)))
        inside = _below(tree, index, block)  # (M, block)
        pairs = inside * (inside - 1)
        np.subtract.at(pairs, tree.parent[:-1], pairs[:-1].copy())  # those that meet right here
        purity = (pairs * (inside / size[:, None])).sum(axis=0)
        total += (purity / np.maximum(1, count[block] - 1)).sum()
    return float(total / count[count > 1].sum()) if (count > 1).any() else NAN


def commonest(tree: Tree, labels: NDArray) -> tuple[NDArray, NDArray]:
    """Return the label that most points below each node have, and how many: (N,) -> (M,), (M,).

    Of several the smallest (K84).
    """
    classes, index = np.unique(labels, return_inverse=True)
    value, most = np.zeros((2, len(tree.parent)), int)
    for first in range(0, len(classes), CLASSES):
        block = np.arange(first, min(first + CLASSES, len(classes)))
        inside = _below(tree, index, block)
        best = inside.argmax(axis=1)
        count = inside[np.arange(len(best)), best]
        more = count > most
        value[more], most[more] = block[best[more]], count[more]
    return classes[value], most


def _below(tree: Tree, index: NDArray, block: NDArray) -> NDArray:
    """(M, K) points below each node whose index (N,) is each of block (K,), by running counts."""
    seen = np.cumsum(index[tree.order][:, None] == block, axis=0)
    seen = np.concatenate([np.zeros((1, len(block)), int), seen])
    return seen[tree.start + tree.subtree_size] - seen[tree.start]


def purity(groups: NDArray, labels: NDArray) -> float:
    """Share of points that are of the commonest class of their group: (N,), (N,) -> number. (Y5).

    Source: Manning, Raghavan and Schütze 2008, Introduction to Information Retrieval, 16.3.
    """
    pairs, count = np.unique(np.stack([groups, labels]), axis=1, return_counts=True)
    first = np.flatnonzero(np.r_[True, np.diff(pairs[0]) > 0])  # one run of pairs per group
    return float(np.maximum.reduceat(count, first).sum() / len(labels))


def taxonomy_distance(columns: NDArray, i: NDArray, j: NDArray) -> NDArray:
    """Return the number of the finest column on which two points agree, L where none. (Y6).

    columns (N, L), finest first; i, j (K,) rows -> (K,) integers 0..L.
    """
    same = columns[i] == columns[j]
    return np.where(same.any(axis=1), same.argmax(axis=1), columns.shape[1])


def rank_correlation(
    tree: Tree, columns: NDArray, rng: np.random.Generator
) -> tuple[Estimate, Estimate]:
    """Spearman's rho and Kendall's tau-b of LCA size and taxonomy distance over pairs. (Y6).

    columns (N, L), finest first. All pairs if there are at most 200,000, else an estimate
    (Y7). NaN where one of the two is constant (K75).
    """
    n = len(columns)

    def both(i: NDArray, j: NDArray) -> tuple[float, float]:
        size = tree.subtree_size[tree.ancestor(i, j)]
        far = taxonomy_distance(columns, i, j)
        return spearman(size, far), kendall(size, far)

    if n * (n - 1) // 2 <= PAIRS:
        rho, tau = both(*np.triu_indices(n, 1))
        return Estimate(rho), Estimate(tau)
    i = rng.integers(0, n, (BATCHES, PAIRS // BATCHES))
    j = (i + rng.integers(1, n, i.shape)) % n
    drawn = [both(*pairs) for pairs in zip(i, j, strict=True)]
    rhos, taus = (iter(column) for column in zip(*drawn, strict=True))
    return estimate(lambda: next(rhos)), estimate(lambda: next(taus))


def _constant(*values: NDArray) -> bool:
    return any(not v.size or np.all(v == v[0]) for v in values)


def spearman(x: NDArray, y: NDArray) -> float:
    """Correlation of ranks, ties at their mean rank: (K,), (K,) -> number. (Y6) (K75)."""
    if _constant(x, y):
        return NAN
    return float(np.corrcoef(scipy.stats.rankdata(x), scipy.stats.rankdata(y))[0, 1])


def kendall(x: NDArray, y: NDArray) -> float:
    """Pairs in order minus pairs out of order, over those not tied: tau-b, any shape. (Y6) (K75).

    Source: Kendall 1945; `scipy.stats.kendalltau`.
    """
    return NAN if _constant(x, y) else float(scipy.stats.kendalltau(x, y).statistic)


def delta(d: NDArray) -> float:
    """Gromov's four-point δ of a distance matrix: (N, N) -> number, exact, in N⁴ steps. (Y8).

    Source: Gromov 1987; by (max, min) products as in Fournier, Ismail and Vigneron 2015.
    """
    largest = 0.0
    for base in range(len(d)):
        product = (d[base][:, None] + d[base] - d) / 2
        through = np.minimum(product[:, :, None], product[None]).max(axis=1)
        largest = max(largest, float((through - product).max()))
    return largest


def relative_delta(d: NDArray) -> float:
    """Return 2δ/diameter: 0 for a tree, at most 1; 0 if all points coincide: (N, N). (Y8) (K76).

    Source: Borassi, Chessa and Caldarelli 2015; Khrulkov et al., CVPR 2020.
    """
    diameter = d.max(initial=0.0)
    return 2 * delta(d) / float(diameter) if diameter else 0.0


def hyperbolicity(d: NDArray, rng: np.random.Generator) -> Estimate:
    """Mean of 2δ/diameter over random subsets of 48 points: (N, N) distances. (Y8) (Y7).

    Exact for at most 48 points.
    """
    if len(d) <= SUBSET:
        return Estimate(relative_delta(d))

    def sample() -> float:
        rows = rng.choice(len(d), SUBSET, replace=False)
        return relative_delta(d[np.ix_(rows, rows)])

    return estimate(sample)
