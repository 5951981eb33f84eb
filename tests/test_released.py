"""The released arithmetic: values by hand and by mpmath, gradients, and its exact limit."""

import dataclasses

import mpmath
import numpy as np
import pytest
from autograd import make_vjp
from checks import check_vjp, exact, limit, relative, ulps

from hier_ref import pairwise, poincare
from hier_ref.balls import ball_of
from hier_ref.convention import EXACT, RELEASED, Convention
from hier_ref.released import arithmetic as released
from hier_ref.released import maps as released_maps

COARSE = Convention(  # constants that are met by ordinary points
    clip_eps=0.5,
    min_norm=0.5,
    tanh_limit=1.2,
    ball_margin=0.25,
    mobius_denominator_eps=0.1,
    artanh_margin=0.1,
)


def vectors(rng, n, dim, least, most):
    """Random directions with norms between two numbers."""
    u = rng.standard_normal((n, dim))
    return u / np.linalg.norm(u, axis=1, keepdims=True) * rng.uniform(least, most, (n, 1))


def test_curvature_in_float32_is_the_nearest_float32():
    assert released.curvature(0.1, RELEASED) == 0.1
    narrow = dataclasses.replace(RELEASED, curvature_dtype="float32")
    assert released.curvature(0.1, narrow) == 0.10000000149011612


def test_clip_norm_C1_by_hand():
    u = np.array([[3.0, 4.0], [0.3, 0.4]])
    got = released.clip_norm(u, 1.1, COARSE)
    assert relative(got[0], u[0] * 0.2) <= limit("autograd")  # 1.1/(5 + 0.5)
    assert np.array_equal(got[1], u[1])
    # Shortened by a hair although it is within the radius: the eps makes the norm look longer.
    assert 1.0 < np.linalg.norm(released.clip_norm(np.array([[1.4, 0.0]]), 1.5, COARSE)) < 1.4


@pytest.mark.parametrize(("least", "most"), [(0.1, 0.9), (1.2, 4.0)])
def test_clip_norm_C1_gradient(least, most, rng):
    """Holds (C1')."""
    u = vectors(rng, 6, 4, least, most)
    check_vjp(
        lambda u: released.clip_norm(u, 1.5, COARSE),
        lambda g, u: released.clip_norm_vjp(g, u, 1.5, COARSE),
        u,
        rng=rng,
    )


def test_expmap0_C2_by_hand_in_each_regime():
    u = np.array([[0.3, 0.0], [0.0, 1.0], [2.0, 0.0]])
    want = [0.3 * np.tanh(0.5) / 0.5, np.tanh(1.0), np.tanh(1.2)]
    got = released.expmap0(u, 1.0, COARSE)
    assert relative(np.sum(got, axis=1), np.array(want)) <= limit("autograd")


@pytest.mark.parametrize(("least", "most"), [(0.1, 0.4), (0.6, 1.1), (1.3, 4.0)])
def test_expmap0_C2_gradient(least, most, rng):
    """Holds (C2')."""
    u = vectors(rng, 6, 4, least, most)
    check_vjp(
        lambda u: released.expmap0(u, 1.0, COARSE),
        lambda g, u: released.expmap0_vjp(g, u, 1.0, COARSE),
        u,
        rng=rng,
    )


def test_project_C3_puts_points_on_the_largest_radius():
    x = np.array([[0.3, 0.4], [0.9, 0.0], [0.0, 7.0]])
    got = released.project(x, 1.0, COARSE)
    assert np.array_equal(got[0], x[0])
    assert relative(got[1:], np.array([[0.75, 0], [0, 0.75]])) <= limit("autograd")


@pytest.mark.parametrize(("least", "most"), [(0.1, 0.7), (0.8, 3.0)])
def test_project_C3_gradient(least, most, rng):
    """Holds (C3')."""
    check_vjp(
        lambda x: released.project(x, 1.0, COARSE),
        lambda g, x: released.project_vjp(g, x, 1.0, COARSE),
        vectors(rng, 6, 4, least, most),
        rng=rng,
    )


def test_pairwise_distance_C4_and_artanh_C5_in_mpmath(rng):
    c, k = 0.1, RELEASED
    x, y = vectors(rng, 4, 3, 0.5, 2.9), vectors(rng, 4, 3, 0.5, 2.9)
    got = released.pairwise_distance(x, y, c, k)
    c = exact(np.array([c]))[0]
    for i, p in enumerate(exact(-x)):
        for j, q in enumerate(exact(y)):
            p_sq, q_sq, pq = (mpmath.fdot(*pair) for pair in ((p, p), (q, q), (p, q)))
            eps = mpmath.mpf(k.mobius_denominator_eps)
            bottom = 1 + 2 * c * pq + c**2 * p_sq * q_sq + eps
            left, right = 1 + 2 * c * pq + c * q_sq, 1 - c * p_sq
            moved = [(left * a + right * b) / bottom for a, b in zip(p, q, strict=True)]
            s = min(mpmath.sqrt(c) * mpmath.norm(moved), 1 - mpmath.mpf(k.artanh_margin))
            want = 2 / mpmath.sqrt(c) * mpmath.atanh(s)
            # Each ulp of s counts 1/(1 - s^2) times in its artanh.
            assert ulps(got[i, j], want) <= limit("distance_ulp") / float(1 - s * s)


def test_distance_C5_is_never_longer_than_its_cut():
    x = np.array([[0.9999999, 0.0], [-0.9999999, 0.0]])
    d = released.pairwise_distance(x, x, 1.0, RELEASED)
    assert d[0, 0] == d[1, 1] == 0
    assert abs(d[0, 1] - 2 * np.arctanh(1 - 1e-5)) <= limit("parity") * d[0, 1]
    assert poincare.distance(x[0], x[1], 1.0) > 2 * d[0, 1]


def test_artanh_C5_gradient_passes_through_the_cut_with_the_slope_there():
    """Holds (C5')."""
    s, g = np.array([0.3, 0.95, 2.0]), np.array([1.0, 2.0, -3.0])
    want = g / (1 - np.array([0.3, 0.9, 0.9]) ** 2)
    assert relative(released.artanh_vjp(g, s, 0.1), want) <= limit("autograd")
    by_autograd = make_vjp(lambda s: released.artanh(s, 0.1))(s)[0](g)
    assert relative(by_autograd, want) <= limit("autograd")


def test_pairwise_distance_C4_gradient(rng):
    """Holds (C4')."""
    x, y = vectors(rng, 5, 3, 0.1, 0.5), vectors(rng, 6, 3, 0.1, 0.5)
    check_vjp(
        lambda x, y: released.pairwise_distance(x, y, 1.0, COARSE),
        lambda g, x, y: released.pairwise_distance_vjp(g, x, y, 1.0, COARSE),
        x,
        y,
        rng=rng,
    )


def test_pairwise_distance_C4_gradient_beyond_the_cut_is_that_of_autograd(rng):
    x, y = vectors(rng, 5, 3, 0.9, 0.99), vectors(rng, 6, 3, 0.9, 0.99)
    d = released.pairwise_distance(x, y, 1.0, COARSE)
    assert np.sum(d >= d.max() * (1 - 1e-9)) > 1, "nothing is cut"
    g = rng.standard_normal(d.shape)
    by_hand = released.pairwise_distance_vjp(g, x, y, 1.0, COARSE)
    for i in (0, 1):
        by_autograd = make_vjp(released.pairwise_distance, i)(x, y, 1.0, COARSE)[0](g)
        assert relative(by_hand[i], by_autograd) <= limit("autograd")


def test_pairwise_distance_of_equal_points_is_zero_with_gradient_zero():
    x = np.array([[0.3, 0.4], [0.0, 0.0]])
    d = released.pairwise_distance(x, x, 1.0, RELEASED)
    assert np.all(np.diag(d) == 0)
    got = released.pairwise_distance_vjp(np.eye(2), x, x, 1.0, RELEASED)
    assert not np.any(got)


@pytest.mark.parametrize(("least", "most"), [(0.1, 0.45), (0.6, 0.9), (1.3, 3.0)])
def test_to_ball_gradient_is_the_chain_of_C1_C2_C3(least, most, rng):
    u = vectors(rng, 6, 4, least, most)
    k = dataclasses.replace(COARSE, ball_margin=0.3)
    check_vjp(
        lambda u: released.to_ball(u, 1.0, 2.3, k),
        lambda g, u: released.to_ball_vjp(g, u, 1.0, 2.3, k),
        u,
        rng=rng,
    )


@pytest.mark.parametrize("c", [0.1, 1.0])
def test_without_its_constants_it_is_the_exact_ball(c, rng):
    r = 2.3
    u, v = vectors(rng, 7, 5, 0.0, 4.0), vectors(rng, 6, 5, 0.0, 2.0)
    x, y = poincare.to_ball(u, c, r), poincare.to_ball(v, c, r)
    g = rng.standard_normal((7, 6))
    pairs = [
        (released.to_ball(u, c, r, EXACT), x),
        (released.to_ball_vjp(u, u, c, r, EXACT), poincare.to_ball_vjp(u, u, c, r)),
        (released.pairwise_distance(x, y, c, EXACT), pairwise.pairwise_distance(x, y, c)),
    ]
    pairs += zip(
        released.pairwise_distance_vjp(g, x, y, c, EXACT),
        pairwise.pairwise_distance_vjp(g, x, y, c),
        strict=True,
    )
    for got, want in pairs:
        assert relative(got, want) <= limit("autograd")


def test_without_their_constants_the_other_maps_C9_are_the_exact_ones(rng):
    c, x, y = 0.3, vectors(rng, 6, 4, 0.2, 1.4), vectors(rng, 6, 4, 0.2, 1.4)
    for name in ("mobius_add", "distance", "expmap", "logmap"):
        got = getattr(released_maps, name)(x, y, c, EXACT)
        assert relative(got, getattr(poincare, name)(x, y, c)) <= limit("autograd")
    for name in ("logmap0", "conformal_factor"):
        got = getattr(released_maps, name)(x, c, EXACT)
        assert relative(got, getattr(poincare, name)(x, c)) <= limit("autograd")
    origin = poincare.distance(np.zeros_like(x), x, c)
    assert relative(released_maps.distance0(x, c, EXACT), origin) <= limit("autograd")


def test_klein_C9_there_and_back(rng):
    x = vectors(rng, 6, 4, 0.0, 1.5)
    there = released_maps.to_klein(x, 0.3, EXACT)
    assert relative(released_maps.from_klein(there, 0.3, EXACT), x) <= limit("autograd")


def test_midpoint_C9_of_two_points_is_equally_far_from_both(rng):
    x = vectors(rng, 2, 3, 0.2, 0.9)
    middle = released_maps.midpoint(x, 1.0, EXACT)
    d = poincare.distance(x, np.stack([middle, middle]), 1.0)
    assert relative(d[:1], d[1:]) <= limit("autograd")
    whole = poincare.distance(x[0], x[1], 1.0)
    assert abs(d.sum() - whole) <= limit("autograd") * whole


def test_mobius_matvec_C9_by_a_multiple_of_one_multiplies_the_distance(rng):
    x = vectors(rng, 5, 3, 0.1, 0.6)
    got = released_maps.mobius_matvec(2 * np.eye(3), x, 1.0, EXACT)
    want = 2 * released_maps.distance0(x, 1.0, EXACT)
    assert relative(released_maps.distance0(got, 1.0, EXACT), want) <= limit("autograd")


def test_maps_C9_at_points_where_the_released_code_has_no_number():
    zero, x = np.zeros((2, 3)), np.full((2, 3), 0.2)
    m = np.ones((3, 3))
    for args in ((m, zero), (0 * m, x)):
        assert not np.any(released_maps.mobius_matvec(*args, 1.0, RELEASED))
        for i in (0, 1):
            vjp = make_vjp(released_maps.mobius_matvec, i)(*args, 1.0, RELEASED)[0]
            assert np.all(np.isfinite(vjp(np.ones((2, 3)))))
    assert not np.any(released_maps.logmap(x, x, 1.0, RELEASED))


def test_float32_stays_float32(rng):
    u = vectors(rng, 5, 4, 0.1, 3.0).astype(np.float32)
    ball = ball_of(RELEASED)
    z = ball.to_ball(u, 0.1, 2.3)
    d = ball.pairwise_distance(z, z, 0.1)
    grads = (ball.to_ball_vjp(u, u, 0.1, 2.3), *ball.pairwise_distance_vjp(d, z, z, 0.1))
    assert {a.dtype for a in (z, d, *grads)} == {np.dtype(np.float32)}
