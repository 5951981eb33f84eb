"""Wrong versions of the plain candidate: what each changes, where it first shows, its name if any.

Each replaces methods of `Plain`, so that a mistake goes forwards and backwards consistently.
`stage` is the first wrong stage in the order of `hier_ref.oracle.stages.NEEDS`.
"""

import math
from typing import NamedTuple

import autograd.numpy as np
import numpy as onp
from autograd.tracer import getval

from .plain import BLACK_BOX, Plain, candidate


class Mutant(NamedTuple):
    """One mistake. `named` is the field and value of the convention that it is, if it is one."""

    name: str
    change: str
    stage: str
    named: tuple | None
    hooks: dict
    seen: str | None = None  # where a black box shows it, if not where the stages say
    hidden: str = ""  # why a black box does not show it

    def candidate(self, stages=None):
        return candidate(type("Wrong", (Plain,), dict(self.hooks)), stages)

    @property
    def black_box_stage(self):
        """The first wrong stage of those that a black box gives; None where it shows in none."""
        if self.stage.startswith(("positives", "negatives")):
            return None
        if self.seen:
            return self.seen
        order = ("grad_d_zl", "grad_z", "grad_x"), ("grad_d_ll", "grad_l", "grad_proxies")
        return next((names[-1] for names in order if self.stage in names), BLACK_BOX[0])


MUTANTS: list[Mutant] = []


def wrong(name, change, stage, named=None, seen=None, hidden="", **hooks):
    MUTANTS.append(Mutant(name, change, stage, named, hooks, seen, hidden))


def on(side, right, other):
    """Use `other` on one side (or level, or pair of sets) only."""
    return lambda self, *a: other(self, *a) if a[-1] == side else right(self, *a)


# ---- Into the ball


def clipped(eps=0.0, factor=1.0):
    def clip(self, u, side):
        n, r = self.norm(u) + eps, factor * self.r
        far = getval(n) > r
        return np.where(far, r / np.where(far, n, 1.0), 1.0) * u

    return clip


def exp0(argument=lambda s, c: s, after=lambda t, c: t, floor=0.0, limit=None, c=None):
    """tanh(argument)/ζ u with ζ = √c max(|u|, floor), and something done to the factor."""

    def exp0(self, u, side):
        k = c(self) if c else self.c
        s = math.sqrt(k) * np.maximum(self.norm(u), floor)
        zero = getval(s) == 0
        s = np.where(zero, 1.0, s)
        t = np.tanh(np.minimum(argument(s, k), limit or math.inf)) / s
        at_zero = argument(onp.array(1e-3), k) / 1e-3
        return after(np.where(zero, at_zero, t), k) * u

    return exp0


def projected(margin):
    def points(self, u, side):
        z = Plain.points(self, u, side)
        n, largest = self.norm(z), (1 - margin) / math.sqrt(self.c)
        far = getval(n) > largest
        return np.where(far, largest / np.where(far, n, 1.0), 1.0) * z

    return points


wrong("clip-none", "no clipping", "z", clip=lambda self, u, side: u)
wrong(
    "clip-data-only",
    "proxies are not clipped",
    "l",
    clip=on("l", Plain.clip, lambda self, u, s: u),
)
wrong(
    "clip-proxies-only",
    "data are not clipped",
    "z",
    clip=on("z", Plain.clip, lambda self, u, s: u),
)
wrong(
    "clip-coordinates",
    "every coordinate is cut at r",
    "z",
    clip=lambda self, u, side: np.clip(u, -self.r, self.r),
)
wrong(
    "clip-after",
    "clipping follows exp0",
    "z",
    points=lambda self, u, side: Plain.clip(self, self.exp0(u, side), side),
)
wrong("clip-1%", "radius 1% larger", "z", clip=clipped(factor=1.01))
wrong(
    "clip-always",
    "every vector is brought to length r",
    "z",
    clip=lambda self, u, side: u * self.r / np.where(getval(self.norm(u)) == 0, 1, self.norm(u)),
)
for eps in (1e-8, 1e-6, 1e-5, 1e-3):
    wrong(
        f"clip-eps-{eps:.0e}",
        "eps under the clip radius",
        "z",
        ("clip_eps", eps),
        clip=clipped(eps),
    )
wrong("exp0-half", "tanh(√c|u|/2)", "z", exp0=exp0(lambda s, c: s / 2))
wrong("exp0-double", "tanh(2√c|u|)", "z", exp0=exp0(lambda s, c: 2 * s))
wrong("exp0-c", "tanh(c|u|)", "z", exp0=exp0(lambda s, c: math.sqrt(c) * s))
wrong("exp0-no-root-c", "not divided by √c", "z", exp0=exp0(after=lambda t, c: t * math.sqrt(c)))
wrong("exp0-none", "tangent vectors taken as points", "z", exp0=lambda self, u, side: 0.3 * u)
wrong("exp0-sin", "tan^-1 for tanh", "z", exp0=exp0(lambda s, c: np.arctan(s)))
wrong("exp0-c-of-data", "c = 0.1 whatever is asked", "z", exp0=exp0(c=lambda self: 0.1))
wrong(
    "exp0-c-of-proxies",
    "c = 0.1 for proxies, whatever is asked",
    "l",
    exp0=on("l", Plain.exp0, exp0(c=lambda self: 0.1)),
)
wrong(
    "curvature-float32",
    "c rounded to float32",
    "z",
    ("curvature_dtype", "float32"),
    exp0=exp0(c=lambda self: float(onp.float32(self.c))),
    distance=lambda self, x, y, w: distance(c=lambda self: float(onp.float32(self.c)))(
        self, x, y, w
    ),
)
for eps in (1e-6, 1e-5, 1e-3):
    wrong(
        f"min-norm-{eps:.0e}",
        "floor under norms",
        "z",
        ("min_norm", eps),
        seen="loss" if eps == 1e-3 else "grad_x",
        exp0=exp0(floor=eps),
    )
for most in (15.0, 10.0, 5.0):
    wrong(
        f"tanh-{most:g}",
        "argument of tanh cut",
        "z",
        ("tanh_limit", most),
        hidden="beyond tanh 15 a right distance may have no digits left" if most == 15 else "",
        exp0=exp0(limit=most),
    )
for margin in (1e-5, 1e-3, 4e-3, 1e-2):
    wrong(
        f"ball-margin-{margin:g}",
        "points projected inwards",
        "z",
        ("ball_margin", margin),
        points=projected(margin),
    )
wrong(
    "z-float32",
    "points computed in float32 in a float64 run",
    "z",
    points=lambda self, u, side: Plain.points(self, u, side).astype(onp.float32).astype(self.dtype),
)
wrong(
    "l-shifted",
    "proxies one index off",
    "l",
    points=on("l", Plain.points, lambda self, u, s: np.roll(Plain.points(self, u, s), 1, axis=0)),
)


# ---- Distances


def distance(eps=0.0, margin=0.0, c=None):
    """(2/√c) artanh(s) with an eps in the denominator of ⊕ and a cut of s."""

    def distance(self, x, y, which):
        k = c(self) if c else self.c
        gap = [1 - k * np.sum(a * a, axis=-1) for a in (x, y)]
        q, ab = self.q(x, y), gap[0][:, None] * gap[1]
        D = ab + k * q
        same = getval(q) == 0
        root = np.where(same, 0.0, np.sqrt(np.where(same, 1.0, k * q * D)))
        s = root / (D + eps)
        rest = (ab * D + 2 * eps * D + eps**2) / (D + eps) ** 2  # 1 - s²
        if not margin:
            return 2 / math.sqrt(k) * np.arcsinh(s / np.sqrt(rest))
        most = 1 - margin
        cut, slope = onp.minimum(getval(s), most), 1 / (1 - onp.minimum(getval(s), most) ** 2)
        near = getval(s) < most
        inside = np.arcsinh(s / np.sqrt(rest))
        beyond = onp.arctanh(cut) + slope * (s - getval(s))
        return 2 / math.sqrt(k) * np.where(near, inside, beyond)

    return distance


def scaled(f):
    return lambda self, x, y, which: f(self, Plain.distance(self, x, y, which))


def from_q(f):
    """Distance from q, a, b by another formula; 0, with gradient 0, for equal points."""

    def distance(self, x, y, which):
        q = self.q(x, y)
        same = getval(q) == 0
        a, b = self.gap(x)[:, None], self.gap(y)
        return np.where(same, 0.0, f(np.where(same, 1.0, q), a, b, self.c))

    return distance


wrong("d-half", "1/√c for 2/√c", "d_zz", distance=scaled(lambda s, d: d / 2))
wrong("d-no-root-c", "2 for 2/√c", "d_zz", distance=scaled(lambda s, d: d * math.sqrt(s.c)))
wrong("d-c", "2/c for 2/√c", "d_zz", distance=scaled(lambda s, d: d / math.sqrt(s.c)))
wrong("d-1%", "distances 1% long", "d_zz", distance=scaled(lambda s, d: d * 1.01))
wrong("d-1e-6", "distances 1e-6 long", "d_zz", distance=scaled(lambda s, d: d * (1 + 1e-6)))
wrong("d-log10", "logarithm to base 10", "d_zz", distance=scaled(lambda s, d: d / math.log(10)))
wrong("d-log2", "logarithm to base 2", "d_zz", distance=scaled(lambda s, d: d / math.log(2)))
wrong("d-sign", "minus the distance", "d_zz", distance=scaled(lambda s, d: -d))
wrong("d-squared", "squared distance", "d_zz", distance=scaled(lambda s, d: d * d))
wrong("d-cut", "distances cut at 10", "d_zz", distance=scaled(lambda s, d: np.minimum(d, 10.0)))
wrong(
    "d-plus-eps",
    "1e-5 added to distances",
    "d_zz",
    hidden="the loss is made of differences of distances, in which a constant cancels",
    distance=scaled(lambda s, d: d + 1e-5),
)
wrong(
    "d-euclid",
    "Euclidean distance of the points",
    "d_zz",
    distance=from_q(lambda q, a, b, c: np.sqrt(q)),
)
wrong(
    "d-one-gap",
    "only one gap under the root",
    "d_zz",
    distance=from_q(lambda q, a, b, c: 2 / math.sqrt(c) * np.arcsinh(np.sqrt(c * q / (a + 0 * b)))),
)
wrong(
    "d-no-gap",
    "no gaps",
    "d_zz",
    distance=from_q(lambda q, a, b, c: 2 / math.sqrt(c) * np.arcsinh(np.sqrt(c * q + 0 * a * b))),
)
wrong(
    "d-no-c",
    "q for c q",
    "d_zz",
    distance=from_q(lambda q, a, b, c: 2 / math.sqrt(c) * np.arcsinh(np.sqrt(q / (a * b)))),
)
wrong(
    "d-arcosh",
    "arcosh(1 + c q/(a b)): a factor 2 lost",
    "d_zz",
    distance=from_q(lambda q, a, b, c: 2 / math.sqrt(c) * np.arcsinh(np.sqrt(c * q / (a * b) / 2))),
)
wrong(
    "d-sinh",
    "no arsinh",
    "d_zz",
    distance=from_q(lambda q, a, b, c: 2 / math.sqrt(c) * np.sqrt(c * q / (a * b))),
)
wrong(
    "d-no-minus",
    "x ⊕ y for (-x) ⊕ y",
    "d_zz",
    distance=lambda self, x, y, w: Plain.distance(self, -x, y, w),
)
for eps in (1e-12, 1e-6):
    wrong(
        f"d-root-eps-{eps:g}",
        f"√(q + {eps:g})",
        "d_zz",
        q=lambda self, x, y, eps=eps: Plain.q(self, x, y) + eps,
    )
wrong(
    "gap-no-c",
    "gap 1 - |x|²",
    "d_zz",
    gap=lambda self, x: 1 - 0.9 * np.sum(x * x, axis=-1) * self.c,
)
wrong(
    "gap-floor",
    "gaps not below 1e-4",
    "d_zz",
    gap=lambda self, x: np.maximum(Plain.gap(self, x), 1e-4),
)
wrong(
    "gap-floor-1e-7",
    "gaps not below 1e-7",
    "d_zz",
    gap=lambda self, x: np.maximum(Plain.gap(self, x), 1e-7),
)
for eps in (1e-10, 1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 2e-5, 1e-3):
    wrong(
        f"mobius-eps-{eps:.0e}",
        "eps in the denominator of ⊕",
        "d_zz",
        ("mobius_denominator_eps", eps),
        distance=distance(eps=eps),
    )
for margin in (1e-7, 1e-6, 1e-5, 1e-4, 1e-3):
    wrong(
        f"artanh-{margin:.0e}",
        "argument of artanh cut",
        "d_zz",
        ("artanh_margin", margin),
        distance=distance(margin=margin),
    )
wrong(
    "d-float32",
    "distances computed in float32 in a float64 run",
    "d_zz",
    distance=scaled(lambda s, d: d.astype(onp.float32).astype(s.dtype)),
)
wrong(
    "d-expanded",
    "q in float32 by |x|² + |y|² - 2xy",
    "d_zz",
    q=lambda self, x, y: np.maximum(
        (np.sum(x * x, 1)[:, None] + np.sum(y * y, 1) - 2 * (x @ y.T).astype(onp.float32)).astype(
            self.dtype
        ),
        0,
    ),
)
wrong(
    "d-zl-no-minus",
    "data to the mirrored proxies",
    "d_zl",
    distance=on("zl", Plain.distance, lambda self, x, y, w: Plain.distance(self, -x, y, w)),
)
wrong(
    "d-ll-euclid",
    "among proxies Euclidean",
    "d_ll",
    distance=on("ll", Plain.distance, from_q(lambda q, a, b, c: np.sqrt(q))),
)
wrong(
    "d-ll-c",
    "among proxies with c = 1",
    "d_ll",
    distance=on("ll", Plain.distance, distance(c=lambda self: self.c / 2)),
)
wrong(
    "d-ll-half",
    "only one triangle of d_ll",
    "d_ll",
    distance=on("ll", Plain.distance, scaled(lambda s, d: d * onp.triu(onp.ones(d.shape)))),
)
wrong(
    "d-first-32",
    "coordinates beyond 32 are forgotten",
    "d_zz",
    q=lambda self, x, y: Plain.q(self, x[:, :32], y[:, :32]),
)
wrong(
    "d-remainder",
    "coordinates beyond a multiple of 4 are forgotten",
    "d_zz",
    q=lambda self, x, y: Plain.q(
        self, x[:, : x.shape[1] // 4 * 4 or None], y[:, : x.shape[1] // 4 * 4 or None]
    ),
)

# ---- Who may be drawn


def with_k(change, level=None):
    def near(self, d, which):
        if level not in (None, which):
            return Plain.near(self, d, which)
        one = type(self)(self.case)
        one.case = self.case.__class__(
            **{**vars(self.case), "neighbours": change(self.case.neighbours)}
        )
        return Plain.near(one, d, which)

    return near


def near_with_self(self, d, level):
    k = min(self.case.neighbours, len(d))
    d = self.bonus(d.astype(float)) if level == "data" else d.astype(float)
    order = onp.argsort(d, axis=1)[:, :k]
    near = onp.zeros(d.shape, bool)
    onp.put_along_axis(near, order, True, 1)
    return near


def at_least(n):
    def mining(self, d, level):
        positives = self.mutual(self.near(d, level))
        used = ((positives.sum(1) >= n) & self.negatives(positives).any(1))[:, None]
        return positives & used, self.negatives(positives) & used

    return mining


def not_itself(near):
    return near & near.T & ~onp.eye(len(near), dtype=bool)


wrong("k-more", "K + 1 neighbours", "positives_data", near=with_k(lambda k: k + 1))
wrong(
    "k-less",
    "K - 1 neighbours: so much as counting itself",
    "positives_data",
    ("neighbours_count_self", True),
    near=with_k(lambda k: k - 1),
)
wrong(
    "k-less-proxies",
    "K - 1 among proxies",
    "positives_proxy",
    near=with_k(lambda k: k - 1, "proxy"),
)
wrong(
    "k-more-proxies",
    "K + 1 among proxies",
    "positives_proxy",
    near=with_k(lambda k: k + 1, "proxy"),
)
wrong(
    "self-counts",
    "the point takes one of its K places",
    "positives_data",
    ("neighbours_count_self", True),
    near=near_with_self,
    mutual=lambda self, near: not_itself(near),
)
wrong(
    "self-positive",
    "the point is its own positive",
    "positives_data",
    near=near_with_self,
)
wrong(
    "labels-ignored",
    "distance alone ranks",
    "positives_data",
    ("same_class_first", False),
    bonus=lambda self, d: d,
)
wrong(
    "labels-last",
    "same class ranks last",
    "positives_data",
    bonus=lambda self, d: 2 * d - Plain.bonus(self, d),
)
wrong(
    "labels-only",
    "positives of the same class only",
    "positives_data",
    mutual=lambda self, near: (
        near
        & near.T
        & (
            self.case.labels[:, None] == self.case.labels
            if len(near) == len(self.case.labels)
            else True
        )
    ),
)
wrong("not-mutual", "one-sided neighbours count", "positives_data", mutual=lambda self, n: n | n.T)
wrong(
    "one-sided", "neighbours need not be mutual", "positives_data", mutual=lambda self, near: near
)
wrong(
    "farthest",
    "farthest for nearest",
    "positives_data",
    near=lambda s, d, lv: Plain.near(s, -d, lv),
)
wrong(
    "negative-anchor",
    "k may be i",
    "positives_data",
    ("negative_may_be_anchor", True),
    negatives=lambda self, positives: ~positives,
)
wrong(
    "two-needed",
    "2 mutual neighbours needed",
    "positives_data",
    ("min_reciprocal", 2),
    mining=at_least(2),
)
wrong(
    "three-needed",
    "3 mutual neighbours needed",
    "positives_data",
    ("min_reciprocal", 3),
    mining=at_least(3),
)
wrong(
    "negatives-not-class",
    "negatives of other classes only",
    "positives_data",
    negatives=lambda self, p: (
        Plain.negatives(self, p)
        & (
            self.case.labels[:, None] != self.case.labels
            if len(p) == len(self.case.labels)
            else True
        )
    ),
)
wrong(
    "negatives-all",
    "positives may be negatives",
    "positives_data",
    negatives=lambda self, p: ~onp.eye(len(p), dtype=bool),
)

# ---- Ancestors


def far(f):
    return {
        "far_pair": lambda self, i, j, k: f(i, j),
        "far_triple": lambda self, i, j, k: f(f(i, j), k),
    }


def own_banned(self, far, noise, size):
    logits = Plain.logits(self, far, noise, size)
    level = (
        "proxy"
        if noise.shape == self.case.gumbel_proxy[0].shape
        and any(noise is g for g in self.case.gumbel_proxy)
        else "data"
    )
    if level == "data" or noise.shape[1] <= 3:
        return logits
    members = self.triplets("proxy")[:size]
    out = (members[:, :, None] == onp.arange(noise.shape[1])).any(0)
    return np.where(out, -np.inf, logits)


L = "lca_pair_data"
wrong("far-min", "nearest member for farthest", L, **far(np.minimum))
wrong("far-sum", "sum for maximum", L, **far(np.add))
wrong("far-first", "distance of i alone", L, far_pair=lambda self, i, j, k: i)
wrong("far-ik", "pair of i and k", L, far_pair=lambda self, i, j, k: np.maximum(i, k))
wrong("far-jk", "pair of j and k", L, far_pair=lambda self, i, j, k: np.maximum(j, k))
wrong("far-mean", "mean for maximum", L, far_pair=lambda self, i, j, k: (i + j) / 2)
wrong(
    "far-triple-pair",
    "triple ignores k",
    "lca_triple_data",
    far_triple=lambda self, i, j, k: np.maximum(i, j),
)
wrong(
    "far-triple-ik",
    "triple ignores j",
    "lca_triple_data",
    far_triple=lambda self, i, j, k: np.maximum(i, k),
)
wrong(
    "far-triple-min",
    "triple by min(max(i, j), k)",
    "lca_triple_data",
    far_triple=lambda self, i, j, k: np.minimum(np.maximum(i, j), k),
)
wrong(
    "far-smooth",
    "a soft maximum",
    L,
    **far(lambda a, b: np.log(np.exp(10 * a - 10 * b) + 1) / 10 + b),
)
wrong(
    "noise-swapped",
    "noise of pair and triple swapped",
    L,
    noise=lambda s, lv: Plain.noise(s, lv)[::-1],
)
wrong(
    "noise-shared",
    "pair noise for both",
    "lca_triple_data",
    noise=lambda s, lv: (Plain.noise(s, lv)[0],) * 2,
)
wrong("noise-sign", "minus the noise", L, logits=lambda s, far, n, size: -far / s.tau - n)
wrong("noise-none", "no noise", L, logits=lambda s, far, n, size: -far / s.tau + 0 * n)
wrong(
    "noise-none-triple",
    "no noise for the triple",
    "lca_triple_data",
    logits=lambda s, far, n, size: -far / s.tau + (n if size == 2 else 0 * n),
)
wrong("noise-half", "half the noise", L, logits=lambda s, far, n, size: -far / s.tau + n / 2)
wrong(
    "noise-rows",
    "noise of the triplet before",
    L,
    noise=lambda s, lv: tuple(onp.roll(g, 1, 0) for g in Plain.noise(s, lv)),
)
wrong(
    "noise-columns",
    "noise of the proxy before",
    L,
    noise=lambda s, lv: tuple(onp.roll(g, 1, 1) for g in Plain.noise(s, lv)),
)
wrong(
    "noise-tempered",
    "noise divided by tau too",
    L,
    ("noise_tempered", True),
    logits=lambda s, far, n, size: (-far + n) / s.tau,
)
wrong("tau-twice", "divided by tau twice", L, logits=lambda s, far, n, size: -far / s.tau**2 + n)
wrong("tau-none", "not divided by tau", L, logits=lambda s, far, n, size: -far + n)
wrong("tau-times", "multiplied by tau", L, logits=lambda s, far, n, size: -far * s.tau + n)
wrong(
    "tau-triple",
    "tau twice for the triple",
    "lca_triple_data",
    logits=lambda s, far, n, size: -far / s.tau ** (size - 1) + n,
)
wrong("logits-sign", "far proxies preferred", L, logits=lambda s, far, n, size: far / s.tau + n)
wrong(
    "logits-root-c",
    "distance without 1/√c in the choice",
    L,
    logits=lambda s, far, n, size: -far * math.sqrt(s.c) / s.tau + n,
)
wrong(
    "own-banned",
    "members are no candidates among proxies",
    "lca_pair_proxy",
    ("proxy_may_be_own_ancestor", False),
    logits=own_banned,
)
wrong("soft-axis", "softmax over triplets", L, soft=lambda s, logits: Plain.soft(s, logits.T).T)
wrong("argmin", "least weight chosen", L, hard=lambda s, w: Plain.hard(s, -w))
wrong("second", "second best chosen", L, hard=lambda s, w: second(s, w))
wrong("swap-jk", "j and k swapped", L, triplets=lambda s, lv: Plain.triplets(s, lv)[[0, 2, 1]])
wrong("swap-ik", "i and k swapped", L, triplets=lambda s, lv: Plain.triplets(s, lv)[[2, 1, 0]])
wrong(
    "swap-jk-proxies",
    "j and k swapped among proxies",
    "lca_pair_proxy",
    triplets=lambda s, lv: Plain.triplets(s, lv)[[0, 1, 2] if lv == "data" else [0, 2, 1]],
)
wrong(
    "block-256",
    "triplets beyond 256 take the first ancestor",
    L,
    logits=lambda s, far, n, size: np.where(
        (onp.arange(len(far)) < 256)[:, None],
        Plain.logits(s, far, n, size),
        -1.0 * onp.arange(far.shape[1]),
    ),
)


def second(self, weights):
    if weights.shape[1] == 1:
        return Plain.hard(self, weights)
    chosen = onp.argsort(getval(weights), axis=1)[:, -2]
    return chosen, onp.eye(weights.shape[1], dtype=self.dtype)[chosen]


# ---- Hinges and means

H = "hinge_data"


def inside(f):
    return lambda self, p, t: f(self.margin, p, t)


def hinge(f):
    return lambda self, inside: sum(f(h) for h in inside)


wrong(
    "soft-forward",
    "soft choice forwards too",
    H,
    pick=lambda s, hard, w, d, size, m: np.sum(w * d, 1),
)
wrong(
    "hinge-margin-sign",
    "minus the margin",
    H,
    inside=inside(lambda m, p, t: (p[0] - t[0] - m, p[1] - t[1] - m, t[2] - p[2] - m)),
)
wrong(
    "hinge-no-margin",
    "no margin",
    H,
    inside=inside(lambda m, p, t: (p[0] - t[0], p[1] - t[1], t[2] - p[2])),
)
wrong(
    "hinge-k-no-margin",
    "no margin in the third",
    H,
    inside=inside(lambda m, p, t: (p[0] - t[0] + m, p[1] - t[1] + m, t[2] - p[2])),
)
wrong(
    "hinge-k-sign",
    "sign of the third",
    H,
    inside=inside(lambda m, p, t: (p[0] - t[0] + m, p[1] - t[1] + m, p[2] - t[2] + m)),
)
wrong(
    "hinge-signs",
    "all signs",
    H,
    inside=inside(lambda m, p, t: (t[0] - p[0] + m, t[1] - p[1] + m, p[2] - t[2] + m)),
)
wrong(
    "hinge-two",
    "no third hinge",
    H,
    inside=inside(lambda m, p, t: (p[0] - t[0] + m, p[1] - t[1] + m)),
)
wrong(
    "hinge-no-j",
    "no second hinge",
    H,
    inside=inside(lambda m, p, t: (p[0] - t[0] + m, t[2] - p[2] + m)),
)
wrong(
    "hinge-i-twice",
    "i for j",
    H,
    inside=inside(lambda m, p, t: (p[0] - t[0] + m, p[0] - t[0] + m, t[2] - p[2] + m)),
)
wrong(
    "hinge-j-for-k",
    "j for k",
    H,
    inside=inside(lambda m, p, t: (p[0] - t[0] + m, p[1] - t[1] + m, t[1] - p[1] + m)),
)
wrong(
    "hinge-squares",
    "hinges on squared distances",
    H,
    inside=inside(
        lambda m, p, t: (
            p[0] ** 2 - t[0] ** 2 + m,
            p[1] ** 2 - t[1] ** 2 + m,
            t[2] ** 2 - p[2] ** 2 + m,
        )
    ),
)
wrong("hinge-squared", "squared hinges", H, hinge=hinge(lambda h: np.maximum(h, 0) ** 2))
wrong("hinge-softplus", "softplus for the hinge", H, hinge=hinge(lambda h: np.logaddexp(h, 0)))
wrong("hinge-leaky", "leaky hinge", H, hinge=hinge(lambda h: np.maximum(h, 0.01 * h)))
wrong("hinge-abs", "absolute value", H, hinge=hinge(np.abs))
wrong("hinge-none", "no hinge", H, hinge=hinge(lambda h: h))
wrong(
    "hinge-together",
    "one hinge around the sum",
    H,
    hinge=lambda s, inside: np.maximum(sum(inside), 0),
)
wrong("hinge-mean", "mean of the three", H, hinge=lambda s, inside: Plain.hinge(s, inside) / 3)
wrong("hinge-cap", "hinges cut at 1", H, hinge=hinge(lambda h: np.minimum(np.maximum(h, 0), 1)))
wrong(
    "hinge-strict-margin",
    "margin 0.1 whatever is asked",
    H,
    inside=inside(lambda m, p, t: (p[0] - t[0] + 0.1, p[1] - t[1] + 0.1, t[2] - p[2] + 0.1)),
)
wrong(
    "mask-none",
    "equal ancestors count",
    H,
    ("same_lca_mask", False),
    mask=lambda s, p, o: p * 0 == 0,
)
wrong("mask-inverted", "only equal ancestors count", H, mask=lambda s, p, o: p == o)
wrong("sum", "sum for mean", "loss_data", mean=lambda s, h, mask, lv: np.sum(h))
wrong(
    "mean-apart",
    "mean over those apart",
    "loss_data",
    ("mean_over", "apart"),
    mean=lambda s, h, mask, lv: np.sum(h) / max(1, mask.sum()),
)
wrong(
    "mean-3",
    "mean over three hinges each",
    "loss_data",
    mean=lambda s, h, mask, lv: np.sum(h) / max(1, 3 * len(h)),
)
wrong(
    "mean-positive",
    "mean over positive hinges",
    "loss_data",
    mean=lambda s, h, mask, lv: np.sum(h) / max(1, (getval(h) > 0).sum()),
)
wrong(
    "mean-less-1",
    "divided by T - 1",
    "loss_data",
    mean=lambda s, h, mask, lv: np.sum(h) / max(1, len(h) - 1),
)
wrong(
    "mean-eps",
    "divided by T + 1e-5",
    "loss_data",
    mean=lambda s, h, mask, lv: np.sum(h) / (len(h) + 1e-5),
)
wrong(
    "mean-batch",
    "divided by the batch",
    "loss_data",
    mean=lambda s, h, mask, lv: np.sum(h) / len(s.case.x),
)
wrong(
    "mean-anchors",
    "mean of the means of anchors",
    "loss_data",
    mean=lambda s, h, mask, lv: mean_of_anchors(s, h, lv),
)
wrong(
    "sum-proxies",
    "sum for mean among proxies",
    "loss_proxy",
    mean=lambda s, h, mask, lv: (
        Plain.mean(s, h, mask, lv) * (1 if lv == "data" else max(1, len(h)))
    ),
)
wrong(
    "first-256",
    "only 256 triplets are summed",
    "loss_data",
    mean=lambda s, h, mask, lv: np.sum(h[:256]) / max(1, len(h)),
)
wrong("level-half", "level proxy counts half", "loss", total=lambda s, a, b: a + b / 2)
wrong("level-mean", "mean of the levels", "loss", total=lambda s, a, b: (a + b) / 2)
wrong("level-data", "level data only", "loss", total=lambda s, a, b: a + 0 * b)
wrong("level-max", "the larger level", "loss", total=lambda s, a, b: np.maximum(a, b))


def mean_of_anchors(self, h, level):
    anchors, inverse = onp.unique(self.triplets(level)[0], return_inverse=True)
    counts = onp.bincount(inverse)
    return np.sum(h / counts[inverse]) / len(anchors)


# ---- Gradients

G = "grad_d_zl"


def straight(pair, triple):
    """Scale the soft path of the pair and of the triple."""

    def pick(self, hard, w, d_a, size, member):
        soft = (pair if size == 2 else triple) * (w - getval(w))
        return np.sum((hard + soft) * d_a, axis=1)

    return pick


def stopped(*names):
    """Stop the gradient through some of the members' distances in the maxima."""

    def pair(self, i, j, k):
        i, j = (getval(d) if n in names else d for n, d in (("i", i), ("j", j)))
        return np.maximum(i, j)

    def triple(self, i, j, k):
        return np.maximum(pair(self, i, j, k), getval(k) if "k" in names else k)

    return {"far_pair": pair, "far_triple": triple}


def shared(i, j):
    """Maximum whose slope goes to both, whatever is larger."""
    half = (i + j) / 2
    return getval(np.maximum(i, j)) + half - getval(half)


wrong("st-none", "no straight-through", G, ("straight_through", False), pick=straight(0.0, 0.0))
wrong("st-pair", "straight-through for the triple only", G, pick=straight(0.0, 1.0))
wrong("st-triple", "straight-through for the pair only", G, pick=straight(1.0, 0.0))
wrong("st-half", "half the soft path", G, pick=straight(0.5, 0.5))
wrong("st-tau", "soft path times tau", G, pick=straight(0.1, 0.1))
wrong("st-sign", "minus the soft path", G, pick=straight(-1.0, -1.0))
wrong(
    "st-picked",
    "the picked distance is detached",
    G,
    pick=lambda s, hard, w, d, size, m: np.sum((hard + (w - getval(w))) * getval(d), 1),
)
wrong(
    "st-member",
    "k is detached from the weights",
    G,
    pick=lambda s, hard, w, d, size, m: np.sum(
        (hard + (0 if m == 2 else 1) * (w - getval(w))) * d, 1
    ),
)
wrong(
    "st-chosen",
    "only the chosen weight learns",
    G,
    pick=lambda s, hard, w, d, size, m: np.sum(hard * (1 + w - getval(w)) * d, 1),
)
wrong(
    "st-no-noise",
    "soft weights without the noise",
    G,
    logits=lambda s, far, n, size: (
        Plain.logits(s, getval(far), n, size) + 0 * far - (far - getval(far)) / s.tau * 0.5
    ),
)
wrong("max-k", "k detached in the maximum", G, **stopped("k"))
wrong("max-j", "j detached in the maximum", G, **stopped("j"))
wrong(
    "max-all",
    "maxima detached in the pair",
    G,
    far_pair=lambda s, i, j, k: getval(np.maximum(i, j)),
)
wrong("max-shared", "slope of the maximum shared by all", G, **far(shared))
wrong(
    "hinge-always",
    "slope of cut hinges 1",
    G,
    hinge=hinge(lambda h: getval(np.maximum(h, 0)) + h - getval(h)),
)
wrong(
    "hinge-k-detached",
    "third hinge detached",
    G,
    hinge=lambda s, inside: (
        sum(np.maximum(h, 0) for h in inside[:2]) + getval(np.maximum(inside[2], 0))
    ),
)
wrong(
    "hinge-slope-margin",
    "slope only beyond the margin",
    G,
    hinge=lambda s, inside: sum(
        np.where(getval(h) > 2 * s.margin, h, getval(np.maximum(h, 0))) for h in inside
    ),
)
wrong(
    "grad-sign",
    "minus the gradient",
    G,
    level_back=lambda s, d, lv, g: -Plain.level_back(s, d, lv, g),
)
wrong(
    "grad-sum",
    "gradient of the sum",
    G,
    level_back=lambda s, d, lv, g: Plain.level_back(s, d, lv, g) * max(1, s.triplets(lv).shape[1]),
)
wrong(
    "grad-proxy-twice",
    "gradient among proxies twice",
    "grad_d_ll",
    level_back=lambda s, d, lv, g: Plain.level_back(s, d, lv, g) * (1 if lv == "data" else 2),
)
wrong(
    "grad-first-256",
    "gradient of 256 triplets",
    G,
    level_back=lambda s, d, lv, g: first_256(s, d, lv, g),
)
wrong(
    "grad-lost-adds",
    "repeated anchors overwrite instead of adding",
    G,
    level_back=lambda s, d, lv, g: overwritten(s, d, lv, g),
)
wrong(
    "ll-once",
    "d_ll differentiated once",
    "grad_l",
    among_back=lambda s, g, l: s.distance_back(g, l, l, "ll")[0],
)
wrong(
    "ll-double",
    "one half of d_ll counted twice",
    "grad_l",
    among_back=lambda s, g, l: 2 * s.distance_back(g, l, l, "ll")[1],
)
wrong("ll-detached", "nothing flows through d_ll", "grad_l", among_back=lambda s, g, l: 0 * l)
wrong(
    "z-detached",
    "data are detached",
    "grad_z",
    distance_back=on(
        "zl",
        Plain.distance_back,
        lambda s, g, x, y, w: (0 * x, Plain.distance_back(s, g, x, y, w)[1]),
    ),
)
wrong(
    "l-detached",
    "proxies are detached from data",
    "grad_l",
    distance_back=on(
        "zl",
        Plain.distance_back,
        lambda s, g, x, y, w: (Plain.distance_back(s, g, x, y, w)[0], 0 * y),
    ),
)
wrong(
    "gap-detached",
    "gaps are constants",
    "grad_z",
    distance_back=lambda s, g, x, y, w: type(
        "Gap",
        (type(s),),
        {"gap": lambda s, x: getval(Plain.gap(s, x)), "distance_back": Plain.distance_back},
    )(s.case).distance_back(g, x, y, w),
)
wrong(
    "d-grad-1%",
    "gradient of distance 1% long",
    "grad_z",
    distance_back=lambda s, g, x, y, w: tuple(1.01 * a for a in Plain.distance_back(s, g, x, y, w)),
)
wrong(
    "d-grad-half",
    "factor 2 lost in the gradient of distance",
    "grad_z",
    distance_back=lambda s, g, x, y, w: tuple(a / 2 for a in Plain.distance_back(s, g, x, y, w)),
)


def first_256(self, d, level, g):
    def loss(d):
        one = type(
            "First", (Plain,), {"mean": lambda s, h, m, lv: np.sum(h[:256]) / max(1, len(h))}
        )
        return one(self.case).level(d, level)["loss"]

    return self.vjp(loss, d, g)


def overwritten(self, d, level, g):
    """As a scatter without atomic adds does: the last triplet of an anchor wins."""
    anchors = self.triplets(level)[0]
    last = {a: t for t, a in enumerate(anchors)}
    keep = onp.array([last[a] == t for t, a in enumerate(anchors)], dtype=float)

    def loss(d):
        mean = {"mean": lambda s, h, m, lv: np.sum(h * keep) / max(1, len(h))}
        return type("Last", (Plain,), mean)(self.case).level(d, level)["loss"]

    return self.vjp(loss, d, g) if len(anchors) else 0 * d


# ---- Back to tangent vectors

X = "grad_x"


def scale(f):
    return lambda self, g, points, side: g * f(self, self.gap(points))[:, None]


metric = scale(lambda s, gap: gap**2 / 4)
wrong("riemann", "Riemannian scaling", X, ("riemannian_gradient", True), scale=metric)
wrong("riemann-data", "Riemannian scaling of data only", X, scale=on("z", Plain.scale, metric))
wrong(
    "riemann-proxies",
    "Riemannian scaling of proxies only",
    "grad_proxies",
    scale=on("l", Plain.scale, metric),
)
wrong("riemann-power", "scaled by one gap", X, scale=scale(lambda s, gap: gap / 2))
wrong("riemann-inverse", "scaled by the metric", X, scale=scale(lambda s, gap: 4 / gap**2))
wrong("riemann-no-4", "scaled by (1 - c|z|²)²", X, scale=scale(lambda s, gap: gap**2))
wrong("riemann-twice", "scaled twice", X, scale=scale(lambda s, gap: gap**4 / 16))
wrong(
    "riemann-c",
    "scaled by (1 - |z|²)²/4",
    X,
    scale=lambda s, g, p, side: g * ((1 - np.sum(p * p, 1)) ** 2 / 4)[:, None],
)
wrong(
    "clip-through",
    "clipping passes the gradient",
    X,
    points_back=lambda s, g, u, side: s.vjp(lambda v: s.exp0(v, side), s.clip(u, side), g),
)
wrong(
    "clip-stops",
    "clipped vectors have no gradient",
    X,
    points_back=lambda s, g, u, side: Plain.points_back(s, g, u, side) * (s.norm(u) <= s.r),
)
wrong(
    "clip-scale",
    "clipping scales, without projection",
    X,
    points_back=lambda s, g, u, side: (
        s.vjp(lambda v: s.exp0(v, side), s.clip(u, side), g)
        * np.minimum(1, s.r / np.where(s.norm(u) == 0, 1, s.norm(u)))
    ),
)
wrong(
    "exp0-straight",
    "exp0 passes the gradient",
    X,
    points_back=lambda s, g, u, side: s.vjp(lambda v: s.clip(v, side), u, g),
)
wrong(
    "exp0-scalar",
    "exp0 without its slope along u",
    X,
    points_back=lambda s, g, u, side: s.vjp(
        lambda v: (
            s.clip(v, side)
            * getval(
                s.exp0(s.clip(u, side), side)[:, :1]
                / onp.where(s.clip(u, side)[:, :1] == 0, 1, s.clip(u, side)[:, :1])
            )
        ),
        u,
        g,
    ),
)
wrong("grad-clip", "gradients cut at 0.01", X, scale=lambda s, g, p, side: np.clip(g, -0.01, 0.01))
wrong("grad-batch", "gradient over the batch size", X, scale=lambda s, g, p, side: g / len(g))
wrong(
    "grad-rolled",
    "rows one off",
    X,
    points_back=lambda s, g, u, side: np.roll(Plain.points_back(s, g, u, side), 1, 0),
)
wrong(
    "grad-proxies-zero",
    "no gradient for proxies",
    "grad_proxies",
    scale=on("l", Plain.scale, lambda s, g, p, side: 0 * g),
)
wrong(
    "grad-proxies-double",
    "proxies learn twice",
    "grad_proxies",
    scale=on("l", Plain.scale, lambda s, g, p, side: 2 * g),
)
wrong(
    "grad-float32",
    "gradient in float32 in a float64 run",
    X,
    scale=lambda s, g, p, side: g.astype(onp.float32).astype(s.dtype),
)
wrong(
    "grad-noise",
    "1e-9 relative noise",
    X,
    scale=lambda s, g, p, side: g * (1 + 1e-9 * onp.sin(onp.arange(g.size)).reshape(g.shape)),
)
