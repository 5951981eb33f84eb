"""One batch, from features to the gradient of every weight. Chapter: docs/6-training.md.

`batch_gradient` is the whole method in one screen: head, ball, distances, draws, levels, back.
"""

from collections.abc import Callable

import numpy as np
from autograd import value_and_grad
from autograd.tracer import getval
from numpy.typing import NDArray

from hier_ref.hier import (
    Distances,
    both_levels,
    distances,
    distances_vjp,
    hier_loss,
    sample_draws,
    to_ball,
    to_ball_vjp,
)
from hier_ref.levels import Rule
from hier_ref.losses import unit, unit_vjp
from hier_ref.threads import one_blas_thread
from hier_ref.training.config import Config
from hier_ref.training.head import head_forward, head_vjp
from hier_ref.triplets import Draws

Params = dict[str, NDArray]


def group(params: Params, prefix: str) -> Params:
    """Return the parameters of one part by the names it uses itself."""
    return {name[len(prefix) :]: p for name, p in params.items() if name.startswith(prefix)}


def to_ball_or_sphere(x: NDArray, config: Config) -> NDArray:
    """Return `to_ball` (B10) of tangent vectors or, with c = 0, x/|x| on the sphere. (N8).

    (N, D) -> (N, D). On the sphere a zero vector stays 0 (K30).
    """
    if not config.c:
        return unit(x)
    return to_ball(x, config.c, config.clip, config.reading)


def to_ball_or_sphere_vjp(g: NDArray, x: NDArray, config: Config) -> NDArray:
    """Gradient of `to_ball_or_sphere`. (N8').

    (N, D), (N, D) -> (N, D).
    """
    if not config.c:
        return unit_vjp(g, x)
    return to_ball_vjp(g, x, config.c, config.clip, config.reading)


def rounded(features: NDArray, config: Config) -> NDArray:
    """Round features (N, F) to the dtype of a run; ValueError for one beyond its range."""
    largest = max(float(np.max(features, initial=0)), -float(np.min(features, initial=0)))
    most = float(np.finfo(config.dtype).max)
    if largest > most:
        found = f"features up to {largest:.3g}"
        raise ValueError(f"{found}: expected at most {most:.3g}, the range of {config.dtype}")
    return features.astype(config.dtype)


def tangents(f: NDArray, params: Params, config: Config) -> NDArray:
    """Map features (B, F) to tangent vectors (B, D); ValueError where their squares overflow."""
    with np.errstate(all="ignore"):
        x = head_forward(f, group(params, "head."), config.layers)
        finite = np.isfinite(np.sum(getval(x) ** 2, axis=1))
    if not finite.all():
        row = np.flatnonzero(~finite)[0]
        raise ValueError(
            f"the head maps row {row} beyond what {config.dtype} can square: expected smaller "
            "weights (options head_scale, lr_head)"
        )
    return x


def embed(features: NDArray, params: Params, config: Config) -> NDArray:
    """Map backbone features (N, F) to points of the ball, or the sphere (N, D).

    Raises ValueError for features beyond the range of the dtype, and as `tangents`.
    """
    return to_ball_or_sphere(tangents(rounded(features, config), params, config), config)


def draw(rng: np.random.Generator, d: Distances, labels: NDArray, config: Config) -> Draws:
    """Mine the triplets of a batch and draw its noise; no gradient flows through either.

    Distances of B points and P proxies, labels (B,) -> `Draws`.
    """
    return sample_draws(
        rng,
        d.zz,
        d.ll,
        labels,
        neighbours=config.neighbours,
        per_anchor=config.triplets,
        convention=config.reading,
    )


@one_blas_thread()
def batch_gradient(
    params: Params, f: NDArray, labels: NDArray, rng: np.random.Generator, config: Config
) -> tuple[dict[str, float], Params]:
    """Losses of one batch (H8) and the gradient of their weighted sum, every step by hand (H8').

    f (B, F) features, labels (B,) in 0..C-1 -> ({"metric", "hier"}, gradients by name).
    """
    c, reading, weight = config.c, config.reading, config.hier_weight
    x = tangents(f, params, config)
    z = to_ball_or_sphere(x, config)
    metric, grad_z, grad_own = config.metric.grad(z, labels, group(params, "loss."), c)
    losses, grads = {"metric": metric}, {f"loss.{name}": g for name, g in grad_own.items()}
    grad_x = to_ball_or_sphere_vjp(grad_z, x, config)
    if weight:
        l = to_ball_or_sphere(params["proxies"], config)
        d = distances(z, l, c, reading)
        draws = draw(rng, d, labels, config)
        s = both_levels(d, draws, Rule(config.tau, config.margin, reading))
        grad_z, grad_l = distances_vjp(s["grad_d_zl"], s["grad_d_ll"], z, l, c, reading)
        grad_x = grad_x + weight * to_ball_or_sphere_vjp(grad_z, x, config)
        losses["hier"] = float(s["loss"])
        grads["proxies"] = weight * to_ball_or_sphere_vjp(grad_l, params["proxies"], config)
    grad_head = head_vjp(grad_x, f, group(params, "head."), config.layers)
    return losses, grads | {f"head.{name}": g for name, g in grad_head.items()}


def batch_autograd(
    params: Params, f: NDArray, labels: NDArray, rng: np.random.Generator, config: Config
) -> tuple[dict[str, float], Params]:
    """Return what `batch_gradient` does, found by autograd from the forward functions alone."""
    losses: dict[str, float] = {}
    draws = None
    if config.hier_weight:
        z, l = embed(f, params, config), to_ball_or_sphere(params["proxies"], config)
        draws = draw(rng, distances(z, l, config.c, config.reading), labels, config)

    def total(params: Params) -> float:
        x = tangents(f, params, config)
        z = to_ball_or_sphere(x, config)
        metric = config.metric.value(z, labels, group(params, "loss."), config.c)
        losses["metric"] = metric
        if draws is None:
            return metric
        losses["hier"] = hier_loss(x, params["proxies"], draws, config.reading, **config.geometry)
        return metric + config.hier_weight * losses["hier"]

    _, grads = value_and_grad(total)(params)
    return {name: float(getattr(loss, "_value", loss)) for name, loss in losses.items()}, grads


GRADIENTS: dict[str, Callable] = {"explicit": batch_gradient, "autograd": batch_autograd}
