"""Convention: every choice on which implementations of HIER differ, each with a name.

A formula in a paper leaves choices open; code makes them. `EXACT` is what this package means by
HIER when nothing else is said; `RELEASED` is the code that the authors published. What each field
does, and how much it matters, is measured in docs/10-conventions.md. What computes by it is
`hier_ref.balls` for the arithmetic, and each function of the loss for the rest.
"""

from dataclasses import dataclass, fields
from math import inf


@dataclass(frozen=True)
class Convention:
    """One way to read HIER. Every field is one choice; any mix of fields works."""

    # ---- Arithmetic of the ball

    curvature_dtype: str = "data"
    """"float32": c is rounded to float32 before any use but clipping and the Riemannian scaling."""

    clip_eps: float = 0.0
    """Added to the norm by which a vector is shortened to the clip radius. (C1)"""

    min_norm: float = 0.0
    """Norms are raised to this in the exponential map, the logarithm and the projection. (C2)"""

    tanh_limit: float = inf
    """The argument of tanh is cut here. (C2)"""

    ball_margin: float = 0.0
    """Points farther out than (1 - ball_margin)/√c are put there. (C3)"""

    mobius_denominator_eps: float = 0.0
    """Added to the denominator of Möbius addition. (C4)"""

    artanh_margin: float = 0.0
    """The argument of artanh is cut at 1 - this, its slope is that of the cut argument. (C5)"""

    # ---- Neighbours and triplets

    same_class_first: bool = True
    """Level "data": images of the anchor's class rank before all others, whatever the distance."""

    neighbours_count_self: bool = False
    """The point itself takes one of its K places among its own nearest neighbours."""

    min_reciprocal: int = 1
    """An anchor with fewer mutual neighbours than this gives no triplet."""

    negative_may_be_anchor: bool = False
    """The anchor itself may be drawn as the negative of its own triplet."""

    # ---- Ancestors and hinges

    noise_tempered: bool = False
    """The Gumbel noise is divided by tau like the distance is. (C6)"""

    proxy_may_be_own_ancestor: bool = True
    """Level "proxy": the members of a set are candidates for its ancestor. (C7)"""

    same_lca_mask: bool = True
    """Triplets whose two ancestors are one proxy count 0."""

    mean_over: str = "all"
    """Divisor of the mean: "all" triplets, or those whose ancestors are "apart". (C8)"""

    # ---- Gradients that are choices

    straight_through: bool = True
    """The gradient reaches all proxies through the soft choice; else the chosen ones alone."""

    max_tie: str = "split"
    """Where distances tie for a maximum: "split" its slope, or all to the "first" or "last"."""

    riemannian_gradient: bool = False
    """Gradients that reach ball points are scaled by (1 - c|z|^2)^2 / 4 on their way back."""

    def __post_init__(self) -> None:
        """Raise ValueError naming the field, what was found and what was expected."""
        for name, allowed in WORDS.items():
            if getattr(self, name) not in allowed:
                found = getattr(self, name)
                raise ValueError(f"{name} {found!r}: expected one of {', '.join(allowed)}")
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(field.default, float) and not value >= 0:
                raise ValueError(f"{field.name} {value}: expected at least 0")


WORDS = {
    "curvature_dtype": ("data", "float32"),
    "mean_over": ("all", "apart"),
    "max_tie": ("split", "first", "last"),
}
ARITHMETIC = (
    "curvature_dtype",
    "clip_eps",
    "min_norm",
    "tanh_limit",
    "ball_margin",
    "mobius_denominator_eps",
    "artanh_margin",
)

EXACT = Convention()
RELEASED = Convention(
    clip_eps=1e-5,
    min_norm=1e-5,
    tanh_limit=15.0,
    ball_margin=1e-3,
    mobius_denominator_eps=1e-5,
    artanh_margin=1e-5,
    neighbours_count_self=True,
    min_reciprocal=2,
    negative_may_be_anchor=True,
    riemannian_gradient=True,
)
CONVENTIONS = {"exact": EXACT, "released": RELEASED}


def differences(first: Convention, second: Convention) -> dict[str, tuple]:
    """Return the fields in which two conventions differ: name -> (of first, of second)."""
    pairs = {f.name: (getattr(first, f.name), getattr(second, f.name)) for f in fields(Convention)}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}
