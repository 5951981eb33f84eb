"""How close images are: minus the distance on the ball, the inner product on the sphere."""

from typing import Protocol

import numpy as np
from autograd.tracer import getval
from numpy.typing import NDArray


class Ball(Protocol):
    """Where distances come from: `hier_ref.pairwise`, or another arithmetic of the same names."""

    def pairwise_distance(self, x: NDArray, y: NDArray, c: float) -> NDArray:
        """(M, D), (N, D) -> (M, N)."""

    def pairwise_distance_vjp(
        self, g: NDArray, x: NDArray, y: NDArray, c: float
    ) -> tuple[NDArray, NDArray]:
        """(M, N), (M, D), (N, D) -> (M, D), (N, D)."""


def closeness(z: NDArray, c: float, ball: Ball) -> NDArray:
    """-d_ij for c > 0; for c = 0, where z are on the unit sphere, z_i·z_j. (L10).

    (B, D) -> (B, B). Gradient 0 for equal points of the ball (K10). For c = 0 nothing is
    normalised: ValueError where |z|^2 overflows.
    """
    if c:
        return -ball.pairwise_distance(z, z, c)
    largest, most = np.max(np.abs(getval(z)), initial=0), np.finfo(getval(z).dtype).max
    if not largest < (most / (4 * z.shape[1])) ** 0.5:
        raise ValueError(f"z up to {largest:.3g} with c 0: expected points of the unit sphere")
    return z @ z.T


def closeness_vjp(g: NDArray, z: NDArray, c: float, ball: Ball) -> NDArray:
    """Gradient of `closeness` with respect to z: as row and as column. (L10').

    (B, B), (B, D) -> (B, D).
    """
    if not c:
        return (g + g.T) @ z
    as_row, as_column = ball.pairwise_distance_vjp(-g, z, z, c)
    return as_row + as_column
