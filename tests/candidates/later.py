"""Mutants written once the oracle was finished: none of them had a part in making it."""

import math

import autograd.numpy as np
import numpy as onp
from autograd.tracer import getval

from .mutants import H, L, Mutant, X, clipped, distance, exp0, inside, on, own_banned, projected
from .plain import Plain

G = "grad_d_zl"
LATER: list[Mutant] = []


def wrong(name, change, stage, named=None, seen=None, hidden="", **hooks):
    LATER.append(Mutant(name, change, stage, named, hooks, seen, hidden))


# ---- Conventions at other values

wrong("clip-eps-3e-4", "eps under the clip radius", "z", ("clip_eps", 3e-4), clip=clipped(3e-4))
wrong(
    "min-norm-1e-4",
    "floor under norms",
    "z",
    ("min_norm", 1e-4),
    seen="grad_x",
    exp0=exp0(floor=1e-4),
)
wrong("tanh-8", "argument of tanh cut", "z", ("tanh_limit", 8.0), exp0=exp0(limit=8.0))
wrong(
    "ball-margin-2e-3",
    "points projected inwards",
    "z",
    ("ball_margin", 2e-3),
    points=projected(2e-3),
)
for eps in ("3e-6", "1.5e-5"):
    wrong(
        f"mobius-eps-{eps}",
        "eps in the denominator of ⊕",
        "d_zz",
        ("mobius_denominator_eps", float(eps)),
        distance=distance(eps=float(eps)),
    )
wrong(
    "artanh-2e-6",
    "argument of artanh cut",
    "d_zz",
    ("artanh_margin", 2e-6),
    distance=distance(margin=2e-6),
)


# ---- Into the ball


def normed(f):
    """exp0 with another norm."""

    def exp0(self, u, side):
        n = f(self.norm(u))
        s = math.sqrt(self.c) * n
        zero = getval(s) == 0
        s = np.where(zero, 1.0, s)
        return np.where(zero, 1.0, np.tanh(s) / s) * u

    return exp0


def passing(self, u, side):
    z = Plain.points(self, u, side)
    return z + getval(projected(1e-3)(self, u, side)) - getval(z)


wrong("norm-plus-eps", "norms + 1e-5 in exp0", "z", exp0=normed(lambda n: n + 1e-5))
wrong("norm-root-eps", "√(|u|² + 1e-8) in exp0", "z", exp0=normed(lambda n: np.sqrt(n**2 + 1e-8)))
wrong(
    "clip-square", "|u|² is compared with r", "z", clip=lambda s, u, side: clipped_by_square(s, u)
)
wrong("ball-margin-passing", "projected inwards, slope of the inside", "z", points=passing)
wrong("c-squared", "c² for c", "z", exp0=exp0(c=lambda self: self.c**2))
wrong("exp0-2/c", "divided by c for √c", "z", exp0=exp0(after=lambda t, c: t / math.sqrt(c)))


def clipped_by_square(self, u):
    n = self.norm(u)
    far = getval(n) ** 2 > self.r
    return np.where(far, self.r / np.where(far, n, 1.0), 1.0) * u


# ---- Distances


def of_parts(f):
    """Distance from q, ab, c; 0 for equal points."""

    def distance(self, x, y, which):
        q = self.q(x, y)
        same = getval(q) == 0
        ab = self.gap(x)[:, None] * self.gap(y)
        return np.where(same, 0.0, f(np.where(same, 1.0, q), ab, self.c))

    return distance


def clamped(q, ab, c):
    """2/√c artanh(s) where s is clamped, slope included, as torch.clamp does."""
    s = np.sqrt(c * q / (ab + c * q))
    rest = np.where(getval(s) < 1 - 1e-5, np.sqrt(c * q / ab), 1.0)
    most = onp.arctanh(1 - 1e-5)
    return 2 / math.sqrt(c) * np.where(getval(s) < 1 - 1e-5, np.arcsinh(rest), most)


def halves(q, ab, c):
    """½ log((1 + s + 1e-7)/(1 - s + 1e-7)) for artanh."""
    s = np.sqrt(c * q / (ab + c * q))
    less = ab / (ab + c * q) / (1 + s)
    return (np.log(1 + s + 1e-7) - np.log(less + 1e-7)) / math.sqrt(c)


def over_larger(q, ab, c):
    """Denominator of ⊕ at least 1e-5."""
    full = ab + c * q
    s = np.sqrt(c * q * full) / np.where(getval(full) > 1e-5, full, 1e-5)
    t = 2 * np.arcsinh(np.sqrt(c * q / ab))
    return np.where(getval(full) > 1e-5, t, np.log(1 + s) - np.log(1 - s)) / math.sqrt(c)


wrong("artanh-clamped", "artanh clamped with its slope", "d_zz", distance=of_parts(clamped))
wrong("artanh-halves", "eps in both logarithms of artanh", "d_zz", distance=of_parts(halves))
wrong("mobius-larger", "denominator of ⊕ at least 1e-5", "d_zz", distance=of_parts(over_larger))
wrong(
    "arcosh-clamped",
    "argument of arcosh at least 1 + 1e-7",
    "d_zz",
    distance=of_parts(
        lambda q, ab, c: 2 / math.sqrt(c) * np.arcsinh(np.sqrt(np.maximum(c * q / ab, 0.5e-7)))
    ),
)
wrong(
    "d-close-0",
    "distances with q < 1e-6 are 0",
    "d_zz",
    distance=lambda s, x, y, w: np.where(getval(s.q(x, y)) < 1e-6, 0.0, Plain.distance(s, x, y, w)),
)
wrong(
    "gap-shared",
    "gap of x for both",
    "d_zz",
    distance=lambda s, x, y, w: (
        2
        / math.sqrt(s.c)
        * np.arcsinh(
            math.sqrt(s.c) * np.sqrt(s.q(x, y) + 1e-300) / (s.gap(x)[:, None] + 0 * s.gap(y))
        )
    ),
)
wrong(
    "q-mean",
    "mean over coordinates for sum",
    "d_zz",
    q=lambda s, x, y: np.mean((x[:, None] - y[None]) ** 2, axis=-1),
)
wrong(
    "d-manhattan",
    "coordinates by |.| for squares",
    "d_zz",
    q=lambda s, x, y: np.sum(np.abs(x[:, None] - y[None]), axis=-1) ** 2,
)
wrong(
    "d-zl-shifted",
    "data to the proxies one on",
    "d_zl",
    distance=on("zl", Plain.distance, lambda s, x, y, w: np.roll(Plain.distance(s, x, y, w), 1, 1)),
)
wrong(
    "d-ll-diagonal",
    "1e-3 on the diagonal of d_ll",
    "d_ll",
    distance=on(
        "ll",
        Plain.distance,
        lambda s, x, y, w: Plain.distance(s, x, y, w) + 1e-3 * onp.eye(len(x)),
    ),
)

# ---- Who may be drawn, ancestors


def half_banned(self, far, noise, size):
    return (own_banned if size == 2 else Plain.logits)(self, far, noise, size)


wrong(
    "class-penalty",
    "other classes are half as far, not last",
    "positives_data",
    bonus=lambda s, d: d * onp.where(s.case.labels[:, None] == s.case.labels, 0.5, 1.0),
)
wrong(
    "negatives-far",
    "negatives are no neighbours of anybody",
    "positives_data",
    negatives=lambda s, p: Plain.negatives(s, p) & ~p.any(0),
)
wrong(
    "own-banned-pair",
    "members are no candidates for the pair",
    "lca_pair_proxy",
    logits=half_banned,
)
wrong(
    "noise-tempered-triple",
    "noise of the triple divided by tau too",
    "lca_triple_data",
    logits=lambda s, far, n, size: -far / s.tau + n / (s.tau if size == 3 else 1),
)
wrong("noise-twice", "noise counted twice", L, logits=lambda s, far, n, size: -far / s.tau + 2 * n)
wrong("tau-root", "√tau for tau", L, logits=lambda s, f, n, size: -f / math.sqrt(s.tau) + n)
wrong(
    "far-triple-sum",
    "max(i, j) + k",
    "lca_triple_data",
    far_triple=lambda s, i, j, k: np.maximum(i, j) + k,
)
wrong(
    "swap-ij-k-proxies",
    "members of the level data for i among proxies",
    "lca_pair_proxy",
    triplets=lambda s, lv: Plain.triplets(s, lv)[[0, 1, 2] if lv == "data" else [1, 2, 0]],
)

# ---- Hinges and means

wrong(
    "margin-k-twice",
    "twice the margin in the third",
    H,
    inside=inside(lambda m, p, t: (p[0] - t[0] + m, p[1] - t[1] + m, t[2] - p[2] + 2 * m)),
)
wrong(
    "hinge-gain-scaled",
    "gains over the distance to the pair",
    H,
    inside=inside(
        lambda m, p, t: (
            (p[0] - t[0]) / (getval(p[0]) + 1) + m,
            (p[1] - t[1]) / (getval(p[1]) + 1) + m,
            (t[2] - p[2]) / (getval(p[2]) + 1) + m,
        )
    ),
)
wrong("hinge-elu", "exp(h) - 1 below 0", H, hinge=lambda s, i: sum(elu(h) for h in i))
wrong(
    "mean-apart-data",
    "mean over those apart, level data",
    "loss_data",
    mean=lambda s, h, mask, lv: np.sum(h) / max(1, mask.sum() if lv == "data" else len(h)),
)
wrong(
    "mean-per-proxy",
    "divided by T P",
    "loss_data",
    mean=lambda s, h, mask, lv: np.sum(h) / max(1, len(h) * len(s.case.proxies)),
)
wrong(
    "level-by-triplets",
    "levels weighted by their triplets",
    "loss",
    total=lambda s, a, b: weighted(s, a, b),
)


def elu(h):
    return np.where(getval(h) > 0, h, np.exp(np.minimum(h, 0)) - 1)


def weighted(self, a, b):
    n, m = (len(self.case.triplets_data), len(self.case.triplets_proxy))
    return (a * n + b * m) / max(1, n + m)


# ---- Gradients


def cooler(self, logits):
    """Weights whose slope is that of half the temperature."""
    w = Plain.soft(self, logits)
    sharp = Plain.soft(self, 2 * logits)
    return getval(w) + sharp - getval(sharp)


def to_least(i, j):
    least = np.minimum(i, j)
    return getval(np.maximum(i, j)) + least - getval(least)


def to_both(i, j):
    return getval(np.maximum(i, j)) + i - getval(i) + j - getval(j)


wrong("soft-cooler", "slope of the weights at half the temperature", G, soft=cooler)
wrong(
    "max-least",
    "slope of the maximum to the nearest",
    G,
    far_pair=lambda s, i, j, k: to_least(i, j),
)
wrong("max-both", "full slope to both", G, far_pair=lambda s, i, j, k: to_both(i, j))
wrong(
    "hinge-leak-back",
    "cut hinges leak 0.01 backwards",
    G,
    hinge=lambda s, i: sum(
        getval(np.maximum(h, 0)) + leak - getval(leak)
        for h in i
        for leak in [np.maximum(h, 0.01 * h)]
    ),
)
wrong(
    "grad-mean-apart",
    "gradient of the mean over those apart",
    G,
    mean=lambda s, h, mask, lv: mean_back(s, h, mask),
)
wrong(
    "decay",
    "1e-4 of the tangent vectors is added",
    X,
    points_back=lambda s, g, u, side: Plain.points_back(s, g, u, side) + 1e-4 * u,
)
wrong(
    "grad-normed",
    "gradients brought to length 1",
    X,
    points_back=lambda s, g, u, side: (
        Plain.points_back(s, g, u, side)
        / max(1e-30, float(onp.linalg.norm(Plain.points_back(s, g, u, side))))
    ),
)
wrong(
    "riemann-tangent",
    "scaled by the gap of the tangent vector",
    X,
    points_back=lambda s, g, u, side: (
        Plain.points_back(s, g, u, side) * ((1 - s.c * np.sum(u * u, 1)) ** 2 / 4)[:, None]
    ),
)
wrong(
    "exp0-along-twice",
    "slope along u counted twice",
    X,
    points_back=lambda s, g, u, side: twice_along(s, g, u, side),
)


def mean_back(self, hinge, mask):
    right, apart = np.sum(hinge) / max(1, len(hinge)), np.sum(hinge) / max(1, mask.sum())
    return getval(right) + apart - getval(apart)


def twice_along(self, g, u, side):
    back = Plain.points_back(self, g, u, side)
    n = onp.where(self.norm(u) == 0, 1, self.norm(u))
    return back + onp.sum(back * u, axis=1, keepdims=True) * u / n**2
