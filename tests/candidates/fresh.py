"""Mutants written when the oracle was nearly finished: only its budgets were changed since.

The families of wider.py and latest.py once more, with conventions at values that nobody had tried.
All are asked in both dtypes.
"""

import math

import autograd.numpy as np
import numpy as onp
from autograd.tracer import getval

from .latest import coarse
from .mutants import H, L, Mutant, X, clipped, distance, exp0, projected
from .plain import Plain
from .wider import G, candidates, float32_of, floor, into, largest, mixed, rows_back, short_only

FRESH: list[Mutant] = []
wrong = into(FRESH)

# ---- float32 alone

FLOAT32 = ("mobius-eps-1e-03", "ball-margin-0.01", "hinge-no-j", "st-half", "max-j", "far-sum")
FLOAT32 += ("d-ll-half", "grad-rolled", "mean-less-1", "noise-shared", "l-detached", "hinge-cap")
FRESH += [short_only(name) for name in FLOAT32]
UNASKED = "float32 losses are asked up to radii 0.98: at 0.995 a right RELEASED changes a choice"
FRESH[1] = FRESH[1]._replace(hidden=UNASKED)  # ball-margin-0.01


def in_float32(change):
    """Something done to the gradients of points, in float32 alone."""

    def back(self, g, u, side):
        found = Plain.points_back(self, g, u, side)
        return change(found) if self.dtype == onp.float32 else found

    return back


wrong(
    "f32-grad-5%", "in float32: gradients 5% larger", X, points_back=in_float32(lambda g: 1.05 * g)
)
wrong(
    "f32-grad-cut",
    "in float32: gradients cut at 0.01",
    X,
    points_back=in_float32(lambda g: onp.clip(g, -0.01, 0.01)),
)
wrong(
    "f32-tau-0.05",
    "in float32: tau not below 0.05",
    L,
    logits=lambda s, far, n, size: (
        -far / (max(s.tau, 0.05) if s.dtype == onp.float32 else s.tau) + n
    ),
)

# ---- Sizes


def from_on(n, f):
    """Triplets from the n-th on count otherwise."""
    return lambda s, h, mask, lv: (np.sum(h[:n]) + np.sum(f(h[n:]))) / max(1, len(h))


def wrapped(n):
    """Rows of points beyond the n-th are read from the start again."""

    def triplets(self, level):
        return Plain.triplets(self, level) % n

    return triplets


def columns_back(n):
    """No gradient to proxies beyond the n-th."""

    def back(self, d, level, g):
        found = Plain.level_back(self, d, level, g)
        found[:, n:] = 0
        return found

    return back


def coordinates_back(n):
    """No gradient to coordinates beyond the n-th."""

    def back(self, g, u, side):
        found = Plain.points_back(self, g, u, side)
        found[:, n:] = 0
        return found

    return back


wrong(
    "t-600-twice",
    "triplets beyond 600 count twice",
    "loss_data",
    mean=from_on(600, lambda h: 2 * h),
)
wrong(
    "t-3000", "triplets beyond 3,000 count half", "loss_data", mean=from_on(3000, lambda h: h / 2)
)
wrong("b-128-wrapped", "rows beyond 128 are read from the start", L, triplets=wrapped(128))
wrong("p-64", "proxies beyond 64 are no ancestors", L, logits=candidates(64))
wrong("p-300", "proxies beyond 300 are no ancestors", "lca_pair_proxy", logits=candidates(300))
wrong("p-256-back", "no gradient to proxies beyond 256", G, level_back=columns_back(256))
wrong("d-100-back", "no gradient to coordinates beyond 100", X, points_back=coordinates_back(100))
wrong(
    "d-1000-back", "no gradient to coordinates beyond 1,000", X, points_back=coordinates_back(1000)
)
wrong("b-200-back", "no gradient to rows beyond 200", G, level_back=rows_back(200))
wrong(
    "d-96-norm",
    "norms of the first 96 coordinates",
    "z",
    norm=lambda s, u: Plain.norm(s, u[:, :96]),
)

# ---- The boundary, at every c


def gap_by(f):
    """The gap of a length times √c."""
    return lambda s, x: f(math.sqrt(s.c) * s.norm(x)[..., 0])


wrong("gap-1e-7-plus", "1e-7 added to gaps", "d_zz", gap=lambda s, x: Plain.gap(s, x) + 1e-7)
wrong("gap-1e-5", "gaps not below 1e-5", "d_zz", gap=floor(1e-5))
wrong(
    "gap-3e-11",
    "gaps not below 3e-11",
    "d_zl",
    hidden="the loss changes by 3e-14; right gradients there have no digits left",
    gap=floor(3e-11),
)
wrong("gap-near", "gaps as 2 (1 - s)", "d_zz", gap=gap_by(lambda s: 2 * (1 - s)))
wrong(
    "radius-2%", "points within (1 - 0.02)/√c", "z", ("ball_margin", 0.02), points=projected(0.02)
)
wrong(
    "radius-c", "points within 1/√c - 1e-2", "z", points=largest(lambda c: 1 / math.sqrt(c) - 1e-2)
)
wrong("tanh-6", "argument of tanh cut", "z", ("tanh_limit", 6.0), exp0=exp0(limit=6.0))
wrong("tanh-9.25", "argument of tanh cut", "z", ("tanh_limit", 9.25), exp0=exp0(limit=9.25))
wrong("clip-eps-7e-5", "eps under the clip radius", "z", ("clip_eps", 7e-5), clip=clipped(7e-5))
for eps in ("4e-7", "6e-4"):
    named = ("mobius_denominator_eps", float(eps))
    change = "eps in the denominator of ⊕"
    wrong(f"mobius-eps-{eps}", change, "d_zz", named, distance=distance(eps=float(eps)))
wrong(
    "artanh-3e-5",
    "argument of artanh cut",
    "d_zz",
    ("artanh_margin", 3e-5),
    distance=distance(margin=3e-5),
)
wrong("c-at-least-0.05", "c not below 0.05", "z", exp0=exp0(c=lambda s: max(s.c, 0.05)))

# ---- Several fields

FRESH += [
    mixed("mix-own-st", "own-banned", "st-none"),
    mixed("mix-clip-tempered", "clip-eps-1e-05", "noise-tempered"),
    mixed("mix-margin-mobius-riemann", "ball-margin-0.01", "mobius-eps-1e-04", "riemann"),
    mixed("mix-clip-margin-st", "clip-eps-1e-03", "ball-margin-0.001", "st-none"),
    mixed("mix-mobius-own-mask-riemann", "mobius-eps-1e-03", "own-banned", "mask-none", "riemann"),
    mixed("mix-mobius-st-mean", "mobius-eps-1e-06", "st-none", "mean-apart"),
]

# ---- Ties, and the digits of one stage


def lost_tie(self, i, j, k):
    """The largest of three, without a slope where j and k tie."""
    far = Plain.far_triple(self, i, j, k)
    return np.where(getval(j) == getval(k), getval(far), far)


wrong("tie-of-k", "the slope of a tie between j and k is lost", G, far_triple=lost_tie)
wrong("d-12-bits", "distances with 12 bits", "d_zz", distance=coarse(12, Plain.distance))
wrong("hinge-8-bits", "hinges with 8 bits", H, hinge=coarse(8, Plain.hinge))
wrong(
    "triple-float32",
    "farthest of three in float32 in a float64 run",
    G,
    far_triple=float32_of(Plain.far_triple),
)
wrong("q-float32", "squared differences in float32 in a float64 run", "d_zz", q=float32_of(Plain.q))
wrong(
    "mean-8-bits",
    "the divisor with 8 bits",
    "loss_data",
    mean=lambda s, h, mask, lv: np.sum(h) / float(rounded(8, onp.array(max(1.0, len(h))))),
)
wrong(
    "grad-d-10-bits",
    "gradients to distances with 10 bits",
    G,
    level_back=lambda s, d, lv, g: rounded(10, Plain.level_back(s, d, lv, g)),
)


def rounded(bits, value):
    mantissa, exponent = onp.frexp(value)
    return onp.ldexp(onp.round(mantissa * 2.0**bits) / 2.0**bits, exponent).astype(value.dtype)
