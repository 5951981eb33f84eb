"""Which arithmetic of the ball a convention asks for: the exact one, or that of the released code.

The only place that knows both. Chapter: docs/10-conventions.md.
"""

from collections.abc import Callable
from functools import partial, singledispatch
from typing import NamedTuple

from numpy.typing import NDArray

from hier_ref import pairwise, poincare
from hier_ref.convention import ARITHMETIC, EXACT, Convention
from hier_ref.released import arithmetic as released


class Ball(NamedTuple):
    """All that the HIER loss asks of the ball: two maps, each with its gradient."""

    to_ball: Callable[..., NDArray]  # (u, c, r): (..., D) -> (..., D)
    to_ball_vjp: Callable[..., NDArray]  # (g, u, c, r)
    pairwise_distance: Callable[..., NDArray]  # (x, y, c): (M, D), (N, D) -> (M, N)
    pairwise_distance_vjp: Callable[..., tuple[NDArray, NDArray]]  # (g, x, y, c)


EXACT_BALL = Ball(
    poincare.to_ball,
    poincare.to_ball_vjp,
    pairwise.pairwise_distance,
    pairwise.pairwise_distance_vjp,
)


@singledispatch
def ball_of(convention: Convention) -> Ball:
    """Return the maps of the ball, (..., D) arrays, in the arithmetic of a convention.

    A kind of convention with an arithmetic of its own registers it here, as the oracle's do.
    """
    if all(getattr(convention, name) == getattr(EXACT, name) for name in ARITHMETIC):
        return EXACT_BALL
    return Ball(*(partial(getattr(released, name), k=convention) for name in Ball._fields))
