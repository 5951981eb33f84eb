"""The HIER loss: ancestors are chosen, triplets are compared with them, gradients flow back.

One level at a time ("data": images under proxies; "proxy": proxies under proxies), then both
together. Every forward is directly followed by its gradient. Chapter: docs/4-hier.md.
"""

from typing import NamedTuple

import autograd.numpy as np
import numpy as onp
from autograd.tracer import getval
from numpy.typing import NDArray
from scipy.sparse import csr_array

from hier_ref import poincare
from hier_ref.convention import EXACT, Convention
from hier_ref.pairwise import pairwise_distance, pairwise_distance_vjp
from hier_ref.surrogates import pick, riemannian, riemannian_vjp
from hier_ref.triplets import LEVELS, Draws, sample_draws

__all__ = ["Draws", "sample_draws", "hier_loss", "hier_stages", "hier_grad"]

# Triplets worked on at once: (BLOCK, P) temporaries stay near the cache, whatever T is.
BLOCK = 256


def choice_weights(far: NDArray, arrival: NDArray, tau: float) -> NDArray:
    """Soft choice of the nearest proxy under noise, as a race. (H1).

    far (T, P) is the distance of each proxy to the farthest member of the set, arrival (T, P)
    Exp(1) noise, tau > 0 the temperature -> (T, P), rows summing to 1. The largest weight is
    the hard choice. Equals softmax(-far/tau + Gumbel noise). Source: derived in docs/3 and 4.
    """
    rate = np.exp((np.min(far, axis=1, keepdims=True) - far) / tau)
    w = rate / arrival
    return w / np.sum(w, axis=1, keepdims=True)


def choice_weights_vjp(g: NDArray, w: NDArray, tau: float) -> NDArray:
    """Gradient of `choice_weights` to `far`: (T, P) cotangent, (T, P) weights -> (T, P). (H1')."""
    return w * (onp.sum(w * g, axis=1, keepdims=True) - g) / tau


class Block(NamedTuple):
    """What the forward pass of some triplets knows; T rows each."""

    lca_pair: NDArray  # (T,) chosen proxy of (i, j)
    lca_triple: NDArray  # (T,) chosen proxy of (i, j, k)
    hinge: NDArray  # (T,) sum of the three hinges, 0 where both ancestors coincide
    w_pair: NDArray  # (T, P)
    w_triple: NDArray  # (T, P)
    active: NDArray  # (T, 3) boolean: hinges with a slope


def block_hinges(
    d: NDArray, triplets: NDArray, pair: NDArray, triple: NDArray, tau: float, margin: float
) -> Block:
    """Compare every triplet with its two ancestors. (H3).

    d (N, P) distances of points to proxies, triplets (T, 3), pair and triple (T, P) arrival
    times. Of equal weights the first is chosen (K23). A hinge at exactly 0 has slope 0 (K24);
    triplets whose two ancestors are one and the same proxy count 0 (K25).
    """
    d_i, d_j, d_k = (d[triplets[:, member]] for member in range(3))
    far_pair = np.maximum(d_i, d_j)
    w_pair = choice_weights(far_pair, pair, tau)
    w_triple = choice_weights(np.maximum(far_pair, d_k), triple, tau)
    lca_pair, lca_triple = getval(w_pair).argmax(1), getval(w_triple).argmax(1)

    def gain(d_a):  # (H3) distance to the pair's ancestor minus distance to the triple's
        return pick(w_pair, d_a, lca_pair) - pick(w_triple, d_a, lca_triple)

    inside = [gain(d_i) + margin, gain(d_j) + margin, margin - gain(d_k)]
    active = [(lca_pair != lca_triple) & (getval(h) > 0) for h in inside]
    hinge = sum(np.where(slope, h, 0) for slope, h in zip(active, inside, strict=True))
    return Block(lca_pair, lca_triple, hinge, w_pair, w_triple, onp.stack(active, axis=1))


def block_hinges_vjp(g: float, d: NDArray, triplets: NDArray, tau: float, block: Block) -> NDArray:
    """Gradient of g * sum(hinge) to d: (N, P). (H3').

    Where distances tie for the farthest member, each gets half (K26).
    """
    keep = block.active.any(1)
    members, active = triplets[keep], block.active[keep] * d.dtype.type(g)
    w_pair, w_triple = block.w_pair[keep], block.w_triple[keep]
    d_i, d_j, d_k = (d[members[:, member]] for member in range(3))
    sign_i, sign_j, sign_k = active[:, 0, None], active[:, 1, None], -active[:, 2, None]
    # Straight-through (H2'): the cotangent of each weight is a sum of distances.
    v = sign_i * d_i + sign_j * d_j + sign_k * d_k
    far_pair = onp.maximum(d_i, d_j)
    to_triple = choice_weights_vjp(-v, w_triple, tau)
    to_pair = choice_weights_vjp(v, w_pair, tau)
    share_k = _share(d_k, far_pair)
    to_pair += to_triple * (1 - share_k)
    share_i = _share(d_i, d_j)
    rows = [to_pair * share_i, to_pair * (1 - share_i), to_triple * share_k]
    # The chosen distances themselves: + at the ancestor of the pair, - at that of the triple.
    t, pair, triple = onp.arange(len(members)), block.lca_pair[keep], block.lca_triple[keep]
    for row, sign in zip(rows, (sign_i, sign_j, sign_k), strict=True):
        row[t, pair] += sign[:, 0]
        row[t, triple] -= sign[:, 0]
    return sum(_scatter(row, members[:, m], len(d)) for m, row in enumerate(rows))


def _share(d: NDArray, other: NDArray) -> NDArray:
    """Slope of max(d, other) in d: 1, 0, or 1/2 at a tie (K26)."""
    return onp.add(d > other, d >= other, dtype=d.dtype) * d.dtype.type(0.5)


def _scatter(rows: NDArray, index: NDArray, n: int) -> NDArray:
    """Sum rows (T, P) into (n, P) by index (T,): the transpose of d[index]."""
    t = len(rows)
    return csr_array((onp.ones(t, rows.dtype), (index, onp.arange(t))), shape=(n, t)) @ rows


def level_loss(d: NDArray, draws: Draws, level: str, tau: float, margin: float):
    """Mean hinge over the triplets of one level, 0 if there is none (K27). (H4).

    d (N, P) distances of the level's points to the proxies. Differentiable by autograd.
    """
    total = 0.0
    for triplets, pair, triple in draws.arrivals(level, BLOCK, d.shape[1], getval(d).dtype):
        total = total + np.sum(block_hinges(d, triplets, pair, triple, tau, margin).hinge)
    return total / max(1, len(draws.level(level)[0]))


def level_stages(d: NDArray, draws: Draws, level: str, tau: float, margin: float) -> dict:
    """Every intermediate of one level and its gradient `grad_d` (N, P). (H4')."""
    n_triplets = len(draws.level(level)[0])
    g = 1 / max(1, n_triplets)
    grad_d = onp.zeros_like(d)
    lca_pair, lca_triple, hinge = [], [], []
    for triplets, pair, triple in draws.arrivals(level, BLOCK, d.shape[1], d.dtype):
        block = block_hinges(d, triplets, pair, triple, tau, margin)
        grad_d += block_hinges_vjp(g, d, triplets, tau, block)
        lca_pair.append(block.lca_pair)
        lca_triple.append(block.lca_triple)
        hinge.append(block.hinge)
    hinge = onp.concatenate([onp.zeros(0, d.dtype), *hinge])
    return {
        "lca_pair": onp.concatenate([onp.zeros(0, int), *lca_pair]),
        "lca_triple": onp.concatenate([onp.zeros(0, int), *lca_triple]),
        "hinge": hinge,
        "loss": hinge.sum() * d.dtype.type(g),
        "grad_d": grad_d,
    }


def ball_points(x: NDArray, c: float, clip_radius: float, convention: Convention = EXACT):
    """Map tangent inputs (N, D) to ball points (N, D): clip, exp0, scaled gradient. (H5)."""
    z = poincare.to_ball(x, c, clip_radius)
    return riemannian(z, c) if convention.riemannian_gradient else z


def ball_points_vjp(
    g: NDArray, x: NDArray, c: float, clip_radius: float, convention: Convention = EXACT
) -> NDArray:
    """Gradient of `ball_points` to the tangent inputs: (N, D). (H5')."""
    if convention.riemannian_gradient:
        g = riemannian_vjp(g, poincare.to_ball(x, c, clip_radius), c)
    return poincare.to_ball_vjp(g, x, c, clip_radius)


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
    for shapes that do not match, indices out of range and values that are not finite. Without
    triplets a level is 0 (K27). Source: Kim et al., CVPR 2023; derived in docs/4-hier.md.
    """
    check_inputs(x, proxies, draws)
    z = ball_points(x, c, clip_radius, convention)
    l = ball_points(proxies, c, clip_radius, convention)
    data = level_loss(pairwise_distance(z, l, c), draws, "data", tau, margin)
    return data + level_loss(pairwise_distance(l, l, c), draws, "proxy", tau, margin)


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
    check_inputs(x, proxies, draws)
    s = {
        "z": ball_points(x, c, clip_radius, convention),
        "l": ball_points(proxies, c, clip_radius, convention),
    }
    for name in ("zz", "zl", "ll"):
        s[f"d_{name}"] = pairwise_distance(s[name[0]], s[name[1]], c)
    for level, pairs in zip(LEVELS, ("zl", "ll"), strict=True):
        stages = level_stages(s[f"d_{pairs}"], draws, level, tau, margin)
        s[f"grad_d_{pairs}"] = stages.pop("grad_d")
        s[f"triplets_{level}"] = draws.level(level)[0]
        s |= {f"{name}_{level}": value for name, value in stages.items()}
    s["loss"] = s["loss_data"] + s["loss_proxy"]
    s["grad_z"], grad_l_data = pairwise_distance_vjp(s["grad_d_zl"], s["z"], s["l"], c)
    s["grad_l"] = grad_l_data + sum(pairwise_distance_vjp(s["grad_d_ll"], s["l"], s["l"], c))
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


def check_inputs(x: NDArray, proxies: NDArray, draws: Draws) -> None:
    """Raise ValueError, naming what was found and expected, unless the inputs fit together."""
    x, proxies = getval(x), getval(proxies)
    if x.ndim != 2 or proxies.ndim != 2 or x.shape[1] != proxies.shape[1]:
        raise ValueError(f"x {x.shape} and proxies {proxies.shape}: expected (B, D) and (P, D)")
    if len(proxies) == 0:
        raise ValueError("no proxies: expected at least one row")
    for name, array in (("x", x), ("proxies", proxies)):
        bad = onp.flatnonzero(~onp.isfinite(array).all(1))
        if len(bad):
            raise ValueError(f"{name} is not finite in row {bad[0]} ({len(bad)} such rows)")
    for level, n in zip(LEVELS, (len(x), len(proxies)), strict=True):
        triplets, gumbel = draws.level(level)
        if triplets.ndim != 2 or triplets.shape[1] != 3:
            raise ValueError(f"triplets_{level} {triplets.shape}: expected (T, 3)")
        if len(triplets) and not 0 <= triplets.min() <= triplets.max() < n:
            raise ValueError(f"triplets_{level} has indices outside 0..{n - 1}")
        for noise in gumbel or ():
            if noise.shape != (len(triplets), len(proxies)):
                expected = (len(triplets), len(proxies))
                raise ValueError(f"gumbel_{level} {noise.shape}: expected {expected}")
