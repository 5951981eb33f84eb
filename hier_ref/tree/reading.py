"""Read a tree from the ball: who is the parent of a point, who of a proxy.

Two rules, both deterministic. Derived and compared in docs/12-reading-the-hierarchy.md.
"""

from collections.abc import Callable

import numpy as np
import scipy
from numpy.typing import ArrayLike, NDArray

from hier_ref.pairwise import pairwise_distance
from hier_ref.poincare import root
from hier_ref.tree.structure import NODE, NONE, POINT, Tree, join

SAME_RADIUS = 6  # decimals of √c|x|: float32 still tells as many, and clipped points agree in them


def lca(d_zl: NDArray, members: ArrayLike) -> int:
    """Lowest common ancestor of a set: the proxy whose farthest member is nearest. (Y1).

    d_zl (N, P) distances of points to proxies, members a non-empty set of rows -> a column, the
    first of several (K70). The method's own rule without its noise: docs/3-triplets.md.
    """
    members = np.atleast_1d(members)
    if not members.size or not d_zl.shape[1]:
        raise ValueError(f"LCA of {members.size} points among {d_zl.shape[1]} proxies: no such set")
    return int(np.argmin(d_zl[members].max(axis=0)))


def read_tree(z: NDArray, l: NDArray, c: float, rule: str = "lca") -> Tree:
    """Read the tree of points z (N, D) under proxies l (P, D), both in the ball.

    rule: one of `RULES`. Distances are taken in float64. Raises ValueError for an unknown rule,
    shapes that do not fit, no points, no proxies, and what lies outside the ball (K2).
    """
    z, l = np.asarray(z, float), np.asarray(l, float)
    if rule not in RULES:
        raise ValueError(f"rule {rule!r}: expected one of {', '.join(RULES)}")
    if z.ndim != 2 or l.ndim != 2 or z.shape[1] != l.shape[1] or not len(z) or not len(l):
        raise ValueError(f"points {z.shape} and proxies {l.shape}: expected (N, D) and (P, D)")
    return RULES[rule](z, l, c)


def nearest_inner(z: NDArray, l: NDArray, c: float) -> Tree:
    """Give everything the nearest proxy nearer the origin as its parent: (N, D), (P, D). (Y2).

    Radii that agree to 6 decimals are equal (K71): a point may then have the proxy for its
    parent, and of two proxies the first is taken for the inner one.
    """
    r_z, r_l = (np.round(root(c) * np.linalg.norm(x, axis=1), SAME_RADIUS) for x in (z, l))
    first = np.arange(len(l))
    inner = (r_l < r_l[:, None]) | ((r_l == r_l[:, None]) & (first < first[:, None]))
    return join(
        _nearest(pairwise_distance(z, l, c), r_l <= r_z[:, None]),
        _nearest(pairwise_distance(l, l, c), inner),
    )


def _nearest(d: NDArray, allowed: NDArray) -> NDArray:
    d = np.where(allowed, d, np.inf)
    return np.where(allowed.any(axis=1), d.argmin(axis=1), NONE)


def merged_sets(z: NDArray, l: NDArray, c: float) -> Tree:
    """Merge points by average distance and give each set its LCA: (N, D), (P, D). (Y3).

    From the largest set down, a set whose LCA (Y1) is not taken yet becomes that proxy's node;
    the members of every other set stay with the smallest such set around them.
    """
    shape, d_zl = linkage_tree(pairwise_distance(z, z, c)), pairwise_distance(z, l, c)
    ancestor, size, n = _ancestors(shape, d_zl), shape.subtree_size, len(z)
    of_proxies = np.full(len(l), NONE)
    home = np.full(len(ancestor), NONE)  # the proxy whose node each set belongs to
    taken = np.zeros(len(l), bool)
    for node in sorted(range(n, len(ancestor)), key=lambda node: (-size[node], node)):
        proxy, above = ancestor[node], NONE if node == shape.root else home[shape.parent[node]]
        home[node] = above if taken[proxy] else proxy
        if not taken[proxy]:
            taken[proxy], of_proxies[proxy] = True, above
    return join(home[shape.parent[:n]], of_proxies)


def _ancestors(shape: Tree, d_zl: NDArray) -> NDArray:
    """(M,) the LCA of the points below every node of a tree. (Y1)."""
    far = np.zeros((len(shape.parent), d_zl.shape[1]))
    far[: len(d_zl)] = d_zl
    for node in range(shape.root):
        above = shape.parent[node]
        np.maximum(far[above], far[node], out=far[above])
    return far.argmin(axis=1)


def linkage_tree(d: NDArray) -> Tree:
    """Tree of points by average linkage, without proxies: (N, N) distances -> Tree.

    Source: `scipy.cluster.hierarchy.linkage`. A single point is a set of its own (K78).
    """
    n = len(d)
    if n == 1:
        return _plain(np.array([1, NONE]), 1)
    condensed = scipy.spatial.distance.squareform((d + d.T) / 2, checks=False)
    merges = scipy.cluster.hierarchy.linkage(condensed, "average")[:, :2].astype(int)
    parent = np.full(2 * n - 1, NONE)
    parent[merges] = n + np.arange(n - 1)[:, None]
    return _plain(parent, n)


def _plain(parent: NDArray, n: int) -> Tree:
    inner = len(parent) - n
    kind = np.repeat([POINT, NODE], [n, inner])
    return Tree(parent, kind, np.r_[np.arange(n), np.full(inner, NONE)])


RULES: dict[str, Callable[[NDArray, NDArray, float], Tree]] = {
    "lca": merged_sets,
    "nearest": nearest_inner,
}
