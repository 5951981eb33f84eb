"""Recall@K: against a sort, mpmath and hand values; ties, protocols, refusals."""

import mpmath
import numpy as np
import pytest
from checks import exact
from hypothesis import given, settings
from hypothesis import strategies as st

from hier_ref import threads
from hier_ref.poincare import distance, gap, mobius_add, to_ball
from hier_ref.retrieval import keys
from hier_ref.retrieval import recall as retrieval
from hier_ref.retrieval.keys import Points
from hier_ref.retrieval.recall import (
    MISS,
    first_hit_rank,
    rank_gallery,
    recall_at_k,
    recall_from_ranks,
)

# On a line through the origin, c = 1: distances from the origin are 2 artanh|x|.
LINE = np.array([[0.1], [-0.2], [0.3], [-0.4], [0.5]])
ORIGIN = np.zeros((1, 1))


def scene(seed=0, size=60, dim=5, classes=6, c=0.1, r=2.3):
    """Ball points in clusters, with labels."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, size)
    centres = rng.standard_normal((classes, dim))
    return to_ball(centres[labels] + rng.standard_normal((size, dim)), c, r), labels


def by_sorting(d, query_labels, gallery_labels, exclude_self):
    """Ranks and ties from a matrix of distances, one query at a time, by sorting pairs."""
    ranks, ties = [], []
    for i, row in enumerate(d):
        others = [j for j in range(len(row)) if not (exclude_self and j == i)]
        # Among equals the correct ones come last: that is what "ties count against" means.
        order = sorted(others, key=lambda j: (row[j], gallery_labels[j] == query_labels[i]))
        hits = [n for n, j in enumerate(order) if gallery_labels[j] == query_labels[i]]
        ranks.append(hits[0] if hits else MISS)
        tied = [j for j in order[: hits[0]] if row[j] == row[order[hits[0]]]] if hits else []
        ties.append(len(tied))
    return np.array(ranks), np.array(ties)


# ---- Values


def test_rank_R1_by_hand():
    labels = np.array([0, 0, 1, 2, 1])
    for label, want in [(0, 0), (1, 2), (2, 3), (3, MISS)]:
        ranks, ties = first_hit_rank(ORIGIN, [label], LINE, labels, 1.0, exclude_self=False)
        assert (ranks.tolist(), ties.tolist()) == ([want], [0])


def test_recall_R2_by_hand():
    """Holds (R2)."""
    ranks = np.array([0, 0, 1, 3, MISS])
    assert recall_from_ranks(ranks, [1, 2, 3, 4, 10**9]) == {
        1: 0.4,
        2: 0.6,
        3: 0.6,
        4: 0.8,
        10**9: 0.8,
    }


@pytest.mark.parametrize("c", [0.01, 0.1, 1.0])
@pytest.mark.parametrize("exclude_self", [True, False])
def test_rank_R1_equals_a_sort_of_all_distances(c, exclude_self):
    z, labels = scene(c=c)
    d = distance(z[:, None], z[None], c)
    want = by_sorting(d, labels, labels, exclude_self)
    np.testing.assert_array_equal(first_hit_rank(z, labels, z, labels, c, exclude_self), want)
    assert 0 in want[0] and (want[0].max() > 4 or not exclude_self)


def test_rank_R1_equals_a_sort_of_all_cosines():
    x, labels = np.random.default_rng(3).standard_normal((60, 5)), np.arange(60) % 7
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    want = by_sorting(-unit @ unit.T, labels, labels, True)
    np.testing.assert_array_equal(first_hit_rank(x, labels, x, labels, 0, True), want)


def test_rank_R1_of_queries_in_another_gallery():
    z, labels = scene(size=80)
    (x, y), (xl, yl) = (z[:30], z[30:]), (labels[:30], labels[30:])
    want = by_sorting(distance(x[:, None], y[None], 0.1), xl, yl, False)
    np.testing.assert_array_equal(first_hit_rank(x, xl, y, yl, 0.1, False), want)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("fraction", [0.5, 0.9, 0.999])
def test_key_R3_orders_as_mpmath_does(dtype, fraction):
    """Near the boundary the gaps decide, and the key follows the exact distance (R3)."""
    rng, c = np.random.default_rng(4), 0.1
    v = rng.standard_normal((16, 4))
    z = v / np.linalg.norm(v, axis=1, keepdims=True) * rng.uniform(0.3, fraction, (16, 1))
    z = (z / np.sqrt(c)).astype(dtype)
    labels = np.arange(16) % 3
    d = [[mp_distance(x, y, c) for y in exact(z)] for x in exact(z)]
    want = by_sorting(d, labels, labels, True)
    np.testing.assert_array_equal(first_hit_rank(z, labels, z, labels, c, True), want)


def mp_distance(x, y, c):
    """The distance by Möbius addition and artanh, in mpmath."""
    c, (xx, yy) = mpmath.mpf(c), (mpmath.fdot(x, x), mpmath.fdot(y, y))
    xy = -mpmath.fdot(x, y)  # of -x and y
    a, b = 1 + 2 * c * xy + c * yy, 1 - c * xx
    sums = [
        (-a * s + b * t) / (1 + 2 * c * xy + c * c * xx * yy) for s, t in zip(x, y, strict=True)
    ]
    return 2 / mpmath.sqrt(c) * mpmath.atanh(mpmath.sqrt(c) * mpmath.norm(sums))


@pytest.mark.parametrize("c", [0, 0.1])
def test_key_R3_of_one_query_grows_with_its_distance(c):
    z, _ = scene(size=40)
    x, y = z[:10], z[10:]
    key = Points(x, y, c, gap(y, c) if c else None).first(slice(0, 10))
    unit = z / np.linalg.norm(z, axis=1, keepdims=True)
    d = distance(x[:, None], y[None], c) if c else np.arccos(unit[:10] @ unit[10:].T)
    np.testing.assert_array_equal(np.argsort(key, axis=1), np.argsort(d, axis=1))


def test_key_R3_differs_from_euclidean_order():
    """Else the test of the order could not fail: the point nearer to x is farther in the ball."""
    x, y, labels = np.array([[0.8, 0]]), np.array([[0.93, 0], [0.6, 0]]), np.array([0, 1])
    d = distance(x, y, 1.0)
    assert abs(x - y)[0, 0] < abs(x - y)[1, 0] and d[0] > d[1]
    assert first_hit_rank(x, [0], y, labels, 1.0, False)[0].tolist() == [1]


# ---- Laws


@pytest.mark.parametrize("move", ["rotation", "translation"])
def test_rank_R1_does_not_change_under_isometries(move):
    z, labels = scene(dim=4, c=1.0, r=1.0)
    rng = np.random.default_rng(5)
    turn = np.linalg.qr(rng.standard_normal((4, 4)))[0]
    moved = z @ turn if move == "rotation" else mobius_add(np.full(4, 0.3), z, 1.0)
    want = first_hit_rank(z, labels, z, labels, 1.0, True)
    np.testing.assert_array_equal(first_hit_rank(moved, labels, moved, labels, 1.0, True), want)


def test_rank_R1_at_small_curvature_is_euclidean():
    z, labels = scene()
    d = np.linalg.norm(z[:, None] - z[None], axis=2)
    want = by_sorting(d, labels, labels, True)
    np.testing.assert_array_equal(first_hit_rank(z, labels, z, labels, 1e-9, True), want)


def test_rank_R1_does_not_change_with_scale_for_cosine():
    z, labels = scene()
    want = first_hit_rank(z, labels, z, labels, 0, True)
    for scale in (2.0**-1000, 0.25, 2.0**1000):
        scaled = z * scale
        np.testing.assert_array_equal(first_hit_rank(scaled, labels, z, labels, 0, True), want)


def test_rank_R1_follows_a_permutation_of_queries_and_gallery():
    z, labels = scene(size=80)
    x, xl, y, yl = z[:30], labels[:30], z[30:], labels[30:]
    p, s = np.random.default_rng(6).permutation(30), np.random.default_rng(7).permutation(50)
    ranks, ties = first_hit_rank(x, xl, y, yl, 0.1, False)
    got = first_hit_rank(x[p], xl[p], y[s], yl[s], 0.1, False)
    np.testing.assert_array_equal(got, (ranks[p], ties[p]))


def test_recall_R2_grows_with_k_and_ends_at_the_queries_that_can_succeed():
    z, labels = scene(size=40)
    labels[0] = 99  # alone in its class
    recall = recall_at_k(z, labels, z, labels, range(1, 60), 0.1, exclude_self=True)
    values = list(recall.values())
    assert values == sorted(values)
    assert values[0] < values[-1] == recall[40] == 39 / 40


def test_recall_R2_of_items_that_find_themselves_is_1():
    z, labels = scene()
    assert recall_at_k(z, labels, z, labels, [1], 0.1, exclude_self=False) == {1: 1.0}


@pytest.mark.parametrize("step", [1, 7, 60, 10**9])
@pytest.mark.parametrize("exclude_self", [True, False])
def test_blocks_do_not_change_the_result(monkeypatch, step, exclude_self):
    z, labels = scene()
    want = first_hit_rank(z, labels, z, labels, 0.1, exclude_self)
    monkeypatch.setattr(retrieval, "BLOCK", step * len(z))
    np.testing.assert_array_equal(first_hit_rank(z, labels, z, labels, 0.1, exclude_self), want)


@pytest.mark.parametrize("count", [2, 3, 7])
def test_threads_do_not_change_the_result(monkeypatch, count):
    z, labels = scene()
    levels = np.stack([labels, labels // 2], axis=1)
    monkeypatch.setattr(threads, "_asked", [1])
    want = rank_gallery(z, levels, z, levels, 0.1, True)
    monkeypatch.setattr(threads, "_asked", [count])
    monkeypatch.setattr(retrieval, "BLOCK", 7 * len(z))
    for got, alone in zip(rank_gallery(z, levels, z, levels, 0.1, True), want, strict=True):
        assert got.tobytes() == alone.tobytes()


def test_columns_of_labels_R1_are_ranked_as_if_alone():
    z, labels = scene(size=80, classes=12)
    levels = np.stack([labels, labels // 3, labels // 6], axis=1)
    x, xl, y, yl = z[:30], levels[:30], z[30:], levels[30:]
    ranks, ties = first_hit_rank(x, xl, y, yl, 0.1, False)
    assert ranks.shape == ties.shape == (30, 3)
    for column in range(3):
        alone = first_hit_rank(x, xl[:, column], y, yl[:, column], 0.1, False)
        np.testing.assert_array_equal((ranks[:, column], ties[:, column]), alone)
    assert (np.diff(ranks, axis=1) <= 0).all(), "a coarser level is never harder"


# ---- Kinks


def test_ties_K50_count_against_the_query_and_are_reported():
    """Holds (K50)."""
    y = np.array([[0.3], [0.3], [0.3], [0.1], [0.3]])
    ranks, ties = first_hit_rank(ORIGIN, [0], y, [1, 0, 1, 1, 0], 1.0, False)
    assert (ranks.tolist(), ties.tolist()) == ([3], [2])


@settings(max_examples=100, deadline=None)
@given(items=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2)), min_size=1, max_size=25))
@pytest.mark.parametrize("c", [0, 1.0])
def test_ties_K50_equal_a_sort_of_places(c, items):
    """Few places on a quarter circle seen from its end: only copies tie, and they do often."""
    places, labels = np.array(items).T
    y = 0.5 * np.stack([np.cos(places / 2), np.sin(places / 2)], axis=1)
    x, query_labels = np.array([[0.5, 0]] * 3), np.arange(3)
    want = by_sorting([places] * 3, query_labels, labels, False)
    np.testing.assert_array_equal(first_hit_rank(x, query_labels, y, labels, c, False), want)


@pytest.mark.parametrize("c", [0, 0.1])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_ties_K50_of_copies_are_exact_wherever_they_stand(c, dtype):
    """33 copies, right and wrong, in all columns: one value has one key."""
    rng = np.random.default_rng(8)
    y = rng.standard_normal((200, 37)).astype(dtype) / 10
    at = rng.choice(200, 33, replace=False)
    y[at] = y[at[0]]
    labels = np.arange(200) + 10
    labels[at[::2]] = 0
    x = rng.standard_normal((50, 37)).astype(dtype) / 10
    ranks, ties = first_hit_rank(x, np.zeros(50, int), y, labels, c, False)
    assert set(ties) == {16}
    other = np.delete(np.arange(200), at)
    closer, _ = first_hit_rank(x, np.zeros(50, int), y[[*other, at[0]]], [*other + 1, 0], c, False)
    np.testing.assert_array_equal(ranks - ties, closer)


def test_ties_K50_of_collapsed_embeddings_are_all_against():
    z, labels = np.full((12, 3), 0.2), np.arange(12) % 3
    ranks, ties = first_hit_rank(z, labels, z, labels, 1.0, True)
    assert set(ranks) == set(ties) == {8}


@pytest.mark.parametrize("c", [0, 1.0])
def test_ties_K50_do_not_depend_on_how_columns_are_rounded(monkeypatch, c):
    """A product that rounds each column its own way; 0 and -0 are one value."""
    exactly = keys._product

    def rounded(x, y, out):
        out = exactly(x, y, out)
        out *= 1 + 1e-15 * np.arange(len(y), 0, -1)
        return out

    monkeypatch.setattr(keys, "_product", rounded)
    y = np.array([[0.0, 0.5], [0.3, 0.1], [-0.0, 0.5], [0.0, 0.5], [-0.0, 0.5]])
    apart = rounded(y[:1] + 0.1, y[[0, 2, 3]], np.empty((1, 3)))
    assert (np.diff(apart) < 0).all(), "the copies are told apart"
    for label in (0, 2, 3, 4):
        got = first_hit_rank([[0.1, 0.3]], [label], y, np.arange(5), c, False)
        want = by_sorting([[1, 2, 1, 1, 1]], [label], np.arange(5), False)
        np.testing.assert_array_equal(got, want)


def test_zero_vector_K51_has_cosine_0_with_everything():
    """Holds (K51)."""
    y = np.array([[1.0, 0], [0, 0], [0, 1], [-1, 1], [-1, 0]])
    labels = np.arange(5)
    x = np.array([[2.0, 0]])
    got = [first_hit_rank(x, [n], y, labels, 0, False) for n in labels]
    assert [int(r[0]) for r, _ in got] == [0, 2, 2, 3, 4]
    assert [int(t[0]) for _, t in got] == [0, 1, 1, 0, 0]


def test_zero_query_K51_ties_with_everything():
    y = np.random.default_rng(10).standard_normal((9, 5))
    y[3] = 0
    x = np.array([y[0], np.zeros(5), y[1]])
    ranks, ties = first_hit_rank(x, [0, 1, 1], y, np.arange(9), 0, False)
    assert (ranks.tolist(), ties.tolist()) == ([0, 8, 0], [0, 8, 0])


@pytest.mark.parametrize("exclude_self", [True, False])
def test_query_without_a_correct_item_K52_is_a_miss_at_every_k(exclude_self):
    """Holds (K52)."""
    labels = np.array([0, 0, 1, 1, 2])
    query = labels if exclude_self else np.array([0, 0, 1, 1, 3])
    ranks, ties = first_hit_rank(LINE, query, LINE, labels, 1.0, exclude_self)
    assert ranks[4] == MISS and ties[4] == 0
    assert recall_from_ranks(ranks, [5, 10**12]) == {5: 0.8, 10**12: 0.8}


def test_excluded_query_K52_of_a_class_that_the_gallery_lacks_has_no_ties():
    ranks, ties = first_hit_rank(LINE, np.full(5, 9), LINE, np.zeros(5, int), 1.0, True)
    assert (set(ranks), set(ties)) == ({MISS}, {0})


def test_k_beyond_the_gallery_K53_finds_any_correct_item():
    """Holds (K53)."""
    labels = np.array([0, 1, 1, 1, 0])
    recall = recall_at_k(LINE, labels, LINE, labels, [1, 4, 5, 6, 1000], 1.0, exclude_self=True)
    assert recall[4] == recall[5] == recall[6] == recall[1000] == 1.0
    assert recall[1] < 1


def test_one_query_and_one_item_K52():
    assert recall_at_k(ORIGIN, [3], ORIGIN, [3], [1], 1.0, exclude_self=True) == {1: 0.0}
    assert recall_at_k(ORIGIN, [3], ORIGIN, [3], [1], 1.0, exclude_self=False) == {1: 1.0}


# ---- Types


@pytest.mark.parametrize("dtype", ["float16", ">f4", "float32", "int64"])
def test_other_types_of_features_are_converted(dtype):
    x = np.random.default_rng(9).integers(-9, 9, (40, 6)).astype(dtype)
    labels = np.arange(40) % 5
    want = first_hit_rank(x.astype(float), labels, x.astype(float), labels, 0, True)
    np.testing.assert_array_equal(first_hit_rank(x, labels, x, labels, 0, True)[0] - want[0], 0)


def test_large_labels_of_different_integer_types_do_not_become_floats():
    z = np.array([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0]])
    gallery = np.array([2**53 + 1, 2**53, 7], np.uint64)
    got = recall_at_k(z, np.array([2**53, 2**53, 7]), z, gallery, (1, 2), 0.0, exclude_self=False)
    assert got == {1: 2 / 3, 2: 1.0}


def test_labels_without_an_order_are_compared_one_by_one():
    z = np.array([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [0.1, 0.9]])
    labels = np.array(["a", "a", None, 7], object)
    assert recall_at_k(z, labels, z, labels, (1,), 0.0, exclude_self=True) == {1: 0.5}
    words = np.array(["a", "a", "b", "b"])
    got = recall_at_k(z, words, z, words.astype(object), (1,), 0.0, exclude_self=False)
    assert got == {1: 1.0}


@pytest.mark.parametrize("other", [[b"1", b"1", b"2", b"2"], [1, 1, 2, 2], [1.0, 1.0, 2.0, 2.0]])
def test_words_and_numbers_are_never_the_same_class(other):
    z, words = np.eye(4), np.array(["1", "1", "2", "2"])
    with pytest.raises(ValueError, match="expected one kind"):
        recall_at_k(z, words, z, np.array(other), (1,), 0.0, exclude_self=False)


def test_labels_may_be_any_integers_or_words():
    z, labels = scene()
    want = first_hit_rank(z, labels, z, labels, 0.1, True)
    for other in (10**15 - 7 * labels, np.array(list("abcdef"))[labels]):
        np.testing.assert_array_equal(first_hit_rank(z, other, z, other, 0.1, True), want)


def test_inputs_are_not_changed():
    z, labels = scene()
    before = z.copy()
    for c in (0, 0.1):
        first_hit_rank(z, labels, z, labels, c, True)
    np.testing.assert_array_equal(z, before)


# ---- Refusals

NAN = np.where(np.arange(5)[:, None] == 3, np.nan, LINE)
FIVE = np.arange(5)
REFUSED = {
    "no query": ((LINE[:0], FIVE[:0], LINE, FIVE), {}, r"query: shape \(0, 1\)"),
    "no gallery": ((LINE, FIVE, LINE[:0], FIVE[:0]), {}, r"gallery: shape \(0, 1\)"),
    "no columns": ((LINE[:, :0], FIVE, LINE[:, :0], FIVE), {}, r"query: shape \(5, 0\)"),
    "1-d": ((LINE[:, 0], FIVE, LINE, FIVE), {}, r"query: shape \(5,\)"),
    "NaN query": ((NAN, FIVE, LINE, FIVE), {}, "query: NaN or inf in row 3"),
    "NaN gallery": ((LINE, FIVE, NAN, FIVE), {}, "gallery: NaN or inf in row 3"),
    "inf gallery": ((LINE, FIVE, NAN * np.inf, FIVE), {"c": 0}, "gallery: NaN or inf in row 0"),
    "other dimension": ((np.ones((5, 2)), FIVE, LINE, FIVE), {}, "query has 2 columns, gallery 1"),
    "outside the ball": ((LINE * 3, FIVE, LINE, FIVE), {}, r"query, rows counted from 0: x\[3\]"),
    "on the boundary": ((LINE, FIVE, LINE * 2, FIVE), {}, r"gallery, rows counted from 0: x\[4\]"),
    "self in another gallery": (
        (LINE[:4], FIVE[:4], LINE, FIVE),
        {"exclude_self": True},
        "4 queries, 5 gallery items",
    ),
    "query labels": ((LINE, FIVE[:4], LINE, FIVE), {}, r"query labels: shape \(4,\)"),
    "gallery labels": ((LINE, FIVE, LINE, FIVE[:4]), {}, r"gallery labels: shape \(4,\)"),
    "labels 3-d": ((LINE, FIVE[:, None, None], LINE, FIVE), {}, "query labels: shape"),
    "labels without a column": (
        (LINE, np.zeros((5, 0)), LINE, FIVE),
        {},
        r"shape \(5, 0\), expected",
    ),
    "columns of labels": (
        (LINE, np.ones((5, 2)), LINE, np.ones((5, 3))),
        {},
        r"labels: query \(5, 2\), gallery \(5, 3\)",
    ),
    "negative c": ((LINE, FIVE, LINE, FIVE), {"c": -1.0}, "c = -1.0, expected c > 0"),
    "c is NaN": ((LINE, FIVE, LINE, FIVE), {"c": np.nan}, "c = nan, expected c > 0"),
    "c is inf": ((LINE, FIVE, LINE, FIVE), {"c": np.inf}, "c = inf, expected c > 0"),
    "k is 0": ((LINE, FIVE, LINE, FIVE), {"ks": [1, 0]}, "k = 0, expected an integer"),
    "k is negative": ((LINE, FIVE, LINE, FIVE), {"ks": [-1]}, "k = -1, expected an integer"),
    "k is a fraction": ((LINE, FIVE, LINE, FIVE), {"ks": [1.5]}, "k = 1.5, expected an integer"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case):
    arrays, options, message = REFUSED[case]
    options = {"ks": [1], "c": 1.0, "exclude_self": False} | options
    with pytest.raises(ValueError, match=message) as caught:
        recall_at_k(*arrays, **options)
    assert "\n" not in str(caught.value)
