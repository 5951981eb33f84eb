"""Mutants written after the last change to the oracle, which was to its budgets.

The families of wider.py, latest.py and fresh.py a fourth time: other steps in float32 alone, other
sizes and tiles, other radii, other mixes, ties, and digits. All are asked in both dtypes.
"""

import math

import autograd.numpy as np
import numpy as onp
from autograd.tracer import getval

from .fresh import columns_back, coordinates_back, from_on, rounded, wrapped
from .latest import beyond, coarse, sums_in, tile
from .mutants import H, L, Mutant, X, clipped, distance, exp0, projected
from .plain import Plain
from .wider import (
    G,
    candidates,
    first,
    float32_of,
    floor,
    into,
    largest,
    mixed,
    rows_back,
    short_only,
)

LAST: list[Mutant] = []
wrong = into(LAST)

# ---- float32 alone

FLOAT32 = ("clip-coordinates", "exp0-none", "d-log2", "far-mean", "tau-twice", "swap-ik", "argmin")
FLOAT32 += ("hinge-squares", "hinge-i-twice", "mask-inverted", "mean-batch", "level-data")
FLOAT32 += ("st-triple", "hinge-always", "grad-sum", "ll-detached", "z-detached", "riemann-no-4")
LAST += [short_only(name) for name in FLOAT32]

# ---- Sizes


def same_block(n):
    """Every block of n triplets has the noise of the first."""
    return lambda s, far, noise, size: -far / s.tau + noise[onp.arange(len(noise)) % n]


def last_lost(n):
    """The last proxy is no ancestor where their number is above n."""
    return lambda s, far, noise, size: np.where(
        (onp.arange(far.shape[1]) < max(n, far.shape[1] - 1)),
        Plain.logits(s, far, noise, size),
        -1e30,
    )


wrong("noise-block-512", "noise repeats every 512 triplets", L, logits=same_block(512))
wrong(
    "noise-block-2048",
    "noise repeats every 2,048 triplets",
    L,
    logits=same_block(2048),
)
wrong("last-proxy-33", "beyond 33 proxies the last is none", L, logits=last_lost(33))
wrong(
    "last-proxy-256", "beyond 256 proxies the last is none", "lca_pair_proxy", logits=last_lost(256)
)
wrong("t-700", "triplets beyond 700 are not summed", "loss_data", mean=first(700))
wrong(
    "t-2000-sign",
    "triplets beyond 2,000 count as negative",
    "loss_data",
    mean=from_on(2000, lambda h: -h),
)
wrong("b-60-wrapped", "rows beyond 60 are read from the start", L, triplets=wrapped(60))
wrong(
    "b-100-far", "rows beyond 100 are 2% farther", "d_zz", distance=beyond(100, lambda d: 1.02 * d)
)
wrong("d-tiles-24", "coordinates that fill no tile of 24", "d_zz", q=sums_in(24))
wrong("ll-tile-16", "a last tile of 16 rows is the one before", "d_ll", distance=tile(16, 0))
wrong("p-34-back", "no gradient to proxies beyond 34", G, level_back=columns_back(34))
wrong("d-130-back", "no gradient to coordinates beyond 130", X, points_back=coordinates_back(130))
wrong("b-65-back", "no gradient to rows beyond 65", G, level_back=rows_back(65))
wrong("p-100", "proxies beyond 100 are no ancestors", L, logits=candidates(100))

# ---- The boundary, at every c


def gap_times_c(self, x):
    """The gap as (1 - s)(1 + s) with s rounded up to 1 - 1e-8 at most."""
    s = np.minimum(math.sqrt(self.c) * self.norm(x)[..., 0], 1 - 1e-8)
    return (1 - s) * (1 + s)


def clip_in_ball(self, u, side):
    """The radius is divided by √c before it clips."""
    n = self.norm(u)
    r = min(self.r, self.r / math.sqrt(self.c))
    far = getval(n) > r
    return np.where(far, r / np.where(far, n, 1.0), 1.0) * u


wrong("gap-s-1e-8", "√c norms not above 1 - 1e-8", "d_zl", gap=gap_times_c)
wrong("gap-3e-6", "gaps not below 3e-6", "d_zz", gap=floor(3e-6))
wrong("gap-1e-8", "gaps not below 1e-8", "d_zl", gap=floor(1e-8))
wrong("clip-over-c", "the clip radius over √c where c is above 1", "z", clip=clip_in_ball)
wrong(
    "radius-half-eps",
    "points within 1/√c - 1e-4",
    "z",
    points=largest(lambda c: 1 / math.sqrt(c) - 1e-4),
)
wrong(
    "radius-5e-4", "points within (1 - 5e-4)/√c", "z", ("ball_margin", 5e-4), points=projected(5e-4)
)
wrong("tanh-7", "argument of tanh cut", "z", ("tanh_limit", 7.0), exp0=exp0(limit=7.0))
wrong("clip-eps-2e-4", "eps under the clip radius", "z", ("clip_eps", 2e-4), clip=clipped(2e-4))
wrong(
    "mobius-eps-7e-6",
    "eps in the denominator of ⊕",
    "d_zz",
    ("mobius_denominator_eps", 7e-6),
    distance=distance(eps=7e-6),
)
wrong(
    "artanh-2e-4",
    "argument of artanh cut",
    "d_zz",
    ("artanh_margin", 2e-4),
    distance=distance(margin=2e-4),
)
wrong("c-at-most-1", "c not above 1", "z", exp0=exp0(c=lambda s: min(s.c, 1.0)))

# ---- Several fields

LAST += [
    mixed("mix-tempered-riemann", "noise-tempered", "riemann"),
    mixed("mix-own-apart-riemann", "own-banned", "mean-apart", "riemann"),
    mixed("mix-clip-mask-st", "clip-eps-1e-05", "mask-none", "st-none"),
    mixed("mix-mobius-tempered", "mobius-eps-1e-05", "noise-tempered"),
    mixed("mix-margin-st-riemann", "ball-margin-0.004", "st-none", "riemann"),
    mixed("mix-mask-st-riemann", "mask-none", "st-none", "riemann"),
]

# ---- Ties, and the digits of one stage


def tie_twice(self, i, j, k):
    """The larger of two; where they tie each gets the whole slope."""
    far = Plain.far_pair(self, i, j, k)
    return np.where(getval(i) == getval(j), i + j - getval(i), far)


wrong("tie-twice", "both of a tie get the whole slope", G, far_pair=tie_twice)
wrong("z-9-bits", "points with 9 bits", "z", points=coarse(9, Plain.points))
wrong("norm-float16", "norms of inputs in 12 bits", "z", norm=coarse(12, Plain.norm))
wrong("q-14-bits", "squared differences with 14 bits", "d_zz", q=coarse(14, Plain.q))
wrong(
    "far-float32-pair",
    "farthest of two in float32 in a float64 run",
    G,
    far_pair=float32_of(Plain.far_pair),
)
wrong("hinge-14-bits", "hinges with 14 bits", H, hinge=coarse(14, Plain.hinge))
wrong(
    "grad-d-float32",
    "gradients to distances in float32 in a float64 run",
    G,
    level_back=lambda s, d, lv, g: (
        Plain.level_back(s, d, lv, g).astype(onp.float32).astype(d.dtype)
    ),
)
wrong(
    "grad-x-9-bits",
    "gradients to inputs with 9 bits",
    X,
    points_back=lambda s, g, u, side: rounded(9, Plain.points_back(s, g, u, side)),
)
