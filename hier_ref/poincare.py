"""The Poincaré ball of curvature -c, each operation directly followed by its gradient.

Points have c|x|^2 < 1; all functions act on the last axis. Formulas are evaluated in float64 and
rounded once to the dtype of the arrays given. Gradients (`<op>_vjp`) take the incoming cotangent
`g` first and need arrays of equal shapes. Derivations: docs/1-ball.md.
"""

from collections.abc import Callable
from functools import wraps
from math import frexp
from typing import Any, TypeVar

import autograd.numpy as np
from autograd.tracer import getval
from numpy import errstate, ndarray

from hier_ref.compensated import product, total
from hier_ref.ranges import is_real, plain, power, shown

_Op = TypeVar("_Op", bound=Callable[..., Any])
CURVATURES = 1e-280, 1e280
FLAT = 1e-100  # arsinh(ρ) = ρ to the last digit, far above where ρ itself loses digits


def _in_float64(op: _Op) -> _Op:
    """Evaluate `op` in float64 and round its results once: float32 in, float32 out."""

    def wide(value: Any) -> Any:
        if np.ndim(value):
            return value.astype(np.float64, copy=False)
        found = plain(value)
        return float(found) if is_real(found) else found

    @wraps(op)
    def evaluated(*args: Any, **kwargs: Any) -> Any:
        dtype = np.result_type(*(v.dtype for v in (*args, *kwargs.values()) if np.ndim(v)))
        result = op(*map(wide, args), **{name: wide(v) for name, v in kwargs.items()})
        if isinstance(result, tuple):
            return tuple(part.astype(dtype) for part in result)
        return result.astype(dtype)

    return evaluated  # type: ignore[return-value]


def root(c: float) -> float:
    """Return √c; ValueError unless c is a number in `CURVATURES`.

    Between them neither c nor the squares of points leave the range of float64.
    """
    found = plain(c)
    if not is_real(found) or not CURVATURES[0] <= found <= CURVATURES[1]:
        what = "a positive number from {} to {}".format(*CURVATURES)
        raise ValueError(f"c is {shown(found)}, expected {what}: the ball has curvature -c")
    return float(found) ** 0.5


def _radius(r: float) -> float:
    found = plain(r)
    if not is_real(found) or not found >= 0:
        raise ValueError(f"clip radius {shown(found)}: expected a number, at least 0")
    return r


def _finite(u: ndarray) -> ndarray:
    """Return tangent vectors as they are; ValueError where one is not finite."""
    finite = np.isfinite(getval(u))
    if not np.all(finite):
        row = [int(i) for i in np.argwhere(~finite)[0][:-1]]
        raise ValueError(f"u{row or ''}: found NaN or infinity, expected a finite vector")
    return u


def _norm(u: ndarray) -> ndarray:
    """|u|, without overflow or underflow of the squares; its gradient at 0 is 0."""
    size = np.max(np.abs(u), axis=-1)
    zero = size == 0
    squares = np.sum((u / np.where(zero, 1.0, size)[..., None]) ** 2, axis=-1)
    return size * np.sqrt(np.where(zero, 1.0, squares))


def _unit(u: ndarray) -> ndarray:
    """u/|u|, and 0 at u = 0."""
    n = _norm(u)
    return u / np.where(n == 0, 1.0, n)[..., None]


def _ratio(value: ndarray, z: ndarray) -> ndarray:
    """value/z, and 1 at z = 0: the limit for value = tanh(z), arsinh(z), artanh(z)  (K3)."""
    zero = z == 0
    return np.where(zero, 1.0, value / np.where(zero, 1.0, z))


def _dot(u: ndarray, v: ndarray) -> ndarray:
    return np.sum(u * v, axis=-1)[..., None]


@_in_float64
def gap(x: ndarray, c: float) -> ndarray:
    """Return 1 - c|x|^2, to the last digit even at the boundary  (B1).

    Shapes: (..., D) -> (...). Squares and sum are compensated ("double-double"), because the
    distance divides by the gap. Raises ValueError unless it is positive: on and outside the
    boundary nothing in this module is defined  (K2). Source: derived in docs/1-ball.md.
    """
    root(c)  # refuses a c that is not positive
    with errstate(over="ignore", invalid="ignore"):  # far outside: refused just below
        squares, errors = product(x, x)
        s, lost = total(squares)
        p, e = product(c, s)
        a = (1.0 - p) - (e + c * (lost + np.sum(errors, axis=-1)))
    inside = a > 0  # false for NaN too
    if not np.all(inside):
        row = tuple(int(i) for i in np.argwhere(~inside)[0])
        found = f"x{list(row) or ''}: 1 - c|x|^2 is {getval(a)[row]:.3g}"
        raise ValueError(f"{found}, expected above 0: a point inside the ball (c = {c})")
    return a


@_in_float64
def gap_vjp(g: ndarray, x: ndarray, c: float) -> ndarray:
    """Return g (-2c x)  (B1')."""
    return np.multiply(-2.0 * c, g)[..., None] * x


@_in_float64
def conformal_factor(x: ndarray, c: float) -> ndarray:
    """Return the length of a unit tangent vector at x, 2/a  (B2).

    Shapes: (..., D) -> (...). Domain: c|x|^2 < 1 (K2). Source: docs/1-ball.md.
    """
    return 2.0 / gap(x, c)


@_in_float64
def conformal_factor_vjp(g: ndarray, x: ndarray, c: float) -> ndarray:
    """Return g (4c/a^2) x  (B2')."""
    return (4.0 * c * g / gap(x, c) ** 2)[..., None] * x


@_in_float64
def distance(x: ndarray, y: ndarray, c: float) -> ndarray:
    """Return (2/√c) arsinh(√(c q)/√(a b)), the length of the geodesic from x to y  (B3).

    Shapes: (..., D), (..., D) -> (...). Domain: c|x|^2 < 1, c|y|^2 < 1 (K2). Exactly 0 for
    x = y (K1). Source: derived in docs/1-ball.md.
    """
    ab, n = np.sqrt(gap(x, c) * gap(y, c)), _norm(x - y)
    rho = root(c) * n / ab
    return np.where(rho < FLAT, 2.0 * n / ab, 2.0 / root(c) * np.arcsinh(rho))


@_in_float64
def distance_vjp(g: ndarray, x: ndarray, y: ndarray, c: float) -> tuple[ndarray, ndarray]:
    """Return g 2/√(q (a b + c q)) [(x - y) + (c q/a) x], for y alike; 0 at x = y  (B3') (K1)."""
    a, b, n = gap(x, c)[..., None], gap(y, c)[..., None], _norm(x - y)[..., None]
    e = _unit(x - y)
    slope = np.multiply(2.0, g)[..., None] / np.sqrt(a * b + c * n**2)
    return slope * (e + c * n / a * x), slope * (c * n / b * y - e)


@_in_float64
def mobius_add(x: ndarray, y: ndarray, c: float) -> ndarray:
    """Return x ⊕ y = (a z + s x)/(a b + s) with z = x + y, s = c|z|^2  (B4).

    Shapes: (..., D), (..., D) -> (..., D). Domain: c|x|^2 < 1, c|y|^2 < 1 (K2).
    Source: Ungar's addition, brought into this form in docs/1-ball.md.
    """
    a, b, z = gap(x, c)[..., None], gap(y, c)[..., None], x + y
    s = c * _dot(z, z)
    return (a * z + s * x) / (a * b + s)  # Ungar's addition (B13), where nothing but z cancels


@_in_float64
def mobius_add_vjp(g: ndarray, x: ndarray, y: ndarray, c: float) -> tuple[ndarray, ndarray]:
    """Return (a + s) h - 2c(h·k) m and a (h + 2c(h·m) y - 2c(h·k) z/(a b + s))  (B4').

    Here s = c|z|^2, m = x ⊕ y, h = g/(a b + s), k = z - b x.
    """
    a, b, z, m = gap(x, c)[..., None], gap(y, c)[..., None], x + y, mobius_add(x, y, c)
    s = c * _dot(z, z)
    h = g / (a * b + s)
    hk = 2.0 * c * _dot(h, z - b * x)
    return (a + s) * h - hk * m, a * (h + 2.0 * c * _dot(h, m) * y - hk / (a * b + s) * z)


@_in_float64
def expmap0(u: ndarray, c: float) -> ndarray:
    """Return tanh(ζ)/ζ u with ζ = √c|u|, the geodesic from 0 along u followed to time 1  (B5).

    Shapes: (..., D) -> (..., D). Smooth at u = 0 (K3). A long u rounds to a point on the
    boundary, which the next operation refuses: clip first (K2); one that is not finite is refused
    here. Source: docs/1-ball.md.
    """
    u, _ = _shortened(u, c)
    zeta = root(c) * _norm(u)
    return _ratio(np.tanh(zeta), zeta)[..., None] * u


def _shortened(u: ndarray, c: float) -> tuple[ndarray, ndarray]:
    """Return u and 1 or, where tanh(ζ) is 1 by far, u shortened until ζ cannot overflow, by what.

    (..., D) -> (..., D), (..., 1). The exponential map of both is the same.
    """
    size, most = power(_finite(u)), 2.0 ** (10 - frexp(root(c))[1])
    return np.where(size > most, u / size * most, u), most / np.maximum(size, most)


@_in_float64
def expmap0_vjp(g: ndarray, u: ndarray, c: float) -> ndarray:
    """Return t g + (sech²(ζ) - t)(e·g) e with t = tanh(ζ)/ζ, e = u/|u|  (B5')."""
    u, shrunk = _shortened(u, c)
    zeta, e = root(c) * _norm(u)[..., None], _unit(u)
    t = shrunk * _ratio(np.tanh(zeta), zeta)
    decay = np.exp(-2.0 * zeta)  # 1/cosh² would overflow, 1 - tanh² would cancel
    return t * g + (4.0 * decay / (1.0 + decay) ** 2 - t) * _dot(e, g) * e


@_in_float64
def logmap0(y: ndarray, c: float) -> ndarray:
    """Return arsinh(ρ/√a)/ρ y with ρ = √c|y|, the tangent vector that expmap0 takes to y  (B6).

    Shapes: (..., D) -> (..., D). Domain: c|y|^2 < 1 (K2). Smooth at y = 0 (K3).
    Source: artanh in a form that is accurate at the boundary, docs/1-ball.md.
    """
    a, rho = gap(y, c), root(c) * _norm(y)
    return _ratio(np.arcsinh(rho / np.sqrt(a)), rho)[..., None] * y


@_in_float64
def logmap0_vjp(g: ndarray, y: ndarray, c: float) -> ndarray:
    """Return t g + (1/a - t)(e·g) e with t = arsinh(ρ/√a)/ρ, e = y/|y|  (B6')."""
    a, rho, e = gap(y, c)[..., None], root(c) * _norm(y)[..., None], _unit(y)
    t = _ratio(np.arcsinh(rho / np.sqrt(a)), rho)
    return t * g + (1.0 / a - t) * _dot(e, g) * e


@_in_float64
def expmap(x: ndarray, u: ndarray, c: float) -> ndarray:
    """Return x ⊕ expmap0(u/a), the geodesic from x along u followed to time 1  (B7).

    Shapes: (..., D), (..., D) -> (..., D). Domain: c|x|^2 < 1; a long u is refused (K2).
    Source: Ganea et al. 2018, Hyperbolic Neural Networks, lemma 2; docs/1-ball.md.
    """
    return mobius_add(x, expmap0(_over_gap(u, gap(x, c)), c), c)


def _over_gap(u: ndarray, a: ndarray) -> ndarray:
    with errstate(over="ignore"):  # refused as not finite
        return u / a[..., None]


@_in_float64
def expmap_vjp(g: ndarray, x: ndarray, u: ndarray, c: float) -> tuple[ndarray, ndarray]:
    """Chain rule through ⊕, expmap0, u/a and the gap  (B7')."""
    a = gap(x, c)[..., None]
    w = _over_gap(u, gap(x, c))
    grad_x, grad_v = mobius_add_vjp(g, x, expmap0(w, c), c)
    grad_u = expmap0_vjp(grad_v, w, c) / a
    return grad_x + 2.0 * c * _dot(grad_u, w) * x, grad_u


@_in_float64
def logmap(x: ndarray, y: ndarray, c: float) -> ndarray:
    """Return (f/b) (a z - c q x) with f = arsinh(ρ)/(ρ √(1 + ρ²)), where expmap takes to y  (B8).

    Here z = y - x, ρ = √(c q)/√(a b). Shapes: (..., D), (..., D) -> (..., D). Domain:
    c|x|^2 < 1, c|y|^2 < 1 (K2). Exactly 0 at x = y and smooth (K3). Source: docs/1-ball.md.
    """
    a, b, z, n, f, _ = _log_parts(x, y, c)
    return f / b * (a * z - c * n**2 * x)


@_in_float64
def logmap_vjp(g: ndarray, x: ndarray, y: ndarray, c: float) -> tuple[ndarray, ndarray]:
    """Return the gradients to x and to y  (B8').

    (f [2c(g·x) z - 2c(g·z) x - (a + c q) g] + φ (g·k) [(c n/a) x - e])/b and
    (a/b) (f g + φ (g·e) e + c n (1 + f)/(a b + c q) [(g·k) y - b (g·x) e]), where n = |z|,
    e = z/n, k = a e - c n x, φ = (1 - (1 + 2σ) f)/(1 + σ) and σ = c q/(a b).
    """
    a, b, z, n, f, sigma = _log_parts(x, y, c)
    e = _unit(z)
    gk, ge, gx = (_dot(g, v) for v in (a * e - c * n * x, e, x))
    phi = (1.0 - (1.0 + 2.0 * sigma) * f) / (1.0 + sigma)
    turn = 2.0 * c * n * (gx * e - ge * x) - (a + c * n**2) * g
    grad_x = (f * turn + phi * gk * (c * n / a * x - e)) / b
    pull = c * n * (1.0 + f) / (a * b + c * n**2) * (gk * y - b * gx * e)
    return grad_x, a / b * (f * g + phi * ge * e + pull)


def _log_parts(x: ndarray, y: ndarray, c: float) -> tuple[ndarray, ...]:
    """Return a, b, z = y - x, n = |z|, f and σ = ρ² of (B8): each (..., 1), but z (..., D)."""
    a, b, z = gap(x, c)[..., None], gap(y, c)[..., None], y - x
    n = _norm(z)[..., None]
    rho = root(c) * n / np.sqrt(a * b)
    return a, b, z, n, _ratio(np.arcsinh(rho), rho) / np.sqrt(1.0 + rho**2), rho**2


@_in_float64
def clip_norm(u: ndarray, r: float) -> ndarray:
    """Return u min(1, r/|u|), the nearest vector of length at most r  (B9).

    Shapes: (..., D) -> (..., D). Domain: finite u, r >= 0, otherwise ValueError. Unchanged at
    |u| = r (K4).
    """
    _, v, _, ratio = _clipping(u, r)
    return ratio * v


@_in_float64
def clip_norm_vjp(g: ndarray, u: ndarray, r: float) -> ndarray:
    """Return (r/|u|)(g - (e·g) e) where |u| > r with e = u/|u|, otherwise g  (B9') (K4)."""
    outside, v, size, ratio = _clipping(u, r)
    e = _unit(v)
    return np.where(outside, ratio / size * (g - _dot(e, g) * e), g)


def _clipping(u: ndarray, r: float) -> tuple[ndarray, ndarray, ndarray, ndarray]:
    """Return whether |u| > r, then v, s, f with v = u/s and clipped f v; s = f = 1 inside.

    (..., D) -> (..., 1), (..., D), (..., 1), (..., 1). s is a power of two: u/s rounds nothing,
    and its norm does not overflow.
    """
    size = power(_finite(u))
    n = _norm(u / size)[..., None]
    with errstate(over="ignore"):  # a radius that is out of all proportion to a tiny row
        outside = n > _radius(r) / size
    size = np.where(outside, size, 1.0)
    return outside, u / size, size, np.where(outside, r / np.where(outside, n, 1.0), 1.0)


@_in_float64
def to_ball(u: ndarray, c: float, r: float) -> ndarray:
    """Return expmap0(clip_norm(u, r), c), how the method puts embeddings into the ball  (B10).

    Shapes: (..., D) -> (..., D). Domain: any finite u; √c r below about 18 keeps the result
    inside in float64, below about 8 in float32 (K2).
    """
    return expmap0(clip_norm(u, r), c)


@_in_float64
def to_ball_vjp(g: ndarray, u: ndarray, c: float, r: float) -> ndarray:
    """Chain rule: clip_norm_vjp of expmap0_vjp  (B10')."""
    return clip_norm_vjp(expmap0_vjp(g, clip_norm(u, r), c), u, r)
