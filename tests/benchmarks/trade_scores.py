"""The scores of a run of trade.py: recall, its trees, and both by class."""

import numpy as np
from numpy.typing import NDArray

from hier_ref.baselines.embeddings import Embedding
from hier_ref.evaluate import ranking, scores_of
from hier_ref.features.contract import Features
from hier_ref.losses import unit
from hier_ref.pairwise import pairwise_distance, pairwise_sq
from hier_ref.training.batch import to_ball_or_sphere
from hier_ref.training.config import Config
from hier_ref.training.fitting import Fit
from hier_ref.tree.reading import RULES, linkage_tree, read_tree
from hier_ref.tree.report import score
from hier_ref.tree.structure import Tree


def trees_of(f: NDArray, embedding: Embedding, fit: Fit | None) -> dict[str, Tree]:
    """Return the trees of features (N, F) by rule, those of the ball and of proxies if any."""
    z = embedding(f)
    trees = {"linkage": chordal(z)}
    if fit is not None:
        c = fit.config.c
        trees["ball"] = linkage_tree(pairwise_distance(z, z, c))
        if fit.config.hier_weight:
            l = to_ball_or_sphere(fit.params["proxies"], fit.config)
            trees |= {rule: read_tree(z, l, c, rule) for rule in RULES}
    return trees


def chordal(x: NDArray) -> Tree:
    """Return average linkage of rows (N, D) by the distance of their directions."""
    u = unit(x.astype(float))
    return linkage_tree(np.sqrt(np.maximum(pairwise_sq(u, u), 0)))


def scores(
    scored: Features, embedding: Embedding, trees: dict[str, Tree], with_classes: bool
) -> dict:
    """Return what a line says of a run; `with_classes` also by class."""
    part, found = scored.part("test"), ranking(scored, 0.0, embedding)
    columns = np.column_stack([part.labels, part.levels])
    classes = scores_of(found, Config().recall_at)[0]
    said = {
        "recall": np.round([100 * share for share in classes.recall.values()], 3).tolist(),
        "map": round(100 * classes.map_at_r, 3),
        "trees": {n: [round(s.value, 4) for s in score(t, columns)] for n, t in trees.items()},
    }
    if with_classes:
        values = {"recall": found.rank[:, 0] < 1}
        for name, tree in trees.items():
            for level, column in zip(("subgroup", "group"), part.levels.T, strict=True):
                values[f"{name} {level}"] = point_purity(tree, column)
        said["by_class"] = {name: by_class(v, part.labels) for name, v in values.items()}
    return said


def by_class(values: NDArray, labels: NDArray) -> list[int]:
    """Return the mean of values (N,) over each class, in thousandths, in the classes' order."""
    _, of, n = np.unique(labels, return_inverse=True, return_counts=True)
    return np.rint(1000 * np.bincount(of, weights=values) / n).astype(int).tolist()


def point_purity(tree: Tree, labels: NDArray) -> NDArray:
    """Return the share of each point in `dendrogram_purity` (Y4): labels (N,) -> (N,).

    For a point, the mean over the others of its label of the label's share below their LCA; the
    mean over points is the purity. NaN for a point that has no others.
    """
    _, of, count = np.unique(labels, return_inverse=True, return_counts=True)
    inside = np.zeros((len(tree.parent), len(count)))
    inside[np.arange(len(of)), of] = 1
    for node in range(tree.root):
        inside[tree.parent[node]] += inside[node]
    total = np.zeros_like(inside)  # of purities, over the points that meet at an ancestor
    for node in range(tree.root - 1, -1, -1):
        above = tree.parent[node]
        others = inside[above] - inside[node]
        total[node] = total[above] + others * inside[above] / tree.subtree_size[above]
    with np.errstate(invalid="ignore"):
        return total[np.arange(len(of)), of] / (count[of] - 1)
