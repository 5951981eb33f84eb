"""The stages of the loss as a graph: what each is computed from, and how far off a value is."""

from collections.abc import Iterable, Mapping
from copy import copy
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hier_ref.balls import ball_of
from hier_ref.convention import Convention
from hier_ref.hier import to_ball, to_ball_vjp
from hier_ref.levels import Rule, level_stages
from hier_ref.oracle.case import Case, mining, pooled
from hier_ref.triplets import LEVELS

PAIRS = {"data": "d_zl", "proxy": "d_ll"}
CHOSEN = {s: (f"lca_pair_{s}", f"lca_triple_{s}") for s in LEVELS}

# Stage -> the stages it is computed from, in the order in which they are judged.
NEEDS: dict[str, tuple[str, ...]] = {
    "z": (),
    "l": (),
    "d_zz": ("z",),
    "d_zl": ("z", "l"),
    "d_ll": ("l",),
    "positives_data": ("d_zz",),
    "negatives_data": ("d_zz",),
    "positives_proxy": ("d_ll",),
    "negatives_proxy": ("d_ll",),
    **{name: (PAIRS[s],) for s in LEVELS for name in CHOSEN[s]},
    **{f"hinge_{s}": (PAIRS[s], *CHOSEN[s]) for s in LEVELS},
    **{f"loss_{s}": (f"hinge_{s}", *CHOSEN[s]) for s in LEVELS},
    "loss": ("loss_data", "loss_proxy"),
    "grad_d_zl": ("d_zl",),
    "grad_d_ll": ("d_ll",),
    "grad_z": ("grad_d_zl", "z", "l"),
    "grad_l": ("grad_d_zl", "grad_d_ll", "z", "l"),
    "grad_x": ("grad_z",),
    "grad_proxies": ("grad_l",),
}
# What a stage shares with others that no stage hands on, its noise and weights: where these are
# wrong, nobody can tell whether it only follows from them.
SHARES = {f"grad_{PAIRS[s]}": (*CHOSEN[s], f"hinge_{s}", f"loss_{s}") for s in LEVELS}
LEAST_ROW = 0.05  # rows smaller than this part of the largest are not judged by their own size
INTEGER = {name for name in NEEDS if name.startswith(("lca_", "positives_", "negatives_"))}
REQUIRED = ("loss", "grad_x", "grad_proxies")  # without these a verdict is inconclusive


# The stages that a field changes by itself; what is computed from them follows.
MINING = ("positives_data", "negatives_data", "positives_proxy", "negatives_proxy")
ANCESTORS = ("lca_pair_data", "lca_triple_data", "lca_pair_proxy", "lca_triple_proxy")
GRAD_D = ("grad_d_zl", "grad_d_ll")
CHANGES: dict[str, tuple[str, ...]] = {
    "curvature_dtype": ("z", "l", "d_zz", "d_zl", "d_ll"),
    **dict.fromkeys(("clip_eps", "min_norm", "tanh_limit", "ball_margin"), ("z", "l")),
    **dict.fromkeys(("mobius_denominator_eps", "artanh_margin"), ("d_zz", "d_zl", "d_ll")),
    **dict.fromkeys(("same_class_first", "neighbours_count_self"), MINING),
    **dict.fromkeys(("min_reciprocal", "negative_may_be_anchor"), MINING),
    "noise_tempered": (*ANCESTORS, *GRAD_D),
    "proxy_may_be_own_ancestor": (*ANCESTORS[2:], GRAD_D[1]),
    "same_lca_mask": ("hinge_data", "hinge_proxy", *GRAD_D),
    "mean_over": ("loss_data", "loss_proxy", *GRAD_D),
    **dict.fromkeys(("straight_through", "max_tie"), GRAD_D),
    "riemannian_gradient": ("grad_x", "grad_proxies"),
}
BACKWARDS = ("straight_through", "max_tie")  # change nothing but the gradient of a level


def downstream(stages: Iterable[str]) -> list[str]:
    """Return the given stages and all that are computed from them, in order."""
    reached = set(stages)
    for stage, needs in NEEDS.items():  # in order: each comes after what it needs
        if reached & set(needs):
            reached.add(stage)
    return [stage for stage in NEEDS if stage in reached]


@cache
def hidden(stage: str, supplied: frozenset[str]) -> frozenset[str]:
    """Return a stage with all that it is computed from before the next supplied ones."""
    unseen = (need for need in NEEDS[stage] if need not in supplied)
    return frozenset({stage}).union(*(hidden(need, supplied) for need in unseen))


@cache
def reaching(stage: str, supplied: frozenset[str]) -> tuple[str, ...]:
    """Return the fields that can change a stage that is computed from the next supplied ones."""
    return tuple(name for name, first in CHANGES.items() if hidden(stage, supplied) & set(first))


class Graph:
    """The stages of one case where some values are given and all others follow from them.

    What was computed is remembered, in every convention that one graph leads to by `under`.
    """

    def __init__(self, case: Case, convention: Convention, given: Mapping[str, NDArray]):
        """Take a float64 case and the values that are given."""
        self.case, self.given, self.supplied = case, given, frozenset(given)
        self.memory: dict[tuple, Any] = {}  # stages, and all those of a level together
        self._choose(convention)

    def _choose(self, convention: Convention) -> None:
        self.convention, self.rule = convention, Rule(self.case.tau, self.case.margin, convention)

    def under(self, convention: Convention) -> "Graph":
        """Return the graph in another convention; what that leaves alone is kept."""
        other = copy(self)
        other._choose(convention)
        return other

    def value(self, stage: str) -> NDArray:
        """Return the given value of a stage, or else what follows."""
        return self.given[stage] if stage in self.given else self.follows(stage)

    def follows(self, stage: str) -> NDArray:
        """Return what the reference makes of a stage from the stages that it needs."""
        key = self._key(stage)
        if key not in self.memory:
            self.memory[key] = self._compute(stage, *map(self.value, NEEDS[stage]))
        return self.memory[key]

    def _key(self, stage: str, what: str = "") -> tuple:
        fields = reaching(stage, self.supplied)
        return what or stage, *(getattr(self.convention, name) for name in fields)

    def _compute(self, stage: str, *needs: NDArray) -> NDArray:
        case, c, convention = self.case, self.case.c, self.convention
        ball, level = ball_of(convention), stage.rpartition("_")[2]
        if stage in ("z", "l"):
            tangent = case.x if stage == "z" else case.proxies
            return to_ball(tangent, c, case.clip_radius, convention)
        if stage.startswith("d_"):
            return ball.pairwise_distance(needs[0], needs[-1], c)
        if stage.startswith(("positives", "negatives")):
            return mining(needs[0], level, case, convention)[stage.startswith("negatives")]
        if stage.startswith("lca"):
            return self._level(needs[0], level)[stage.rpartition("_")[0]]
        if stage.startswith("hinge"):
            d, pair, triple = needs
            return hinge_of(case, level, d, pair, triple, convention)
        if stage == "loss":
            return needs[0] + needs[1]
        if stage.startswith("loss"):
            apart = convention.mean_over == "apart"
            divisor = np.sum(needs[1] != needs[2]) if apart else len(needs[0])
            return np.sum(needs[0]) / max(1, divisor)
        if stage.startswith("grad_d"):
            level = "data" if stage == "grad_d_zl" else "proxy"
            return self._level(needs[0], level, gradient=True)["grad_d"]
        if stage == "grad_z":
            return ball.pairwise_distance_vjp(*needs, c)[0]
        if stage == "grad_l":
            grad_zl, grad_ll, z, l = needs
            among = sum(ball.pairwise_distance_vjp(grad_ll, l, l, c))
            return ball.pairwise_distance_vjp(grad_zl, z, l, c)[1] + among
        tangent = case.x if stage == "grad_x" else case.proxies
        return to_ball_vjp(needs[0], tangent, c, case.clip_radius, convention)

    def _level(self, d: NDArray, level: str, gradient: bool = False) -> dict[str, NDArray]:
        fields = reaching(f"grad_{PAIRS[level]}", self.supplied)
        whole = (level, *((name, getattr(self.convention, name)) for name in fields))
        key = tuple(item for item in whole if item[0] not in BACKWARDS)
        if whole not in self.memory and (gradient or key not in self.memory):
            found = level_stages(d, self.case.draws, level, self.rule, gradient)
            self.memory[whole if gradient else key] = found
        return self.memory.get(whole) or self.memory[key]


def hinges_of(
    case: Case, level: str, d: NDArray, lca_pair: NDArray, lca_triple: NDArray
) -> NDArray:
    """Return what is inside the hinges of each triplet, (3, T), given d (N, P), ancestors (T,)."""
    members = case.draws.level(level)[0].T
    gain = [d[a, lca_pair] - d[a, lca_triple] for a in members]
    return np.array([gain[0] + case.margin, gain[1] + case.margin, case.margin - gain[2]])


def hinge_of(
    case: Case,
    level: str,
    d: NDArray,
    lca_pair: NDArray,
    lca_triple: NDArray,
    convention: Convention,
) -> NDArray:
    """Sum of the three hinges of each triplet (T,), given d (N, P) and the ancestors (T,)."""
    inside = hinges_of(case, level, d, lca_pair, lca_triple)
    counts = (lca_pair != lca_triple) | (not convention.same_lca_mask)
    return np.maximum(inside, 0).sum(0) * counts


def error(stage: str, got: NDArray, want: NDArray) -> float:
    """Return how far a value is off; inf where shapes differ or a number is not finite.

    Two arrays of any shape. Integer and boolean stages: how many entries differ. Others: the
    largest difference in a row over the largest entry of that row. A row counts at least 1/20 of
    the largest, save in z and l: what is smaller is the rest of a cancellation. Where all should
    be 0, the difference itself. (V1).
    """
    got, want = np.asarray(got), np.asarray(want)
    if got.shape != want.shape:
        return np.inf
    if stage in INTEGER:
        return float(np.sum(got != want))
    if not np.isfinite(got).all():
        return np.inf
    if not got.size:
        return 0.0
    rows = (-1, got.shape[-1]) if got.ndim == 2 else (1, -1)
    off = np.abs(got.astype(np.float64) - want).reshape(rows).max(1)
    size = np.abs(want).reshape(rows).max(1)
    if stage not in ("z", "l"):
        size = np.maximum(size, LEAST_ROW * size.max())
    return float(np.max(off / np.where(size == 0, 1.0, size)))


def deviation(case: Case, stage: str, got: NDArray, want: NDArray) -> float:
    """Return the error (V1) of a value of one case, its ties pooled (K90).

    Two arrays of any shape; inf where the shapes differ.
    """
    if np.shape(got) != np.shape(want):
        return np.inf
    return error(stage, pooled(case, stage, got), pooled(case, stage, want))
