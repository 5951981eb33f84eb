"""Chapter 3: mutual neighbours, triplets, and the noise of the choices."""

import dataclasses

import numpy as np
import pytest

from hier_ref import triplets
from hier_ref.convention import EXACT, Convention
from hier_ref.triplets import (
    Draws,
    arrival_times,
    capture_noise,
    mutual_neighbours,
    nearest_neighbours,
    sample_draws,
    sample_triplets,
)

LINE = np.array([0.0, 1.0, 3.0, 7.0, 15.0])


def distances(points):
    return np.abs(np.subtract.outer(points, points))


def random_distances(rng, n):
    points = rng.standard_normal((n, 3))
    return np.linalg.norm(points[:, None] - points, axis=-1)


def test_nearest_T1_on_a_line_by_hand():
    """Holds (T1)."""
    near = nearest_neighbours(distances(LINE), 2)  # counting the point itself
    assert [list(np.flatnonzero(row)) for row in near] == [[0, 1], [0, 1], [1, 2], [2, 3], [3, 4]]


def test_nearest_T1_equals_sorting_when_nothing_ties(rng):
    d = random_distances(rng, 30)
    near = nearest_neighbours(d, 7)
    for row, marked in zip(d, near, strict=True):
        assert set(np.flatnonzero(marked)) == set(np.argsort(row)[:7])


def test_nearest_T1_same_class_ranks_first_and_then_by_distance():
    first = np.equal.outer([0, 1, 0, 1, 0], [0, 1, 0, 1, 0])
    near = nearest_neighbours(distances(LINE), 4, first)
    assert list(np.flatnonzero(near[0])) == [0, 1, 2, 4]  # its class 0, 2, 4, then 1 at 1
    assert list(np.flatnonzero(near[3])) == [0, 1, 2, 3]  # its class 1, 3, then 2 at 4, 0 at 7


@pytest.mark.parametrize("neighbours, count", [(0, 0), (5, 5), (9, 5)])
def test_nearest_T1_with_none_or_more_neighbours_than_points(neighbours, count):
    assert (nearest_neighbours(distances(LINE), neighbours).sum(1) == count).all()


@pytest.mark.parametrize("neighbours", [-1, 2.5, True, np.nan])
def test_neighbours_that_are_no_count_are_refused(neighbours):
    for mark in (nearest_neighbours, mutual_neighbours):
        with pytest.raises(ValueError, match="^neighbours .*: expected integers, at least 0$"):
            mark(distances(LINE), neighbours)


def test_nearest_K20_ties_at_the_last_place_are_all_marked():
    """Holds (K20)."""
    d = distances(np.array([0.0, 1.0, -1.0, 5.0]))
    assert list(np.flatnonzero(nearest_neighbours(d, 2)[0])) == [0, 1, 2]


def test_nearest_K20_does_not_depend_on_the_order_of_the_points(rng):
    points = rng.integers(0, 4, 20).astype(float)  # many ties
    order = rng.permutation(20)
    near = nearest_neighbours(distances(points), 6)
    assert (nearest_neighbours(distances(points[order]), 6) == near[order][:, order]).all()


def test_mutual_T2_on_a_line_by_hand():
    # K = 1 other: 0 -> 1, 1 -> 0, 3 -> 1, 7 -> 3, 15 -> 7: only (0, 1) is mutual.
    """Holds (T2)."""
    mutual = mutual_neighbours(distances(LINE), 1)
    assert list(map(tuple, np.argwhere(mutual))) == [(0, 1), (1, 0)]


def test_mutual_T2_counting_the_point_itself_leaves_one_place_less():
    itself = dataclasses.replace(EXACT, neighbours_count_self=True)
    d = distances(LINE)
    assert (mutual_neighbours(d, 3, None, itself) == mutual_neighbours(d, 2)).all()


def test_mutual_T2_is_symmetric_with_an_empty_diagonal(rng):
    d, labels = random_distances(rng, 25), rng.integers(0, 5, 25)
    for convention in (EXACT, Convention(neighbours_count_self=True, same_class_first=False)):
        mutual = mutual_neighbours(d, 6, labels, convention)
        assert (mutual == mutual.T).all() and not mutual.diagonal().any() and mutual.any()


def test_mutual_T2_same_class_is_mutual_whatever_the_distance():
    labels = [0, 1, 1, 1, 0]
    assert mutual_neighbours(distances(LINE), 1, labels)[0, 4]
    apart = dataclasses.replace(EXACT, same_class_first=False)
    assert not mutual_neighbours(distances(LINE), 1, labels, apart)[0, 4]


def test_mutual_T2_leaves_its_input_alone(rng):
    d = random_distances(rng, 8)
    before = d.copy()
    mutual_neighbours(d, 3, np.arange(8))
    assert (d == before).all()


@pytest.mark.parametrize("d", [np.zeros(3), np.zeros((2, 3))])
def test_mutual_refuses_what_is_not_square(d):
    with pytest.raises(ValueError, match="expected a square"):
        mutual_neighbours(d, 2)


def test_mutual_refuses_labels_of_another_length():
    with pytest.raises(ValueError, match="4 labels for 5 points"):
        mutual_neighbours(distances(LINE), 2, [0, 0, 1, 1])


def test_triplets_T3_take_positives_and_negatives_from_the_right_sets(rng):
    """Holds (T3)."""
    mutual = mutual_neighbours(random_distances(rng, 20), 5)
    i, j, k = sample_triplets(rng, mutual, 40).T
    assert mutual[i, j].all() and not mutual[i, k].any() and (k != i).all()
    assert (np.bincount(i, minlength=20) == 40 * mutual.any(1)).all()


def test_triplets_T3_are_uniform_over_both_sets(rng):
    mutual = np.zeros((8, 8), bool)
    mutual[0, [2, 3, 5]] = True
    _, j, k = sample_triplets(rng, mutual, 30_000).T
    for drawn, members in ((j, [2, 3, 5]), (k, [1, 4, 6, 7])):
        counts = np.bincount(drawn, minlength=8)
        expected = 30_000 / len(members)
        assert counts.sum() == counts[members].sum()
        assert (np.abs(counts[members] - expected) < 5 * np.sqrt(expected)).all()


def test_triplets_T3_draw_the_anchor_as_negative_only_by_convention(rng):
    mutual = mutual_neighbours(random_distances(rng, 6), 2)
    released = dataclasses.replace(EXACT, negative_may_be_anchor=True)
    i, _, k = sample_triplets(rng, mutual, 200, released).T
    assert (k == i).any()
    i, _, k = sample_triplets(rng, mutual, 200).T
    assert not (k == i).any()


def test_triplets_K21_anchor_without_positive_or_negative_gives_none(rng):
    assert sample_triplets(rng, np.zeros((4, 4), bool), 5).shape == (0, 3)
    everyone = ~np.eye(4, dtype=bool)
    assert sample_triplets(rng, everyone, 5).shape == (0, 3)
    only_itself = dataclasses.replace(EXACT, negative_may_be_anchor=True)
    i, _, k = sample_triplets(rng, everyone, 5, only_itself).T
    assert len(i) == 20 and (k == i).all()


def test_triplets_K21_min_reciprocal_leaves_out_lonely_anchors(rng):
    mutual = np.zeros((5, 5), bool)
    mutual[0, 1] = mutual[1, 0] = mutual[1, 2] = mutual[2, 1] = True
    two = dataclasses.replace(EXACT, min_reciprocal=2)
    assert set(sample_triplets(rng, mutual, 3)[:, 0]) == {0, 1, 2}
    assert set(sample_triplets(rng, mutual, 3, two)[:, 0]) == {1}


@pytest.mark.parametrize("n", [0, 1])
def test_triplets_K21_nothing_to_draw_from(n, rng):
    assert sample_triplets(rng, mutual_neighbours(np.zeros((n, n)), 3), 5).shape == (0, 3)


def written_out(draws, level, n):
    """The arrival times of both choices of a level, all blocks together."""
    times = [draws.arrivals(level, block, n, np.float64)[1:] for block in draws.blocks(level)]
    return [np.concatenate(each) for each in zip(*times, strict=True)]


def test_arrivals_T4_choose_as_often_as_the_softmax_says():
    """(T4): p wins with the probability of the softmax (T7)."""
    far, tau, n = np.array([1.0, 1.05, 1.2, 1.9]), 0.1, 100_000
    draws = Draws(np.zeros((n, 3), int), np.zeros((0, 3), int), seed=5)
    pair, triple = written_out(draws, "data", 4)
    share = np.exp(-far / tau) / np.exp(-far / tau).sum()
    for arrival in (pair, triple):
        winner = np.argmax(np.exp(-far / tau) / arrival, axis=1)
        frequency = np.bincount(winner, minlength=4) / n
        assert (np.abs(frequency - share) < 5 * np.sqrt(share * (1 - share) / n)).all()
    assert abs(np.corrcoef(pair.ravel(), triple.ravel())[0, 1]) < 5 / np.sqrt(4 * n)


def test_arrivals_T4_are_the_exponentials_of_captured_gumbel_noise(monkeypatch, rng):
    gumbel = (rng.gumbel(size=(7, 3)), rng.gumbel(size=(7, 3)))
    draws = Draws(np.zeros((7, 3), int), np.zeros((0, 3), int), gumbel, None)
    monkeypatch.setattr(triplets, "BLOCK", 3)
    sizes = [len(draws.arrivals("data", k, 3, np.float64)[0]) for k in draws.blocks("data")]
    assert sizes == [3, 3, 1] and not draws.blocks("proxy")
    for arrival, noise in zip(written_out(draws, "data", 3), gumbel, strict=True):
        np.testing.assert_allclose(-np.log(arrival), noise, rtol=1e-14, atol=1e-14)


def test_arrivals_T4_of_each_stream_level_and_choice_are_numbers_of_their_own():
    """Whatever the order in which blocks are asked for; no number occurs twice."""
    triplet_lists = np.zeros((2, triplets.BLOCK + triplets.STREAM + 1, 3), int)
    draws = Draws(*triplet_lists, seed=3)
    found = {}
    for level in ("proxy", "data"):
        assert len(draws.blocks(level)) == 2
        for block in reversed(draws.blocks(level)):
            found[level, block] = draws.arrivals(level, block, 6, np.float64)[1:]
    for (level, block), times in found.items():
        for got, again in zip(draws.arrivals(level, block, 6, np.float64)[1:], times, strict=True):
            np.testing.assert_array_equal(got, again)
    drawn = np.concatenate([e.ravel() for times in found.values() for e in times])
    assert len(drawn) == 12 * triplet_lists.shape[1] * 2 == len(np.unique(drawn))


def test_arrivals_T4_do_not_depend_on_the_size_of_blocks(monkeypatch):
    draws = Draws(np.zeros((1300, 3), int), np.zeros((0, 3), int), seed=3)
    want = written_out(draws, "data", 5)
    monkeypatch.setattr(triplets, "BLOCK", triplets.STREAM)
    for got, whole in zip(written_out(draws, "data", 5), want, strict=True):
        np.testing.assert_array_equal(got, whole)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_arrival_times_T4_are_exponential(dtype, rng):
    """Their distribution function by the law of Dvoretzky, Kiefer and Wolfowitz, once in 10^9."""
    e = np.sort(arrival_times(rng.random(100_000, dtype)))
    assert e.dtype == dtype and (e >= 0).all() and np.isfinite(e).all()
    apart = np.abs(-np.expm1(-e.astype(float)) - np.arange(1, len(e) + 1) / len(e)).max()
    assert apart < np.sqrt(np.log(2e9) / (2 * len(e)))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_arrivals_K22_at_zero_are_moved_to_where_weights_and_their_squares_are_finite(dtype):
    """Holds (K22)."""
    draws = Draws(np.zeros((1, 3), int), np.zeros((0, 3), int), (np.full((1, 2), 1e4),) * 2)
    _, pair, _ = draws.arrivals("data", 0, 2, dtype)
    assert pair.dtype == dtype and (0 < pair).all()
    assert np.isfinite((512 / pair) ** 2).all()
    # A true Exp(1) variable is as small as this once in 10^15 draws at most.
    assert (pair <= 1e-15).all()


def test_sample_draws_are_the_same_for_the_same_generator_state(rng):
    d_zz, d_ll = random_distances(rng, 20), random_distances(rng, 9)
    labels = np.arange(20) // 2
    first, again, other = (
        sample_draws(np.random.default_rng(seed), d_zz, d_ll, labels, neighbours=4, per_anchor=3)
        for seed in (1, 1, 2)
    )
    assert (first.triplets_data == again.triplets_data).all() and first.seed == again.seed
    assert first.seed != other.seed


def test_capture_noise_writes_out_the_seeded_noise(rng):
    draws = Draws(np.zeros((5, 3), int), np.zeros((0, 3), int), seed=11)
    captured = capture_noise(draws, 4)
    _, pair, triple = draws.arrivals("data", 0, 4, np.float64)
    np.testing.assert_allclose(np.exp(-captured.gumbel_data[0]), pair, rtol=1e-14)
    np.testing.assert_allclose(np.exp(-captured.gumbel_data[1]), triple, rtol=1e-14)
    assert captured.gumbel_proxy[0].shape == (0, 4)
