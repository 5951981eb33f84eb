"""The arithmetic of the page in the browser, against the package and against mpmath's precision."""

import mpmath
import numpy as np
import pytest
from checks import limit

from hier_ref.draw.layout import geodesic
from hier_ref.poincare import distance, mobius_add

RIM, EPS = 1 - 1e-9, np.finfo(float).eps
PIXEL = 1e-3  # of the disk's radius, where it is large


def points(rng, n, farthest):
    """Points up to a radius, half of them at it."""
    angle, r = rng.uniform(0, 2 * np.pi, n), rng.uniform(0, farthest, n)
    r[::2] = farthest
    return np.stack([r * np.cos(angle), r * np.sin(angle)], axis=1)


def in_browser(page, name, *columns):
    call = f"arguments[0].map((row) => hier.{name}(...row))"
    return np.array(
        page.js(call, [[np.asarray(v).tolist() for v in row] for row in zip(*columns, strict=True)])
    )


@pytest.fixture
def rng():
    return np.random.default_rng(7)


@pytest.mark.parametrize(
    ("farthest", "tolerance"), [(0.9, "page"), (0.995, "page"), (RIM, "page_rim")]
)
def test_seen_is_moebius_subtraction_Y29(page, rng, farthest, tolerance):
    z, a = points(rng, 400, farthest), points(rng, 400, farthest)
    np.testing.assert_allclose(
        in_browser(page, "seen", z, a), mobius_add(-a, z, 1.0), rtol=0, atol=limit(tolerance)
    )


def test_all_nodes_are_seen_as_each_is_Y29(page, rng):
    for a in points(rng, 12, 0.99).tolist():
        both = page.driver.execute_script(
            "const t = hier.tree(), a = arguments[0]; hier.look(t, a); return [...t.wx].map("
            "(x, i) => [x, t.wy[i], t.s[i], ...hier.seen([t.x[i], t.y[i]], a)]);",
            a,
        )
        x, y, s, u, v = np.array(both).T
        assert (x == u).all() and (y == v).all()
        np.testing.assert_allclose(s, 1 - x**2 - y**2, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("farthest", "tolerance"), [(0.9, "page"), (0.995, "page"), (RIM, "page_rim")]
)
def test_what_is_dragged_comes_under_the_pointer_Y30(page, rng, farthest, tolerance):
    z, q = points(rng, 400, farthest), points(rng, 400, 0.98)
    a = in_browser(page, "drag", z, q)
    found = in_browser(page, "seen", z, a)
    assert np.abs(found - q).max() < limit(tolerance) < PIXEL


def test_dragging_Y30_is_exact_to_rounding(page, rng):
    """Against the same formula in 60 digits: the place from which to look is off by a few ε."""
    z, q = points(rng, 60, RIM), points(rng, 60, 0.98)
    with mpmath.workdps(60):
        for (x, y), (u, v), found in zip(
            z.tolist(), q.tolist(), in_browser(page, "drag", z, q).tolist(), strict=True
        ):
            p, w = mpmath.mpc(x, y), mpmath.mpc(u, v)
            gp, gw = 1 - abs(p) ** 2, 1 - abs(w) ** 2
            a = (gw * p - gp * w) / (1 - abs(p * w) ** 2)
            assert abs(mpmath.mpc(*found) - a) < limit("page_eps") * EPS / gw


@pytest.mark.parametrize("farthest", [0.9, RIM])
def test_a_small_step_at_the_rim_moves_nothing_far_Y30(page, rng, farthest):
    """A thousandth of the radius under the pointer is no more than some thousandths elsewhere."""
    z = points(rng, 200, farthest)
    q = points(rng, 200, 0.5)
    near = q + 1e-3 * points(rng, 200, 1.0)
    before, after = (in_browser(page, "seen", z, in_browser(page, "drag", z, p)) for p in (q, near))
    assert np.abs((after - before) - (near - q)).max() < 1e-4


def test_the_way_is_the_geodesic_Y31(page, rng):
    a, b = points(rng, 50, 0.98), points(rng, 50, 0.98)
    want = geodesic(a, b, 8)
    for k in range(9):
        found = in_browser(page, "along", a, b, np.full(50, k / 8))
        assert distance(found, want[:, k], 1.0).max() < 1e-9
    assert (in_browser(page, "along", a, b, np.ones(50)) == b).all()
    assert (in_browser(page, "along", a, a, np.full(50, 0.3)) == a).all()


def test_the_way_between_two_ends_of_the_rim_has_no_gap_Y31(page):
    a, b = [[RIM, 0.0]], [[-RIM, 0.0]]
    way = np.concatenate([in_browser(page, "along", a, b, [s]) for s in np.linspace(0, 1, 101)])
    assert np.isfinite(way).all() and (np.diff(way[:, 0]) <= 0).all()
    assert np.abs(way[:, 1]).max() == 0 and np.hypot(*way.T).max() < 1
