"""All distances between two sets of points, by one matrix product, and their gradient.

|x|^2 + |y|^2 - 2 x·y loses the digits of pairs that are close. Two remedies: centre the points,
which does not change differences, and compute again, by direct differences, every pair that is
still close compared with its norms. Nothing of size M x N x D is ever held. The arithmetic is in
the dtype of the points, save for the gaps. Derivations: docs/2-pairwise.md.
"""

import autograd.numpy as np
import scipy
from autograd.extend import defvjp, primitive
from autograd.tracer import getval
from numpy import ndarray

from hier_ref.poincare import gap, gap_vjp, root
from hier_ref.ranges import power
from hier_ref.threads import pieces

CLOSE = 0.3  # q below this part of |x|^2 + |y|^2 is computed directly, see docs/2-pairwise.md
FLATTEST = 1e-30  # the least curvature that is computed with, between points of size 1
BLOCK = 2**20  # numbers in a temporary of the direct computation


def _centred(x: ndarray, y: ndarray) -> tuple[ndarray, ndarray]:
    """Subtract the mean of all points, a constant to the gradient: no difference depends on it."""
    middle = (np.sum(getval(x), axis=0) + np.sum(getval(y), axis=0)) / max(1, len(x) + len(y))
    moved = x - middle
    return moved, moved if y is x else y - middle


def _gaps(x: ndarray, y: ndarray, c: float) -> tuple[ndarray, ndarray]:
    """Return the gaps (B1) of both, computed once where y is x."""
    a = gap(x, c)
    return a, a if y is x else gap(y, c)


def _close(q: ndarray, x_sq: ndarray, y_sq: ndarray) -> ndarray:
    """Flat indices of the pairs with q < 0.3 (|x|^2 + |y|^2), found by blocks of rows."""
    found = [
        np.flatnonzero(q[rows] < CLOSE * (x_sq[rows, None] + y_sq)) + rows.start * len(y_sq)
        for rows in pieces(q.shape[0], q.shape[1], BLOCK)
    ]
    return np.concatenate(found) if found else np.zeros(0, dtype=int)


@primitive
def _replaced(q: ndarray, index: ndarray, values: ndarray) -> ndarray:
    """Return q with q.flat[index] = values; in place, as no other step keeps the product."""
    q.reshape(-1)[index] = values
    return q


def _elsewhere(g: ndarray, index: ndarray) -> ndarray:
    g = g.copy()
    g.reshape(-1)[index] = 0
    return g


# Only the bookkeeping is told to autograd here; the formulas it differentiates itself.
defvjp(
    _replaced,
    lambda ans, q, index, values: lambda g: _elsewhere(g, index),
    lambda ans, q, index, values: lambda g: g.reshape(-1)[index],
    argnums=(0, 2),
)


def _squares(x: ndarray, y: ndarray) -> tuple[ndarray, ndarray]:
    """Return q and the flat indices of the pairs that were computed directly."""
    moved_x, moved_y = _centred(x, y)
    x_sq, y_sq = np.sum(moved_x**2, axis=1), np.sum(moved_y**2, axis=1)
    q = x_sq[:, None] + y_sq - 2.0 * (moved_x @ moved_y.T)
    close = _close(getval(q), getval(x_sq), getval(y_sq))
    if not len(close):
        return q, close
    i, j = np.divmod(close, len(y))
    blocks = pieces(len(close), x.shape[1], BLOCK)
    direct = [np.sum((x[i[part]] - y[j[part]]) ** 2, axis=1) for part in blocks]
    return _replaced(q, close, np.concatenate(direct)), close


def _sums(w: ndarray, x: ndarray, y: ndarray, close: ndarray) -> tuple[ndarray, ndarray]:
    """Sum w_ij (x_i - y_j) over j and w_ij (y_j - x_i) over i; the close pairs directly."""
    moved_x, moved_y = _centred(x, y)
    far = _elsewhere(w, close)
    sum_x = far.sum(axis=1)[:, None] * moved_x - far @ moved_y
    sum_y = far.sum(axis=0)[:, None] * moved_y - far.T @ moved_x
    i, j = np.divmod(close, len(y))
    for part in pieces(len(close), x.shape[1], BLOCK):
        ip, jp = i[part], j[part]
        weighted = w[ip, jp][:, None] * (x[ip] - y[jp])
        for total, rows, sign in ((sum_x, ip, 1), (sum_y, jp, -1)):
            entries = np.full(len(rows), sign, dtype=w.dtype), (rows, np.arange(len(rows)))
            total += scipy.sparse.csr_array(entries, shape=(len(total), len(rows))) @ weighted
    return sum_x, sum_y


def pairwise_sq(x: ndarray, y: ndarray) -> ndarray:
    """Return q_ij = |x_i - y_j|^2  (D1).

    Shapes: (M, D), (N, D) -> (M, N). Exactly 0 for equal points; exactly symmetric when y is x.
    Differences whose squares underflow count as 0; ValueError where squares overflow and for values
    that are not finite. Source: derived in docs/2-pairwise.md.
    """
    _check_squares(x, y)
    return _squares(x, y)[0]


def pairwise_sq_vjp(g: ndarray, x: ndarray, y: ndarray) -> tuple[ndarray, ndarray]:
    """Return 2 Σ_j g_ij (x_i - y_j) and 2 Σ_i g_ij (y_j - x_i)  (D1').

    When y is x, the gradient is the sum of the two.
    """
    _check_squares(x, y)
    return _sums(2.0 * g, x, y, _squares(x, y)[1])


def _check_squares(x: ndarray, y: ndarray) -> None:
    most = np.finfo(np.result_type(getval(x), getval(y))).max
    largest = max(np.max(np.abs(getval(a)), initial=0) for a in (x, y))
    if not largest < (most / (16 * max(1, x.shape[1]))) ** 0.5:
        raise ValueError(f"points up to {largest:.3g}: expected numbers whose squares are finite")


def _scaled(x: ndarray, y: ndarray, c: float) -> tuple[ndarray, ndarray, float, float]:
    """Return x/p, y/p, c p² and p, the power of two of the largest coordinate.

    The ball scaled by 1/p has the curvature -c p² and distances 1/p as long: nothing is rounded,
    and squares neither vanish nor overflow. Below `FLATTEST` no digit depends on the curvature.
    """
    root(c)  # refuses what is no curvature
    p = power(np.array([np.max(np.abs(getval(a)), initial=0) for a in (x, y)]))[0]
    scaled = x / p
    return scaled, scaled if y is x else y / p, max(c * float(p) * float(p), FLATTEST), p


def pairwise_distance(x: ndarray, y: ndarray, c: float) -> ndarray:
    """Return d_ij = (2/√c) arsinh(√(c q_ij)/√(a_i b_j))  (D2).

    Shapes: (M, D), (N, D) -> (M, N). Domain: c|x|^2 < 1, c|y|^2 < 1, otherwise ValueError (K2).
    Exactly 0 for equal points (K10); exactly symmetric when y is x. Source: docs/2-pairwise.md.
    """
    scaled_x, scaled_y, scaled_c, p = _scaled(x, y, c)
    q = _squares(scaled_x, scaled_y)[0]
    a, b = _gaps(x, y, c)
    scale = root(scaled_c) / np.sqrt(a[:, None] * b)
    same = q == 0
    n = np.where(same, 0.0, np.sqrt(np.where(same, 1.0, q)))
    return p * (2.0 / root(scaled_c) * np.arcsinh(scale * n))


def pairwise_distance_vjp(g: ndarray, x: ndarray, y: ndarray, c: float) -> tuple[ndarray, ndarray]:
    """Return Σ_j w_ij [(x_i - y_j) + (c q_ij/a_i) x_i] and Σ_i ... for y_j  (D2').

    Here w_ij = 2 g_ij/√(q_ij (a_i b_j + c q_ij)), and 0 for equal points (K10). When y is x, the
    gradient is the sum of the two.
    """
    a, b = _gaps(x, y, c)
    x, y, c, _ = _scaled(x, y, c)
    q, close = _squares(x, y)
    same = q == 0
    slope = np.sqrt(np.where(same, 1.0, q)) * np.sqrt(a[:, None] * b + float(c) * q)
    w = np.where(same, 0.0, 2.0 * g / slope)
    sum_x, sum_y = _sums(w, x, y, close)
    w *= q
    sum_x += gap_vjp(-0.5 * w.sum(axis=1) / a, x, c)
    sum_y += gap_vjp(-0.5 * w.sum(axis=0) / b, y, c)
    return sum_x, sum_y
