"""R-precision and MAP@R: hand values, a sort in fractions, ties by their law, odd queries."""

from fractions import Fraction

import numpy as np
import pytest
from checks import limit
from hypothesis import given, settings
from hypothesis import strategies as st

from hier_ref.poincare import distance, to_ball
from hier_ref.retrieval import recall as retrieval
from hier_ref.retrieval.precision import precision_at_r
from hier_ref.retrieval.recall import MISS, first_hit_rank, rank_gallery


def scene(seed=0, size=60, dim=5, classes=6):
    """Ball points in clusters, with labels."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, size)
    centres = rng.standard_normal((classes, dim))
    return to_ball(centres[labels] + rng.standard_normal((size, dim)), 0.1, 2.3), labels


def by_sorting(key, correct, wrong_first=True):
    """R-precision and average precision of one query, in fractions, place by place."""
    key, correct = list(key), [bool(a) for a in correct]
    order = sorted(range(len(key)), key=lambda j: (key[j], correct[j] == wrong_first))
    r = sum(correct)
    if not r:
        return 0.0, 0.0
    hits = [correct[j] for j in order][:r]
    precisions = [Fraction(sum(hits[: n + 1]), n + 1) for n in range(r) if hits[n]]
    return float(Fraction(sum(hits), r)), float(sum(precisions, Fraction(0)) / r)


def one(key, correct):
    """The two measures of one query."""
    found = precision_at_r(np.array([key], float), np.array([correct], bool))
    return tuple(float(a[0]) for a in found)


# ---- Values


def test_r_precision_R4_by_hand():
    # R = 3, and of the three nearest two are correct
    """Holds (R4)."""
    assert one([1, 2, 3, 4, 5], [1, 0, 1, 0, 1])[0] == 2 / 3
    assert one([5, 4, 3, 2, 1], [0, 0, 0, 1, 0])[0] == 0
    assert one([5, 4, 3, 2, 1], [0, 0, 0, 0, 1])[0] == 1


def test_average_precision_R5_by_hand():
    # Right, wrong, right; precision 1 and 2/3 where right; the fourth is beyond R = 3
    """Holds (R5)."""
    assert one([1, 2, 3, 4], [1, 0, 1, 1])[1] == pytest.approx((1 + 2 / 3) / 3, abs=1e-16)
    # The example of Musgrave, Belongie and Lim: ten of R = 10 nearest against only the first
    assert one(range(20), [1] * 10 + [0] * 10) == (1, 1)
    assert one(range(20), [1] + [0] * 9 + [1] * 9 + [0]) == (1 / 10, 1 / 10)
    assert one(range(20), [0] * 9 + [1] * 10 + [0]) == (1 / 10, 1 / 100)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_precisions_R4_R5_equal_a_sort_in_fractions(dtype):
    rng = np.random.default_rng(1)
    for n_items, n_classes in [(1, 1), (2, 2), (30, 3), (50, 20), (200, 2)]:
        key = (10.0 ** rng.uniform(-30, 30, (40, n_items))).astype(dtype)
        correct = rng.integers(0, n_classes, (40, n_items)) == 0
        pure, average = precision_at_r(key, correct)
        want = np.array([by_sorting(*pair) for pair in zip(key, correct, strict=True)])
        assert pure.dtype == average.dtype == np.float64
        np.testing.assert_array_equal(pure, want[:, 0])
        np.testing.assert_allclose(average, want[:, 1], rtol=limit("autograd"), atol=0)


@pytest.mark.parametrize("c", [0, 0.1])
@pytest.mark.parametrize("exclude_self", [True, False])
def test_rank_gallery_R4_R5_follows_the_distances(c, exclude_self):
    z, labels = scene()
    u = z / np.linalg.norm(z, axis=1, keepdims=True)
    d = distance(z[:, None], z[None], c) if c else 1 - u @ u.T
    found = rank_gallery(z, labels, z, labels, c, exclude_self)
    for n, row in enumerate(d):
        others = np.delete(np.arange(60), n) if exclude_self else np.arange(60)
        want = by_sorting(row[others], labels[others] == labels[n])
        assert found.r_precision[n] == want[0]
        assert abs(found.average_precision[n] - want[1]) <= 1e-15


# ---- Laws


def test_rank_gallery_R1_ranks_as_first_hit_rank_does():
    """Holds (R1)."""
    z, labels = scene()
    found = rank_gallery(z, labels, z, labels, 0.1, True)
    np.testing.assert_array_equal(found[:2], first_hit_rank(z, labels, z, labels, 0.1, True))


def test_average_precision_R5_is_at_most_r_precision_R4_and_they_agree_at_the_ends():
    z, labels = scene()
    found = rank_gallery(z, labels, z, labels, 0.1, True)
    pure, average = found.r_precision, found.average_precision
    assert (average <= pure).all() and 0.1 < average.mean() < pure.mean() < 0.9
    np.testing.assert_array_equal(average == 0, pure == 0)
    np.testing.assert_array_equal(average == 1, pure == 1)


def test_precisions_R4_R5_of_one_correct_item_are_recall_at_1():
    z, labels = scene(classes=2)[0][:40], np.arange(40) // 2
    found = rank_gallery(z, labels, z, labels, 0.1, True)
    np.testing.assert_array_equal(found.r_precision, found.rank == 0)
    np.testing.assert_array_equal(found.average_precision, found.rank == 0)
    assert 0 < found.r_precision.mean() < 1


def test_precisions_R4_R5_do_not_depend_on_what_lies_beyond_r_or_on_the_scale():
    rng = np.random.default_rng(2)
    key, correct = rng.uniform(1, 2, (20, 30)), rng.integers(0, 4, (20, 30)) == 0
    want = precision_at_r(key, correct)
    r = correct.sum(axis=1)
    limits = np.sort(key, axis=1)[np.arange(20), r - 1, None]
    farther = np.where(key > limits, rng.uniform(2, 3, key.shape), key)
    np.testing.assert_array_equal(precision_at_r(farther, correct), want)
    np.testing.assert_array_equal(precision_at_r(key / 1024, correct), want)
    order = rng.permutation(30)
    np.testing.assert_array_equal(precision_at_r(key[:, order], correct[:, order]), want)


def test_average_precision_R5_of_random_order_is_near_its_expectation():
    # Half of the items correct: each place is right by chance, the precision there about a half.
    rng = np.random.default_rng(3)
    key, correct = rng.uniform(size=(50, 400)), np.tile([True, False], (50, 200))
    pure, average = precision_at_r(key, correct)
    assert abs(pure.mean() - 0.5) < 0.02 and abs(average.mean() - 0.25) < 0.02


@pytest.mark.parametrize("step", [1, 7, 60, 10**9])
def test_blocks_R4_R5_do_not_change_the_result(monkeypatch, step):
    z, labels = scene()
    want = rank_gallery(z, labels, z, labels, 0.1, True)
    monkeypatch.setattr(retrieval, "BLOCK", step * len(z))
    got = rank_gallery(z, labels, z, labels, 0.1, True)
    np.testing.assert_array_equal(got.r_precision, want.r_precision)
    np.testing.assert_allclose(got.average_precision, want.average_precision, rtol=1e-15)


def test_columns_of_labels_R4_R5_are_measured_as_if_alone():
    z, labels = scene(size=80, classes=12)
    levels = np.stack([labels, labels // 3, labels // 6], axis=1)
    found = rank_gallery(z[:30], levels[:30], z[30:], levels[30:], 0.1, False)
    for column in range(3):
        own = levels[:, column]
        alone = rank_gallery(z[:30], own[:30], z[30:], own[30:], 0.1, False)
        for got, want in zip(found, alone, strict=True):
            assert got.shape == (30, 3) and want.shape == (30,)
            np.testing.assert_array_equal(got[:, column], want)


# ---- Kinks


def test_ties_K54_rank_wrong_items_first():
    # Places 1 and 2 tie; R = 2. The wrong one first: right at place 2 only.
    """Holds (K54)."""
    assert one([1, 1, 9, 9], [1, 0, 1, 0]) == (1 / 2, 1 / 4)
    # The tie at the last place: of the three at distance 2 the wrong one takes it.
    assert one([1, 2, 2, 2], [1, 1, 0, 0]) == (1 / 2, 1 / 2)
    assert one([0.0, -0.0, 3], [1, 0, 0]) == (0, 0)  # 0 and -0 tie


@settings(max_examples=200, deadline=None)
@given(
    items=st.lists(st.tuples(st.integers(0, 4), st.booleans()), min_size=1, max_size=20),
)
def test_ties_K54_equal_a_sort_and_bound_every_other_order(items):
    key, correct = zip(*items, strict=True)
    got = one(key, correct)
    assert got == pytest.approx(by_sorting(key, correct), abs=1e-15)
    kind = by_sorting(key, correct, wrong_first=False)
    assert got[0] <= kind[0] and got[1] <= kind[1] + 1e-15


def test_ties_K54_of_collapsed_embeddings_are_all_against():
    z, labels = np.full((12, 3), 0.2), np.arange(12) % 3
    found = rank_gallery(z, labels, z, labels, 1.0, True)
    assert not found.r_precision.any() and not found.average_precision.any()


def test_ties_K54_of_copies_are_exact_wherever_they_stand():
    rng = np.random.default_rng(8)
    y = rng.standard_normal((200, 37)).astype(np.float32) / 10
    copies = rng.choice(200, 33, replace=False)
    y[copies], labels = y[copies[0]], np.arange(200) + 10
    labels[copies[::2]] = 0  # 17 right and, tied with them, 16 wrong: R = 17 places hold 1 right
    found = rank_gallery(y[copies[:1]], [0], y, labels, 0.1, False)
    assert found.ties[0] == 16 and found.r_precision[0] == 1 / 17
    assert abs(found.average_precision[0] - 1 / 17**2) <= 1e-17


def test_query_without_a_correct_item_K55_has_precision_0():
    """Holds (K55)."""
    assert one([1, 2, 3], [0, 0, 0]) == (0, 0)
    z, labels = scene(size=20)
    labels[3] = 99
    found = rank_gallery(z, labels, z, labels, 0.1, exclude_self=True)
    assert found.rank[3] == MISS
    assert found.r_precision[3] == found.average_precision[3] == 0


def test_gallery_of_correct_items_alone_K55_has_precision_1():
    assert one([3, 1, 2], [1, 1, 1]) == (1, 1)  # R is the whole gallery, and cannot exceed it
    assert one([3], [1]) == (1, 1)
    z = scene(size=9)[0]
    found = rank_gallery(z, np.zeros(9), z, np.zeros(9), 0.1, exclude_self=True)
    assert (found.r_precision == 1).all() and (found.average_precision == 1).all()


def test_one_query_and_one_item_K55():
    x = np.zeros((1, 2))
    for exclude_self, want in [(True, 0), (False, 1)]:
        found = rank_gallery(x, [3], x, [3], 1.0, exclude_self)
        assert (found.r_precision[0], found.average_precision[0]) == (want, want)


def test_the_released_index_K56_leaves_out_gallery_item_i_of_query_i():
    """Holds (K56)."""
    z, labels = scene(size=90)
    (x, xl), (y, yl) = (z[:50], labels[:50]), (z[50:], labels[50:])  # 50 queries, 40 items
    exact = rank_gallery(x, xl, y, yl, 0.1, False)
    got = rank_gallery(x, xl, y, yl, 0.1, False, released_inshop_index=True)
    for n in range(50):
        kept = np.delete(np.arange(40), n) if n < 40 else np.arange(40)
        want = rank_gallery(x[n : n + 1], xl[n : n + 1], y[kept], yl[kept], 0.1, False)
        for measure, alone in zip(got, want, strict=True):
            np.testing.assert_allclose(measure[n], alone[0], rtol=1e-15, atol=0)
    assert (got.rank != exact.rank).any()
    for measure, other in zip(got, exact, strict=True):
        np.testing.assert_array_equal(measure[40:], other[40:])


def test_the_released_index_K56_is_the_exact_protocol_where_queries_are_the_gallery():
    z, labels = scene()
    exact = rank_gallery(z, labels, z, labels, 0.1, True)
    for got, want in zip(rank_gallery(z, labels, z, labels, 0.1, False, True), exact, strict=True):
        np.testing.assert_array_equal(got, want)
