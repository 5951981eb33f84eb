"""What losses between images are made of: laws, hand values, gradients."""

import mpmath
import numpy as np
import pytest
from checks import check_vjp, exact, limit, norm_eps
from loss_cases import C, points
from loss_reference import minus_distances

from hier_ref import pairwise
from hier_ref.losses.multi_similarity import (
    centred,
    centred_vjp,
    multi_similarity,
    multi_similarity_vjp,
)
from hier_ref.losses.parts import cross_entropy, cross_entropy_vjp, lead, lead_vjp, same_class
from hier_ref.losses.similarity import closeness, closeness_vjp
from hier_ref.losses.soft_triple import soft_maximum, soft_maximum_vjp

PAIRS = np.array([0, 0, 2, 3]), np.array([1, 4, 2, 0])


def some(seed=1, shape=(4, 5)):
    return np.random.default_rng(seed).standard_normal(shape)


def rest():
    kept = np.random.default_rng(2).random((4, 5)) < 0.6
    kept[np.arange(4), PAIRS[1]] = False
    return kept


def test_lead_L6_by_hand_is_zero_at_the_partner():
    """Holds (L6)."""
    s = np.array([[1.0, 5.0, 2.0], [4.0, 0.0, 7.0]])
    got = lead(s, np.array([0, 1, 1]), np.array([2, 0, 1]))
    assert np.array_equal(got, [[-1, 3, 0], [0, -4, 3], [4, 0, 7]])


def test_lead_L6_gradient():
    """Holds (L6')."""
    check_vjp(
        lambda s: lead(s, *PAIRS),
        lambda g, s: lead_vjp(g, s, *PAIRS),
        some(),
        rng=np.random.default_rng(3),
    )


def test_lead_L6_of_no_pair_is_empty_with_gradient_zero():
    none = np.zeros(0, int)
    assert lead(some(), none, none).shape == (0, 5)
    assert np.array_equal(lead_vjp(np.zeros((0, 5)), some(), none, none), np.zeros((4, 5)))


@pytest.mark.parametrize("scale", [1e-3, 1, 30, 1e4])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_cross_entropy_L7_agrees_with_mpmath(scale, dtype):
    """Holds (L7)."""
    s, kept = (scale * some()).astype(dtype), rest()
    got = cross_entropy(s, *PAIRS, kept)
    assert got.dtype == dtype
    for p, (i, j) in enumerate(zip(*PAIRS, strict=True)):
        row = exact(s[i])
        terms = [mpmath.exp(row[m]) for m in range(5) if m == j or kept[p, m]]
        want = -mpmath.log(mpmath.exp(row[j]) / mpmath.fsum(terms))
        # the differences of s are rounded first: eps of the largest |s|
        assert abs(float(got[p]) - want) <= limit("loss_eps") * np.finfo(dtype).eps * max(
            want, np.max(np.abs(s[i]))
        )


def test_cross_entropy_L7_keeps_the_digits_of_a_small_loss():
    s = np.array([[0.0, 40.0, 3.0]])
    got = cross_entropy(s, np.array([0]), np.array([1]), np.array([[True, False, True]]))
    want = mpmath.log1p(mpmath.exp(-40) + mpmath.exp(-37))
    assert norm_eps(got, [want]) <= limit("loss_eps")


def test_cross_entropy_L7_gradient():
    """Holds (L7')."""
    check_vjp(
        lambda s: cross_entropy(s, *PAIRS, rest()),
        lambda g, s: cross_entropy_vjp(g, s, *PAIRS, rest()),
        some(4),
        rng=np.random.default_rng(4),
    )


def test_cross_entropy_L7_gradient_of_a_row_sums_to_zero():
    grad = cross_entropy_vjp(np.ones(4), some(5), *PAIRS, rest())
    assert np.max(np.abs(grad.sum(axis=1))) <= 1e-15
    assert not grad[1].any()  # no pair starts there


def test_cross_entropy_K31_without_rivals_is_zero_with_gradient_zero():
    nothing = np.zeros((4, 5), bool)
    assert not cross_entropy(some(), *PAIRS, nothing).any()
    assert not cross_entropy_vjp(np.ones(4), some(), *PAIRS, nothing).any()


def test_multi_similarity_L8_gradient_for_unsymmetric_similarities():
    """Holds (L8')."""
    labels = [0, 0, 1, 1, 1, 2]
    check_vjp(
        lambda s: multi_similarity(s, labels, 2.0, 5.0),
        lambda g, s: multi_similarity_vjp(g, s, labels, 2.0, 5.0),
        some(6, (6, 6)),
        rng=np.random.default_rng(6),
    )


def test_centred_L9_takes_the_mean_of_the_entries_off_the_diagonal_away():
    """Holds (L9)."""
    s = np.array([[9.0, 1.0, 2.0], [3.0, 9.0, 4.0], [5.0, 3.0, 9.0]])
    assert np.array_equal(centred(s), s - 3)


def test_centred_L9_gradient():
    """Holds (L9')."""
    check_vjp(centred, centred_vjp, some(7, (5, 5)), rng=np.random.default_rng(7))


@pytest.mark.parametrize("c", [C, 0.0])
def test_closeness_L10_agrees_with_mpmath(c):
    """Holds (L10)."""
    z = points(np.random.default_rng(8), 5, 4, c)
    got, want = closeness(z, c, pairwise), minus_distances(z, c)
    assert norm_eps(got.ravel(), sum(want, [])) <= limit("loss_eps")


def test_closeness_L10_of_short_points_is_minus_twice_the_euclidean_distance():
    z = 1e-6 * points(np.random.default_rng(9), 5, 4)
    want = -2 * np.linalg.norm(z[:, None] - z, axis=2)
    assert np.allclose(closeness(z, C, pairwise), want, rtol=1e-9, atol=0)


@pytest.mark.parametrize("c", [C, 0.0])
def test_closeness_L10_gradient(c):
    """Holds (L10')."""
    z = points(np.random.default_rng(10), 5, 4, c)
    check_vjp(
        lambda z: closeness(z, c, pairwise),
        lambda g, z: closeness_vjp(g, z, c, pairwise),
        z,
        rng=np.random.default_rng(10),
        step=1e-4,
    )


@pytest.mark.parametrize("gamma", [1e-3, 0.1, 1.0, 1e3])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_soft_maximum_L14_agrees_with_mpmath(gamma, dtype):
    """Holds (L14)."""
    s = np.random.default_rng(11).uniform(-1, 1, (6, 7)).astype(dtype)
    got = soft_maximum(s, gamma)
    assert got.dtype == dtype
    for row, value in zip(exact(s), got, strict=True):
        w = [mpmath.exp(a / mpmath.mpf(gamma)) for a in row]
        want = mpmath.fdot(w, row) / mpmath.fsum(w)
        # each weight is off by eps times its exponent, and s is at most 1
        error = np.finfo(dtype).eps * (limit("loss_eps") + 2 / gamma * float(_spread(w, row)))
        assert abs(float(value) - want) <= error


def _spread(w, row):
    mean = mpmath.fdot(w, row) / mpmath.fsum(w)
    return mpmath.fsum([a * abs(b - mean) for a, b in zip(w, row, strict=True)]) / mpmath.fsum(w)


def test_soft_maximum_L14_is_between_the_mean_and_the_maximum():
    s = np.random.default_rng(12).uniform(-1, 1, (6, 7))
    assert np.allclose(soft_maximum(s, 1e9), s.mean(axis=1), rtol=0, atol=1e-8)
    assert np.allclose(soft_maximum(s, 1e-9), s.max(axis=1), rtol=0, atol=1e-15)
    between = soft_maximum(s, 0.1)
    assert np.all((s.mean(axis=1) < between) & (between < s.max(axis=1)))


@pytest.mark.parametrize("gamma", [0.1, 1.0])
def test_soft_maximum_L14_gradient(gamma):
    """Holds (L14')."""
    check_vjp(
        lambda s: soft_maximum(s, gamma),
        lambda g, s: soft_maximum_vjp(g, s, gamma),
        np.random.default_rng(13).uniform(-1, 1, (4, 6)),
        rng=np.random.default_rng(13),
    )


def test_same_class_excludes_the_image_itself():
    positive, negative = same_class([4, 4, 9], 3)
    assert np.array_equal(positive, [[0, 1, 0], [1, 0, 0], [0, 0, 0]])
    assert np.array_equal(negative, [[0, 0, 1], [0, 0, 1], [1, 1, 0]])
