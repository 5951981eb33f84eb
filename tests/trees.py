"""Small trees whose answers are known, and slow, obvious versions of what is computed fast."""

import itertools
from fractions import Fraction

import numpy as np

from hier_ref.tree.structure import Tree

# Two groups of two points under a root, as proxies 1, 0 and 2.
PAIRS = (np.array([0, 0, 1, 1]), np.array([2, 2, -1]))


def random_parents(rng, n, p):
    """Parents of n points and p proxies; the proxies are numbered in random order."""
    name = rng.permutation(p)
    of_proxies = np.full(p, -1)
    for k in range(1, p):
        of_proxies[name[k]] = name[rng.integers(k)]
    return rng.integers(0, p, n), of_proxies


def path(tree, node):
    """The nodes from one up to the root."""
    found = [node]
    while tree.parent[found[-1]] != -1:
        found.append(int(tree.parent[found[-1]]))
    return found


def leaves(tree, node):
    """The points below a node."""
    return {i for i in range(tree.n_points) if node in path(tree, i)}


def slow_purity(tree, labels):
    """Dendrogram purity by its words: a random point, a random other of its class, their LCA."""
    shares = []
    for i, label in enumerate(labels):
        others = [j for j, other in enumerate(labels) if other == label and j != i]
        for j in others:
            above = next(node for node in path(tree, i) if node in path(tree, j))
            below = leaves(tree, above)
            share = Fraction(sum(labels[k] == label for k in below), len(below))
            shares.append((share, Fraction(1, len(others))))
    return float(sum(s * w for s, w in shares) / sum(w for _, w in shares))


def slow_delta(d):
    """Half the gap between the two largest of the three sums of four points, at its largest."""
    largest = 0.0
    for x, y, u, v in itertools.combinations(range(len(d)), 4):
        sums = sorted([d[x, y] + d[u, v], d[x, u] + d[y, v], d[x, v] + d[y, u]])
        largest = max(largest, (sums[2] - sums[1]) / 2)
    return largest


def path_metric(tree, weights):
    """(M, M) distances in the tree, each node's edge upwards having a weight."""
    m = len(tree.parent)
    d = np.zeros((m, m))
    for i, j in itertools.product(range(m), repeat=2):
        apart = set(path(tree, i)) ^ set(path(tree, j))
        d[i, j] = sum(weights[node] for node in apart)
    return d


def same(a, b):
    """Whether two trees are equal, node by node."""
    return isinstance(a, Tree) and all(
        np.array_equal(getattr(a, name), getattr(b, name))
        for name in ("parent", "kind", "index", "unused")
    )
