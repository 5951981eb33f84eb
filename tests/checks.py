"""The witnesses: independent ways to know a number, and how far a result may be from it.

Every operation is checked three times: against mpmath or a hand value (`ulps`, `norm_eps`),
against a law or a limit, and its gradient against autograd *and* central differences
(`check_vjp`). Each function here raises AssertionError or returns a number to compare with a
row of `LIMIT`; `test_checkers.py` checks that wrong results are caught.
"""

import mpmath
import numpy as np
from autograd import make_vjp

mpmath.mp.dps = 60

# Every tolerance of the suite: name -> (limit, reason). Tests refer to rows, not to numbers.
LIMIT = {
    "gap_ulp": (2, "measured at most 0.94 ulp: two roundings of 1 - p and of its correction"),
    "distance_ulp": (
        8,
        "measured at most 2.9 ulp here; libraries differ in arsinh by an ulp or two",
    ),
    "distance_grad_eps": (
        8,
        "measured at most 3.1 eps over the regimes of docs/appendix-accuracy.md",
    ),
    "vjp_eps": (8, "gradients of the ball by the largest that such a g can give: measured 5.4 eps"),
    "map_eps": (4, "measured at most 1.7 eps for ⊕, exp0 and log0, 2.8 for exp and log at x"),
    "pairwise_ulp": (
        16,
        "measured at most 12.9 ulp for q, 5.7 for d, with recomputation below 0.3",
    ),
    "pairwise_grad_eps": (12, "measured at most 3.6 eps"),
    "key_bound": (
        1,
        "derived; measured at most 0.08 of it for a product, 0.09 for pairs of float64",
    ),
    "loss_eps": (4, "LayerNorm, cosine, log-sum-exp, Proxy-Anchor: measured at most 1.9 eps"),
    "mlp_eps": (16, "an MLP in four layers, whose sums cancel: measured at most 11.8 eps"),
    "trajectory_eps": (8, "8 steps of AdamW: measured at most 2.7 eps"),
    "float32_grad": (4e-6, "Proxy-Anchor multiplies float32 eps by alpha = 32; measured 5.4e-7"),
    "choice_eps": (400, "weights are exp of up to 50, of whose rounding each unit costs 50 eps"),
    "parity_eps": (1e-15, "maps with the released constants, row by row: measured 2.9e-16"),
    "parity": (1e-12, "what goes through artanh near its cut: measured 6.8e-13"),
    "parity_slope": (
        1e-11,
        "artanh has slope 5e4 at its cut; against mpmath the released gradients are off by up to "
        "3.8e-12 themselves, these by 5.2e-12; apart by 6.7e-12",
    ),
    "parity_loss": (1e-13, "the promise; measured 3.4e-16"),
    "parity_stage": (1e-12, "distances and hinges: measured 4.1e-15"),
    "parity_gradient": (1e-11, "the promise, of the largest entry: measured 2.9e-14"),
    "parity_float32": (8e-6, "64 eps of float32 through distances and hinges; measured 4.8e-6"),
    "moments": (4e-15, "16 eps: two subtractions of means and a sum; measured 3e-16"),
    "closed_form": (4e-13, "covariances of condition up to 1e3; measured 3.7e-14"),
    "invariance": (1e-10, "of features mixed by a map of condition 16; measured 8.7e-12"),
    "autograd": (1e-12, "two float64 evaluations of one gradient: some thousand roundings"),
    "difference": (1e-7, "five-point differences in float64: eps^(4/5) times the curvature"),
    "page": (1e-12, "the page up to the reach of the layout, 0.995: measured at most 8.1e-14"),
    "page_rim": (1e-5, "points at 1 - 1e-9, whose own rounding is 1e-7 in length: measured 4.8e-7"),
    "page_eps": (4, "the place to look from, in ε over the pointer's gap: measured at most 2.9"),
}


def limit(name):
    """Return the limit of one row of the table."""
    return LIMIT[name][0]


def exact(array):
    """Turn a float array into nested lists of mpmath numbers, without rounding."""
    return [exact(row) for row in array] if np.ndim(array) else mpmath.mpf(float(array))


def _nan_is_worst(error):
    """Turn NaN into inf: max() over errors would silently drop a NaN."""
    return float("inf") if np.isnan(error) else float(error)


def ulps(got, want):
    """Error of the float scalar `got` in units in the last place of the mpmath number `want`."""
    got = np.asarray(got)
    spacing = np.spacing(np.abs(got.dtype.type(float(want))))
    return _nan_is_worst(float(abs(mpmath.mpf(float(got)) - want) / mpmath.mpf(float(spacing))))


def norm_eps(got, want):
    """Norm-wise relative error of the vector `got` (D,) against mpmath numbers, over eps."""
    got = np.asarray(got)
    error = mpmath.norm([mpmath.mpf(float(a)) - b for a, b in zip(got, want, strict=True)])
    size = mpmath.norm(want)
    if size == 0:
        return 0.0 if error == 0 else float("inf")
    return _nan_is_worst(float(error / size / mpmath.mpf(float(np.finfo(got.dtype).eps))))


def relative(got, want):
    """Largest difference over the largest entry of `want`; inf where got is not finite."""
    got, want = np.asarray(got), np.asarray(want)
    assert got.shape == want.shape, f"shape {got.shape}, expected {want.shape}"
    if not np.all(np.isfinite(got)):
        return float("inf")
    size = np.max(np.abs(want), initial=0.0)
    error = np.max(np.abs(got - want), initial=0.0)
    if size == 0:
        return float("inf") if error else 0.0
    return _nan_is_worst(error / size)


def central_difference(f, x, direction, step=1e-3):
    """Derivative of the scalar f at x along `direction`: five points, error O(step^4)."""
    near = f(x + step * direction) - f(x - step * direction)
    far = f(x + 2 * step * direction) - f(x - 2 * step * direction)
    return (8 * near - far) / (12 * step)


def check_vjp(f, vjp, *args, rng, step=1e-3, autograd=None, difference=None, directions=4):
    """Check `vjp(g, *args)` against autograd and central differences of `f(*args)`.

    `vjp` returns one gradient per array of `args`, a tuple when there are several. `step` is
    the length of the move in the differences: well below the distance to the next kink or to
    the boundary. Limits default to the rows "autograd" and "difference".
    """
    g = rng.standard_normal(np.shape(f(*args)))
    grads = vjp(g, *args)
    grads = grads if isinstance(grads, tuple) else (grads,)
    assert len(grads) == len(args)
    for position, (arg, grad) in enumerate(zip(args, grads, strict=True)):
        witness = make_vjp(f, position)(*args)[0](g)
        error = relative(grad, witness)
        assert error <= (autograd or limit("autograd")), f"argument {position}: autograd {error}"

        def moved(value, position=position):
            return np.sum(g * f(*args[:position], value, *args[position + 1 :]))

        for _ in range(directions):
            direction = rng.standard_normal(np.shape(arg))
            direction /= np.linalg.norm(direction)
            got = np.sum(grad * direction)
            want = central_difference(moved, arg, direction, step)
            error, size = abs(got - want), np.linalg.norm(grad)
            assert error <= (difference or limit("difference")) * size, (
                f"argument {position}: central difference {want}, got {got}, gradient {size}"
            )
