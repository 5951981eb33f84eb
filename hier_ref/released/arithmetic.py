"""The ball as the authors' code computes it: the same formulas with its constants in them.

Each constant is a field of `Convention`; with all of them at their exact values these functions
equal those of `poincare` and `pairwise` up to rounding. Chosen by `hier_ref.balls`;
nothing exact imports this file. Measured and derived in docs/10-conventions.md.
"""

import autograd.numpy as np
from autograd.extend import defvjp, primitive
from autograd.tracer import getval
from numpy import ndarray

from hier_ref.convention import Convention
from hier_ref.pairwise import pairwise_sq, pairwise_sq_vjp
from hier_ref.poincare import gap, gap_vjp, root


def curvature(c: float, k: Convention) -> float:
    """Return c as the released code holds it, a tensor of torch's default dtype.

    Raises ValueError unless c is positive and finite.
    """
    root(c)
    return float(np.float32(c)) if k.curvature_dtype == "float32" else float(c)


@primitive
def norm(x: ndarray) -> ndarray:
    """Return |x| with a kept axis, (..., D) -> (..., 1); its gradient at 0 is 0."""
    return np.sqrt(np.sum(x * x, axis=-1, keepdims=True))


def _direction(x: ndarray, n: ndarray) -> ndarray:
    return x / np.where(n == 0, 1.0, n)


defvjp(norm, lambda n, x: lambda g: g * _direction(x, n))


def _along(g: ndarray, x: ndarray) -> ndarray:
    """Component of g along x, times the direction of x."""
    e = _direction(x, norm(x))
    return np.sum(g * e, axis=-1, keepdims=True) * e


def clip_norm(u: ndarray, r: float, k: Convention) -> ndarray:
    """Return u min(1, r/(|u| + clip_eps)): (..., D) -> (..., D). (C1)."""
    m = norm(u) + k.clip_eps
    return np.where(m > r, r / np.where(m > r, m, 1.0), 1.0) * u


def clip_norm_vjp(g: ndarray, u: ndarray, r: float, k: Convention) -> ndarray:
    """Gradient of `clip_norm`: (..., D). (C1')."""
    n = norm(u)
    m = np.where(n + k.clip_eps > r, n + k.clip_eps, 1.0)
    return np.where(n + k.clip_eps > r, r / m * (g - n / m * _along(g, u)), g)


def expmap0(u: ndarray, c: float, k: Convention) -> ndarray:
    """Return tanh(ζ)/ζ u, ζ = √c max(|u|, min_norm), tanh's argument cut: (..., D). (C2)."""
    zeta = np.sqrt(curvature(c, k)) * np.maximum(norm(u), _least(u, k))
    return np.tanh(np.minimum(zeta, k.tanh_limit)) / zeta * u


def expmap0_vjp(g: ndarray, u: ndarray, c: float, k: Convention) -> ndarray:
    """Gradient of `expmap0`: (..., D); the cuts pass none. (C2')."""
    n = norm(u)
    zeta = np.sqrt(curvature(c, k)) * np.maximum(n, _least(u, k))
    t = np.tanh(np.minimum(zeta, k.tanh_limit)) / zeta
    slope = np.where(zeta < k.tanh_limit, 1 - (t * zeta) ** 2, 0.0)
    return t * g + np.where(n > k.min_norm, slope - t, 0.0) * _along(g, u)


def _least(u: ndarray, k: Convention) -> float:
    """Keep 0/0 away where there is no least norm: a number below all others does."""
    return max(k.min_norm, float(np.finfo(getval(u).dtype).tiny))


def project(x: ndarray, c: float, k: Convention) -> ndarray:
    """Return x, or x on the largest allowed radius if it lies beyond: (..., D). (C3)."""
    n = np.maximum(norm(x), _least(x, k))
    largest = _largest_radius(c, k)
    return np.where(n > largest, x / n * largest, x)


def project_vjp(g: ndarray, x: ndarray, c: float, k: Convention) -> ndarray:
    """Gradient of `project`: (..., D). (C3')."""
    n = np.maximum(norm(x), _least(x, k))
    largest = _largest_radius(c, k)
    return np.where(n > largest, largest / n * (g - _along(g, x)), g)


def _largest_radius(c: float, k: Convention) -> float:
    return (1 - k.ball_margin) / np.sqrt(curvature(c, k))


def to_ball(u: ndarray, c: float, r: float, k: Convention) -> ndarray:
    """Return project(expmap0(clip_norm(u))): (..., D) -> (..., D)."""
    return project(expmap0(clip_norm(u, r, k), c, k), c, k).astype(u.dtype)


def to_ball_vjp(g: ndarray, u: ndarray, c: float, r: float, k: Convention) -> ndarray:
    """Gradient of `to_ball`: (..., D), the three in reverse."""
    clipped = clip_norm(u, r, k)
    g = project_vjp(g, expmap0(clipped, c, k), c, k)
    return clip_norm_vjp(expmap0_vjp(g, clipped, c, k), u, r, k).astype(u.dtype)


@primitive
def artanh(s: ndarray, margin: float, rest: ndarray | None = None) -> ndarray:
    """Return artanh of s cut at 1 - margin, any shape; its slope is that at the cut. (C5).

    By two logarithms, which of a small s keep the absolute digits only: so does what they wrote.
    Without a cut s may round to 1; `rest`, the 1 - s² that no subtraction made, tells how near.
    """
    if not margin and rest is not None:
        return np.arcsinh(s / np.sqrt(rest))
    s = np.clip(s, margin - 1, 1 - margin)
    return (np.log(1 + s) - np.log(1 - s)) * 0.5


def artanh_vjp(g: ndarray, s: ndarray, margin: float, rest: ndarray | None = None) -> ndarray:
    """Gradient of `artanh` in s, any shape: the cut does not stop it. (C5')."""
    if not margin and rest is not None:
        return g / rest
    return g / (1 - np.clip(s, margin - 1, 1 - margin) ** 2)


defvjp(
    artanh,
    lambda ans, s, margin, rest=None: lambda g: artanh_vjp(g, s, margin, rest),
    argnums=(0,),
)


def pairwise_distance(x: ndarray, y: ndarray, c: float, k: Convention) -> ndarray:
    """Return (2/√c) artanh(s), s = √c √(q D)/(D + eps), D = a b + c q: (M, N). (C4).

    (M, D), (N, D) points of the ball. s is √c |(-x) ⊕ y| with eps = mobius_denominator_eps in
    the denominator of ⊕. 0 for equal points, gradient 0.
    """
    c, q = curvature(c, k), pairwise_sq(x, y)
    ab = gap(x, c)[:, None] * gap(y, c)
    D = ab + c * q
    same = q == 0
    n = np.where(same, 0.0, np.sqrt(np.where(same, 1.0, q)))
    s = np.sqrt(c) * n * np.sqrt(D) / (D + k.mobius_denominator_eps)
    rest = _rest(getval(ab), getval(D), k)
    return (2 / np.sqrt(c) * artanh(s, k.artanh_margin, rest)).astype(x.dtype)


def _rest(ab: ndarray, D: ndarray, k: Convention) -> ndarray:
    """1 - s² for s as above: ((D + eps)² - c q D)/(D + eps)², where D² - c q D is a b D."""
    eps = k.mobius_denominator_eps
    return (ab * D + 2 * eps * D + eps**2) / (D + eps) ** 2


def pairwise_distance_vjp(
    g: ndarray, x: ndarray, y: ndarray, c: float, k: Convention
) -> tuple[ndarray, ndarray]:
    """Gradient of `pairwise_distance`: (M, D), (N, D); add both where y is x. (C4')."""
    c, q = curvature(c, k), pairwise_sq(x, y)
    a, b = gap(x, c), gap(y, c)
    ab = a[:, None] * b
    D = ab + c * q
    s = np.sqrt(c) * np.sqrt(q) * np.sqrt(D) / (D + k.mobius_denominator_eps)
    g_s = 2 / np.sqrt(c) * artanh_vjp(g, s, k.artanh_margin, _rest(ab, D, k))
    g_D = g_s * s * (1 / (2 * D) - 1 / (D + k.mobius_denominator_eps))
    g_q = np.where(q == 0, 0.0, g_s * s / (2 * np.where(q == 0, 1.0, q))) + c * g_D
    grad_x, grad_y = pairwise_sq_vjp(g_q, x, y)
    grad_x = grad_x + gap_vjp(g_D @ b, x, c)
    grad_y = grad_y + gap_vjp(a @ g_D, y, c)
    return grad_x.astype(x.dtype), grad_y.astype(x.dtype)
