"""Tree: points as leaves, proxies as inner nodes, one root. Every child stands before its parent.

That order makes each question one pass: upwards for what lies below, downwards for what lies above.
"""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

POINT, PROXY, ROOT, NODE = "point", "proxy", "root", "node"
NONE = -1  # no parent, no row


@dataclass(frozen=True, eq=False)
class Tree:
    """A rooted tree over N points, M nodes in all.

    Nodes 0..N-1 are the points, in their order; then come the inner nodes, every one after its
    children; M-1 is the root. parent (M,), -1 at the root. kind (M,): "point", "proxy", "root"
    for a root that is no proxy (K73), "node" for an inner node of a tree without proxies.
    index (M,): row among the points or among the proxies, else -1. unused: proxies with no
    point below, in ascending order; they are no nodes (K72).
    """

    parent: NDArray
    kind: NDArray
    index: NDArray
    unused: NDArray = field(default_factory=lambda: np.zeros(0, int))

    def __post_init__(self) -> None:
        """Raise ValueError unless parents come last, so that there is one root and no cycle."""
        above = self.parent[:-1] > np.arange(len(self.parent) - 1)
        leaves = self.kind[self.parent[:-1]] != POINT
        if not len(self.parent) or self.parent[-1] != NONE or not (above & leaves).all():
            raise ValueError("not a tree: expected every parent after its children, the root last")

    @property
    def root(self) -> int:
        """The last node."""
        return len(self.parent) - 1

    @property
    def n_points(self) -> int:
        """How many leaves are points: N."""
        return int(np.sum(self.kind == POINT))

    @cached_property
    def depth(self) -> NDArray:
        """(M,) edges between each node and the root."""
        depth = np.zeros(len(self.parent), int)
        for node in range(self.root - 1, -1, -1):
            depth[node] = depth[self.parent[node]] + 1
        return depth

    @cached_property
    def subtree_size(self) -> NDArray:
        """(M,) number of points below each node; 1 for a point."""
        size = (self.kind == POINT).astype(int)
        for node in range(self.root):
            size[self.parent[node]] += size[node]
        return size

    @cached_property
    def children(self) -> list[NDArray]:
        """The children of every node, in ascending order."""
        order = np.argsort(self.parent[:-1], kind="stable")
        ends = np.searchsorted(self.parent[order], np.arange(len(self.parent) + 1))
        return [order[a:b] for a, b in zip(ends, ends[1:], strict=False)]

    @cached_property
    def start(self) -> NDArray:
        """(M,) place of each subtree's first point in `order`; its points stand in one run."""
        start, filled = np.zeros((2, len(self.parent)), int)
        for node in range(self.root - 1, -1, -1):
            above = self.parent[node]
            start[node] = start[above] + filled[above]
            filled[above] += self.subtree_size[node]
        return start

    @cached_property
    def order(self) -> NDArray:
        """(N,) the points as they stand from one side of the tree to the other."""
        return np.argsort(self.start[: self.n_points])

    def ancestor(self, i: NDArray, j: NDArray) -> NDArray:
        """Lowest common ancestors of pairs of nodes: (K,), (K,) -> (K,).

        Of two different nodes the smaller can be no ancestor of the other, so it moves up.
        """
        i, j = np.array(i), np.array(j)
        while (apart := i != j).any():
            lower = np.minimum(i, j)[apart]
            j[apart] = np.maximum(i, j)[apart]
            i[apart] = self.parent[lower]
        return i

    def at_depth(self, depth: int) -> NDArray:
        """(N,) the inner node at this depth above each point.

        A point whose path ends earlier stays with its parent (K77).
        """
        node = self.parent[: self.n_points].copy()
        while (deep := self.depth[node] > depth).any():
            node[deep] = self.parent[node[deep]]
        return node


def join(of_points: NDArray, of_proxies: NDArray) -> Tree:
    """Make a tree of parents given as proxies: (N,), (P,) -> Tree.

    Each entry is a row among the proxies, or -1 for none. Proxies without points are left out
    (K72). What has no parent hangs from a root of its own, unless it is a single proxy (K73).
    Raises ValueError where parents go round in a circle.
    """
    n = len(of_points)
    used = np.flatnonzero(_used(of_points, of_proxies))
    depth = _depths(of_proxies)[used]
    used = used[np.lexsort((used, -depth))]  # the deepest first: children before parents
    alone = (of_points == NONE).sum() == 0 and (of_proxies[used] == NONE).sum() == 1
    node = np.full(len(of_proxies) + 1, n + len(used))  # the last entry serves NONE: the root
    node[used] = n + np.arange(len(used))
    parent = np.concatenate([node[of_points], node[of_proxies[used]]])
    kind = np.repeat([POINT, PROXY], [n, len(used)])
    index = np.concatenate([np.arange(n), used])
    if alone:
        parent[-1] = NONE
    else:
        parent, kind, index = np.r_[parent, NONE], np.r_[kind, [ROOT]], np.r_[index, NONE]
    return Tree(parent, kind, index, np.setdiff1d(np.arange(len(of_proxies)), used))


def _used(of_points: NDArray, of_proxies: NDArray) -> NDArray:
    used = np.zeros(len(of_proxies), bool)
    for proxy in np.unique(of_points[of_points != NONE]):
        while proxy != NONE and not used[proxy]:
            used[proxy] = True
            proxy = of_proxies[proxy]
    return used


def _depths(parent: NDArray) -> NDArray:
    """(P,) steps from each node up to one without a parent, all nodes climbing at once."""
    depth, at = np.zeros(len(parent), int), np.arange(len(parent))
    for _ in range(len(parent)):
        climbs = at != NONE
        at[climbs] = parent[at[climbs]]
        if not (at != NONE).any():
            return depth
        depth += at != NONE
    raise ValueError("not a tree: the parents of some proxies go round in a circle")


def shuffled(tree: Tree, rng: np.random.Generator) -> Tree:
    """Return a tree of the same shape whose points have changed places at random."""
    parent = tree.parent.copy()
    parent[: tree.n_points] = rng.permutation(parent[: tree.n_points])
    return Tree(parent, tree.kind, tree.index, tree.unused)
