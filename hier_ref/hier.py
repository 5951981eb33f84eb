"""The HIER loss: both levels together, from tangent inputs to every gradient.

One level alone, from distances, is `hier_ref.levels`. Chapter: docs/4-hier.md.
"""

import numpy as np
from autograd.tracer import getval
from numpy.typing import NDArray

from hier_ref.convention import EXACT, Convention
from hier_ref.levels import Rule, level_loss, level_stages
from hier_ref.poincare import root
from hier_ref.ranges import number, rows
from hier_ref.surrogates import riemannian, riemannian_vjp
from hier_ref.triplets import LEVELS, Draws, sample_draws

__all__ = ["Draws", "sample_draws", "hier_loss", "hier_stages", "hier_grad"]


def ball_points(x: NDArray, c: float, clip_radius: float, convention: Convention = EXACT):
    """Map tangent inputs (N, D) to ball points (N, D): clip, exp0, scaled gradient. (H5)."""
    z = convention.ball().to_ball(x, c, clip_radius)
    return riemannian(z, c) if convention.riemannian_gradient else z


def ball_points_vjp(
    g: NDArray, x: NDArray, c: float, clip_radius: float, convention: Convention = EXACT
) -> NDArray:
    """Gradient of `ball_points` to the tangent inputs: (N, D). (H5')."""
    ball = convention.ball()
    if convention.riemannian_gradient:
        g = riemannian_vjp(g, ball.to_ball(x, c, clip_radius), c)
    return ball.to_ball_vjp(g, x, c, clip_radius)


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
    z = ball_points(x, c, clip_radius, convention)
    l = ball_points(proxies, c, clip_radius, convention)
    distance, rule = convention.ball().pairwise_distance, Rule(tau, margin, convention)
    data = level_loss(distance(z, l, c), draws, "data", rule)
    return data + level_loss(distance(l, l, c), draws, "proxy", rule)


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
    s = {
        "z": ball_points(x, c, clip_radius, convention),
        "l": ball_points(proxies, c, clip_radius, convention),
    }
    ball, rule = convention.ball(), Rule(tau, margin, convention)
    for name in ("zz", "zl", "ll"):
        s[f"d_{name}"] = ball.pairwise_distance(s[name[0]], s[name[1]], c)
    for level, pairs in zip(LEVELS, ("zl", "ll"), strict=True):
        stages = level_stages(s[f"d_{pairs}"], draws, level, rule)
        s[f"grad_d_{pairs}"] = stages.pop("grad_d")
        s[f"triplets_{level}"] = draws.level(level)[0]
        s |= {f"{name}_{level}": value for name, value in stages.items()}
    s["loss"] = s["loss_data"] + s["loss_proxy"]
    distance_vjp = ball.pairwise_distance_vjp
    s["grad_z"], grad_l_data = distance_vjp(s["grad_d_zl"], s["z"], s["l"], c)
    s["grad_l"] = grad_l_data + sum(distance_vjp(s["grad_d_ll"], s["l"], s["l"], c))
    s["grad_x"] = ball_points_vjp(s["grad_z"], x, c, clip_radius, convention)
    s["grad_proxies"] = ball_points_vjp(s["grad_l"], proxies, c, clip_radius, convention)
    return s


def hier_grad(
    x: NDArray, proxies: NDArray, draws: Draws, convention: Convention = EXACT, **parameters
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
