"""Laws of the layout: equal edges, wedges apart, everything inside; on trees made by hand."""

from typing import NamedTuple

import numpy as np
import pytest

from hier_ref.draw.layout import (
    EDGE,
    REACH,
    WIDEST,
    depths,
    edge_length,
    geodesic,
    in_rows,
    layout,
    opening,
    plan,
    subtree_sums,
)
from hier_ref.poincare import distance, logmap

EPS = np.finfo(float).eps


class Tree(NamedTuple):
    """The three arrays that a layout reads."""

    parent: np.ndarray
    kind: np.ndarray
    index: np.ndarray


def make(parent, n_points):
    """A tree whose first nodes are points."""
    n = len(parent)
    kind = np.repeat(["point", "proxy"], [n_points, n - n_points])
    return Tree(np.array(parent), kind, np.r_[np.arange(n_points), np.arange(n - n_points)])


def star(n):
    """One proxy with n points."""
    return make([n] * n + [-1], n)


def path(n):
    """A chain of proxies, the root first."""
    return make(np.arange(n) - 1, 0)


def grown(n, n_points, seed=0):
    """A random tree: each proxy below an earlier one, each point below any."""
    rng = np.random.default_rng(seed)
    proxies = n - n_points
    of_proxies = [-1] + [n_points + int(rng.integers(k)) for k in range(1, proxies)]
    return make([*(n_points + rng.integers(proxies, size=n_points)), *of_proxies], n_points)


TREES = {
    "star": star(12),
    "path": path(40),
    "binary": make([-1] + [(k - 1) // 2 for k in range(1, 255)], 0),
    "grown": grown(300, 200),
    "bush": grown(300, 260, seed=1),
}
each_tree = pytest.mark.parametrize("tree", TREES.values(), ids=TREES)


def rounding(x, y):
    """How far rounding x and y can move them apart: a few ε eᴿ/4, chapter 13."""
    radii = [distance(z, np.zeros(2), 1.0) for z in (x, y)]
    return 8 * EPS * np.exp(np.maximum(*radii)) / 4 + 8 * EPS


def edges(tree):
    """Nodes that have a parent, and their edge's length and rounding."""
    x, nodes = layout(tree), np.flatnonzero(tree.parent >= 0)
    ends = x[nodes], x[tree.parent[nodes]]
    return nodes, distance(*ends, 1.0), rounding(*ends)


@each_tree
def test_edges_between_proxies_Y20_are_equally_long(tree):
    """Holds (Y20)."""
    nodes, length, tolerance = edges(tree)
    tau = edge_length(depths(tree.parent).max(), REACH)
    inner = tree.kind[nodes] == "proxy"
    assert (np.abs(length - tau)[inner] <= tolerance[inner]).all()
    assert (length[~inner] <= tau + tolerance[~inner]).all()
    assert (length[~inner] >= tau / 2 - tolerance[~inner]).all()


def test_shares_Y21_go_by_leaves():
    """(Y21): three leaves on one side of the root, one on the other."""
    tree = make([4, 4, 4, 5, 6, 6, -1], 4)
    widths = np.diff(plan(tree).stretch)[:, 0]
    np.testing.assert_allclose(widths[[4, 5]], [1.5 * np.pi, 0.5 * np.pi], rtol=8 * EPS)


@each_tree
def test_subtrees_of_siblings_are_apart_Y22(tree):
    """Seen from their parent, all descendants of each child, in an interval of their own (Y22)."""
    x = layout(tree)
    ancestors = [[] for _ in tree.parent]  # (ancestor, the child of it on the way)
    for node in range(len(x)):
        at = node
        while tree.parent[at] >= 0:
            ancestors[tree.parent[at]].append((at, node))
            at = tree.parent[at]
    for top, pairs in enumerate(ancestors):
        found = {}
        for child, node in pairs:
            found.setdefault(child, []).append(node)
        seen = {child: angles(x[top], x[[child]], x[nodes]) for child, nodes in found.items()}
        middle = {child: angles(x[top], x[[pairs[0][0]]], x[[child]])[0] for child in found}
        ends = sorted((m + seen[c].min(), m + seen[c].max()) for c, m in middle.items())
        for (_, end), (start, _) in zip(ends, ends[1:], strict=False):
            assert end < start


def angles(origin, towards, points):
    """Angles at the origin between the direction of one point and others, in -π .. π."""
    u, v = (
        logmap(np.broadcast_to(origin, p.shape).copy(), p, 1.0) @ [1, 1j] for p in (towards, points)
    )
    return np.angle(v / u[0])


@pytest.mark.parametrize("tau", [1e-3, 0.4, 1.6, 5.0])
def test_opening_Y22_meets_the_parents_wedge_on_the_rim(tau):
    gamma, t = np.linspace(0, WIDEST, 30), np.tanh(tau / 2)
    ray = np.exp(1j * gamma)
    beta = np.angle((ray + t) / (1 + t * ray))
    np.testing.assert_allclose(opening(beta, tau), gamma, atol=64 * EPS * np.exp(tau), rtol=0)


@each_tree
def test_stretches_lie_in_those_of_their_parents(tree):
    stretch, position = plan(tree)[::-1]
    for node in np.flatnonzero(tree.parent >= 0):
        outer, inner = stretch[tree.parent[node]], stretch[node]
        start = np.mod(inner[0] - outer[0] + 1e-6, 2 * np.pi) - 1e-6
        assert start + inner[1] - inner[0] <= outer[1] - outer[0] + 1e-6
    for top in range(len(position)):
        below = np.flatnonzero(tree.parent == top)
        assert np.diff(stretch[below]).sum() <= 2 * np.pi + 1e-9


def test_no_grandchild_comes_nearer_than_half_an_edge_K80():
    """Holds (K80)."""
    assert opening(np.array(np.pi), 1.0) == WIDEST
    for tree in TREES.values():
        x, tau = layout(tree), edge_length(depths(tree.parent).max(), REACH)
        parent = tree.parent
        nodes = np.flatnonzero((parent >= 0) & (parent[parent] >= 0))
        if len(nodes):
            near = distance(x[nodes], x[parent[parent[nodes]]], 1.0)
            assert near.min() >= tau / 2 - 1e-9


@pytest.mark.parametrize("reach", [0.5, REACH, 1 - 1e-6])
def test_edges_Y23_end_at_reach_in_deep_trees(reach):
    """Holds (Y23)."""
    for deepest in (10, 500, 10**4):
        tau = edge_length(deepest, reach)
        assert np.tanh(deepest * tau / 2) == pytest.approx(reach, rel=1e-12)


def test_edges_Y23_of_shallow_trees_are_no_longer_than_is_nice():
    assert [edge_length(deepest, REACH) for deepest in (0, 1, 3)] == [EDGE] * 3


def test_few_points_Y24_stand_in_one_ring():
    """Holds (Y24)."""
    assert (in_rows(np.arange(9), np.full(9, np.pi / 9), EDGE) == EDGE).all()


def test_a_crowd_Y24_stands_in_rows_and_apart():
    """8,000 points below one proxy are at least 5 times as far apart as on one ring."""
    tree = star(8000)
    x = layout(tree)[:-1]
    around = np.argsort(np.arctan2(x[:, 1], x[:, 0]))
    ring = 2 * np.pi * np.sinh(EDGE) / 8000
    for step in range(1, 60):  # neighbours in a row are about 20 apart in the order of angles
        y = np.roll(around, -step)
        assert distance(x[around], x[y], 1.0).min() > 5 * ring


def test_geodesics_Y25_meet_the_rim_at_right_angles():
    """A circle around m of radius ρ does so if |m|² = 1 + ρ², so 2 m·x = 1 + |x|² on it (Y25)."""
    rng = np.random.default_rng(0)
    x, y = 0.95 * rng.uniform(-0.7, 0.7, (2, 50, 2))
    arcs = geodesic(x, y, 8)
    m = np.linalg.solve(
        2 * np.stack([x, y], 1), (1 + np.stack([x, y], 1)[..., None] ** 2).sum(2) - 1
    )
    np.testing.assert_allclose(
        2 * (arcs @ m)[..., 0], 1 + (arcs**2).sum(-1), rtol=0, atol=1e-12 * np.abs(m).max()
    )
    steps = distance(arcs[:, 1:], arcs[:, :-1], 1.0)
    np.testing.assert_allclose(steps, np.repeat(distance(x, y, 1.0)[:, None] / 8, 8, 1), rtol=1e-12)


def test_geodesics_Y25_through_the_centre_are_straight():
    x = np.array([[0.3, 0.4]])
    arc = geodesic(x, -2 * x * 0.9, 6)[0]
    assert np.abs(arc @ [0.8, -0.6]).max() < 4 * EPS


def test_a_single_node_lies_in_the_centre():
    assert layout(make([-1], 1)).tolist() == [[0, 0]]


def test_a_star_is_a_circle_of_equal_steps():
    x = layout(star(12))
    assert (x[-1] == 0).all()
    np.testing.assert_allclose(np.linalg.norm(x[:-1], axis=1), np.tanh(EDGE / 2), rtol=4 * EPS)
    steps = np.linalg.norm(x[:-1] - np.roll(x[:-1], 1, axis=0), axis=1)
    np.testing.assert_allclose(steps, steps[0], rtol=1e-13)


@pytest.mark.parametrize("n", [2, 40, 2000])
def test_a_path_is_straight(n):
    x = layout(path(n))
    assert np.abs(x[:, 1]).max() < n * 1e-12
    assert (np.diff(x[:, 0]) > 0).all()
    assert np.linalg.norm(x[-1]) == pytest.approx({2: np.tanh(EDGE / 2)}.get(n, REACH))


def test_a_large_tree_fits_and_comes_out_the_same_again():
    tree = grown(10_000, 9_000)
    x = layout(tree)
    assert np.linalg.norm(x, axis=1).max() <= REACH * (1 + 1e-12)
    assert len(np.unique(x, axis=0)) == 10_000
    assert x.tobytes() == layout(tree).tobytes()


def test_order_of_nodes_does_not_matter():
    tree = grown(60, 40)
    moved = np.random.default_rng(1).permutation(60)
    back = np.argsort(moved)
    parent = np.where(tree.parent < 0, -1, back[tree.parent])[moved]
    x = layout(Tree(parent, tree.kind[moved], tree.index[moved]))
    np.testing.assert_allclose(x, layout(tree)[moved], atol=1e-12)


def test_sums_and_depths_of_a_hand_made_tree():
    parent = np.array([4, 4, 5, 5, 6, 6, -1])
    assert depths(parent).tolist() == [2, 2, 2, 2, 1, 1, 0]
    assert subtree_sums(parent, np.array([1, 2, 4, 8, 0, 16, 0])).tolist() == [
        1,
        2,
        4,
        8,
        3,
        28,
        31,
    ]


@pytest.mark.parametrize(
    ("parent", "line"),
    [
        ([-1, -1], "2 roots"),
        ([1, 0], "0 roots"),
        ([-1, 2, 1], "node 1 goes in a circle"),
        ([-1, 7], "7, expected below 2"),
    ],
)
def test_what_is_no_tree_is_refused(parent, line):
    with pytest.raises(ValueError, match=line):
        layout(make(parent, 0))


@pytest.mark.parametrize("reach", [0.0, 1.0, np.nan])
def test_a_reach_outside_of_the_disk_is_refused(reach):
    with pytest.raises(ValueError, match="reach"):
        layout(path(3), reach)
