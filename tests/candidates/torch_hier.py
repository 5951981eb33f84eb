"""HIER in PyTorch as one would write a fast version: no loop over triplets, gradients by autograd.

Nothing here comes from hier_ref; the oracle says whether it is right. Two surrogates are not
derivatives: the straight-through choice (detach) and the Riemannian scaling (an autograd.Function).
"""

from math import inf, sqrt
from typing import NamedTuple

import torch
from torch.nn.functional import one_hot


class Settings(NamedTuple):
    """The constants of a port; the defaults are the formulas as they are in the paper's maths."""

    clip_eps: float = 0.0
    min_norm: float = 1e-15  # keeps 0/0 away, and 1/min_norm**2 finite in float32
    tanh_limit: float = inf
    ball_margin: float = 0.0
    denominator_eps: float = 0.0
    artanh_margin: float = 0.0
    riemannian: bool = False
    count_self: bool = False
    min_reciprocal: int = 1
    anchor_is_negative: bool = False


EXACT = Settings()
RELEASED = Settings(1e-5, 1e-5, 15.0, 1e-3, 1e-5, 1e-5, True, True, 2, True)


class Riemannian(torch.autograd.Function):
    """The point itself; its gradient is scaled by (1 - c|z|^2)^2 / 4 on the way back."""

    @staticmethod
    def forward(ctx, z, c):
        ctx.save_for_backward(z)
        ctx.c = c
        return z.view_as(z)

    @staticmethod
    def backward(ctx, g):
        (z,) = ctx.saved_tensors
        return g * (1 - ctx.c * z.square().sum(1, keepdim=True)).square() / 4, None


def to_ball(u, c, radius, s):
    """Clip tangent vectors (N, D) to the radius and map them into the ball."""
    u = u * (radius / (u.norm(dim=1, keepdim=True) + s.clip_eps).clamp_min(radius))
    zeta = sqrt(c) * u.norm(dim=1, keepdim=True).clamp_min(s.min_norm)
    z = zeta.clamp_max(s.tanh_limit).tanh() / zeta * u
    norm, largest = z.norm(dim=1, keepdim=True).clamp_min(s.min_norm), (1 - s.ball_margin) / sqrt(c)
    z = torch.where(norm > largest, z / norm * largest, z)
    return Riemannian.apply(z, c) if s.riemannian else z


def distance(x, y, c, s):
    """Distances of (M, D) and (N, D) points: (M, N). cdist by differences, not by products."""
    far = sqrt(c) * torch.cdist(x, y, compute_mode="donot_use_mm_for_euclid_dist")
    ab = (1 - c * x.square().sum(1))[:, None] * (1 - c * y.square().sum(1))
    if not (s.denominator_eps or s.artanh_margin):
        return 2 / sqrt(c) * torch.asinh(far / ab.sqrt())
    full = ab + far.square()  # the denominator of Möbius addition
    ratio = far * full.sqrt() / (full + s.denominator_eps)
    cut = ratio.clamp_max(1 - s.artanh_margin)
    return 2 / sqrt(c) * torch.atanh(ratio + (cut - ratio).detach())  # the cut passes the gradient


def choose(far, gumbel, tau):
    """One-hot choice (T, P) of the nearest proxy under noise; its gradient is the softmax's."""
    soft = torch.softmax(gumbel - far / tau, dim=1)
    lca = soft.argmax(1)
    return one_hot(lca, far.shape[1]) - soft.detach() + soft, lca


def level(d, triplets, gumbel, tau, margin):
    """Hinges of triplets (T, 3) against their ancestors, given d (N, P): hinges (T,), two LCAs."""
    d_i, d_j, d_k = d[triplets].unbind(1)
    far = torch.maximum(d_i, d_j)
    pair, lca_pair = choose(far, gumbel[0], tau)
    triple, lca_triple = choose(torch.maximum(far, d_k), gumbel[1], tau)
    gain_i, gain_j, gain_k = (((pair - triple) * d_a).sum(1) for d_a in (d_i, d_j, d_k))
    hinge = (gain_i + margin).relu() + (gain_j + margin).relu() + (margin - gain_k).relu()
    return hinge * (lca_pair != lca_triple), lca_pair, lca_triple


@torch.no_grad()
def mine(d, neighbours, labels, s):
    """Who may be drawn beside each anchor: positives and negatives (N, N) boolean."""
    n, key = len(d), d
    eye = torch.eye(n, dtype=torch.bool, device=d.device)
    if labels is not None:  # the anchor's class before all others
        key = d - (d.max() + 1) * (labels[:, None] == labels)
    if not s.count_self:
        key, neighbours = key.masked_fill(eye, inf), min(neighbours, n - 1)
    last = key.sort(dim=1).values[:, min(neighbours, n) - 1, None]
    near = (key <= last) & (neighbours > 0)
    mutual = near & near.T & ~eye
    negatives = ~mutual if s.anchor_is_negative else ~mutual & ~eye
    used = ((mutual.sum(1) >= s.min_reciprocal) & mutual.any(1) & negatives.any(1))[:, None]
    return mutual & used, negatives & used


def hier(x, proxies, draws, *, c, radius, tau, margin, settings=EXACT):
    """Loss of tangent vectors x (B, D) and proxies (P, D), and the stages on the way.

    draws: for each of the levels data and proxy, triplets (T, 3) and Gumbel noise for the pair
    and the triple, (T, P) each.
    """
    z, l = (to_ball(u, c, radius, settings) for u in (x, proxies))
    d_zl, d_ll = distance(z, l, c, settings), distance(l, l, c, settings)
    stages = {"z": z, "l": l, "d_zl": d_zl, "d_ll": d_ll}
    for name, d in (("data", d_zl), ("proxy", d_ll)):
        hinge, *lcas = level(d, *draws[name], tau, margin)
        found = (hinge, hinge.sum() / max(1, len(hinge)), *lcas)
        keys = ("hinge", "loss", "lca_pair", "lca_triple")
        stages |= {f"{key}_{name}": value for key, value in zip(keys, found, strict=True)}
    return stages["loss_data"] + stages["loss_proxy"], stages


# What the oracle needs beside the loss: the question of a case in these terms


def draws_of(case):
    """Triplets and noise of an oracle's case."""
    levels = ("data", "proxy")
    return {s: (getattr(case, f"triplets_{s}"), getattr(case, f"gumbel_{s}")) for s in levels}


def candidate(settings):
    """Return fn(x, proxies, case) -> (loss, stages) for hier_ref.oracle.adapters.torch_adapter."""

    def answer(x, proxies, case):
        numbers = {"c": case.c, "radius": case.clip_radius, "tau": case.tau, "margin": case.margin}
        loss, stages = hier(x, proxies, draws_of(case), **numbers, settings=settings)
        stages["d_zz"] = distance(stages["z"], stages["z"], case.c, settings)
        if case.neighbours:
            for name, pairs, labels in (("data", "zz", case.labels), ("proxy", "ll", None)):
                marks = mine(stages[f"d_{pairs}"], case.neighbours, labels, settings)
                stages[f"positives_{name}"], stages[f"negatives_{name}"] = marks
        return loss, stages

    return answer


exact, released = candidate(EXACT), candidate(RELEASED)
