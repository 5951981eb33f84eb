"""The HIER loss: both levels together, from tangent inputs to every gradient.

One level alone, from distances, is `hier_ref.levels`. Chapter: docs/4-hier.md.
"""

from typing import NamedTuple

import numpy as np
from autograd.tracer import getval
from numpy.typing import NDArray

from hier_ref.balls import ball_of
from hier_ref.convention import EXACT, Convention
from hier_ref.levels import RULE, Rule, level_loss, level_stages
from hier_ref.poincare import root
from hier_ref.ranges import number, rows
from hier_ref.surrogates import riemannian, riemannian_vjp
from hier_ref.triplets import LEVELS, Draws, sample_draws

__all__ = ["Draws", "sample_draws", "hier_loss", "hier_stages", "hier_grad"]


class Distances(NamedTuple):
    """All distances that one evaluation of the loss looks at."""

    zz: NDArray  # (B, B) among the points of the data
    zl: NDArray  # (B, P) from them to the proxies
    ll: NDArray  # (P, P) among the proxies


def to_ball(x: NDArray, c: float, clip_radius: float, convention: Convention = EXACT) -> NDArray:
    """Return `to_ball` (B10) of tangent inputs as a convention computes it. (H5).

    (N, D) -> (N, D). It may scale the gradient on its way back (H7).
    """
    z = ball_of(convention).to_ball(x, c, clip_radius)
    return riemannian(z, c) if convention.riemannian_gradient else z


def to_ball_vjp(
    g: NDArray,
    x: NDArray,
    c: float,
    clip_radius: float,
    convention: Convention = EXACT,
    z: NDArray | None = None,
) -> NDArray:
    """Gradient of `to_ball` to the tangent inputs: (N, D). (H5').

    z (N, D) are the points of x, for whoever has them already.
    """
    ball = ball_of(convention)
    if convention.riemannian_gradient:
        g = riemannian_vjp(g, ball.to_ball(x, c, clip_radius) if z is None else z, c)
    return ball.to_ball_vjp(g, x, c, clip_radius)


def distances(z: NDArray, l: NDArray, c: float, convention: Convention = EXACT) -> Distances:
    """Return all distances (H6) of points z (B, D) and proxies l (P, D) of the ball."""
    between = ball_of(convention).pairwise_distance
    return Distances(between(z, z, c), between(z, l, c), between(l, l, c))


def distances_vjp(
    grad_zl: NDArray,
    grad_ll: NDArray,
    z: NDArray,
    l: NDArray,
    c: float,
    convention: Convention = EXACT,
) -> tuple[NDArray, NDArray]:
    """Gradient of `distances` to z (B, D) and l (P, D); the loss does not depend on zz. (H6')."""
    between_vjp = ball_of(convention).pairwise_distance_vjp
    grad_z, grad_l = between_vjp(grad_zl, z, l, c)
    return grad_z, grad_l + sum(between_vjp(grad_ll, l, l, c))


def both_levels(d: Distances, draws: Draws, rule: Rule = RULE) -> dict:
    """Loss (H6), its gradients to the distances, and every intermediate of both levels, by name.

    Returns what `hier_stages` does between d_ll and grad_z: arrays (T, ...) of each level, loss,
    grad_d_zl (B, P) and grad_d_ll (P, P). Raises as `level_stages`.
    """
    s: dict = {}
    for level, pairs in zip(LEVELS, ("zl", "ll"), strict=True):
        stages = level_stages(getattr(d, pairs), draws, level, rule)
        s[f"grad_d_{pairs}"] = stages.pop("grad_d")
        s[f"triplets_{level}"] = draws.level(level)[0]
        s |= {f"{name}_{level}": value for name, value in stages.items()}
    return s | {"loss": s["loss_data"] + s["loss_proxy"]}


def hier_loss(
    x: NDArray,
    proxies: NDArray,
    draws: Draws,
    convention: Convention = EXACT,
    *,
    c: float = 0.1,
    clip_radius: float = 2.3,
    tau: float = 0.1,
    margin: float = 0.1,
) -> float:
    """HIER loss of tangent inputs and proxies: level "data" plus level "proxy". (H6).

    x (B, D) and proxies (P, D) are tangent vectors at the origin, any length; draws hold the
    triplets and the noise. Differentiable by autograd, surrogates included. Raises ValueError
    for shapes that do not match, indices out of range, values that are not finite, and parameters
    that are no numbers above 0 (margin: or 0). Without triplets a level is 0 (K27).
    Source: Kim et al., CVPR 2023; derived in docs/4-hier.md.
    """
    check_inputs(x, proxies, draws, c=c, clip_radius=clip_radius, tau=tau, margin=margin)
    z, l = (to_ball(a, c, clip_radius, convention) for a in (x, proxies))
    d, rule = distances(z, l, c, convention), Rule(tau, margin, convention)
    return level_loss(d.zl, draws, "data", rule) + level_loss(d.ll, draws, "proxy", rule)


def hier_stages(
    x: NDArray,
    proxies: NDArray,
    draws: Draws,
    convention: Convention = EXACT,
    *,
    c: float = 0.1,
    clip_radius: float = 2.3,
    tau: float = 0.1,
    margin: float = 0.1,
) -> dict:
    """Every stage of the loss and of its explicit gradient, by name. (H6').

    Arguments as for `hier_loss`. Returns z, l, d_zz, d_zl, d_ll; for each level s in data,
    proxy: triplets_s, lca_pair_s, lca_triple_s, hinge_s, loss_s; loss; and backwards grad_d_zl,
    grad_d_ll, grad_z, grad_l (before the Riemannian scaling), grad_x, grad_proxies.
    """
    check_inputs(x, proxies, draws, c=c, clip_radius=clip_radius, tau=tau, margin=margin)
    z, l = (to_ball(a, c, clip_radius, convention) for a in (x, proxies))
    d = distances(z, l, c, convention)
    s = {"z": z, "l": l, "d_zz": d.zz, "d_zl": d.zl, "d_ll": d.ll}
    s |= both_levels(d, draws, Rule(tau, margin, convention))
    s["grad_z"], s["grad_l"] = distances_vjp(s["grad_d_zl"], s["grad_d_ll"], z, l, c, convention)
    s["grad_x"] = to_ball_vjp(s["grad_z"], x, c, clip_radius, convention, z)
    s["grad_proxies"] = to_ball_vjp(s["grad_l"], proxies, c, clip_radius, convention, l)
    return s


def hier_grad(
    x: NDArray,
    proxies: NDArray,
    draws: Draws,
    convention: Convention = EXACT,
    **parameters: float,
) -> tuple[float, NDArray, NDArray]:
    """HIER loss and its gradients (loss, grad_x (B, D), grad_proxies (P, D)). (H6').

    Arguments as for `hier_loss`. The gradients carry the surrogates (H2') and, where the
    convention says so, (H7'): they are not the derivative of the loss.
    """
    s = hier_stages(x, proxies, draws, convention, **parameters)
    return s["loss"], s["grad_x"], s["grad_proxies"]


def check_inputs(x: NDArray, proxies: NDArray, draws: Draws, *, c: float, **others: float) -> None:
    """Raise ValueError, naming what was found and expected, unless the inputs fit together.

    x (B, D) and proxies (P, D), float32 or float64; the parameters are numbers that their dtype
    holds, above 0 but for a margin of 0.
    """
    x, proxies = getval(x), getval(proxies)
    if x.ndim != 2 or proxies.ndim != 2 or x.shape[1] != proxies.shape[1]:
        raise ValueError(f"x {x.shape} and proxies {proxies.shape}: expected (B, D) and (P, D)")
    if len(proxies) == 0:
        raise ValueError("no proxies: expected at least one row")
    for name, array in (("x", x), ("proxies", proxies)):
        if array.dtype not in (np.float32, np.float64):
            raise ValueError(f"{name} is {array.dtype}: expected float32 or float64")
        rows(name, array)
    for level, n in zip(LEVELS, (len(x), len(proxies)), strict=True):
        draws.check(level, n, len(proxies))
    root(c)
    for name, value in {"c": c, **others}.items():
        number(name, value, zero=name == "margin", dtype=np.result_type(x, proxies))
