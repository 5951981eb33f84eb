"""Mutants of sizes, of the boundary, of float32 alone, of several fields and of one stage's digits.

WIDER was there while the oracle learned to see them. All are asked in both dtypes.
"""

import math

import autograd.numpy as np
import numpy as onp
from autograd.tracer import getval

from .mutants import MUTANTS, H, L, Mutant, X, exp0, scaled
from .plain import Plain

BY_NAME = {mutant.name: mutant for mutant in MUTANTS}
G = "grad_d_zl"
WIDER: list[Mutant] = []


def into(collected):
    """A function that adds a mutant to a list."""

    def wrong(name, change, stage, named=None, seen=None, hidden="", **hooks):
        collected.append(Mutant(name, change, stage, named, hooks, seen, hidden))

    return wrong


wrong = into(WIDER)

# ---- float32 alone


def short_only(name):
    """A mutant that is one in float32 alone."""

    def guarded(method, hook):
        def either(self, *a):
            return (hook if self.dtype == onp.float32 else getattr(Plain, method))(self, *a)

        return either

    one = BY_NAME[name]
    hooks = {method: guarded(method, hook) for method, hook in one.hooks.items()}
    return one._replace(name=f"f32-{name}", change=f"in float32: {one.change}", hooks=hooks)


FLOAT32 = ("grad-sign", "riemann", "st-none", "mean-apart", "level-half", "far-min", "exp0-half")
WIDER += [short_only(name) for name in (*FLOAT32, "hinge-k-sign")]

# ---- Sizes


def first(n):
    return lambda s, h, mask, lv: np.sum(h[:n]) / max(1, len(h))


def whole_blocks(n):
    return lambda s, h, mask, lv: (
        np.sum(h[: len(h) // n * n if len(h) > n else None]) / max(1, len(h))
    )


def candidates(n):
    """Only the first n proxies may be ancestors."""
    return lambda s, far, noise, size: np.where(
        onp.arange(far.shape[1]) < n, Plain.logits(s, far, noise, size), -1e30
    )


def counted(bits):
    def hard(self, weights):
        chosen = getval(weights).argmax(1).astype(bits).astype(int) % weights.shape[1]
        return chosen, onp.eye(weights.shape[1], dtype=self.dtype)[chosen]

    return hard


def no_slope(n):
    """Hinges beyond the n-th are constants."""
    return lambda s, inside: sum(
        np.where(getval(h) > 0, np.concatenate([h[:n], getval(h)[n:]]), 0.0) for h in inside
    )


def rows_back(n):
    def back(self, d, level, g):
        found = Plain.level_back(self, d, level, g)
        found[n:] = 0
        return found

    return back


wrong("t-512", "triplets beyond 512 are not summed", "loss_data", mean=first(512))
wrong("t-blocks", "a last block of 256 triplets is lost", "loss_data", mean=whole_blocks(256))
wrong("p-32", "proxies beyond 32 are no ancestors", L, logits=candidates(32))
wrong("p-256", "proxies beyond 256 are no ancestors", "lca_triple_data", logits=candidates(256))
wrong("p-int8", "ancestors as 8-bit integers", L, hard=counted("i1"))
wrong(
    "d-128",
    "coordinates beyond 128 forgotten",
    "d_zz",
    q=lambda s, x, y: Plain.q(s, x[:, :128], y[:, :128]),
)
wrong(
    "d-1024",
    "coordinates beyond 1024 forgotten",
    "d_zz",
    q=lambda s, x, y: Plain.q(s, x[:, :1024], y[:, :1024]),
)
wrong("b-64", "no gradient to rows beyond 64", G, level_back=rows_back(64))
wrong(
    "b-uint8",
    "triplets as 8-bit integers",
    L,
    triplets=lambda s, lv: Plain.triplets(s, lv).astype("u1").astype(int),
)
wrong("t-4096-slope", "no slope beyond 4,096 triplets", G, hinge=no_slope(4096))

# ---- The boundary, at every c


def largest(f):
    """Points beyond a radius f(c) are put there."""

    def points(self, u, side):
        z = Plain.points(self, u, side)
        n, most = self.norm(z), f(self.c)
        far = getval(n) > most
        return np.where(far, most / np.where(far, n, 1.0), 1.0) * z

    return points


def norm_cut(limit):
    """tanh(√c min(n, limit))."""
    return lambda s, u, side: exp0(lambda a, c: np.minimum(a, math.sqrt(c) * limit))(s, u, side)


def clip_beyond(eps):
    def clip(self, u, side):
        n = self.norm(u)
        far = getval(n) > self.r
        return np.where(far, self.r / np.where(far, n + eps, 1.0), 1.0) * u

    return clip


def floor(least):
    return lambda s, x: np.maximum(Plain.gap(s, x), least)


wrong("gap-1e-10", "gaps not below 1e-10", "d_zl", gap=floor(1e-10))
wrong(
    "gap-1e-12",
    "gaps not below 1e-12",
    "d_zl",
    hidden="beyond tanh 14.5 right gradients have no digits left",
    gap=floor(1e-12),
)
wrong(
    "radius-minus-1e-3",
    "points within 1/√c - 1e-3",
    "z",
    points=largest(lambda c: 1 / math.sqrt(c) - 1e-3),
)
wrong(
    "radius-minus-1e-5",
    "points within 1/√c - 1e-5",
    "z",
    points=largest(lambda c: 1 / math.sqrt(c) - 1e-5),
)
wrong("norm-cut-10", "norms cut at 10, not √c norms", "z", exp0=norm_cut(10.0))
wrong("clip-eps-beyond", "eps added where a vector is clipped alone", "z", clip=clip_beyond(1e-5))
wrong("c-at-most-4", "c not above 4", "z", exp0=exp0(c=lambda s: min(s.c, 4.0)))
wrong(
    "tau-at-least-0.01",
    "tau not below 0.01",
    "lca_triple_data",
    logits=lambda s, far, n, size: -far / max(s.tau, 0.01) + n,
)

# ---- Several fields


def mixed(name, *names):
    """A mutant made of several with names, which change different steps."""
    parts = [BY_NAME[each] for each in names]
    hooks = {method: hook for part in parts for method, hook in part.hooks.items()}
    assert len(hooks) == sum(len(part.hooks) for part in parts)
    order = list(hier_order())
    stage = min((part.stage for part in parts), key=order.index)
    return Mutant(
        name,
        " and ".join(names),
        stage,
        tuple(part.named for part in parts),
        hooks,
        min((part.black_box_stage for part in parts), key=("loss", "grad_x", "grad_proxies").index),
    )


def hier_order():
    from hier_ref.oracle.stages import NEEDS

    return NEEDS


WIDER += [
    mixed("mix-mask-riemann", "mask-none", "riemann"),
    mixed("mix-riemann-st", "riemann", "st-none"),
    mixed("mix-margin-clip", "ball-margin-0.001", "clip-eps-1e-05"),
    mixed("mix-mobius-mean-riemann", "mobius-eps-1e-05", "mean-apart", "riemann"),
    mixed("mix-four", "clip-eps-1e-05", "mobius-eps-1e-05", "own-banned", "riemann"),
    mixed("mix-own-mask-st", "own-banned", "mask-none", "st-none"),
]

# ---- Ties, and the digits of one stage


def short(method):
    """One step in float32, whatever is asked."""

    def hook(self, *a):
        value = getattr(Plain, method)(self, *a)
        if isinstance(value, tuple):
            return tuple(v.astype(onp.float32).astype(self.dtype) for v in value)
        return np.array(value, dtype=onp.float32).astype(self.dtype)

    return hook


def float32_of(f):
    """A step whose result is rounded to float32 and keeps its slope."""

    def hook(self, *a):
        value = f(self, *a)
        return value + (getval(value).astype(onp.float32).astype(self.dtype) - getval(value))

    return hook


wrong("logits-float32", "logits in float32 in a float64 run", G, logits=float32_of(Plain.logits))
wrong("gap-float32", "gaps in float32 in a float64 run", "d_zz", gap=float32_of(Plain.gap))
wrong(
    "grad-z-float32",
    "gradients to points in float32 in a float64 run",
    "grad_z",
    distance_back=short("distance_back"),
)
wrong(
    "grad-x-float32",
    "gradients to inputs in float32 in a float64 run",
    X,
    points_back=short("points_back"),
)
wrong(
    "noise-float16",
    "noise in float16",
    "lca_triple_data",
    logits=lambda s, far, n, size: -far / s.tau + n.astype(onp.float16).astype(s.dtype),
)
wrong(
    "tau-float32",
    "tau rounded to float32",
    G,
    logits=lambda s, far, n, size: -far / s.dtype.type(onp.float32(s.tau)) + n,
)
wrong(
    "d-bfloat16",
    "distances with 8 bits",
    "d_zz",
    distance=scaled(lambda s, d: d * (1 + 2.0**-9 * np.sin(1e6 * getval(d)))),
)
wrong(
    "margin-float16",
    "margin in float16",
    H,
    inside=lambda s, p, t: Plain.inside(
        type("M", (), {"margin": float(onp.float16(s.margin))})(), p, t
    ),
)
