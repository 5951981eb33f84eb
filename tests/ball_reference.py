"""Points of the ball in every regime, and its operations in mpmath from their textbook definitions.

The definitions here are those of the literature (Möbius addition, artanh), not the forms that
the package evaluates; at 60 digits the cancellation in them does not matter.
"""

from functools import cache

import mpmath
import numpy as np
from checks import exact

CURVATURES = (0.01, 0.1, 1.0, 4.0)
DIMENSIONS = (1, 2, 128, 512)
FRACTIONS = (1e-8, 1e-4, 0.3, 0.9, 0.999, 1 - 1e-6, 1 - 1e-9, 1 - 1e-12)
REGIMES = (
    "interior",
    "radius",
    "near-equal",
    "antipodal",
    "origin",
    "equal",
    "beside",
    "nearly-opposite",
)
STEPS = (1e-1, 1e-4, 1e-8, 1e-12)


def directions(rng, n, dim):
    """Return n unit vectors."""
    v = rng.standard_normal((n, dim))
    return v / np.linalg.norm(v, axis=1, keepdims=True)


def points(rng, fractions, dim, c):
    """One point at each fraction of the radius 1/√c."""
    return np.array(fractions)[:, None] / np.sqrt(c) * directions(rng, len(fractions), dim)


def near_equal(rng, dim, c):
    """Pairs at relative distances 1e-1 .. 1e-14: sideways where that stays inside, and radially."""
    steps = 10.0 ** -np.arange(1, 15)[:, None]
    x = points(rng, rng.choice(FRACTIONS[:-2], len(steps)), dim, c)
    length = np.linalg.norm(x, axis=1, keepdims=True)
    sideways, shrunk = x + length * steps * directions(rng, len(x), dim), x * (1 - steps)
    inside = c * np.sum(sideways**2, axis=1, keepdims=True) < 1 - 1e-7
    return np.concatenate([x, x]), np.concatenate([np.where(inside, sideways, shrunk), shrunk])


def beside(rng, dim, c):
    """Pairs at every fraction, apart by `STEPS` in units of the room that the boundary leaves."""
    x = np.repeat(points(rng, FRACTIONS, dim, c), len(STEPS), axis=0)
    steps = np.tile(STEPS, len(FRACTIONS))[:, None]
    length = np.linalg.norm(x, axis=1, keepdims=True)
    room = np.maximum(1 - c * length**2, 1e-12)
    sideways = directions(rng, len(x), dim)
    sideways -= np.sum(sideways * x, axis=1, keepdims=True) / length**2 * x
    return x, x * (1 - steps * room) + 0.3 * steps * np.sqrt(room) * length * sideways


def all_pairs(regime, rng, dim, c):
    """Two arrays (n, dim) of points of the ball: the pairs of one regime."""
    x, y = points(rng, FRACTIONS, dim, c), points(rng, FRACTIONS[::-1], dim, c)
    if regime == "interior":
        return points(rng, rng.uniform(0, 0.9, 8), dim, c), points(rng, [0.6] * 8, dim, c)
    if regime == "near-equal":
        return near_equal(rng, dim, c)
    if regime == "antipodal":
        return np.concatenate([x, x]), np.concatenate([-x, -x * (1 - 1e-3)])
    if regime in ("beside", "nearly-opposite"):
        x, y = beside(rng, dim, c)
        return x, y if regime == "beside" else -y
    return {"radius": (x, y), "origin": (0 * x, x), "equal": (x, x.copy())}[regime]


@cache
def pairs(regime, dim, c, dtype):
    """Pairs of a regime in one dtype; in many dimensions a part of them, another for each c."""
    rng = np.random.default_rng([REGIMES.index(regime), dim, int(100 * c)])
    step = {1: 1, 2: 1, 128: 4, 512: 8}[dim]
    part = slice(CURVATURES.index(c) * step // 4, None, step)
    x, y = (points[part].astype(dtype) for points in all_pairs(regime, rng, dim, c))
    inside = [gap(exact(s), c) > 0 and gap(exact(t), c) > 0 for s, t in zip(x, y, strict=True)]
    return x[inside], y[inside]  # rounding to float32 can put a point outside


def dot(x, y):
    """Inner product of two mpmath vectors."""
    return mpmath.fdot(x, y)


def gap(x, c):
    return 1 - mpmath.mpf(c) * dot(x, x)


def mobius_add(x, y, c):
    c = mpmath.mpf(c)
    xx, yy, xy = dot(x, x), dot(y, y), dot(x, y)
    scale = 1 + 2 * c * xy + c**2 * xx * yy
    return [
        ((1 + 2 * c * xy + c * yy) * s + (1 - c * xx) * t) / scale
        for s, t in zip(x, y, strict=True)
    ]


def distance(x, y, c):
    root = mpmath.sqrt(mpmath.mpf(c))
    m = mobius_add([-s for s in x], y, c)
    return 2 / root * mpmath.atanh(root * mpmath.sqrt(dot(m, m)))


def distance_grad(x, y, c):
    """Gradient to x of arcosh(1 + 2c|x-y|²/(a b))/√c."""
    c, a, b = mpmath.mpf(c), gap(x, c), gap(y, c)
    z = [s - t for s, t in zip(x, y, strict=True)]
    q = dot(z, z)
    rise = 2 * c * q / (a * b)
    slope = 1 / mpmath.sqrt(c * rise * (rise + 2))
    return [slope * 4 * c / (a * b) * (s + c * q / a * t) for s, t in zip(z, x, strict=True)]


def conformal_factor(x, c):
    return 2 / gap(x, c)


def clip_norm(u, to):
    """`to` ends with the radius."""
    n, r = mpmath.sqrt(dot(u, u)), mpmath.mpf(float(to[-1]))
    return [s * min(mpmath.mpf(1), r / n) for s in u]


def to_ball(u, to):
    return expmap0(clip_norm(u, to), to[0])


def expmap0(u, c):
    zeta = mpmath.sqrt(mpmath.mpf(c) * dot(u, u))
    return [mpmath.tanh(zeta) / zeta * s for s in u] if zeta else u


def expmap0_vjp(g, u, c):
    """J g with the symmetric Jacobian J of tanh(ζ)/ζ u."""
    n = mpmath.sqrt(dot(u, u))
    zeta = mpmath.sqrt(mpmath.mpf(c)) * n
    t = mpmath.tanh(zeta) / zeta
    radial = (1 - mpmath.tanh(zeta) ** 2 - t) * dot(u, g) / n**2
    return [t * s + radial * r for s, r in zip(g, u, strict=True)]


def logmap0(y, c):
    rho = mpmath.sqrt(mpmath.mpf(c) * dot(y, y))
    return [mpmath.atanh(rho) / rho * s for s in y] if rho else y


def expmap(x, u, c):
    a = gap(x, c)
    return mobius_add(x, expmap0([s / a for s in u], c), c)


def logmap(x, y, c):
    a = gap(x, c)
    return [a * s for s in logmap0(mobius_add([-s for s in x], y, c), c)]


def jacobian(f, arguments, position, c):
    """The Jacobian of f at one of its vectors, rows by output: central differences, 120 digits."""
    step, columns = mpmath.mpf(10) ** -45, []
    with mpmath.workdps(120):
        for place in range(len(arguments[position])):

            def moved(by, place=place):
                vectors = [list(v) for v in arguments]
                vectors[position][place] += by
                found = f(*vectors, c)
                return found if isinstance(found, list) else [found]

            ends = zip(moved(step), moved(-step), strict=True)
            columns.append([(s - t) / (2 * step) for s, t in ends])
    return mpmath.matrix(columns).T


def largest(matrix):
    """The spectral norm of a matrix of mpmath numbers, to the digits of float64."""
    size = max(abs(v) for v in matrix)
    if size == 0:
        return mpmath.mpf(1)
    scaled = [[float(v / size) for v in row] for row in matrix.tolist()]
    return size * mpmath.mpf(float(np.linalg.norm(scaled, 2)))
