"""The rest of the released geometry: maps that are in the authors' code but not on HIER's path.

For whoever compares a port of that code function by function. Training needs none of them, so
they have no gradient by hand: autograd differentiates them, with the two primitives of
`hier_ref.released.arithmetic`. Formulas and constants: docs/10-conventions.md.
"""

import autograd.numpy as np
from numpy import ndarray

from hier_ref.convention import Convention
from hier_ref.released.arithmetic import _direction, _least, artanh, curvature, norm, project


def _sq(x: ndarray) -> ndarray:
    return np.sum(x * x, axis=-1, keepdims=True)


def _tanh(zeta: ndarray, k: Convention) -> ndarray:
    return np.tanh(np.minimum(zeta, k.tanh_limit))


def conformal_factor(x: ndarray, c: float, k: Convention) -> ndarray:
    """Return 2/(1 - c|x|²), by subtraction as it stands: (..., D) -> (...). (C9)."""
    return 2.0 / (1.0 - curvature(c, k) * np.sum(x * x, axis=-1))


def mobius_add(x: ndarray, y: ndarray, c: float, k: Convention) -> ndarray:
    """Return x ⊕ y, textbook form, eps added to its denominator: (..., D) -> (..., D). (C4)."""
    c, xy = curvature(c, k), np.sum(x * y, axis=-1, keepdims=True)
    x_sq, y_sq = _sq(x), _sq(y)
    numerator = (1 + 2 * c * xy + c * y_sq) * x + (1 - c * x_sq) * y
    return numerator / (1 + 2 * c * xy + c**2 * x_sq * y_sq + k.mobius_denominator_eps)


def distance(x: ndarray, y: ndarray, c: float, k: Convention) -> ndarray:
    """Return (2/√c) artanh(√c |(-x) ⊕ y|) row by row: (..., D), (..., D) -> (...). (C4).

    `released.pairwise_distance` is the same quantity for all pairs, in another order of
    operations. 0 for equal points, gradient 0.
    """
    return distance0(mobius_add(-x, y, c, k), c, k)


def distance0(x: ndarray, c: float, k: Convention) -> ndarray:
    """Return (2/√c) artanh(√c |x|), the distance from the origin: (..., D) -> (...). (C5)."""
    root = np.sqrt(curvature(c, k))
    return 2 / root * artanh(root * norm(x), k.artanh_margin)[..., 0]


def logmap0(y: ndarray, c: float, k: Convention) -> ndarray:
    """Return artanh(ρ)/ρ y with ρ = √c max(|y|, min_norm): (..., D) -> (..., D). (C9)."""
    n, root = np.maximum(norm(y), _least(y, k)), np.sqrt(curvature(c, k))
    return artanh(root * n, k.artanh_margin) / root * (y / n)


def expmap(x: ndarray, u: ndarray, c: float, k: Convention) -> ndarray:
    """Return x ⊕ tanh(√c λ|u|/2) u/(√c |u|): (..., D), (..., D) -> (..., D). (C9)."""
    n, root = np.maximum(norm(u), _least(u, k)), np.sqrt(curvature(c, k))
    half = root / 2 * conformal_factor(x, c, k)[..., None] * n
    return mobius_add(x, _tanh(half, k) / root * (u / n), c, k)


def logmap(x: ndarray, y: ndarray, c: float, k: Convention) -> ndarray:
    """Return 2/(√c λ) artanh(√c|m|) m/|m| with m = (-x) ⊕ y: (..., D) -> (..., D). (C9).

    0 where m is 0; the released code divides 0 by 0 there.
    """
    m, root = mobius_add(-x, y, c, k), np.sqrt(curvature(c, k))
    n = norm(m)
    factor = 2 / root / conformal_factor(x, c, k)[..., None]
    return factor * artanh(root * n, k.artanh_margin) * _direction(m, n)


def mobius_matvec(m: ndarray, x: ndarray, c: float, k: Convention) -> ndarray:
    """Return tanh(|m x|/n artanh(√c n)) m x/(√c|m x|), projected: (E, D), (..., D) -> (..., E).

    n = max(|x|, min_norm): the linear map m in the tangent space of the origin (C9). 0, with
    gradient 0, where m x is 0; the released code's gradient is NaN there.
    """
    root, image = np.sqrt(curvature(c, k)), x @ m.T
    n = np.maximum(norm(x), _least(x, k))
    length = _tanh(norm(image) / n * artanh(root * n, k.artanh_margin), k) / root
    return project(length * _direction(image, norm(image)), c, k)


def to_klein(x: ndarray, c: float, k: Convention) -> ndarray:
    """Return 2 x/(1 + c|x|²), the same point in Klein's model: (..., D) -> (..., D). (C9)."""
    return 2 * x / (1 + curvature(c, k) * _sq(x))


def from_klein(x: ndarray, c: float, k: Convention) -> ndarray:
    """Return x/(1 + √(1 - c|x|²)), the inverse of `to_klein`: (..., D) -> (..., D). (C9)."""
    return x / (1 + np.sqrt(1 - curvature(c, k) * _sq(x)))


def midpoint(x: ndarray, c: float, k: Convention, axis: int = 0) -> ndarray:
    """Return Einstein's midpoint of points along an axis, (..., D) with that axis gone. (C9).

    Σ γ y/Σ γ of the points y in Klein's model, γ = λ - 1 their Lorentz factors: the released
    1/√(1 - c|y|²) is NaN where y has rounded to the boundary.
    """
    gamma = conformal_factor(x, c, k)[..., None] - 1
    y = to_klein(x, c, k)
    return from_klein(np.sum(gamma * y, axis=axis) / np.sum(gamma, axis=axis), c, k)
