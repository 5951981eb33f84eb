"""What rounding does to the keys of retrieval, against mpmath: no more than their bounds say."""

from functools import cache

import mpmath
import numpy as np
import pytest
from checks import exact, limit

from hier_ref.poincare import gap
from hier_ref.retrieval.exact_keys import PairKeys, width
from hier_ref.retrieval.keys import Codes, Points, ranking_keys
from hier_ref.retrieval.recall import LONG, rank_gallery

DIMENSIONS = [1, 2, 7, 128, 512]
# Distance from the boundary, and how far apart the points are, as parts of their length.
REGIMES = {
    "inside": (0.5, 1.0),
    "at the boundary": (1e-6, 1.0),
    "close": (0.5, 1e-4),
    "close at the boundary": (1e-6, 1e-5),
    "touching": (0.3, 3e-7),
}


def points(regime, dim, dtype, c):
    """Seven points of a regime, of the ball unless c is 0; the last two of opposite sign."""
    rng = np.random.default_rng(dim)
    margin, spread = REGIMES[regime]
    x = rng.standard_normal(dim) + spread * rng.standard_normal((7, dim))
    x[6] *= -1
    x *= (1 - margin) / np.linalg.norm(x, axis=1, keepdims=True)
    return (x / np.sqrt(c or 1)).astype(dtype)


def mp_root_keys(x, y, c):
    """The roots of the keys (R3), from their definition: coordinates and gaps of the points."""
    x, y = exact(x), exact(y)
    if not c:
        x, y = ([mp_direction(row) for row in each] for each in (x, y))
    gaps = [1 - mpmath.mpf(c) * mpmath.fdot(row, row) for row in y]
    columns = list(zip(y, gaps, strict=True))
    return [[mp_distance(p, q) / mpmath.sqrt(g) for q, g in columns] for p in x]


def mp_direction(row):
    norm = mpmath.norm(row)
    return [a / norm for a in row]


def mp_distance(p, q):
    return mpmath.norm([a - b for a, b in zip(p, q, strict=True)])


@cache
def cases(dtype, c):
    """Three queries, a gallery of four and the roots of their keys, for each regime and D."""
    sets = [points(regime, dim, dtype, c) for dim in DIMENSIONS for regime in REGIMES]
    return [(z[:3], z[3:], mp_root_keys(z[:3], z[3:], c)) for z in sets]


def share_of_bound(keys, lows, roots, bounds):
    """The largest error of the roots of keys, pairs high + low, in parts of rho n + sigma."""
    rho, sigma = map(mpmath.mpf, bounds)
    errors = (
        abs(mpmath.sqrt(mpmath.mpf(float(k)) + mpmath.mpf(float(l))) - n) / (rho * n + sigma)
        for k, l, n in zip(np.ravel(keys), np.ravel(lows), sum(roots, []), strict=True)
    )
    return float(max(errors))


def gaps_of(y, c):
    return gap(y.astype(float), c) if c else None


def in_parts_of_bound(found, roots, unit):
    """The largest error of the first keys; for cosines, q is 2 more than twice the key."""
    key, worst = found.first(slice(0, 3)), 0
    for row, want, error in zip(key, roots, found.error, strict=True):
        for k, n in zip(row, want, strict=True):
            exactly = (n / unit) ** 2 if unit else n**2 / 2 - 1
            worst = max(worst, abs(mpmath.mpf(float(k)) - exactly) / mpmath.mpf(float(error)))
    return float(worst)


@pytest.mark.parametrize("c", [0, 0.1, 1.0])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_first_keys_R6_are_within_their_bound(dtype, c):
    worst = 0
    for x, y, roots in cases(dtype, c):
        unit = 2.0 ** np.frexp(max(np.abs(x).max(), np.abs(y).max()))[1] if c else None
        worst = max(worst, in_parts_of_bound(Points(x, y, c, gaps_of(y, c)), roots, unit))
    assert worst <= limit("key_bound")
    assert worst >= 0.01, "a bound a hundred times wider than any error would say nothing"


@pytest.mark.parametrize("c", [0, 0.1, 1.0])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("rung", [0, 1])
def test_closer_keys_R7_are_within_their_bounds(dtype, c, rung):
    """Holds (R7)."""
    worst = 0
    i, j = np.divmod(np.arange(12), 4)
    for x, y, roots in cases(dtype, c):
        closer, bounds = PairKeys(x, y, c, gaps_of(y, c)).rungs()[rung]
        worst = max(worst, share_of_bound(*closer(i, j), roots, bounds))
    assert worst <= limit("key_bound")
    assert worst >= 0.01, "a bound a hundred times wider than any error would say nothing"


def test_closer_keys_R7_of_directions_apart_by_one_rounding():
    """Where high parts cancel: the angle is in the low parts alone."""
    x = np.array([[0.4339716653120689, 0.25], [1 / 3, 1.0]])
    y = x * [1, 1 + 2.0**-52]
    pairs = PairKeys(x, y, 0, None)
    closer, bounds = pairs.rungs()[1]
    got = closer(np.array([0, 1]), np.array([0, 1]))
    roots = mp_root_keys(x, y, 0)
    assert share_of_bound(*got, [[roots[0][0], roots[1][1]]], bounds) <= limit("key_bound")
    assert (got[0] > 0).all()


def test_width_R7_is_beyond_the_worst_that_the_bound_allows():
    """Roots as far apart as may stand in the wrong order, at the largest rho and without."""
    for rho, sigma in [(0.01, 0), (0.01, 1e-3), (1e-5, 1e-5), (0, 1e-4), (2.0**-100, 2.0**-100)]:
        rho, sigma = mpmath.mpf(rho), mpmath.mpf(sigma)
        for low in (0, 1e-6, 1e-3, 1.0, 2.0):
            n = (mpmath.mpf(low) + sigma) / (1 - rho)  # the true root, read as `low`
            high = n * (1 + rho) + sigma  # the same root, read as high as may be
            wide = width(np.float64(low) ** 2, float(rho), float(sigma))
            assert high**2 - mpmath.mpf(low) ** 2 <= mpmath.mpf(float(wide))


def test_codes_R9_are_taken_for_what_they_are():
    """Holds (R9)."""
    signs = np.random.default_rng(0).choice([-1, 0, 1], (9, 30))
    for codes in (signs, signs * 0.1, signs / np.sqrt(30), signs * 2.0**300, 7 * signs * 5.0):
        assert isinstance(ranking_keys(codes, codes, 0, None), Codes)
    small = np.random.default_rng(1).integers(0, 4, (9, 30)) * np.arange(9)[:, None]
    assert isinstance(ranking_keys(small.astype("f4"), 1.0 * small, 0, None), Codes)
    for other in (signs + 1e-9, np.cumsum(signs, axis=1) * 0.1, 40 * small + 1):
        assert isinstance(ranking_keys(signs * 1.0, other, 0, None), Points)
    assert isinstance(ranking_keys(0.01 * signs, 0.01 * signs, 1, np.ones(9)), Points)


def test_codes_R9_have_keys_that_compare_as_fractions_do():
    """At the limit 2^16 = D m²: all quotients t|t|/n of four coordinates up to 128."""
    rng = np.random.default_rng(2)
    x, y = rng.integers(-128, 129, (1, 4)), rng.integers(-128, 129, (4000, 4))
    x[0, 0] = y[0, 0] = 128
    key = Codes(x, y).first(slice(0, 1))[0]
    t, n = (x @ y.T)[0].tolist(), np.maximum((y**2).sum(axis=1), 1).tolist()
    order = np.argsort(key, kind="stable")
    for a, b in zip(order, order[1:], strict=False):
        exact_difference = t[a] * abs(t[a]) * n[b] - t[b] * abs(t[b]) * n[a]
        assert exact_difference >= 0
        assert (exact_difference == 0) == (key[a] == key[b])


@pytest.mark.parametrize("c", [0, 0.1])
def test_long_points_R6_are_ranked_in_float64(c):
    """Beyond LONG the bound of float32 would not hold; there is none for shorter ones to miss."""
    z = np.random.default_rng(3).standard_normal((6, LONG + 1)).astype(np.float32) / 500
    labels = np.arange(6) // 2
    short = z[:, :LONG]
    found = Points(short, short, c, gaps_of(short, c))
    assert found.error.max() <= 0.01 * np.abs(found.first(slice(0, 6))).max()
    z[2] = z[1] * (1 + 2.0**-12)  # in float32 the keys of both would be in open order
    want = rank_gallery(z.astype(float), labels, z.astype(float), labels, c, True)
    for a, b in zip(rank_gallery(z, labels, z, labels, c, True), want, strict=True):
        np.testing.assert_array_equal(a, b)
