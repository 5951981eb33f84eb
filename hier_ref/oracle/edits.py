"""What the cases of the suite do to random ones.

Some change x (B, D) and proxies (P, D) in place, others return another case.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hier_ref.oracle.case import Case

Edit = Callable[[NDArray, NDArray], None]

NONE = np.zeros((0, 3), dtype=int)


def tiny(x: NDArray, proxies: NDArray) -> None:
    """Shorten the first three of x (B, D) to about 1e-8 to 1e-6."""
    x[:3] *= np.array([[1e-8], [1e-7], [1e-6]], np.float32)


def lengths(x: NDArray, proxies: NDArray) -> None:
    """Give the tangent vectors x (B, D) lengths from 0.1 to 100 times the usual."""
    x *= np.geomspace(0.1, 100, len(x))[:, None].astype(np.float32)


def reaching(least: float, most: float, c: float = 1.0, inner: bool = True) -> Edit:
    """Place data at lengths least/√c to most/√c; proxies too or, where ⊕ keeps digits, inside.

    Gains are differences, in which what is done to both distances of a point cancels. Points of
    unequal length show it: who is the farthest member depends on how far each is.
    """

    def edit(x: NDArray, proxies: NDArray) -> None:
        for a in (x,) if inner else (x, proxies):
            lengths = np.linspace(least, most, len(a))[np.arange(len(a)) * 5 % len(a)] / np.sqrt(c)
            a *= (lengths / np.linalg.norm(a, axis=1))[:, None]
            a[:] = a.astype(np.float32)
        if inner:
            proxies *= np.float32(1 / 16 / np.sqrt(c))

    return edit


def within(radius: float) -> Edit:
    """Place points just inside a clip radius: by 10^-7 to 10^-3 of it, others well beyond."""

    def edit(x: NDArray, proxies: NDArray) -> None:
        for a in (x, proxies):
            less = 1 - np.geomspace(1e-6, 1e-3, len(a))
            less[::3] = 1.5
            a *= (radius * less / np.linalg.norm(a, axis=1))[:, None]
            a[:] = a.astype(np.float32)

    return edit


def cone(x: NDArray, proxies: NDArray) -> None:
    """Place all (B, D), (P, D) near one direction at lengths 5 to 7.5: near each other there."""
    for a in (x, proxies):
        lengths = np.linspace(5, 7.5, len(a))[np.arange(len(a)) * 5 % len(a)]
        u = 1e-3 * a / np.linalg.norm(a, axis=1).mean()
        u[:, 0] = 1
        a[:] = (u * (lengths / np.linalg.norm(u, axis=1))[:, None]).astype(np.float32)


def origin(x: NDArray, proxies: NDArray) -> None:
    """Put one of x (B, D) and one of the proxies (P, D) at 0."""
    x[0] = proxies[0] = 0


def repeated(x: NDArray, proxies: NDArray) -> None:
    """Make two of x (B, D) equal."""
    x[1] = x[0]


def near(x: NDArray, proxies: NDArray) -> None:
    """Bring two of x (B, D), two of the proxies (P, D), and one of each 2^-12 apart."""
    x[1], proxies[1], x[2] = (
        (a * (1 + 2.0**-12)).astype(np.float32) for a in (x[0], proxies[0], proxies[2])
    )


def on_proxy(x: NDArray, proxies: NDArray) -> None:
    """Put one of x (B, D) on one of the proxies (P, D)."""
    x[0] = proxies[0]


def opposite(x: NDArray, proxies: NDArray) -> None:
    """Make one of x (B, D) the negative of another."""
    x[1] = -x[0]


def twin_proxies(x: NDArray, proxies: NDArray) -> None:
    """Make two of the proxies (P, D) equal."""
    proxies[1] = proxies[0]


def twin_noise(case: Case) -> Case:
    """Give the equal proxies 0 and 1 equal noise, so that every choice between them ties."""
    for noise in (*case.gumbel_data, *case.gumbel_proxy):
        noise[:, 1] = noise[:, 0]
    order = (1, 0, *range(2, len(case.proxies)))
    return replace(case, swaps=(order,))


def without(level: str) -> Callable[[Case], Case]:
    """Leave out all triplets of one level."""

    def after(case: Case) -> Case:
        empty = np.zeros((0, len(case.proxies)))
        cut: dict[str, Any] = {f"triplets_{level}": NONE, f"gumbel_{level}": (empty, empty)}
        return replace(case, **cut)

    return after


def silent(case: Case) -> Case:
    """Take the noise away at level "data"."""
    # Not at level "proxy": without noise i and j tie there, each at distance 0 from itself.
    pair, triple = case.gumbel_data
    return replace(case, gumbel_data=(np.zeros_like(pair), np.zeros_like(triple)))


def loud(case: Case) -> Case:
    """Noise that leaves no doubt: weights of the others underflow in float32."""
    noise: dict[str, Any] = {
        name: tuple(g * 8 for g in getattr(case, name)) for name in ("gumbel_data", "gumbel_proxy")
    }
    return replace(case, **noise)


def uneven(case: Case) -> Case:
    """Drop some triplets, more of the first anchors than of the last."""
    cut: dict[str, Any] = {}
    for level in ("data", "proxy"):
        triplets = getattr(case, f"triplets_{level}")
        kept = np.flatnonzero(np.arange(len(triplets)) % 4 <= triplets[:, 0] // 3)
        cut[f"triplets_{level}"] = triplets[kept]
        cut[f"gumbel_{level}"] = tuple(g[kept] for g in getattr(case, f"gumbel_{level}"))
    return replace(case, **cut)


def first_triplet(case: Case) -> Case:
    """Keep one triplet at each level."""
    cut: dict[str, Any] = {
        f"{kind}_{level}": value
        for level in ("data", "proxy")
        for kind, value in (
            ("triplets", getattr(case, f"triplets_{level}")[:1]),
            ("gumbel", tuple(g[:1] for g in getattr(case, f"gumbel_{level}"))),
        )
    }
    return replace(case, **cut)


def one_class(case: Case) -> Case:
    """Give all points one label."""
    return replace(case, labels=np.zeros_like(case.labels))


def members(i: int, j: int, k: int) -> Callable[[Case], Case]:
    """Make members of every other triplet equal: its place for each of i, j, k."""

    def after(case: Case) -> Case:
        moved = {}
        for name in ("triplets_data", "triplets_proxy"):
            moved[name] = getattr(case, name).copy()
            moved[name][::2] = moved[name][::2][:, [i, j, k]]
        return replace(case, **moved)

    return after


def only_point(case: Case) -> Case:
    """Give the only point of a batch five triplets, with the noise of as many among proxies."""
    pair, triple = (g[:5] for g in case.gumbel_proxy)
    return replace(case, triplets_data=np.zeros((5, 3), int), gumbel_data=(pair, triple))


def few(case: Case, most: int = 23, levels: tuple[str, ...] = ("data", "proxy")) -> Case:
    """Keep so many triplets at some levels."""
    cut = {}
    for level in levels:
        rows = np.linspace(0, len(getattr(case, f"triplets_{level}")) - 1, most).astype(int)
        cut[f"triplets_{level}"] = getattr(case, f"triplets_{level}")[rows]
        cut[f"gumbel_{level}"] = tuple(g[rows] for g in getattr(case, f"gumbel_{level}"))
    return replace(case, **cut)
