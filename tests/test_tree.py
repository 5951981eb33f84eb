"""The tree itself and how it is read from the ball."""

import numpy as np
import pytest
from trees import PAIRS, leaves, path, random_parents, same

from hier_ref.pairwise import pairwise_distance
from hier_ref.poincare import expmap, gap, mobius_add
from hier_ref.tree import RULES, Tree, join, lca, read_tree
from hier_ref.tree.planted import plant
from hier_ref.tree.reading import linkage_tree
from hier_ref.tree.scores import dendrogram_purity
from hier_ref.tree.structure import shuffled

C = 0.1
RULE = pytest.mark.parametrize("rule", RULES)


def ball(rng, *shape, size=1.0):
    """Points well inside the ball of curvature -0.1."""
    return size * rng.standard_normal(shape) / np.sqrt(shape[-1])


def is_whole(tree, n, p):
    """Whether everything promised about a tree of n points and p proxies holds."""
    m = len(tree.parent)
    inner = tree.index[tree.kind == "proxy"]
    assert np.array_equal(tree.index[:n], np.arange(n)) and set(tree.kind[:n]) == {"point"}
    assert sorted([*inner, *tree.unused]) == list(range(p))  # each proxy once, or unused
    assert (tree.parent[:-1] > np.arange(m - 1)).all() and tree.parent[-1] == -1
    assert (tree.subtree_size >= 1).all() and tree.subtree_size[-1] == n
    assert all(path(tree, node)[-1] == tree.root for node in range(m))
    return True


# ---- The tree


def test_two_pairs_by_hand():
    tree = join(*PAIRS)
    assert tree.parent.tolist() == [4, 4, 5, 5, 6, 6, -1]
    assert tree.kind.tolist() == ["point"] * 4 + ["proxy"] * 3
    assert tree.index.tolist() == [0, 1, 2, 3, 0, 1, 2]
    assert tree.depth.tolist() == [2, 2, 2, 2, 1, 1, 0]
    assert tree.subtree_size.tolist() == [1, 1, 1, 1, 2, 2, 4]
    assert [c.tolist() for c in tree.children] == [[]] * 4 + [[0, 1], [2, 3], [4, 5]]
    assert (tree.root, tree.n_points, tree.unused.tolist()) == (6, 4, [])
    assert tree.ancestor([0, 0, 0, 4], [1, 3, 0, 1]).tolist() == [4, 6, 0, 4]


@pytest.mark.parametrize("seed", range(5))
def test_passes_over_the_order_agree_with_walks_along_paths(seed):
    rng = np.random.default_rng(seed)
    tree = join(*random_parents(rng, 20, 9))
    assert is_whole(tree, 20, 9)
    for node in range(len(tree.parent)):
        below = leaves(tree, node)
        assert tree.depth[node] == len(path(tree, node)) - 1
        assert tree.subtree_size[node] == len(below)
        first = tree.start[node]
        assert set(tree.order[first : first + len(below)]) == below
        assert all(tree.parent[child] == node for child in tree.children[node])
    i, j = rng.integers(0, 20, (2, 50))
    found = tree.ancestor(i, j)
    for a, b, above in zip(i, j, found, strict=True):
        assert above == next(node for node in path(tree, a) if node in path(tree, b))


def test_proxies_without_points_are_unused_and_listed_K72():
    """Holds (K72)."""
    tree = join(np.array([2, 2]), np.array([-1, 0, 4, 2, -1]))
    assert tree.unused.tolist() == [0, 1, 3]
    assert tree.index.tolist() == [0, 1, 2, 4]
    assert tree.parent.tolist() == [2, 2, 3, -1]


def test_a_root_is_added_only_where_no_single_proxy_is_one_K73():
    """Holds (K73)."""
    assert join(np.array([0, 0]), np.array([-1])).kind[-1] == "proxy"
    for of_points, of_proxies in (([0, 1], [-1, -1]), ([0, -1], [-1]), ([-1, -1], [-1])):
        tree = join(np.array(of_points), np.array(of_proxies))
        assert (tree.kind[-1], tree.index[-1]) == ("root", -1)
        assert is_whole(tree, 2, len(of_proxies))


@pytest.mark.parametrize("of_proxies", [[0, -1], [1, 0], [1, 2, 0, -1]])
def test_circles_are_refused(of_proxies):
    with pytest.raises(ValueError, match="circle"):
        join(np.array([0]), np.array(of_proxies))


@pytest.mark.parametrize("parent", [[], [0], [-1, -1], [2, -1, 1], [1, -1, -1], [1, 2, -1]])
def test_what_is_no_tree_is_refused(parent):
    kind = np.array(["point", "point", "root"][: len(parent)])
    with pytest.raises(ValueError, match="not a tree"):
        Tree(np.array(parent, int), kind, np.arange(len(parent)))


def test_a_point_above_the_cut_stays_with_its_parent_K77():
    """Holds (K77)."""
    tree = join(np.array([0, 1, 1]), np.array([-1, 0]))
    assert tree.at_depth(0).tolist() == [4, 4, 4]
    assert tree.at_depth(1).tolist() == tree.at_depth(9).tolist() == [4, 3, 3]


def test_shuffling_keeps_the_shape():
    rng = np.random.default_rng(0)
    tree = join(*random_parents(rng, 50, 9))
    other = shuffled(tree, rng)
    assert is_whole(other, 50, 9) and not same(tree, other)
    assert np.array_equal(tree.subtree_size, other.subtree_size)
    assert same(shuffled(tree, np.random.default_rng(1)), shuffled(tree, np.random.default_rng(1)))


# ---- The ancestor of a set


def test_lca_by_hand_Y1():
    """Holds (Y1)."""
    d_zl = np.array([[1.0, 3.0, 2.0], [5.0, 3.0, 2.5], [1.0, 3.0, 4.0]])
    assert [lca(d_zl, s) for s in ([0], [0, 1], [0, 2], [0, 1, 2])] == [0, 2, 0, 1]


def test_a_larger_set_is_never_nearer_its_ancestor_Y1(rng):
    d_zl = pairwise_distance(ball(rng, 30, 4), ball(rng, 12, 4), C)
    order = rng.permutation(30)
    far = [d_zl[order[:k], lca(d_zl, order[:k])].max() for k in range(1, 31)]
    assert (np.diff(far) >= 0).all()


def test_equally_far_proxies_the_first_is_the_ancestor_K70():
    """Holds (K70)."""
    assert lca(np.array([[2.0, 1.0, 1.0], [0.0, 1.0, 0.5]]), [0, 1]) == 1


@pytest.mark.parametrize(("members", "p"), [([], 3), ([0], 0)])
def test_the_ancestor_of_nothing_or_among_nothing_is_refused(members, p):
    with pytest.raises(ValueError, match="no such set"):
        lca(np.zeros((2, p)), np.array(members, int))


# ---- The rules


def test_nearest_inner_by_hand_Y2():
    """Proxies on a line at .1, .4, .8 and one alone at -.6; points beside three of them (Y2)."""
    l = np.array([[0.1, 0], [0.4, 0], [0.8, 0], [-0.6, 0]])
    z = np.array([[0.82, 0.02], [0.42, 0], [-0.65, 0.0], [0.75, 0.0], [0.05, 0.0]])
    tree = read_tree(z, l, 1.0, "nearest")
    above = {int(tree.index[v]): tree.parent[v] for v in range(5, len(tree.parent) - 1)}
    assert {p: int(tree.index[v]) for p, v in above.items()} == {0: -1, 1: 0, 2: 1, 3: 0}
    parents = tree.index[tree.parent[:5]]
    assert parents.tolist() == [2, 1, 3, 1, -1]  # .75 is inside of .8; .05 is inside of all
    assert tree.kind[-1] == "root"


def test_radii_that_agree_in_six_decimals_are_equal_K71():
    """Holds (K71)."""
    l = np.array([[0.5, 0.0], [0.0, 0.5 + 1e-8], [0.4, 0.0]])
    z = np.array([[0.0, 0.5 - 1e-8], [0.5, 0.0]])
    tree = read_tree(z, l, 1.0, "nearest")
    assert tree.index[tree.parent[:2]].tolist() == [1, 0]  # both lie on a proxy of their radius
    root_of = {int(tree.index[v]): int(tree.index[tree.parent[v]]) for v in (2, 3)}
    assert root_of == {0: 2, 1: 2}


def test_merged_sets_by_hand_Y3():
    """Two tight pairs with a proxy each, and one in the middle: the three sets' ancestors (Y3)."""
    z = np.array([[0.8, 0.05], [0.8, -0.05], [-0.8, 0.05], [-0.8, -0.05]])
    l = np.array([[0.0, 0.0], [0.78, 0.0], [-0.78, 0.0], [0.0, 0.95]])
    tree = read_tree(z, l, 1.0)
    assert tree.index[tree.parent[:4]].tolist() == [1, 1, 2, 2]
    assert tree.index[tree.root] == 0 and tree.unused.tolist() == [3]
    # Without a proxy of its own, the second pair stays with the set around it.
    tree = read_tree(z, l[:2], 1.0)
    assert tree.index[tree.parent[:4]].tolist() == [1, 1, 0, 0]


@pytest.mark.parametrize("seed", range(3))
def test_every_set_of_the_tree_has_its_own_ancestor_Y3(seed):
    rng = np.random.default_rng(seed)
    z, l = ball(rng, 40, 3), ball(rng, 15, 3)
    tree, d_zl = read_tree(z, l, C), pairwise_distance(z, l, C)
    assert is_whole(tree, 40, 15)
    for node in np.flatnonzero(tree.kind == "proxy"):
        assert lca(d_zl, sorted(leaves(tree, node))) == tree.index[node]


@RULE
@pytest.mark.parametrize("seed", range(3))
def test_a_tree_is_whole_whatever_it_is_read_from(rule, seed):
    rng = np.random.default_rng(seed)
    n, p, dim = rng.integers(1, 30, 3)
    assert is_whole(read_tree(ball(rng, n, dim), ball(rng, p, dim), C, rule), n, p)


@RULE
def test_renumbering_points_and_proxies_renumbers_the_tree(rule, rng):
    z, l = ball(rng, 30, 4), ball(rng, 12, 4)
    points, proxies = rng.permutation(30), rng.permutation(12)
    a, b = read_tree(z, l, C, rule), read_tree(z[points], l[proxies], C, rule)
    assert np.array_equal(np.sort(proxies[b.unused]), a.unused)
    above = [t.index[t.parent[:30]] for t in (a, b)]
    inside = above[1] >= 0
    assert np.array_equal(above[0][points][inside], proxies[above[1][inside]])
    assert np.array_equal(a.subtree_size[a.parent[points]], b.subtree_size[b.parent[:30]])


def test_merged_sets_do_not_notice_where_the_origin_is_Y3(rng):
    """An isometry keeps all distances, hence the tree; radii it does not keep."""
    z, l = ball(rng, 30, 4), ball(rng, 12, 4)
    moved = [mobius_add(np.broadcast_to([0.9, 0.4, 0, 0], x.shape), x, C) for x in (z, l)]
    assert same(read_tree(z, l, C), read_tree(*moved, C))
    assert not same(read_tree(z, l, C, "nearest"), read_tree(*moved, C, "nearest"))


@RULE
def test_float32_is_read_like_its_float64_values(rule, rng):
    z, l = (ball(rng, n, 8).astype(np.float32) for n in (50, 20))
    assert same(read_tree(z, l, C, rule), read_tree(z.astype(float), l.astype(float), C, rule))


# ---- Odd input


@RULE
def test_one_proxy_is_the_root_of_all(rule, rng):
    tree = read_tree(ball(rng, 9, 4), np.zeros((1, 4)), C, rule)
    assert tree.parent.tolist() == [9] * 9 + [-1] and tree.kind[9] == "proxy"


@RULE
def test_equal_proxies_are_one_and_the_others_unused(rule, rng):
    tree = read_tree(ball(rng, 9, 4), np.zeros((5, 4)), C, rule)
    assert tree.parent.tolist() == [9] * 9 + [-1] and tree.unused.tolist() == [1, 2, 3, 4]


@RULE
def test_more_proxies_than_points(rule, rng):
    tree = read_tree(ball(rng, 3, 4), ball(rng, 40, 4, size=0.5), C, rule)
    assert is_whole(tree, 3, 40) and len(tree.unused) >= 30


@RULE
def test_a_point_exactly_on_a_proxy_is_its_child(rule):
    l = np.array([[0.9, 0.0], [-0.9, 0.0], [0.0, 0.0]])
    z = np.array([[0.9, 0.0], [0.9, 0.01], [-0.9, 0.0], [-0.9, 0.01]])
    tree = read_tree(z, l, C, rule)
    assert tree.index[tree.parent[[0, 2]]].tolist() == [0, 1]


@RULE
def test_equal_points_have_one_parent(rule, rng):
    tree = read_tree(np.tile(ball(rng, 1, 4), (6, 1)), ball(rng, 5, 4, size=0.5), C, rule)
    assert len(set(tree.parent[:6])) == 1 and is_whole(tree, 6, 5)


@RULE
def test_a_single_point_hangs_from_its_proxy_K78(rule):
    """Holds (K78)."""
    tree = read_tree(np.array([[0.9, 0.0]]), np.array([[0.0, 0.1], [0.8, 0.0]]), C, rule)
    assert tree.index[tree.parent[0]] == 1 and is_whole(tree, 1, 2)


@RULE
def test_two_points(rule):
    z, l = np.array([[0.9, 0.0], [-0.9, 0.0]]), np.array([[0.0, 0.1]])
    assert read_tree(z, l, C, rule).parent.tolist() == [2, 2, -1]


@RULE
@pytest.mark.parametrize(
    ("z", "l", "expected"),
    [
        (np.zeros((0, 2)), np.zeros((1, 2)), r"points \(0, 2\)"),
        (np.zeros((2, 2)), np.zeros((0, 2)), r"proxies \(0, 2\)"),
        (np.zeros((2, 2)), np.zeros((2, 3)), r"expected \(N, D\) and \(P, D\)"),
        (np.zeros(2), np.zeros((2, 2)), r"points \(2,\)"),
        (np.full((2, 2), 9.0), np.zeros((2, 2)), "inside the ball"),
        (np.full((2, 2), np.nan), np.zeros((2, 2)), "inside the ball"),
    ],
)
def test_what_no_tree_can_be_read_from_is_refused(rule, z, l, expected):
    with pytest.raises(ValueError, match=expected):
        read_tree(z, l, C, rule)


def test_an_unknown_rule_is_refused():
    with pytest.raises(ValueError, match="expected one of lca, nearest"):
        read_tree(np.zeros((1, 2)), np.zeros((1, 2)), C, "umap")


# ---- Linkage, and the planted hierarchy


def test_linkage_of_points_on_a_line_by_hand():
    x = np.array([0.0, 1.0, 5.0, 5.5])
    tree = linkage_tree(np.abs(x[:, None] - x))
    assert tree.parent.tolist() == [5, 5, 4, 4, 6, 6, -1]
    assert tree.kind[4:].tolist() == ["node"] * 3
    assert linkage_tree(np.zeros((1, 1))).parent.tolist() == [1, -1]


def test_linkage_goes_by_average_distance():
    """2.9 is 2.4 from {0, 1} on average, 1.9 at least, 2.9 at most; the fourth point decides."""
    for other, joined in ((5.1, [4, 4, 5, 5]), (5.5, [4, 4, 5, 6])):
        x = np.array([0.0, 1.0, 2.9, other])
        assert linkage_tree(np.abs(x[:, None] - x)).parent[:4].tolist() == joined


def test_planted_steps_have_their_length_Y9(rng):
    """Every edge of the planted tree is as long as asked for, in the ball's own measure (Y9)."""
    c = 0.3
    found = plant(rng, branching=(3, 2), per_class=4, dim=5, step=1.5, spread=0.7, c=c)
    d_zl, d_ll = pairwise_distance(found.z, found.l, c), pairwise_distance(found.l, found.l, c)
    tree = found.tree
    assert is_whole(tree, 24, 10) and not found.l[0].any()
    for node in range(tree.root):
        above = tree.index[tree.parent[node]]
        d, length = (d_zl, 0.7) if tree.kind[node] == "point" else (d_ll, 1.5)
        np.testing.assert_allclose(d[tree.index[node], above], length, rtol=1e-12)
    assert [len(np.unique(column)) for column in found.columns.T] == [6, 3]
    assert dendrogram_purity(tree, found.columns[:, 0]) == 1


def test_a_clean_planted_hierarchy_is_read_again_Y3():
    for seed in range(3):
        found = plant(np.random.default_rng(seed))
        tree = read_tree(found.z, found.l, 1.0)
        assert min(dendrogram_purity(tree, column) for column in found.columns.T) >= 0.99
        assert not len(tree.unused)


def test_noise_blurs_what_is_read_gradually_Y9():
    def read(noise):
        found = plant(np.random.default_rng(0), noise=noise)
        return dendrogram_purity(read_tree(found.z, found.l, 1.0), found.columns[:, 0])

    curve = [read(noise) for noise in (0.0, 1.0, 2.0, 4.0, 8.0)]
    assert (np.diff(curve) < 0).all() and curve[1] > 0.95 and curve[3] > 0.5


def test_noise_has_the_mean_square_asked_for_Y9():
    still, moved = (plant(np.random.default_rng(0), dim=64, noise=s, c=0.1) for s in (0.0, 0.5))
    d = np.diag(pairwise_distance(still.z, moved.z, 0.1))
    np.testing.assert_allclose(np.mean(d**2), 0.25, rtol=0.05)


def test_hyperbolic_lengths_are_those_of_the_ball(rng):
    x, u = ball(rng, 6, 3), rng.standard_normal((6, 3))
    y = expmap(x, u * gap(x, C)[:, None] / 2, C)
    np.testing.assert_allclose(
        np.diag(pairwise_distance(x, y, C)), np.linalg.norm(u, axis=1), rtol=1e-12
    )
