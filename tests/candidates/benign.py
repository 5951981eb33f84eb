"""Right versions of the plain candidate that round elsewhere: none of them may be called wrong.

A variant is a form (other formulas for a step) under a rearrangement of the case (other order of
coordinates, points, proxies or triplets, or other axes) in one dtype.
"""

import math
from dataclasses import replace

import autograd.numpy as np
import numpy as onp
from autograd.scipy.special import logsumexp
from autograd.tracer import getval

from .plain import Plain, candidate

# ---- Forms


def keep_noise(self, far, noise, size):
    self.arrival = onp.exp(-noise)
    return -far / self.tau


def by_race(self, logits):
    """Rates over arrival times."""
    rate = np.exp(logits - getval(logits).max(1)[:, None]) / self.arrival
    return rate / np.sum(rate, axis=1, keepdims=True)


def by_logsumexp(self, logits):
    top = getval(logits).max(1)[:, None]
    return np.exp(logits - (np.log(np.sum(np.exp(logits - top), axis=1, keepdims=True)) + top))


def by_slope(self, logits):
    """The logarithm of the sum is differentiated too: 1/tau times as many digits are lost (V3)."""
    return np.exp(logits - logsumexp(logits, axis=1, keepdims=True))


def mobius(self, x, y, which):
    xy, x_sq, y_sq = x @ y.T, np.sum(x * x, 1)[:, None], np.sum(y * y, 1)[None]
    under = 1 - 2 * self.c * xy + self.c**2 * x_sq * y_sq
    left, right = 1 - 2 * self.c * xy + self.c * y_sq, 1 - self.c * x_sq
    m = (right[:, :, None] * y - left[:, :, None] * x[:, None]) / under[:, :, None]
    s = math.sqrt(self.c) * self.norm(m)[:, :, 0]
    s = np.minimum(s, 1 - float(onp.finfo(self.dtype).epsneg))
    return (np.log(1 + s) - np.log(1 - s)) / math.sqrt(self.c)


def arcosh(self, x, y, which):
    q = self.q(x, y)
    same = getval(q) == 0
    grown = 2 * self.c * np.where(same, 1.0, q) / (self.gap(x)[:, None] * self.gap(y))
    grown = np.where(getval(grown) == 0, 1.0, grown)
    return np.where(same, 0.0, np.arccosh(1 + grown) / math.sqrt(self.c))


def logarithm(self, x, y, which):
    """ln(s + √(1 + s²)) with s the argument of arsinh."""
    q = self.q(x, y)
    same = getval(q) == 0
    s = np.sqrt(self.c * np.where(same, 1.0, q) / (self.gap(x)[:, None] * self.gap(y)))
    return np.where(same, 0.0, 2 / math.sqrt(self.c) * np.arcsinh(s))


def loops(self, x, y):
    """Coordinate after coordinate, last first."""
    return sum((x[:, None, d] - y[None, :, d]) ** 2 for d in reversed(range(x.shape[1])))


def in_blocks(self, hinge, mask, level):
    return sum(np.sum(hinge[t : t + 7]) for t in range(0, len(hinge), 7)) / max(1, len(hinge))


def min_clip(self, u, side):
    n = self.norm(u)
    return u * np.minimum(1.0, self.r / np.where(getval(n) == 0, 1.0, n))


def exp_tanh(self, u, side):
    n = self.norm(u)
    e = np.where(getval(n) == 0, 1.0, n)
    return np.where(getval(n) == 0, u, np.tanh(math.sqrt(self.c) * n) * (u / e) / math.sqrt(self.c))


def gap_by_root(self, x):
    n = self.norm(x)[..., 0] * math.sqrt(self.c)
    return (1 - n) * (1 + n)


FORMS = {
    "plain": {},
    "race": {"logits": keep_noise, "soft": by_race},
    "logsumexp": {"soft": by_logsumexp},
    "logsumexp-slope": {"soft": by_slope},
    "ste": {
        "pick": lambda self, hard, w, d, size, m: np.sum((hard - getval(w) + w) * d, axis=1),
    },
    "ste-gather": {
        "pick": lambda self, hard, w, d, size, m: (
            np.sum(hard * d, axis=1) + np.sum((w - getval(w)) * getval(d), axis=1)
        ),
    },
    "max-where": {
        "far_pair": lambda self, i, j, k: np.where(getval(i) > getval(j), i, j),
        "far_triple": lambda self, i, j, k: np.max(np.stack([i, j, k]), axis=0),
    },
    "max-relu": {"far_pair": lambda self, i, j, k: j + np.maximum(i - j, 0)},
    "logits": {"logits": lambda self, far, noise, size: (noise * self.tau - far) / self.tau},
    "mobius": {"distance": mobius},
    "arcosh": {"distance": arcosh},
    "logarithm": {"distance": logarithm},
    "loops": {"q": loops},
    "blocks": {"mean": in_blocks},
    "mean": {"mean": lambda self, h, mask, level: np.mean(h)},
    "hinge-where": {
        "hinge": lambda self, inside: sum(np.where(getval(h) > 0, h, 0.0) for h in inside)
    },
    "hinge-first": {
        "inside": lambda self, p, t: tuple(
            s * (a - b) + self.margin for s, a, b in zip((1, 1, -1), p, t, strict=True)
        )
    },
    "clip-min": {"clip": min_clip},
    "exp-unit": {"exp0": exp_tanh},
    "gap-root": {"gap": gap_by_root},
}

# ---- Rearrangements: case -> (case, how to bring an answer back)

POINTS = ("z", "grad_z", "grad_x")
PROXIES = ("l", "grad_l", "grad_proxies")


def coordinates(case, rng):
    order = rng.permutation(case.x.shape[1])
    back = onp.argsort(order)
    return replace(case, x=case.x[:, order], proxies=case.proxies[:, order]), {
        name: lambda a: a[:, back] for name in (*POINTS, *PROXIES)
    }


def rotated(case, rng):
    """Other axes. Equal points do not stay equal in every digit: those cases stay as they are."""
    if "coincident" in case.flags:
        return case, {}
    axes = onp.linalg.qr(rng.standard_normal((case.x.shape[1],) * 2))[0].astype(case.x.dtype)
    return replace(case, x=case.x @ axes, proxies=case.proxies @ axes), {
        name: lambda a: a @ axes.T for name in (*POINTS, *PROXIES)
    }


def batch(case, rng):
    order = rng.permutation(len(case.x))
    back = onp.argsort(order)
    moved = {"x": case.x[order], "labels": case.labels[order]}
    both = {name: lambda a: a[back][:, back] for name in ("d_zz", "positives_data")}
    return replace(case, **moved, triplets_data=back[case.triplets_data]), {
        **{name: lambda a: a[back] for name in (*POINTS, "d_zl", "grad_d_zl")},
        **both,
        "negatives_data": both["d_zz"],
    }


def proxies(case, rng):
    order = rng.permutation(len(case.proxies))
    back = onp.argsort(order)
    noise = {
        n: tuple(g[:, order] for g in getattr(case, n)) for n in ("gumbel_data", "gumbel_proxy")
    }
    moved = {"proxies": case.proxies[order], "triplets_proxy": back[case.triplets_proxy]}
    square = ("d_ll", "grad_d_ll", "positives_proxy", "negatives_proxy")
    choices = [f"lca_{size}_{level}" for size in ("pair", "triple") for level in ("data", "proxy")]
    return replace(case, **noise, **moved), {
        **{name: lambda a: a[back] for name in PROXIES},
        **{name: lambda a: a[:, back] for name in ("d_zl", "grad_d_zl")},
        **{name: lambda a: a[back][:, back] for name in square},
        **{name: lambda a: order[a] for name in choices},
    }


def triplets(case, rng):
    changed, way_back = {}, {}
    for level in ("data", "proxy"):
        order = rng.permutation(len(getattr(case, f"triplets_{level}")))
        back = onp.argsort(order)
        changed[f"triplets_{level}"] = getattr(case, f"triplets_{level}")[order]
        changed[f"gumbel_{level}"] = tuple(g[order] for g in getattr(case, f"gumbel_{level}"))
        for name in ("lca_pair", "lca_triple", "hinge"):
            way_back[f"{name}_{level}"] = lambda a, back=back: a[back]
    return replace(case, **changed), way_back


def swapped(case, rng):
    """i and j are equals."""
    turned = {n: getattr(case, n)[:, [1, 0, 2]] for n in ("triplets_data", "triplets_proxy")}
    return replace(case, **turned), {}


REARRANGED = {
    "as-is": lambda case, rng: (case, {}),
    "coordinates": coordinates,
    "rotated": rotated,
    "batch": batch,
    "proxies": proxies,
    "triplets": triplets,
    "swapped": swapped,
}


def variant(form, rearranged, seed=0):
    """A right candidate: a form under a rearrangement."""
    return under(candidate(type("Right", (Plain,), dict(FORMS[form]))), rearranged, seed)


def under(right, rearranged, seed=0):
    """A right candidate that is asked a rearranged case and brings its answer back."""

    def benign(case):
        moved, back = REARRANGED[rearranged](case, onp.random.default_rng(seed))
        given = right(moved)
        return {name: back.get(name, lambda a: a)(value) for name, value in given.items()}

    return benign
