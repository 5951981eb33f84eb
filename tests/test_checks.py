"""What the checks return, and refuse, on values that are known by hand."""

import mpmath
import numpy as np
import pytest
from checks import LIMIT, central_difference, exact, limit, norm_eps, relative, ulps

EPS = np.finfo(np.float64).eps


def test_ulps_counts_units_in_the_last_place():
    one = mpmath.mpf(1)
    assert ulps(1.0, one) == 0
    assert ulps(1 + EPS, one) == 1
    assert ulps(np.float32(1) + np.finfo(np.float32).eps, one) == 1
    assert ulps(1 + EPS, 1 + mpmath.mpf(EPS) / 2) == 0.5
    assert ulps(2.0, one) == 1 / EPS
    assert ulps(0.0, mpmath.mpf(0)) == 0
    assert ulps(5e-324, mpmath.mpf(0)) == 1


def test_norm_eps_divides_by_the_norm_not_by_the_entry():
    want = [mpmath.mpf(3), mpmath.mpf(4)]
    assert norm_eps(np.array([3.0, 4.0]), want) == 0
    assert norm_eps(np.array([3.0, 4 + 5 * EPS]), want) == pytest.approx(0.8, rel=EPS)
    assert norm_eps(np.array([3, 4 + 2**-21], np.float32), want) == 0.8
    assert norm_eps(np.zeros(2), [mpmath.mpf(0)] * 2) == 0
    assert norm_eps(np.array([0, 1e-300]), [mpmath.mpf(0)] * 2) == np.inf
    with pytest.raises(ValueError, match="argument 2 is longer"):
        norm_eps(np.zeros(2), [mpmath.mpf(1)] * 3)


def test_relative_divides_by_the_largest_entry():
    want = np.array([1.0, -4.0])
    assert relative(want, want) == 0
    assert relative(np.array([2.0, -4.0]), want) == 0.25
    assert relative(np.array([1.0, 4.0]), want) == 2
    assert relative(np.zeros(2), np.zeros(2)) == 0
    assert relative(np.array([0.0, 1e-300]), np.zeros(2)) == np.inf
    assert relative(np.zeros(0), np.zeros(0)) == 0
    with pytest.raises(AssertionError, match=r"shape \(2, 1\), expected \(2,\)"):
        relative(want[:, None], want)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_an_infinite_error(bad):
    one = mpmath.mpf(1)
    assert ulps(bad, one) == np.inf
    assert norm_eps(np.array([1.0, bad]), [one, one]) == np.inf
    assert norm_eps(np.array([1.0, bad]), [mpmath.mpf(0)] * 2) == np.inf
    assert relative(np.array([1.0, bad]), np.ones(2)) == np.inf


def test_central_difference_is_exact_for_quartics_and_off_by_4_h4_for_a_fifth_power():
    x, e = np.array([2.0, 1.0]), np.array([1.0, 0.0])
    step = 0.125
    assert central_difference(lambda p: p[0] ** 4 * p[1], x, e, step) == 32
    assert central_difference(lambda p: p[0] ** 4 * p[1], x, 2 * e, step) == 64
    assert central_difference(lambda p: p[0] ** 5, x, e, step) == 80 - 4 * step**4
    assert central_difference(lambda p: p[0] ** 5, x, e[::-1], step) == 0


def test_exact_keeps_every_bit_and_the_nesting():
    assert exact(np.array([[0.1, 2.0]]))[0][0] == mpmath.mpf(0.1) != mpmath.mpf("0.1")
    assert exact(np.float32(0.1)) == mpmath.mpf(float(np.float32(0.1)))


def test_each_limit_is_a_positive_number_with_a_reason():
    assert all(0 < value < np.inf and reason for value, reason in LIMIT.values())
    assert limit("autograd") == LIMIT["autograd"][0]
    with pytest.raises(KeyError):
        limit("no such row")
