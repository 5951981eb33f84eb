"""The list of cases of the core suite: what each is called, why it exists, how it is drawn."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import count
from typing import Any

import numpy as np

from hier_ref.convention import EXACT, RELEASED
from hier_ref.oracle import edits
from hier_ref.oracle.case import Case, answers, reference
from hier_ref.oracle.drawing import clear, drawn
from hier_ref.oracle.stages import CHOSEN, PAIRS, hinges_of

Make = Callable[[int], Case]

usual = partial(drawn)
unasked = partial(drawn, asked=False)
edge = partial(drawn, c=1.0, size=30.0, asked=False)  # cut distances tie as neighbours
far = partial(edge, per_anchor=2)  # the farther out, the fewer digits are left to draw margins from
big = partial(drawn, asked=False, per_anchor=4, after=clear)
SIZES = ((12, 8, 6), (12, 8, 6), (16, 6, 4), (8, 12, 8), (10, 10, 16), (20, 8, 3))  # B, P, D

# Small enough for mpmath: what differs from B = 6, P = 4, D = 3 and the defaults.
SMALL: tuple[dict[str, Any], ...] = (
    {},
    {"c": 1.0, "clip_radius": 1.5, "tau": 0.4, "margin": 0.5},
    {"c": 4.0, "clip_radius": 0.6},
    {"c": 0.01},
    {"tau": 0.5},
    {"tau": 0.02},
    {"margin": 1.0},
    {"size": 6.0},
    {"size": 0.1},
    {"dim": 1},
    {"dim": 2, "p": 3},
    {"b": 4, "p": 4, "c": 1.0, "clip_radius": 2.0, "size": 4.0, "tau": 0.5},
)


def until(wanted: Callable[[Case], bool], make: Make) -> Make:
    """Draw until a case shows what it is for."""
    return lambda seed: next(filter(wanted, map(make, count(1000 * seed))))


def _heard(case: Case) -> bool:
    return bool(reference(case)["loss"] > 0.05)


def _tie_shows(case: Case) -> bool:
    """Tell whether some maximum of the two equal points matters."""
    ways = (replace(EXACT, max_tie=share) for share in ("first", "last"))
    first, last = (reference(case, way)["grad_x"] for way in ways)
    return not np.allclose(first, last)


def _twins_chosen(case: Case) -> bool:
    first, other = answers(case)
    return not np.array_equal(first["lca_pair_data"], other["lca_pair_data"])


def _third_alone(case: Case) -> bool:
    """Tell whether some triplets have their third hinge active and no other."""
    s = reference(case)
    found = []
    for level, d in PAIRS.items():
        first, second, third = hinges_of(case, level, s[d], *(s[name] for name in CHOSEN[level]))
        found.append(np.any((first <= 0) & (second <= 0) & (third > 0)))
    return any(found)


def apart(case: Case) -> Case:
    """Leave out the triplets of one ancestor: their hinges are exactly 0 without a margin."""
    s, kept = reference(case), {}
    for level in CHOSEN:
        rows = np.not_equal(*(s[name] for name in CHOSEN[level]))
        kept[f"triplets_{level}"] = getattr(case, f"triplets_{level}")[rows]
        kept[f"gumbel_{level}"] = tuple(g[rows] for g in getattr(case, f"gumbel_{level}"))
    return replace(case, **kept)


small = partial(unasked, neighbours=2, per_anchor=1)

CASES: list[tuple[str, str, tuple[str, ...], Make]] = [
    *(
        (f"std-{n:02d}", "the usual operating point, another draw and size", (), make)
        for n, make in enumerate(partial(usual, b=b, p=p, dim=dim) for b, p, dim in SIZES)
    ),
    *(
        (f"self-{n:02d}", "triplets drawn as released: k can be i", ("anchor_negative",), make)
        for n, make in enumerate([partial(usual, mined=RELEASED)] * 3)
    ),
    ("wide", "D far above B and P: sums over many coordinates", (), partial(usual, dim=64)),
    ("large", "more triplets than a block of 256", (), partial(drawn, b=40, p=16, per_anchor=8)),
    (
        "odd",
        "B = 33, P = 19, D = 37: no multiple of a block",
        (),
        partial(usual, b=33, p=19, dim=37, per_anchor=2),
    ),
    (
        "uneven",
        "anchors with unequal numbers of triplets",
        (),
        partial(usual, after=edits.uneven),
    ),
    ("line", "D = 1: geodesics are one line", (), partial(usual, dim=1, size=1.0)),
    (
        "clipped",
        "every tangent vector beyond the clip radius",
        ("clip",),
        partial(usual, size=15.0),
    ),
    (
        "lengths",
        "lengths from far inside to far beyond the clip radius",
        ("clip",),
        partial(usual, edit=edits.lengths),
    ),
    ("short", "all points near the origin, where the ball is flat", (), partial(usual, size=0.02)),
    ("c-1", "another curvature", ("curvature",), partial(usual, c=1.0, clip_radius=1.0)),
    ("c-4", "another curvature", ("curvature",), partial(usual, c=4.0, clip_radius=0.6)),
    ("c-0.01", "another curvature, nearly flat", ("curvature",), partial(usual, c=0.01)),
    ("tau-0.02", "a sharp choice", ("temperature",), partial(usual, tau=0.02)),
    (
        "tau-1",
        "a soft choice: most of the gradient is straight-through",
        ("temperature",),
        partial(usual, tau=1.0),
    ),
    ("margin-0", "hinges without a margin", ("hinge",), partial(usual, margin=0.0, after=apart)),
    ("margin-2", "every hinge active", ("hinge",), partial(usual, margin=2.0)),
    (
        "rank-2",
        "K = 2: anchors with a single mutual neighbour",
        ("mining",),
        partial(usual, neighbours=2),
    ),
    ("rank-8", "K = 8: most are neighbours", ("mining",), partial(usual, neighbours=8)),
    (
        "rank-all",
        "K beyond the number of points: nobody is left as a negative",
        ("mining",),
        partial(usual, after=lambda case: replace(case, neighbours=50)),
    ),
    (
        "one-class",
        "labels alike: class can rank nobody first",
        ("mining",),
        partial(usual, after=edits.one_class, waive=("rank",)),
    ),
    (
        "edge-3",
        "c = 1, radius tanh 3: within the margin that projections keep",
        ("boundary",),
        partial(edge, clip_radius=3.0),
    ),
    (
        "edge-4",
        "c = 1, radius tanh 4: beyond a margin of 1e-3",
        ("boundary", "ball_margin"),
        partial(edge, clip_radius=4.0),
    ),
    (
        "edge-6",
        "c = 1, data at radii tanh 3 to tanh 6, proxies inside: denominators against 1e-5",
        ("boundary", "denominator"),
        partial(edge, clip_radius=6.0, edit=edits.reaching(3, 6)),
    ),
    (
        "edge-9",
        "c = 1, data at radii tanh 5 to tanh 9: beyond an artanh cut at 1 - 1e-7",
        ("boundary", "artanh"),
        partial(edge, clip_radius=9.0, edit=edits.reaching(5, 9)),
    ),
    (
        "edge-12",
        "c = 1, data at radii tanh 8 to tanh 12: beyond a tanh cut at 10",
        ("boundary", "tanh"),
        partial(edge, clip_radius=12.0, edit=edits.reaching(8, 12)),
    ),
    (
        "edge-16",
        "c = 1, data at radius tanh 16: beyond a tanh cut at 15",
        ("boundary", "tanh"),
        partial(
            edge,
            clip_radius=16.0,
            tau=10.0,
            margin=10.0,
            per_anchor=1,
            floor=0.05,
            edit=edits.reaching(16, 16),
        ),
    ),
    (
        "tiny",
        "tangent vectors of lengths 1e-8 to 1e-6: norms below a floor of 1e-5",
        ("min_norm",),
        partial(unasked, c=4.0, clip_radius=0.6, edit=edits.tiny),
    ),
    (
        "origin",
        "a point and a proxy at 0",
        ("origin", "coincident"),
        partial(unasked, edit=edits.origin),
    ),
    ("opposite", "a point and its negative", (), partial(usual, edit=edits.opposite)),
    (
        "on-proxy",
        "a point on a proxy: distance 0 is differentiated",
        ("coincident",),
        partial(unasked, edit=edits.on_proxy),
    ),
    (
        "near",
        "two points, two proxies, a point and a proxy 2^-12 apart: squared norms cancel",
        ("near",),
        partial(unasked, edit=edits.near),
    ),
    (
        "repeated",
        "two equal points: every maximum of their distances ties",
        ("coincident", "max_tie"),
        until(_tie_shows, partial(unasked, edit=edits.repeated)),
    ),
    (
        "twins",
        "two equal proxies with equal noise: either is a right ancestor",
        ("coincident", "tie"),
        until(
            _twins_chosen,
            partial(unasked, edit=edits.twin_proxies, after=edits.twin_noise, waive=("lca",)),
        ),
    ),
    (
        "silent",
        "no noise: the nearest proxy is the ancestor",
        ("noise",),
        partial(usual, after=edits.silent),
    ),
    ("loud", "noise that drowns the distances", ("noise",), partial(usual, after=edits.loud)),
    (
        "no-data",
        "no triplet at level data",
        ("empty",),
        partial(usual, after=edits.without("data")),
    ),
    (
        "no-proxy",
        "no triplet at level proxy",
        ("empty",),
        partial(usual, after=edits.without("proxy")),
    ),
    (
        "one-triplet",
        "one triplet a level: nothing averages out",
        (),
        partial(usual, after=edits.first_triplet),
    ),
    ("two-proxies", "P = 2: no triplets among proxies", ("empty",), partial(usual, p=2)),
    ("one-proxy", "P = 1: it is every ancestor", ("empty",), partial(usual, p=1)),
    (
        "four-proxies",
        "P = 4: without its members a triple has one candidate",
        ("own_ancestor",),
        partial(usual, p=4, neighbours=2),
    ),
    *(
        (
            f"small-{n:02d}",
            "loss and gradients certified by mpmath",
            ("certified",),
            until(_heard, partial(small, **{"b": 6, "p": 4, "dim": 3} | options)),
        )
        for n, options in enumerate(SMALL)
    ),
    (
        "edge-cone",
        "c = 1, a narrow cone, radii tanh 5 to tanh 7.5: points near each other at the boundary",
        ("boundary", "ball_margin"),
        partial(edge, clip_radius=7.5, edit=edits.cone),
    ),
    (
        "sizes",
        "B = 73, P = 41, D = 137, more than 1024 triplets: tiles, and a last one that is not full",
        ("size",),
        partial(big, b=73, p=41, dim=137, per_anchor=17, size=1.0),
    ),
    ("crowd", "B = 271: more points than 8 bits count", ("size",), partial(big, b=271, p=5, dim=9)),
    (
        "many",
        "P = 307: more proxies than 8 bits count",
        ("size",),
        partial(big, b=13, p=307, dim=7, per_anchor=2, after=lambda case: clear(edits.few(case))),
    ),
    ("deep", "D = 1031: more coordinates than a tile", ("size",), partial(big, b=7, p=6, dim=1031)),
    (
        "tall",
        "about 5,000 triplets a level and few proxies",
        ("size",),
        partial(big, b=21, p=11, dim=3, per_anchor=247),
    ),
    (
        "edge-15",
        "c = 1, data at radii tanh 10 to tanh 15: gaps below 1e-10 and 1e-12",
        ("boundary", "gap"),
        partial(far, clip_radius=15.5, tau=1.0, margin=4.0, edit=edits.reaching(10, 15)),
    ),
    *(
        (
            f"edge-c-{c:g}",
            f"c = {c:g}, data at radii tanh 3 to tanh 12: lengths are not lengths times √c",
            ("boundary", "ball_margin", "tanh"),
            partial(far, c=c, clip_radius=12 / c**0.5, edit=edits.reaching(3, 12, c)),
        )
        for c in (0.1, 4.0)
    ),
    *(
        (
            f"rim-{c:g}",
            f"c = {c:g}, data and proxies at radii tanh 3 to tanh 6",
            ("boundary", "ball_margin"),
            partial(edge, c=c, clip_radius=6 / c**0.5, edit=edits.reaching(3, 6, c, inner=False)),
        )
        for c in (1.0, 0.1)
    ),
    (
        "within",
        "points just inside the clip radius",
        ("clip",),
        partial(unasked, edit=edits.within(2.3)),
    ),
    (
        "third",
        "D = 2, P = 3: triplets whose third hinge alone is active",
        ("hinge",),
        until(_third_alone, partial(unasked, p=3, dim=2, neighbours=2, size=3.0)),
    ),
    ("j-is-i", "triplets of one point twice", (), partial(unasked, after=edits.members(0, 0, 2))),
    ("k-is-j", "strangers that belong", (), partial(unasked, after=edits.members(0, 1, 1))),
    ("one-point", "B = 1: i, j and k are one", (), partial(unasked, b=1, after=edits.only_point)),
    (
        "c-16",
        "c above 4: a ball of radius 1/4",
        ("curvature",),
        partial(usual, c=16.0, clip_radius=0.25, size=0.5),
    ),
    (
        "c-100",
        "c far above 4: a ball of radius 1/10",
        ("curvature",),
        partial(usual, c=100.0, clip_radius=0.1, size=0.1),
    ),
    ("tau-0.004", "a choice that is nearly hard", ("temperature",), partial(unasked, tau=0.004)),
    ("tau-40", "a choice by noise alone", ("temperature",), partial(usual, tau=40.0)),
]
