"""Gradients that are not derivatives: the only two, in one marked place.

HIER is trained with two surrogates. Both are forward functions that say one thing and
backward rules that say another, so neither central differences nor a plain autograd would
find them. autograd learns them here, through `primitive` and `defvjp`; the explicit gradients
of `hier_ref.hier` spell them out beside their formulas.
"""

from collections.abc import Callable

import autograd.numpy as np
from autograd.extend import defvjp, primitive
from numpy.typing import NDArray

from hier_ref.poincare import gap

Vjp = Callable[[NDArray], NDArray]


@primitive
def pick(w: NDArray, d: NDArray, chosen: NDArray) -> NDArray:
    """Distance to the hard choice, differentiated as if it were soft: straight-through. (H2).

    w (T, P) choice weights, d (T, P) distances, chosen (T,) the column of the hard choice ->
    (T,): d at that column. Backwards, the one-hot choice counts as w: the gradient reaches
    *every* weight of the row, with slope d, and d at the choice.
    Source: Bengio et al. 2013, arXiv:1308.3432; derived in docs/4-hier.md.
    """
    return d[np.arange(len(d)), chosen]


def _pick_vjp_weights(answer: NDArray, w: NDArray, d: NDArray, chosen: NDArray) -> Vjp:
    """Every weight hears of its distance, as if the soft choice had been taken. (H2')."""
    return lambda g: g[:, None] * d


def _pick_vjp_distance(answer: NDArray, w: NDArray, d: NDArray, chosen: NDArray) -> Vjp:
    return lambda g: g[:, None] * (np.arange(d.shape[1]) == chosen[:, None])


defvjp(pick, _pick_vjp_weights, _pick_vjp_distance, argnums=(0, 1))  # (H2')


@primitive
def riemannian(z: NDArray, c: float) -> NDArray:
    """Return ball points unchanged; scale the gradient that flows back through them. (H7).

    z (..., D) with c|z|^2 < 1. The gradient is multiplied by (1 - c|z|^2)^2 / 4, the inverse
    of the metric of the ball: a Riemannian gradient that then flows on into Euclidean
    parameters as if it were the ordinary one. Source: derived in docs/4-hier.md.
    """
    return z


def riemannian_vjp(g: NDArray, z: NDArray, c: float) -> NDArray:
    """Scale the cotangent g (..., D) at ball points z (..., D) by the inverse metric. (H7')."""
    return g * (gap(z, c) ** 2 / 4)[..., None]


defvjp(riemannian, lambda answer, z, c: lambda g: riemannian_vjp(g, z, c), argnums=(0,))
