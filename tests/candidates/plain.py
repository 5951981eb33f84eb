"""A plain HIER in NumPy: textbook formulas, one method a step, gradients by autograd.

It shares no code with the package. `mutants.py` replaces single methods of it, so that a mistake
goes forwards and backwards as it would in a real implementation.
"""

import math

import autograd.numpy as np
import numpy as onp
from autograd import make_vjp
from autograd.tracer import getval


class Plain:
    """One case, computed stage by stage. `level` is "data" or "proxy"."""

    def __init__(self, case):
        self.case = case
        self.c, self.r = float(case.c), float(case.clip_radius)
        self.tau, self.margin = float(case.tau), float(case.margin)
        self.dtype = case.x.dtype

    # ---- The ball

    def norm(self, u):
        sq = np.sum(u * u, axis=-1, keepdims=True)
        zero = getval(sq) == 0
        return np.where(zero, 0.0, np.sqrt(np.where(zero, 1.0, sq)))

    def clip(self, u, side):
        n = self.norm(u)
        far = getval(n) > self.r
        return np.where(far, self.r / np.where(far, n, 1.0), 1.0) * u

    def exp0(self, u, side):
        s = math.sqrt(self.c) * self.norm(u)
        zero = getval(s) == 0
        s = np.where(zero, 1.0, s)
        return np.where(zero, 1.0, np.tanh(s) / s) * u

    def points(self, u, side):
        """Tangent vectors (N, D) of one side, "z" or "l", to points of the ball."""
        return self.exp0(self.clip(u, side), side)

    def gap(self, x):
        return 1.0 - self.c * np.sum(x * x, axis=-1)

    def q(self, x, y):
        return np.sum((x[:, None] - y[None]) ** 2, axis=-1)

    def distance(self, x, y, which):
        """All distances of two sets of points; which is "zz", "zl" or "ll"."""
        q = self.q(x, y)
        same = getval(q) == 0
        root = np.where(same, 0.0, np.sqrt(np.where(same, 1.0, q)))
        ab = self.gap(x)[:, None] * self.gap(y)
        return 2 / math.sqrt(self.c) * np.arcsinh(math.sqrt(self.c) * root / np.sqrt(ab))

    # ---- Who may be drawn

    def near(self, d, level):
        """Mark the K nearest of each row."""
        d, k = d.astype(float), min(self.case.neighbours, len(d) - 1)
        if level == "data":
            d = self.bonus(d)
        onp.fill_diagonal(d, onp.inf)
        order = onp.argsort(d, axis=1)[:, :k]
        near = onp.zeros(d.shape, bool)
        onp.put_along_axis(near, order, True, 1)
        return near

    def bonus(self, d):
        return d - 1e6 * (self.case.labels[:, None] == self.case.labels)

    def mutual(self, near):
        return near & near.T

    def mining(self, d, level):
        positives = self.mutual(self.near(d, level))
        negatives = self.negatives(positives)
        used = (positives.any(1) & negatives.any(1))[:, None]
        return positives & used, negatives & used

    def negatives(self, positives):
        return ~positives & ~onp.eye(len(positives), dtype=bool)

    # ---- Ancestors and hinges

    def triplets(self, level):
        return getattr(self.case, f"triplets_{level}").T

    def noise(self, level):
        return getattr(self.case, f"gumbel_{level}")

    def far_pair(self, d_i, d_j, d_k):
        return np.maximum(d_i, d_j)

    def far_triple(self, d_i, d_j, d_k):
        return np.maximum(np.maximum(d_i, d_j), d_k)

    def logits(self, far, noise, size):
        return -far / self.tau + noise

    def soft(self, logits):
        e = np.exp(logits - np.max(logits, axis=1, keepdims=True))
        return e / np.sum(e, axis=1, keepdims=True)

    def hard(self, weights):
        chosen = getval(weights).argmax(1)
        return chosen, onp.eye(weights.shape[1], dtype=self.dtype)[chosen]

    def pick(self, hard, w, d_a, size, member):
        """Distance to the hard choice, differentiated as if soft; size 2: pair, 3: triple."""
        return np.sum((hard + (w - getval(w))) * d_a, axis=1)

    def inside(self, pair, triple):
        """What is inside the three hinges, from the picked distances of i, j, k."""
        m = self.margin
        return pair[0] - triple[0] + m, pair[1] - triple[1] + m, triple[2] - pair[2] + m

    def hinge(self, inside):
        return sum(np.where(getval(h) > 0, h, 0.0) for h in inside)

    def mask(self, lca_pair, lca_triple):
        return lca_pair != lca_triple

    def mean(self, hinge, mask, level):
        return np.sum(hinge) / max(1, len(hinge))

    def level(self, d, level):
        """One level from its distances d: ancestors, hinges, loss."""
        members = [d[a] for a in self.triplets(level)]
        pair, triple = self.noise(level)
        w_pair = self.soft(self.logits(self.far_pair(*members), pair, 2))
        w_triple = self.soft(self.logits(self.far_triple(*members), triple, 3))
        (lca_pair, hard_pair), (lca_triple, hard_triple) = self.hard(w_pair), self.hard(w_triple)
        to_pair = [self.pick(hard_pair, w_pair, d_a, 2, m) for m, d_a in enumerate(members)]
        to_triple = [self.pick(hard_triple, w_triple, d_a, 3, m) for m, d_a in enumerate(members)]
        mask = self.mask(lca_pair, lca_triple)
        hinge = self.hinge(self.inside(to_pair, to_triple)) * mask
        loss = self.mean(hinge, mask, level) if len(mask) else 0.0 * np.sum(d)
        return {"lca_pair": lca_pair, "lca_triple": lca_triple, "hinge": hinge, "loss": loss}

    def total(self, data, proxy):
        return data + proxy

    # ---- The way back

    def level_back(self, d, level, g):
        return self.vjp(lambda d: self.level(d, level)["loss"], d, g)

    def distance_back(self, g, x, y, which):
        """Gradients to both sets of points."""
        return (
            self.vjp(lambda a: self.distance(a, y, which), x, g),
            self.vjp(lambda b: self.distance(x, b, which), y, g),
        )

    def among_back(self, g, l):
        first, second = self.distance_back(g, l, l, "ll")
        return first + second

    def scale(self, g, points, side):
        """What happens to a gradient at ball points before it goes on to tangent vectors."""
        return g

    def points_back(self, g, u, side):
        return self.vjp(lambda u: self.points(u, side), u, g)

    def vjp(self, f, x, g):
        back, value = make_vjp(f)(x)
        return back(np.asarray(g, dtype=getval(value).dtype)).astype(self.dtype)

    # ---- Everything

    def forwards(self):
        s = {"z": self.points(self.case.x, "z"), "l": self.points(self.case.proxies, "l")}
        for which in ("zz", "zl", "ll"):
            s[f"d_{which}"] = self.distance(s[which[0]], s[which[1]], which)
        for level, d, among in (("data", "d_zl", "d_zz"), ("proxy", "d_ll", "d_ll")):
            s |= {f"{name}_{level}": v for name, v in self.level(s[d], level).items()}
            if self.case.neighbours:
                marks = self.mining(s[among], level)
                s[f"positives_{level}"], s[f"negatives_{level}"] = marks
        s["loss"] = self.total(s["loss_data"], s["loss_proxy"])
        return s

    def backwards(self, s):
        g_data, g_proxy = (
            make_vjp(lambda d, p, n=n: self.total(d, p), n)(s["loss_data"], s["loss_proxy"])[0](1.0)
            for n in (0, 1)
        )
        s["grad_d_zl"] = self.level_back(s["d_zl"], "data", g_data)
        s["grad_d_ll"] = self.level_back(s["d_ll"], "proxy", g_proxy)
        s["grad_z"], grad_l = self.distance_back(s["grad_d_zl"], s["z"], s["l"], "zl")
        s["grad_l"] = grad_l + self.among_back(s["grad_d_ll"], s["l"])
        s["grad_x"] = self.points_back(self.scale(s["grad_z"], s["z"], "z"), self.case.x, "z")
        back = self.scale(s["grad_l"], s["l"], "l")
        s["grad_proxies"] = self.points_back(back, self.case.proxies, "l")
        return s


BLACK_BOX = ("loss", "grad_x", "grad_proxies")


def candidate(kind=Plain, stages=None):
    """Turn a class into a candidate that gives all stages, or those named."""

    def plain(case):
        with onp.errstate(all="ignore"):
            one = kind(case)
            everything = one.backwards(one.forwards())
        return {name: everything[name] for name in stages or everything}

    return plain
