"""What losses share: mpmath values, laws, gradients, zero rows and empty sums."""

import autograd
import mpmath
import numpy as np
import pytest
from checks import check_vjp, exact, limit, norm_eps

from hier_ref.losses import (
    cosine,
    cosine_vjp,
    log_one_plus_sum_exp,
    log_one_plus_sum_exp_vjp,
    one_hot,
    unit,
    unit_vjp,
)


def mp_cosine(x, y):
    return mpmath.fdot(x, y) / (mpmath.norm(x) * mpmath.norm(y))


# unit and cosine


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("power", [-30, -3, 0, 3, 30])
def test_unit_L1_agrees_with_mpmath_without_under_or_overflow(power, dtype):
    rng = np.random.default_rng(1)
    for dim in (1, 2, 128):
        x = (rng.standard_normal((3, dim)) * 10.0**power).astype(dtype)
        got = unit(x)
        assert got.dtype == dtype
        for row, want in zip(got, exact(x), strict=True):
            assert norm_eps(row, [a / mpmath.norm(want) for a in want]) <= limit("loss_eps")


def test_unit_L1_has_length_one_and_forgets_length():
    x = np.random.default_rng(2).standard_normal((9, 5))
    assert np.allclose(np.linalg.norm(unit(x), axis=1), 1, rtol=1e-15, atol=0)
    assert np.array_equal(unit(2.0**40 * x), unit(x))


def test_unit_L1_gradient():
    """Holds (L1')."""
    rng = np.random.default_rng(3)
    check_vjp(unit, unit_vjp, rng.standard_normal((4, 6)), rng=rng)


def test_unit_L1_gradient_is_tangent_to_the_sphere():
    g, x = np.random.default_rng(4).standard_normal((2, 8, 5))
    grad = unit_vjp(g, x)
    assert np.max(np.abs(np.sum(grad * x, axis=1))) <= limit("autograd")


def test_cosine_L2_of_two_rows_by_hand():
    """Holds (L2)."""
    got = cosine(np.array([[3.0, 4.0], [0.0, -2.0]]), np.array([[5.0, 0.0], [0.0, 1.0]]))
    assert np.allclose(got, [[0.6, 0.8], [0, -1]], rtol=1e-15, atol=0)


def test_cosine_L2_agrees_with_mpmath():
    x, y = np.random.default_rng(5).standard_normal((2, 6, 32))
    want = [mp_cosine(a, b) for a in exact(x) for b in exact(y)]
    assert norm_eps(cosine(x, y).ravel(), want) <= limit("loss_eps")


def test_cosine_L2_of_a_row_with_itself_and_its_opposite():
    x = np.random.default_rng(6).standard_normal((5, 12))
    assert np.allclose(np.diag(cosine(x, x)), 1, rtol=1e-15, atol=0)
    assert np.array_equal(cosine(x, -x), -cosine(x, x))


def test_cosine_L2_gradient():
    """Holds (L2')."""
    rng = np.random.default_rng(7)
    x, y = rng.standard_normal((4, 6)), rng.standard_normal((3, 6))
    check_vjp(cosine, cosine_vjp, x, y, rng=rng)


def test_cosine_L2_gradient_of_equal_and_opposite_rows_is_zero():
    x = np.array([[3.0, 4.0]])
    for y in (2 * x, -x):
        assert np.max(np.abs(cosine_vjp(np.ones((1, 1)), x, y))) <= 1e-16


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_cosine_K30_of_a_zero_row_is_zero_with_gradient_zero(dtype):
    """Holds (K30)."""
    x, y = np.array([[0, 0], [1, 2]], dtype), np.array([[1, 1], [0, 0]], dtype)
    got = cosine(x, y)
    assert got.dtype == dtype and got[1, 0] != 0
    assert not got[0].any() and not got[:, 1].any()
    grad_x, grad_y = cosine_vjp(np.ones((2, 2), dtype), x, y)
    assert grad_x.dtype == grad_y.dtype == dtype
    assert not grad_x[0].any() and not grad_y[1].any()
    assert grad_x[1].any() and grad_y[0].any()


def test_cosine_K30_gradient_by_autograd_is_zero_too():
    y = np.array([[1.0, 1.0]])
    for position in (0, 1):
        args = [np.zeros((1, 2)), y] if position == 0 else [y, np.zeros((1, 2))]
        got = autograd.grad(lambda a, b: cosine(a, b)[0, 0], position)(*args)
        assert np.array_equal(got, np.zeros((1, 2)))


# log(1 + sum exp)

SCALES = {
    "tiny": (-40, 1),
    "small": (-10, 3),
    "mixed": (0, 10),
    "large": (300, 50),
    "huge": (5e3, 1e3),
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("scale", SCALES)
def test_log_one_plus_sum_exp_L3_agrees_with_mpmath(scale, dtype):
    """Holds (L3)."""
    rng = np.random.default_rng(8)
    centre, spread = SCALES[scale]
    for n in (1, 2, 30):
        s = (centre + spread * rng.standard_normal((n, 6))).astype(dtype)
        mask = rng.random((n, 6)) < 0.7
        got = log_one_plus_sum_exp(s, mask)
        assert got.dtype == dtype
        for k in range(6):
            terms = [mpmath.exp(a) for a, m in zip(exact(s[:, k]), mask[:, k], strict=True) if m]
            want = mpmath.log1p(mpmath.fsum(terms))
            assert norm_eps(got[k : k + 1], [want]) <= limit("loss_eps")


def test_log_one_plus_sum_exp_L3_by_hand():
    # log(1 + 1 + 1) where two are kept, log(1 + 1) where one is
    got = log_one_plus_sum_exp(np.zeros((2, 2)), np.array([[True, True], [True, False]]))
    assert np.allclose(got, np.log([3, 2]), rtol=1e-15, atol=0)


def test_log_one_plus_sum_exp_L3_tends_to_the_largest_positive_term():
    s = np.array([[-1.0, 2.0], [-2.0, 1.0]])
    got = log_one_plus_sum_exp(1e6 * s, np.ones((2, 2), bool)) / 1e6
    assert np.allclose(got, [0, 2], rtol=0, atol=1e-15)


@pytest.mark.parametrize("centre", [-5.0, 0.0, 5.0])
def test_log_one_plus_sum_exp_L3_gradient(centre):
    """Holds (L3')."""
    rng = np.random.default_rng(9)
    s, mask = centre + rng.standard_normal((6, 4)), rng.random((6, 4)) < 0.6
    check_vjp(
        lambda s: log_one_plus_sum_exp(s, mask),
        lambda g, s: log_one_plus_sum_exp_vjp(g, s, mask),
        s,
        rng=rng,
    )


def test_log_one_plus_sum_exp_L3_gradient_where_terms_tie_with_each_other_and_with_zero():
    rng = np.random.default_rng(10)
    mask = np.ones((3, 2), bool)
    s = np.array([[0.0, 2.0], [0.0, 2.0], [-1.0, 2.0]])
    check_vjp(
        lambda s: log_one_plus_sum_exp(s, mask),
        lambda g, s: log_one_plus_sum_exp_vjp(g, s, mask),
        s,
        rng=rng,
    )


def test_log_one_plus_sum_exp_L3_gradient_is_a_probability_with_one_left_for_the_one():
    rng = np.random.default_rng(11)
    s, mask = rng.standard_normal((5, 4)), rng.random((5, 4)) < 0.5
    weights = log_one_plus_sum_exp_vjp(np.ones(4), s, mask)
    left = np.exp(-log_one_plus_sum_exp(s, mask))
    assert np.allclose(weights.sum(axis=0) + left, 1, rtol=1e-14, atol=0)
    assert not weights[~mask].any()


def test_log_one_plus_sum_exp_K31_of_nothing_is_zero_with_gradient_zero():
    """Holds (K31)."""
    s, nothing = np.full((3, 2), 700.0), np.zeros((3, 2), bool)
    assert not log_one_plus_sum_exp(s, nothing).any()
    assert not log_one_plus_sum_exp_vjp(np.ones(2), s, nothing).any()


def test_one_hot_marks_the_class_of_each_image():
    assert np.array_equal(one_hot([2, 0], (2, 3)), [[False, False, True], [True, False, False]])
