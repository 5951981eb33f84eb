"""Scores of trees that are known by hand, and by slow, obvious computations."""

import numpy as np
import pytest
from checks import limit
from trees import PAIRS, leaves, path_metric, random_parents, slow_delta, slow_purity

from hier_ref.pairwise import pairwise_distance
from hier_ref.tree import join, read_tree, scores
from hier_ref.tree.planted import plant
from hier_ref.tree.scores import (
    Estimate,
    commonest,
    delta,
    dendrogram_purity,
    estimate,
    hyperbolicity,
    kendall,
    purity,
    rank_correlation,
    relative_delta,
    spearman,
    taxonomy_distance,
)
from hier_ref.tree.structure import shuffled

EXACT = limit("autograd")


def close(got, want):
    return np.testing.assert_allclose(got, want, rtol=EXACT, atol=EXACT)


@pytest.fixture
def pairs():
    return join(*PAIRS)


# ---- Dendrogram purity


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ([0, 0, 1, 1], 1.0),
        ([0, 1, 0, 1], 0.5),
        ([0, 0, 0, 0], 1.0),
        ([0, 0, 0, 1], 5 / 6),
        ([7, 7, 3, 9], 1.0),
        ([7, 3, 7, 9], 0.5),
    ],
)
def test_dendrogram_purity_of_two_pairs_by_hand_Y4(pairs, labels, expected):
    """Holds (Y4)."""
    close(dendrogram_purity(pairs, np.array(labels)), expected)


def test_every_point_weighs_the_same_not_every_pair_Y4():
    """A pure pair and an impure triple: by points (2 + 3 * 3/5)/5, by pairs it would be 0.7."""
    tree = join(np.array([1, 1, 0, 0, 0]), np.array([-1, 0]))
    close(dendrogram_purity(tree, np.array([0, 0, 1, 1, 1])), 0.76)


@pytest.mark.parametrize("seed", range(6))
def test_dendrogram_purity_is_what_its_definition_says_Y4(seed):
    rng = np.random.default_rng(seed)
    tree, labels = join(*random_parents(rng, 25, 8)), rng.integers(0, 6, 25)
    close(dendrogram_purity(tree, labels), slow_purity(tree, labels))


def test_blocks_of_classes_change_nothing_Y4(monkeypatch):
    rng = np.random.default_rng(0)
    tree, labels = join(*random_parents(rng, 60, 20)), rng.integers(0, 17, 60)
    whole = dendrogram_purity(tree, labels)
    monkeypatch.setattr(scores, "CLASSES", 5)
    close(dendrogram_purity(tree, labels), whole)


def test_no_class_with_two_points_has_no_purity_K74(pairs):
    """Holds (K74)."""
    assert np.isnan(dendrogram_purity(pairs, np.arange(4)))
    assert str(Estimate(float("nan"))) == "-"


# ---- Purity at a depth


def test_purity_by_hand_Y5(pairs):
    """Holds (Y5)."""
    labels = np.array([0, 0, 0, 1])
    assert purity(pairs.at_depth(0), labels) == 0.75
    assert purity(pairs.at_depth(1), labels) == 0.75  # the pair of 0 and 1 is half right
    assert purity(pairs.at_depth(1), np.array([5, 5, 2, 2])) == 1
    assert purity(pairs.at_depth(0), np.array([5, 6, 7, 8])) == 0.25
    assert purity(np.array([9, 4, 9, 9]), np.array([1, 1, 0, 0])) == 0.75


def test_purity_does_not_fall_with_depth_Y5():
    rng = np.random.default_rng(0)
    tree, labels = join(*random_parents(rng, 200, 40)), rng.integers(0, 5, 200)
    by_depth = [purity(tree.at_depth(k), labels) for k in range(tree.depth.max())]
    assert (np.diff(by_depth) >= 0).all() and by_depth[-1] > by_depth[0]


# ---- Rank correlation


def test_taxonomy_distance_is_the_first_column_shared_Y6():
    """Holds (Y6)."""
    columns = np.array([[0, 0, 0], [0, 0, 0], [1, 0, 0], [2, 1, 0], [3, 2, 1]])
    i = np.zeros(5, int)
    assert taxonomy_distance(columns, i, np.arange(5)).tolist() == [0, 0, 1, 2, 3]


def test_rank_correlation_of_two_pairs_by_hand_Y6(pairs):
    """Six pairs, both orders of two values: the fourfold coefficient, (0 * 2 - 2 * 2)/8."""
    rng = np.random.default_rng(0)
    for found in rank_correlation(pairs, np.array([[0], [1], [0], [1]]), rng):
        close(found.value, -0.5)
        assert found.half_width == 0
    for found in rank_correlation(pairs, np.array([[0], [0], [1], [1]]), rng):
        close(found.value, 1)


def test_spearman_and_kendall_by_hand_Y6():
    x, y = np.array([1, 2, 3, 4]), np.array([10, 30, 20, 40])
    close(spearman(x, y), 1 - 6 * 2 / (4 * 15))  # no ties: 1 - 6 Σ d²/(n(n² - 1))
    close(kendall(x, y), (5 - 1) / 6)
    close(spearman(x, -y), -0.8)
    # Ties: ranks 1.5 1.5 3 against 1 2 3; pairs 2 in order, none against, 1 tied in x.
    x, y = np.array([1, 1, 2]), np.array([1, 2, 3])
    close(spearman(x, y), np.sqrt(3) / 2)
    close(kendall(x, y), 2 / np.sqrt(2 * 3))


def test_the_true_tree_orders_all_pairs_Y6():
    found = plant(np.random.default_rng(0), branching=(3, 3, 2), per_class=2)
    for score in rank_correlation(found.tree, found.columns, np.random.default_rng(0)):
        close(score.value, 1)


def test_a_constant_has_no_rank_correlation_K75(pairs):
    """One class alone, a star, a single pair and a single point (K75)."""
    star = join(np.zeros(4, int), np.array([-1]))
    rng = np.random.default_rng(0)
    for tree, labels in ((pairs, [0, 0, 0, 0]), (star, [0, 0, 1, 1])):
        found = rank_correlation(tree, np.array(labels)[:, None], rng)
        assert all(np.isnan(score.value) for score in found)
    assert np.isnan(spearman(np.ones(1), np.ones(1))) and np.isnan(kendall(np.ones(0), np.ones(0)))


# ---- Estimates


def test_an_interval_by_hand_Y7():
    """Ten zeros and ten ones: mean 1/2, error sqrt(20/4/19/20), Student's 2.093 for 19 (Y7)."""
    values = iter([0.0, 1.0] * 10)
    found = estimate(lambda: next(values))
    close(found.value, 0.5)
    np.testing.assert_allclose(found.half_width, 2.0930 * np.sqrt(0.25 / 19), rtol=1e-4)
    assert str(found) == "0.500 ±0.240" and str(Estimate(0.25)) == "0.250"


def test_nineteen_of_twenty_intervals_hold_the_mean_Y7():
    rng = np.random.default_rng(0)
    drawn = [estimate(lambda: rng.uniform()) for _ in range(400)]
    hit = np.mean([abs(found.value - 0.5) <= found.half_width for found in drawn])
    assert 0.92 < hit < 0.98


def test_sampled_pairs_find_the_correlation_of_all_pairs_Y7(monkeypatch):
    found = plant(np.random.default_rng(0), noise=3.0)
    tree = read_tree(found.z, found.l, 1.0)
    exact = rank_correlation(tree, found.columns, np.random.default_rng(0))
    monkeypatch.setattr(scores, "PAIRS", 20_000)
    sampled = rank_correlation(tree, found.columns, np.random.default_rng(0))
    for a, b in zip(exact, sampled, strict=True):
        assert a.half_width == 0 < b.half_width < 0.02
        assert abs(a.value - b.value) < 2 * b.half_width


# ---- Gromov's delta


def test_delta_of_known_spaces_Y8():
    """Holds (Y8)."""
    four = np.abs(np.arange(4)[:, None] - np.arange(4))
    cycle = np.minimum(four, 4 - four).astype(float)
    assert (delta(cycle), relative_delta(cycle)) == (1, 1)
    square = np.linalg.norm(
        np.array([[0, 0], [0, 1], [1, 1], [1, 0]])[:, None]
        - np.array([[0, 0], [0, 1], [1, 1], [1, 0]]),
        axis=2,
    )
    close(delta(square), np.sqrt(2) - 1)
    close(relative_delta(square), 2 - np.sqrt(2))
    assert delta(1 - np.eye(6)) == 0  # a star with equal arms
    assert delta(four.astype(float)) == 0  # a path


def test_a_tree_has_no_delta_Y8(rng):
    tree = join(*random_parents(rng, 6, 5))
    d = path_metric(tree, rng.uniform(0.1, 2, len(tree.parent)))
    assert delta(d) < EXACT


@pytest.mark.parametrize("seed", range(3))
def test_products_give_what_the_four_point_condition_says_Y8(seed):
    x = np.random.default_rng(seed).standard_normal((9, 3))
    d = np.linalg.norm(x[:, None] - x, axis=2)
    close(delta(d), slow_delta(d))
    close(relative_delta(7 * d), relative_delta(d))


@pytest.mark.parametrize("c", [1.0, 0.1])
def test_the_ball_is_hyperbolic_with_delta_log_2_Y8(rng, c):
    """Four ideal points at right angles reach log 2/√c, and nothing exceeds it."""
    square = np.array([[1, 0], [0, 1], [-1, 0], [0, -1]]) * (1 - 1e-7) / np.sqrt(c)
    np.testing.assert_allclose(
        delta(pairwise_distance(square, square, c)), np.log(2) / np.sqrt(c), rtol=1e-5
    )
    x = rng.standard_normal((25, 3))
    x *= (rng.uniform(0.5, 0.9999, 25) / np.linalg.norm(x, axis=1) / np.sqrt(c))[:, None]
    assert delta(pairwise_distance(x, x, c)) < np.log(2) / np.sqrt(c)


def test_points_that_coincide_have_no_delta_K76():
    """Holds (K76)."""
    assert relative_delta(np.zeros((5, 5))) == relative_delta(np.zeros((1, 1))) == 0


def test_delta_of_many_points_is_a_mean_over_subsets_Y8(rng):
    x = rng.standard_normal((60, 2))
    d = np.linalg.norm(x[:, None] - x, axis=2)
    assert hyperbolicity(d[:48, :48], rng) == Estimate(relative_delta(d[:48, :48]))
    found = hyperbolicity(d, np.random.default_rng(0))
    assert 0 < found.half_width < 0.05 and abs(found.value - relative_delta(d)) < 0.1


# ---- Together


def test_shuffled_points_score_by_chance(rng):
    found = plant(rng)
    for score in rank_correlation(shuffled(found.tree, rng), found.columns, rng):
        assert abs(score.value) < 0.02
    assert dendrogram_purity(shuffled(found.tree, rng), found.columns[:, 0]) < 0.05


def test_the_commonest_label_below_each_node_is_that_of_a_count(rng):
    """Of 200 labels, more than are counted at once; of equally common ones the smallest (K84)."""
    of_points, of_proxies = random_parents(rng, 300, 25)
    tree, labels = join(of_points, of_proxies), rng.integers(0, 200, 300) ** 2
    values, counts = commonest(tree, labels)
    for node in range(len(tree.parent)):
        found, times = np.unique(labels[sorted(leaves(tree, node))], return_counts=True)
        assert (values[node], counts[node]) == (found[times.argmax()], times.max())
