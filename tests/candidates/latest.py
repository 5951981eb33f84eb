"""Mutants written after the last change to the oracle: none of them had a part in making it.

As in wider.py: float32 alone, sizes, the boundary at every c, several fields, ties, one stage's
digits. Asked in both dtypes.
"""

import autograd.numpy as np
import numpy as onp
from autograd.tracer import getval

from .mutants import H, L, Mutant, X, exp0
from .plain import Plain
from .wider import (
    G,
    candidates,
    clip_beyond,
    counted,
    first,
    float32_of,
    floor,
    into,
    largest,
    mixed,
    norm_cut,
    rows_back,
    short_only,
    whole_blocks,
)

LATEST: list[Mutant] = []
wrong = into(LATEST)
K = "lca_triple_data"

# ---- float32 alone

FLOAT32 = ("mask-none", "own-banned", "d-half", "noise-swapped", "max-k", "ll-once", "hinge-two")
FLOAT32 += ("hinge-no-margin", "clip-none", "d-ll-c", "grad-proxies-double", "noise-tempered")
FLOAT32 += ("level-mean", "noise-half", "grad-batch", "exp0-c", "mean-3", "sum")
LATEST += [short_only(name) for name in FLOAT32]

# ---- Sizes


def beyond(n, change):
    """Something done to the rows of d beyond the n-th."""

    def distance(self, x, y, which):
        d = Plain.distance(self, x, y, which)
        return np.concatenate([d[:n], change(d[n:])]) if len(d) > n else d

    return distance


def tile(n, axis):
    """Rows or columns of d_ll beyond the last whole tile are those of the tile before."""

    def distance(self, x, y, which):
        d = Plain.distance(self, x, y, which)
        size = d.shape[axis]
        if which != "ll" or size <= n or not size % n:
            return d
        index = onp.arange(size)
        index[size // n * n :] -= n
        return d[index] if axis == 0 else d[:, index]

    return distance


def sums_in(n):
    """Coordinates are summed by tiles of n; what fills no tile is left out."""
    return lambda s, x, y: Plain.q(
        s, *(a[:, : a.shape[1] // n * n] if a.shape[1] > n else a for a in (x, y))
    )


wrong("t-1000", "triplets beyond 1,000 are not summed", "loss_data", mean=first(1000))
wrong("t-4096", "triplets beyond 4,096 are not summed", "loss_data", mean=first(4096))
wrong(
    "t-blocks-1024", "a last block of 1,024 triplets is lost", "loss_data", mean=whole_blocks(1024)
)
wrong("p-40", "the forty-first proxy is no ancestor", L, logits=candidates(40))
wrong("p-128", "proxies beyond 128 are no ancestors", L, logits=candidates(128))
wrong("p-uint8", "ancestors as unsigned 8-bit integers", K, hard=counted("u1"))
wrong(
    "d-64",
    "coordinates beyond 64 forgotten",
    "d_zz",
    q=lambda s, x, y: Plain.q(s, x[:, :64], y[:, :64]),
)
wrong("d-tiles-32", "coordinates that fill no tile of 32", "d_zz", q=sums_in(32))
wrong("d-tiles-512", "coordinates that fill no tile of 512", "d_zz", q=sums_in(512))
wrong("b-72", "no gradient to the seventy-third row", G, level_back=rows_back(72))
wrong("b-256", "rows beyond 256 are 1% nearer", "d_zz", distance=beyond(256, lambda d: 0.99 * d))
wrong("ll-tile-rows", "a last tile of 32 rows is the one before", "d_ll", distance=tile(32, 0))
wrong(
    "ll-tile-columns", "a last tile of 256 columns is the one before", "d_ll", distance=tile(256, 1)
)
wrong(
    "t-int16",
    "more than 4,000 triplets are divided by 4,000",
    "loss_data",
    mean=lambda s, h, m, lv: np.sum(h) / min(4000, max(1, len(h))),
)

# ---- The boundary, at every c


def to_radius(f):
    return lambda s, u, side: largest(f)(s, u, side)


def margin_square(margin):
    """A squared norm is compared with 1 - margin, whatever c is."""

    def points(self, u, side):
        z = Plain.points(self, u, side)
        sq = np.sum(z * z, axis=1, keepdims=True) * self.c
        far = getval(sq) > 1 - margin
        return np.where(far, np.sqrt((1 - margin) / np.where(far, sq, 1.0)), 1.0) * z

    return points


def clip_early(share):
    """Vectors are shortened from a share of the radius on."""

    def clip(self, u, side):
        n = self.norm(u)
        far = getval(n) > share * self.r
        return np.where(far, share * self.r / np.where(far, n, 1.0), 1.0) * u

    return clip


def gap_plus(eps):
    return lambda s, x: Plain.gap(s, x) + eps


wrong("gap-1e-6", "gaps not below 1e-6", "d_zz", gap=floor(1e-6))
wrong("gap-1e-9", "gaps not below 1e-9", "d_zl", gap=floor(1e-9))
wrong("gap-plus-1e-8", "1e-8 added to gaps", "d_zz", gap=gap_plus(1e-8))
wrong(
    "radius-unscaled",
    "points within 1 - 1e-3, whatever c is",
    "z",
    points=to_radius(lambda c: 1 - 1e-3),
)
wrong(
    "radius-over-c", "points within (1 - 1e-3)/c", "z", points=to_radius(lambda c: (1 - 1e-3) / c)
)
wrong("radius-square", "c|z|² within 1 - 3e-4", "z", points=margin_square(3e-4))
wrong("norm-cut-5", "norms cut at 5, not √c norms", "z", exp0=norm_cut(5.0))
wrong(
    "clip-eps-beyond-1e-4",
    "1e-4 added where a vector is clipped alone",
    "z",
    clip=clip_beyond(1e-4),
)
wrong("clip-early", "vectors are shortened to 0.9999 of the radius", "z", clip=clip_early(0.9999))
wrong("c-at-most-50", "c not above 50", "z", exp0=exp0(c=lambda s: min(s.c, 50.0)))
wrong(
    "tau-at-most-10",
    "tau not above 10",
    L,
    logits=lambda s, far, n, size: -far / min(s.tau, 10.0) + n,
)

# ---- Several fields

LATEST += [
    mixed("mix-st-mean", "st-none", "mean-apart"),
    mixed("mix-tempered-mean-riemann", "noise-tempered", "mean-apart", "riemann"),
    mixed("mix-mobius-margin", "mobius-eps-1e-05", "ball-margin-0.001"),
    mixed("mix-artanh-st-riemann", "artanh-1e-05", "st-none", "riemann"),
    mixed("mix-clip-own-mean", "clip-eps-1e-03", "own-banned", "mean-apart"),
    mixed("mix-minnorm-mask", "min-norm-1e-03", "mask-none"),
    mixed("mix-four-later", "ball-margin-0.004", "noise-tempered", "mask-none", "riemann"),
]

# ---- Ties, and the digits of one stage


def coarse(bits, f):
    """A step whose result keeps some bits, and its slope."""

    def hook(self, *a):
        value = f(self, *a)
        mantissa, exponent = onp.frexp(getval(value))
        kept = onp.ldexp(onp.round(mantissa * 2.0**bits) / 2.0**bits, exponent)
        return value + (kept.astype(self.dtype) - getval(value))

    return hook


wrong(
    "far-float32",
    "farthest distances in float32 in a float64 run",
    G,
    far_pair=float32_of(Plain.far_pair),
)
wrong("z-11-bits", "points with 11 bits", "z", points=coarse(11, Plain.points))
wrong("q-11-bits", "squared differences with 11 bits", "d_zz", q=coarse(11, Plain.q))
wrong("gap-24-bits", "gaps with 24 bits", "d_zz", gap=coarse(24, Plain.gap))
wrong("hinge-float32", "hinges in float32 in a float64 run", H, hinge=float32_of(Plain.hinge))
wrong(
    "grad-l-float32",
    "gradient to distances in float32 in a float64 run",
    G,
    level_back=lambda s, d, lv, g: Plain.level_back(s, d, lv, g).astype("f4").astype(s.dtype),
)
wrong(
    "back-16-bits",
    "gradients to inputs in float16",
    X,
    points_back=lambda s, g, u, side: Plain.points_back(s, g, u, side).astype("f2").astype(s.dtype),
)
wrong(
    "weights-of-far-only",
    "the slope of a tie between i and j is lost",
    G,
    far_pair=lambda s, i, j, k: np.where(getval(i) == getval(j), getval(i), np.maximum(i, j)),
)
wrong(
    "tau-half",
    "tau in float16",
    L,
    logits=lambda s, far, n, size: -far / float(onp.float16(s.tau)) + n,
)
wrong(
    "radius-float16",
    "clip radius in float16",
    "z",
    clip=lambda s, u, side: clip_at(s, u, float(onp.float16(s.r))),
)


def clip_at(self, u, r):
    n = self.norm(u)
    far = getval(n) > r
    return np.where(far, r / np.where(far, n, 1.0), 1.0) * u
