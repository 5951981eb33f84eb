"""Convention: the choices on which implementations of HIER differ, each with a name.

A formula in a paper leaves choices open; code makes them. `EXACT` is what this package means
by HIER when nothing else is said.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Convention:
    """One way to read HIER; every field is one choice, described in docs/3 and docs/4."""

    same_class_first: bool = True
    """Level "data": images of the anchor's class rank before all others, whatever the distance."""

    neighbours_count_self: bool = False
    """The point itself takes one of its K places among its own nearest neighbours."""

    min_reciprocal: int = 1
    """An anchor with fewer mutual neighbours than this gives no triplet."""

    negative_may_be_anchor: bool = False
    """The anchor itself may be drawn as the negative of its own triplet."""

    riemannian_gradient: bool = False
    """Gradients that reach ball points are scaled by (1 - c|z|^2)^2 / 4 on their way back."""


EXACT = Convention()
