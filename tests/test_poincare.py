"""The ball against mpmath in every regime, against its own laws, and at its kinks."""

import autograd.numpy as anp
import ball_reference as reference
import mpmath
import numpy as np
import pytest
from autograd import grad
from ball_reference import CURVATURES, DIMENSIONS, FRACTIONS, REGIMES, directions, pairs, points
from checks import check_vjp, exact, limit, norm_eps, ulps
from hypothesis import given, settings
from hypothesis import strategies as st

from hier_ref import compensated, poincare
from hier_ref.poincare import (
    clip_norm,
    clip_norm_vjp,
    conformal_factor,
    distance,
    distance_vjp,
    expmap,
    expmap0,
    expmap0_vjp,
    gap,
    logmap,
    logmap0,
    mobius_add,
    to_ball,
    to_ball_vjp,
)

DTYPES = (np.float32, np.float64)


def regimes(*names):
    """Parametrise over regimes, dimensions, curvatures and dtypes: the test gets x, y and c."""
    cases = [
        (regime, dim, c, dtype)
        for regime in names or REGIMES
        for dim in DIMENSIONS
        for c in CURVATURES
        for dtype in DTYPES
        if dtype == np.float64 or dim in (2, 128)
    ]
    ids = [f"{regime}-{dim}-{c}-{dtype.__name__}" for regime, dim, c, dtype in cases]
    return pytest.mark.parametrize("case", cases, ids=ids)


def assert_rows(error, bound, got, want, *arrays):
    """Compare each row of `got` with want(exact rows of arrays..., c)."""
    *arrays, c = arrays
    assert got.dtype == arrays[0].dtype
    for row, *inputs in zip(got, *arrays, strict=True):
        wanted = want(*map(exact, inputs), c)
        found = error(row, wanted)
        assert found <= bound, f"error {found}, limit {bound}, at {inputs}"


# Against mpmath.


@regimes("interior", "radius", "origin")
def test_gap_B1(case):
    """Holds (B1)."""
    x, c = pairs(*case)[0], case[2]
    assert_rows(ulps, limit("gap_ulp"), gap(x, c), reference.gap, x, c)
    wanted = lambda x, c: 2 / reference.gap(x, c)  # noqa: E731
    assert_rows(ulps, limit("gap_ulp"), conformal_factor(x, c), wanted, x, c)


@regimes("interior", "radius", "near-equal", "antipodal", "origin")
def test_distance_B3(case):
    (x, y), c = pairs(*case), case[2]
    assert_rows(ulps, limit("distance_ulp"), distance(x, y, c), reference.distance, x, y, c)


@regimes("interior", "radius", "near-equal", "antipodal", "origin")
def test_distance_B3_gradient(case):
    (x, y), c = pairs(*case), case[2]
    apart = np.any(x != y, axis=1)
    x, y = x[apart], y[apart]
    grad_x, grad_y = distance_vjp(np.ones(len(x), x.dtype), x, y, c)
    bound, wanted = limit("distance_grad_eps"), reference.distance_grad
    assert_rows(norm_eps, bound, grad_x, wanted, x, y, c)
    assert_rows(norm_eps, bound, grad_y, wanted, y, x, c)


@regimes()
def test_mobius_add_B4(case):
    """Against Ungar's addition as he writes it (B13), in mpmath."""
    (x, y), c = pairs(*case), case[2]
    opposite = np.all(x == -y, axis=1)
    assert np.all(mobius_add(x[opposite], y[opposite], c) == 0)
    x, y = x[~opposite], y[~opposite]
    assert_rows(norm_eps, limit("map_eps"), mobius_add(x, y, c), reference.mobius_add, x, y, c)


@regimes("interior", "radius", "origin")
def test_logmap0_B6_and_expmap0_B5(case):
    y, c = pairs(*case)[0], case[2]
    u = logmap0(y, c)
    assert_rows(norm_eps, limit("map_eps"), u, reference.logmap0, y, c)
    assert_rows(norm_eps, limit("map_eps"), expmap0(u, c), reference.expmap0, u, c)


@regimes("interior", "radius")
def test_expmap0_B5_gradient_within_eps_of_its_norm(case):
    (y, g), c = pairs(*case), case[2]
    u = logmap0(y, c)
    n = np.sqrt(c) * np.linalg.norm(u.astype(np.float64), axis=1)
    size = np.tanh(n) / n * np.linalg.norm(g, axis=1) * np.finfo(u.dtype).eps
    for row, *inputs, unit in zip(expmap0_vjp(g, u, c), g, u, size, strict=True):
        wanted = reference.expmap0_vjp(*map(exact, inputs), c)
        error = mpmath.norm([mpmath.mpf(float(s)) - t for s, t in zip(row, wanted, strict=True)])
        assert error <= limit("map_eps") * unit


@regimes()
def test_logmap_B8(case):
    (x, y), c = pairs(*case), case[2]
    apart = np.any(x != y, axis=1)
    assert np.all(logmap(x[~apart], y[~apart], c) == 0)
    x, y = x[apart], y[apart]
    assert_rows(norm_eps, limit("map_eps"), logmap(x, y, c), reference.logmap, x, y, c)


@pytest.mark.parametrize("length", [1e-6, 0.1, 1.0, 2.0])
@regimes("interior", "radius")
def test_expmap_B7_to_the_size_of_its_points(case, length):
    """The end may be near 0, where rounding of the start stays: so relative to both points."""
    x, c = pairs(*case)[0][::2], case[2]
    u = directions(np.random.default_rng(0), len(x), x.shape[1]) * gap(x, c)[:, None]
    u = (length / np.sqrt(c) * u).astype(x.dtype)
    for start, tangent, end in zip(x, u, expmap(x, u, c), strict=True):
        wanted = reference.expmap(exact(start), exact(tangent), c)
        size = mpmath.norm(wanted)
        share = size / (size + mpmath.norm(exact(start)))
        assert norm_eps(end, wanted) * share <= limit("map_eps")


def test_hand_values_of_B2_to_B10():
    """With c = 1: (B2) (B3) (B4) (B5) (B6) (B7) (B8) (B9) (B10)."""
    zero, x, u = np.zeros(2), np.array([0.6, 0.0]), np.array([np.log(2.0), 0.0])
    close = {"rtol": 4e-16, "atol": 0}
    np.testing.assert_allclose(conformal_factor(x, 1.0), 2 / 0.64, **close)
    np.testing.assert_allclose(distance(zero, x, 1.0), np.log(4.0), **close)
    np.testing.assert_allclose(mobius_add(x, x, 1.0), [1.2 / 1.36, 0.0], **close)
    np.testing.assert_allclose(expmap0(u, 1.0), x, **close)
    np.testing.assert_allclose(logmap0(x, 1.0), u, **close)
    np.testing.assert_allclose(expmap(x, 0.64 * u, 1.0), [1.2 / 1.36, 0.0], **close)
    np.testing.assert_allclose(logmap(x, zero, 1.0), -0.64 * u, **close)
    np.testing.assert_allclose(clip_norm(np.array([3.0, 4.0]), 2.5), [1.5, 2.0], **close)
    np.testing.assert_allclose(to_ball(10 * u, 1.0, np.log(2.0)), x, **close)


def test_product_B11_and_two_sum_B12_are_exact(rng):
    """Holds (B11) (B12)."""
    x, y = rng.standard_normal((2, 200)) * 10.0 ** rng.integers(-8, 9, (2, 200))
    for op, pair in ((mpmath.fmul, compensated.product), (mpmath.fadd, compensated.two_sum)):
        rounded, lost = pair(x, y)
        for s, t, high, low in zip(*map(exact, (x, y, rounded, lost)), strict=True):
            assert high + low == op(s, t)
        assert np.any(lost != 0)


# Gradients against mpmath, where autograd and differences in float64 lose their digits.

VJP_REGIMES = ("interior", "radius", "near-equal", "beside", "nearly-opposite", "antipodal")
LENGTHS = (1e-6, 1.0, 4.0, 12.0)


def vjp_errors(name, g, arguments, c, scale=1.0):
    """Errors of a gradient in float64 over eps times the largest that such a long g can give.

    In one dimension there is no other direction, and terms can cancel: two or more are asked for.
    """
    found = getattr(poincare, f"{name}_vjp")(g, *arguments, c)
    exactly, cotangent = [exact(v) for v in arguments], exact(np.atleast_1d(g))
    errors = []
    for place, got in enumerate(found if isinstance(found, tuple) else (found,)):
        jacobian = reference.jacobian(getattr(reference, name), exactly, place, c)
        wanted = jacobian.T * mpmath.matrix(cotangent)
        size = reference.largest(jacobian) * mpmath.norm(cotangent) * scale
        error = mpmath.norm(mpmath.matrix(exact(got)) - wanted)
        errors.append(float(error / size / np.finfo(float).eps))
    return errors


@pytest.mark.parametrize("name", ["distance", "mobius_add", "logmap"])
@pytest.mark.parametrize("c", [0.01, 1.0, 4.0])
@pytest.mark.parametrize(("dim", "every"), [(2, 1), (7, 6)])
@pytest.mark.parametrize("regime", VJP_REGIMES)
def test_gradients_of_two_points_to_the_last_digits(name, c, dim, every, regime, rng):
    """(B3') (B4') (B8') up to a gap of 1e-12: opposite, near the boundary, nearly equal."""
    x, y = points_in_float64(regime, dim, c)
    for ends in zip(x[::every], y[::every], strict=True):
        if name != "distance" or np.any(ends[0] != ends[1]):
            g = rng.standard_normal(() if name == "distance" else dim)
            assert max(vjp_errors(name, g, ends, c)) <= limit("vjp_eps"), ends


def points_in_float64(regime, dim, c):
    """The pairs of a regime, those of which one is nearer to the boundary than 1e-12 left out."""
    seed = np.random.default_rng(dim)
    x, y = reference.all_pairs(regime, seed, dim, c)
    inside = [c * np.sum(p**2, axis=1) < 1 - 9e-13 for p in (x, y)]
    return x[inside[0] & inside[1]], y[inside[0] & inside[1]]


@pytest.mark.parametrize("c", [0.01, 1.0, 4.0])
@pytest.mark.parametrize("dim", [2, 7])
def test_gradients_of_one_point_to_the_last_digits(c, dim, rng):
    """(B1') (B2') (B5') (B6') up to a gap of 1e-12."""
    for x in points(rng, FRACTIONS, dim, c):
        for name, at in {"gap": x, "conformal_factor": x, "logmap0": x}.items():
            g = rng.standard_normal(dim if name == "logmap0" else ())
            assert max(vjp_errors(name, g, [at], c)) <= limit("vjp_eps")
        g, u = rng.standard_normal(dim), logmap0(x, c)
        assert max(vjp_errors("expmap0", g, [u], c)) <= limit("vjp_eps")


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("c", [0.01, 1.0, 4.0])
@pytest.mark.parametrize("dim", [2, 7])
def test_expmap_B7_gradient_to_what_rounding_a_step_does_to_its_end(length, c, dim, rng):
    """A direction off by eps moves the end of a step by eps sinh of its length, in the metric."""
    for x in points(rng, FRACTIONS, dim, c):
        sideways = directions(rng, 1, dim)[0]
        for u in (sideways, -x / np.linalg.norm(x)):
            ends = x, length / np.sqrt(c) / conformal_factor(x, c) * u
            g, scale = rng.standard_normal(dim), np.cosh(length)
            assert max(vjp_errors("expmap", g, ends, c, scale)) <= limit("vjp_eps")


@pytest.mark.parametrize("c", [0.01, 1.0, 4.0])
@pytest.mark.parametrize("share", [0.3, 3.0])
def test_to_ball_B10_gradient_to_the_last_digits(c, share, rng):
    """And of clipping (B9'), from a tenth of the radius of clipping to where tanh is flat.

    Holds (B10').
    """
    for length in (0.1, 1.0, 4.0, 12.0):
        r, u = length / np.sqrt(c), share * length / np.sqrt(c) * directions(rng, 1, 3)[0]
        for name, to in (("clip_norm", (r,)), ("to_ball", (c, r))):
            g = rng.standard_normal(3)
            got = getattr(poincare, f"{name}_vjp")(g, u, *to)
            forward = getattr(reference, name)
            jacobian = reference.jacobian(forward, [exact(u)], 0, to)
            wanted = jacobian.T * mpmath.matrix(exact(g))
            size = reference.largest(jacobian) * mpmath.norm(exact(g)) * np.finfo(float).eps
            assert mpmath.norm(mpmath.matrix(exact(got)) - wanted) <= limit("vjp_eps") * size


def test_logmap_B8_gradient_between_points_whose_difference_rounds_to_the_boundary():
    """(-x) ⊕ y is 1 - 1e-24 long here; the gradient is within eps of the one by 120 digits."""
    x, y = np.array([1 - 1e-12, 0.0]), np.array([-0.6, 0.8]) * (1 - 1e-12)
    assert np.sum(mobius_add(-x, y, 1.0) ** 2) == 1
    assert max(vjp_errors("logmap", np.array([1.0, -2.0]), (x, y), 1.0)) <= limit("vjp_eps")


# Gradients against autograd and central differences.

ONE_POINT = ("gap", "conformal_factor", "expmap0", "logmap0")
TWO_POINTS = ("distance", "mobius_add", "expmap", "logmap")


@pytest.mark.parametrize("fraction", [0.3, 0.9, 0.99])
@pytest.mark.parametrize("dim", [1, 2, 16])
@pytest.mark.parametrize("c", [0.1, 1.0])
@pytest.mark.parametrize("op", ONE_POINT + TWO_POINTS)
def test_gradients_by_autograd_and_differences(op, c, dim, fraction, rng):
    """(B1') (B2') (B3') (B4') (B5') (B6') (B7') (B8')."""
    forward, vjp = getattr(poincare, op), getattr(poincare, f"{op}_vjp")
    x = points(rng, rng.uniform(0.1, fraction, 5), dim, c)
    y = points(rng, rng.uniform(0.1, fraction, 5), dim, c)
    y[:2] = 0.95 * x[:2]
    if op == "expmap":
        y = gap(x, c)[:, None] * y
    args, step = (x, y) if op in TWO_POINTS else (x,), 1e-4 * (1 - fraction)
    check_vjp(lambda *a: forward(*a, c), lambda g, *a: vjp(g, *a, c), *args, rng=rng, step=step)


@pytest.mark.parametrize("r", [0.5, 1.0, 2.3])
def test_clip_norm_B9_gradient_and_to_ball_B10_gradient(r, rng):
    u = directions(rng, 6, 7) * rng.choice([0.4, 0.8, 1.7, 3.0], (6, 1))
    check_vjp(lambda u: clip_norm(u, r), lambda g, u: clip_norm_vjp(g, u, r), u, rng=rng)
    check_vjp(lambda u: to_ball(u, 0.1, r), lambda g, u: to_ball_vjp(g, u, 0.1, r), u, rng=rng)


# Laws.

# In steps of 1e-12, so that no difference underflows.
coordinates = st.lists(st.integers(-(10**12), 10**12), min_size=9, max_size=9)
repeatable = settings(derandomize=True, deadline=None, database=None)


def three_points(values, c):
    """Three points of the cube within the ball of radius 0.87/√c, corners included."""
    return 0.5e-12 * np.reshape(np.array(values, float), (3, 3)) / np.sqrt(c)


@repeatable
@given(coordinates, st.sampled_from(CURVATURES))
def test_distance_B3_is_a_metric(values, c):
    x, y, z = three_points(values, c)
    assert distance(x, y, c) == distance(y, x, c)
    assert (distance(x, y, c) == 0) == bool(np.all(x == y))
    over = distance(x, z, c) - (distance(x, y, c) + distance(y, z, c))
    assert over <= 2 * limit("distance_ulp") * np.finfo(float).eps * distance(x, z, c)


@repeatable
@given(coordinates, st.sampled_from(CURVATURES))
def test_mobius_add_B4_is_an_isometry_and_cancels_on_the_left(values, c):
    x, y, t = three_points(values, c)
    root, eps = np.sqrt(c), 200 * np.finfo(float).eps  # conditioning: 1/gap^2 at gap 0.25
    np.testing.assert_allclose(mobius_add(-t, mobius_add(t, x, c), c), x, atol=eps / root)
    moved = distance(mobius_add(t, x, c), mobius_add(t, y, c), c)
    np.testing.assert_allclose(moved, distance(x, y, c), rtol=eps, atol=eps / root)


@repeatable
@given(coordinates, st.sampled_from(CURVATURES))
def test_expmap_B7_and_logmap_B8_are_inverse_and_have_the_length_of_the_geodesic(values, c):
    x, y, z = three_points(values, c)
    eps = 200 * np.finfo(float).eps / np.sqrt(c)
    u = logmap(x, y, c)
    np.testing.assert_allclose(expmap(x, u, c), y, atol=eps)
    np.testing.assert_allclose(expmap0(logmap0(z, c), c), z, atol=eps)
    length = conformal_factor(x, c) * np.linalg.norm(u)
    np.testing.assert_allclose(length, distance(x, y, c), rtol=1e-14)


@regimes("interior", "radius", "near-equal", "antipodal")
def test_distance_B3_gradient_has_unit_slope(case):
    (x, y), c = pairs(*case), case[2]
    apart = np.any(x != y, axis=1)
    x, y = x[apart].astype(float), y[apart].astype(float)
    slopes = distance_vjp(np.ones(len(x)), x, y, c)
    for slope, at in zip(slopes, (x, y), strict=True):
        unit = np.linalg.norm(slope, axis=1) * gap(at, c) / 2
        assert (
            np.max(np.abs(unit - 1), initial=0) <= limit("distance_grad_eps") * np.finfo(float).eps
        )


def test_distance_B3_tends_to_twice_the_euclidean_as_c_tends_to_0(rng):
    x, y = rng.standard_normal((2, 5, 4))
    euclidean = 2 * np.linalg.norm(x - y, axis=1)
    for c in (1e-4, 1e-6, 1e-8):
        assert np.all(np.abs(distance(x, y, c) / euclidean - 1) < 20 * c)


# Kinks and limits of the domain.


@regimes("equal")
def test_equal_points_K1_distance_0_gradient_0(case):
    """Holds (K1)."""
    (x, y), c = pairs(*case), case[2]
    assert np.all(distance(x, y, c) == 0)
    for gradient in distance_vjp(np.ones(len(x), x.dtype), x, y, c):
        assert np.all(gradient == 0)
    by_autograd = grad(lambda x: anp.sum(distance(x, y, c)))(x)
    assert np.all(by_autograd == 0)


@pytest.mark.parametrize("coordinate", [1.0, 1.5, 1e200, np.inf, np.nan])
@pytest.mark.parametrize("op", [gap, conformal_factor, logmap0])
def test_points_not_inside_K2_are_refused_by_row(op, coordinate):
    x = np.array([[0.5, 0.0], [0.0, coordinate]])
    with pytest.raises(ValueError, match=r"^x\[1\]: 1 - c\|x\|\^2 is .*, expected above 0"):
        op(x, 1.0)
    for two in (distance, mobius_add, logmap):
        with pytest.raises(ValueError, match="expected above 0"):
            two(np.zeros((2, 2)), x, 1.0)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_tangent_that_rounds_to_the_boundary_K2_is_refused_by_the_next_operation(dtype):
    far = expmap0(np.array([[40.0, 0.0]], dtype), 1.0)
    assert far[0, 0] == 1
    with pytest.raises(ValueError, match="expected above 0"):
        distance(far, np.zeros_like(far), 1.0)


@pytest.mark.parametrize("c", [0.0, -1.0, np.inf, np.nan])
def test_a_curvature_that_is_not_negative_is_refused(c):
    with pytest.raises(ValueError, match="expected a positive number"):
        distance(np.zeros(2), np.zeros(2), c)


@pytest.mark.parametrize("dim", [1, 3])
def test_the_origin_K3_is_smooth(dim, rng):
    """Holds (K3)."""
    zero, g = np.zeros((2, dim)), rng.standard_normal((2, dim))
    x = points(rng, [0.5, 0.9], dim, 0.1)
    for name, args in {
        "expmap0": (zero,),
        "logmap0": (zero,),
        "expmap": (x, zero),
        "logmap": (x, x),
    }.items():
        op, vjp = getattr(poincare, name), getattr(poincare, f"{name}_vjp")
        by_hand = vjp(g, *args, 0.1)
        np.testing.assert_allclose(by_hand if len(args) == 1 else by_hand[1], g, rtol=1e-14)
        check_vjp(
            lambda *a, op=op: op(*a, 0.1),
            lambda g, *a, vjp=vjp: vjp(g, *a, 0.1),
            *args,
            rng=rng,
            step=1e-4,
        )


@pytest.mark.parametrize("dtype", DTYPES)
def test_clip_at_the_radius_K4_is_the_identity(dtype):
    """Holds (K4)."""
    u, g = np.array([[3.0, 4.0], [0.0, 0.0]], dtype), np.array([[1.0, 2.0], [3.0, 4.0]], dtype)
    assert np.array_equal(clip_norm(u, 5.0), u)
    assert np.array_equal(clip_norm_vjp(g, u, 5.0), g)
    assert np.array_equal(clip_norm(u, np.inf), u)
    shrunk = clip_norm_vjp(g, u, np.nextafter(5.0, 0.0))
    assert np.allclose(shrunk[0], g[0] - 11 / 25 * u[0]) and np.array_equal(shrunk[1], g[1])


@pytest.mark.parametrize(
    ("dtype", "huge", "tiny"), [(np.float32, 3e38, 1e-44), (np.float64, 1e306, 1e-320)]
)
def test_huge_and_tiny_tangents_keep_their_direction(dtype, huge, tiny):
    u = np.full((1, 128), huge, dtype)
    np.testing.assert_allclose(clip_norm(u, 2.3), 2.3 / np.sqrt(128), rtol=1e-6)
    np.testing.assert_allclose(to_ball(u, 1.0, 2.3), np.tanh(2.3) / np.sqrt(128), rtol=1e-6)
    assert np.all(np.isfinite(to_ball_vjp(np.ones_like(u), u, 1.0, 2.3)))
    small = np.full((1, 128), tiny, dtype)
    assert np.array_equal(to_ball(small, 1.0, 2.3), small)
    assert distance(small, 0 * small, 1.0)[0] > 0


@pytest.mark.parametrize("fraction", FRACTIONS)
def test_everything_is_finite_inside(fraction, rng):
    x, y = points(rng, [fraction] * 4, 3, 1.0), points(rng, [0.5] * 4, 3, 1.0)
    for name in ("distance", "mobius_add", "logmap"):
        result = getattr(poincare, name)(x, y, 1.0)
        gradients = getattr(poincare, f"{name}_vjp")(np.ones_like(result), x, y, 1.0)
        assert all(np.all(np.isfinite(part)) for part in (result, *gradients))


def test_c_of_numpy_and_single_points_keep_the_dtype():
    x = np.array([0.1, 0.2], np.float32)
    for result in (*distance_vjp(1.0, x, -x, np.float64(0.1)), distance(x, -x, c=np.float64(0.1))):
        assert result.dtype == np.float32
