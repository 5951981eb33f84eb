"""Distance matrices against mpmath, pair by pair, where pairs are far, close, or the same."""

import tracemalloc
from functools import cache

import mpmath
import numpy as np
import pytest
from ball_reference import distance as exact_distance
from ball_reference import distance_grad, dot, points
from ball_reference import gap as exact_gap
from checks import check_vjp, exact, limit, norm_eps, ulps

from hier_ref import pairwise
from hier_ref.pairwise import (
    pairwise_distance,
    pairwise_distance_vjp,
    pairwise_sq,
    pairwise_sq_vjp,
)
from hier_ref.poincare import distance, distance_vjp

DTYPES = (np.float32, np.float64)
KINDS = ("spread", "boundary", "tiny", "cluster", "two clusters", "boundary clusters", "repeated")


def clusters(rng, fractions, dim, c, relative):
    """12 points within 0.05 of a few centres, measured in gaps, at relative sizes 1e-1 .. 1e-12."""
    which = rng.integers(0, len(fractions), 12)
    centre = points(rng, fractions, dim, c)[which]
    room = (1 - np.array(fractions))[which, None]
    size = relative * 10.0 ** -rng.integers(1, 13, (12, 1))
    return centre + 0.5 * room * size * points(rng, [1.0] * 12, dim, c)


def threshold(rng, dim, c):
    """Points in opposite pairs, mean 0, at angles that leave q/(|x|²+|y|²) just above 0.3."""
    x = points(rng, [0.6] * 3, dim, c)
    side = points(rng, [0.6] * 3, dim, c)
    side -= np.sum(side * x, axis=1, keepdims=True) / np.sum(x**2, axis=1, keepdims=True) * x
    side *= np.linalg.norm(x, axis=1, keepdims=True) / np.linalg.norm(side, axis=1, keepdims=True)
    y = 0.695 * x + np.sqrt(1 - 0.695**2) * side
    return np.concatenate([x, y, -x, -y])


@cache
def two_sets(kind, dim, c, dtype):
    """Two sets of about six points of the ball each."""
    rng = np.random.default_rng([KINDS.index(kind) if kind in KINDS else 99, dim, int(10 * c)])
    z = {
        "spread": lambda: points(rng, rng.uniform(0, 0.9, 12), dim, c),
        "boundary": lambda: points(rng, 1 - 10.0 ** -rng.integers(1, 12, 12), dim, c),
        "tiny": lambda: 1e-8 * points(rng, rng.uniform(0, 0.9, 12), dim, c),
        "cluster": lambda: clusters(rng, [0.9], dim, c, 0.1),
        "two clusters": lambda: clusters(rng, [0.9, 0.7], dim, c, 0.1),
        "boundary clusters": lambda: clusters(rng, [1 - 1e-6, 1 - 1e-7], dim, c, 1.0),
        "repeated": lambda: clusters(rng, [0.9, 0.8, 0.7], dim, c, 0.0),
        "threshold": lambda: threshold(rng, dim, c),
    }[kind]().astype(dtype)
    z = z[[exact_gap(exact(row), c) > 0 for row in z]]  # float32 can round to the outside
    return z[::2], z[1::2]


def every(*kinds):
    """Parametrise over kinds of sets, dimensions, curvatures and dtypes."""
    cases = [(k, dim, c, t) for k in kinds for dim in (2, 128) for c in (0.1, 4.0) for t in DTYPES]
    ids = [f"{k}-{dim}-{c}-{t.__name__}" for k, dim, c, t in cases]
    return pytest.mark.parametrize("case", cases, ids=ids)


@every(*KINDS, "threshold")
def test_pairwise_sq_D1_and_distance_D2(case):
    """Holds (D1)."""
    (x, y), c = two_sets(*case), case[2]
    q, d = pairwise_sq(x, y), pairwise_distance(x, y, c)
    assert q.dtype == d.dtype == x.dtype
    for i, j in np.ndindex(*d.shape):
        if np.array_equal(x[i], y[j]):
            assert d[i, j] == q[i, j] == 0
        else:
            u, v = exact(x[i]), exact(y[j])
            z = [s - t for s, t in zip(u, v, strict=True)]
            assert ulps(q[i, j], dot(z, z)) <= limit("pairwise_ulp")
            assert ulps(d[i, j], exact_distance(u, v, c)) <= limit("pairwise_ulp")


@every(*KINDS, "threshold")
def test_pairwise_distance_D2_gradient_of_single_pairs(case):
    (x, y), c = two_sets(*case), case[2]
    for i, j in [(0, 0), (1, 2), (len(x) - 1, 0), (2, len(y) - 1)]:
        g = np.zeros((len(x), len(y)), x.dtype)
        g[i, j] = 1
        grad_x, grad_y = pairwise_distance_vjp(g, x, y, c)
        assert grad_x.dtype == grad_y.dtype == x.dtype
        assert not np.any(np.delete(grad_x, i, 0)) and not np.any(np.delete(grad_y, j, 0))
        if np.array_equal(x[i], y[j]):
            assert not np.any(grad_x) and not np.any(grad_y)
        else:
            u, v = exact(x[i]), exact(y[j])
            assert norm_eps(grad_x[i], distance_grad(u, v, c)) <= limit("pairwise_grad_eps")
            assert norm_eps(grad_y[j], distance_grad(v, u, c)) <= limit("pairwise_grad_eps")


@every("spread", "two clusters", "boundary clusters", "repeated")
def test_pairwise_distance_D2_gradient_of_sums_of_pairs(case):
    """Terms of a sum may cancel, so relative to the sum of their lengths."""
    (x, y), c = two_sets(*case), case[2]
    g = np.random.default_rng(0).standard_normal((len(x), len(y))).astype(x.dtype)
    eps = float(np.finfo(x.dtype).eps)
    for row, start, weights in zip(pairwise_distance_vjp(g, x, y, c)[0], x, g, strict=True):
        apart = [(v, w) for v, w in zip(y, weights, strict=True) if not np.array_equal(start, v)]
        terms = [
            [mpmath.mpf(float(w)) * s for s in distance_grad(exact(start), exact(v), c)]
            for v, w in apart
        ]
        total = [mpmath.fsum(part) for part in zip(*terms, strict=True)]
        error = mpmath.norm([mpmath.mpf(float(s)) - t for s, t in zip(row, total, strict=True)])
        assert error <= limit("pairwise_grad_eps") * eps * sum(map(mpmath.norm, terms))


@pytest.mark.parametrize("kind", ["spread", "two clusters", "threshold"])
@pytest.mark.parametrize("dim", [2, 16])
def test_gradients_by_autograd_and_differences(kind, dim, rng):
    """(D1') (D2'): also where some pairs are computed directly and some by the product."""
    x, y = two_sets(kind, dim, 0.1, np.float64)
    if kind == "two clusters":  # room for the moves of the differences
        x, y = x + 0.05 * rng.standard_normal(x.shape), y + 0.05 * rng.standard_normal(y.shape)
    check_vjp(pairwise_sq, pairwise_sq_vjp, x, y, rng=rng, step=1e-5)
    check_vjp(
        lambda x, y: pairwise_distance(x, y, 0.1),
        lambda g, x, y: pairwise_distance_vjp(g, x, y, 0.1),
        x,
        y,
        rng=rng,
        step=1e-5,
    )


def test_gradient_is_the_sum_of_both_when_y_is_x(rng):
    """(D2') where a point is in both sets, and the diagonal is a kink (K10)."""
    x = points(rng, rng.uniform(0.2, 0.8, 6), 3, 1.0)
    g = rng.standard_normal((6, 6))
    both = sum(pairwise_distance_vjp(g, x, x, 1.0))
    expected = np.zeros_like(x)
    for i, j in np.ndindex(6, 6):
        of_x, of_y = distance_vjp(g[i, j], x[i], x[j], 1.0)
        expected[i] += of_x
        expected[j] += of_y
    np.testing.assert_allclose(both, expected, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dim", [1, 3, 128])
def test_exactly_symmetric_and_0_on_the_diagonal_when_y_is_x(kind, dim, dtype):
    x = np.concatenate(two_sets(kind, dim, 1.0, dtype))
    for d in (pairwise_sq(x, x), pairwise_distance(x, x, 1.0)):
        assert np.array_equal(d, d.T)
        assert np.all(np.diag(d) == 0)


@pytest.mark.parametrize("size", [180, 301])
def test_exactly_symmetric_at_the_size_of_a_batch(size, rng):
    for dtype in DTYPES:
        x = points(rng, rng.uniform(0, 0.9, size), 128, 0.1).astype(dtype)
        d = pairwise_distance(x, x, 0.1)
        assert np.array_equal(d, d.T) and np.all(np.diag(d) == 0)


def test_agrees_with_the_distance_of_two_points_B3(rng):
    x, y = points(rng, rng.uniform(0, 0.9, 40), 8, 0.1), points(rng, [0.5] * 30, 8, 0.1)
    y[:10] = x[:10] + 1e-6
    one_by_one = distance(x[:, None] + 0 * y, y + 0 * x[:, None], 0.1)
    error = np.abs(pairwise_distance(x, y, 0.1) - one_by_one) / np.spacing(one_by_one)
    assert np.max(error) <= limit("pairwise_ulp") + limit("distance_ulp")


def test_equal_points_K10_distance_0_gradient_0(rng):
    x = np.repeat(points(rng, [0.5, 0.9], 4, 1.0), 3, axis=0)
    same = np.kron(np.eye(2), np.ones((3, 3)))
    assert np.all((pairwise_distance(x, x, 1.0) == 0) == (same == 1))
    for gradient in pairwise_distance_vjp(same, x, x, 1.0):
        assert np.all(gradient == 0)
    check_vjp(  # the far pairs alone: at a kink there are no differences to compare with
        lambda x, y: (1 - same) * pairwise_distance(x, y, 1.0),
        lambda g, x, y: pairwise_distance_vjp((1 - same) * g, x, y, 1.0),
        x,
        x.copy(),
        rng=rng,
        step=1e-5,
    )


def test_points_not_inside_K2_are_refused_by_row():
    """Holds (K2)."""
    x = np.array([[0.1, 0.2], [0.8, 0.7]])
    for call in (
        lambda: pairwise_distance(x, x[:1], 1.0),
        lambda: pairwise_distance(x[:1], x, 1.0),
        lambda: pairwise_distance_vjp(np.ones((1, 2)), x[:1], x, 1.0),
    ):
        with pytest.raises(ValueError, match=r"^x\[1\]: 1 - c\|x\|\^2 is -0.13"):
            call()


@pytest.mark.parametrize(("m", "n"), [(0, 3), (3, 0), (0, 0), (1, 1)])
def test_empty_sets_and_single_points(m, n, rng):
    x, y = points(rng, [0.5] * m, 2, 1.0), points(rng, [0.6] * n, 2, 1.0)
    assert pairwise_sq(x, y).shape == pairwise_distance(x, y, 1.0).shape == (m, n)
    grad_x, grad_y = pairwise_distance_vjp(np.ones((m, n)), x, y, 1.0)
    assert grad_x.shape == (m, 2) and grad_y.shape == (n, 2)


@pytest.mark.parametrize("kind", ["apart", "two collapsed clusters", "all equal"])
def test_memory_stays_far_below_m_n_d(kind, rng):
    size, dim = 400, 512
    x = points(rng, [0.5] * size, dim, 1.0)
    if kind != "apart":
        x = x[np.arange(size) % (2 if kind == "two collapsed clusters" else 1)]
        x = x + (1e-9 * rng.standard_normal(x.shape) if kind != "all equal" else 0)
    tracemalloc.start()
    d = pairwise_distance(x, x.copy(), 1.0)
    pairwise_distance_vjp(d, x, x.copy(), 1.0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < size * size * dim * 8 / 8


def test_centring_spares_a_collapsed_cluster_the_direct_computation(rng):
    x = points(rng, [0.9], 64, 1.0) + 1e-6 * rng.standard_normal((50, 64))
    assert len(pairwise._squares(x, x.copy())[1]) == 50  # the diagonal alone
    assert len(pairwise._squares(x[:25], x[25:])[1]) == 0


def test_blocks_do_not_change_the_result(monkeypatch, rng):
    x, y = two_sets("two clusters", 128, 0.1, np.float64)
    g = rng.standard_normal((len(x), len(y)))
    d, grads = pairwise_distance(x, y, 0.1), pairwise_distance_vjp(g, x, y, 0.1)
    monkeypatch.setattr(pairwise, "BLOCK", 300)
    assert np.array_equal(pairwise_distance(x, y, 0.1), d)
    for got, want in zip(pairwise_distance_vjp(g, x, y, 0.1), grads, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-12 * np.max(np.abs(want)))
