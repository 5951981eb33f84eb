"""A tree laid out in the Poincaré disk (c = 1): equal edges, and a wedge of its own per subtree.

Sarkar's construction, derived in docs/16-drawing.md.
"""

from typing import NamedTuple, Protocol

import numpy as np
from numpy import ndarray

from hier_ref.poincare import expmap, logmap, mobius_add

EDGE = 1.6  # the longest edge: a lone star then fills two thirds of the disk
REACH = 0.995  # where the deepest node lies: under 3 pixels inside a circle of 520
WIDEST = 5 * np.pi / 6  # no grandchild comes nearer than half an edge (K80)


class Shape(Protocol):
    """A tree of M nodes: all that is read of it."""

    @property
    def parent(self) -> ndarray:
        """(M,) the node above each, -1 at the root."""

    @property
    def kind(self) -> ndarray:
        """(M,) "point" for a leaf that is an image."""

    @property
    def index(self) -> ndarray:
        """(M,) the row of each among its kind."""


class Plan(NamedTuple):
    """Positions (M, 2) in the disk, and the stretch (M, 2) of the boundary below each node.

    A stretch holds two angles seen from the centre, counter-clockwise; siblings share none.
    """

    position: ndarray
    stretch: ndarray


def layout(tree: Shape, reach: float = REACH) -> ndarray:
    """Return positions (M, 2) of the nodes: edges equally long, subtrees apart. (Y20)-(Y24).

    The root lies in the centre and the deepest node at |x| <= reach. Deterministic. Raises
    ValueError unless `parent` (M,) is a tree with one root, and for a reach above 1 - 1e-6, where
    float64 can hardly tell neighbours apart. Source: Sarkar 2011; derived in docs/16-drawing.md.
    """
    return plan(tree, reach).position


def plan(tree: Shape, reach: float = REACH) -> Plan:
    """Lay a tree of M nodes out, (M, 2) and (M, 2): from the root outwards, depth by depth."""
    if not 0 < reach <= 1 - 1e-6:
        raise ValueError(f"reach is {reach}, expected above 0 and at most 1 - 1e-6")
    parent = np.asarray(tree.parent)
    depth = depths(parent)
    tau = edge_length(int(depth.max()), reach)
    share, middle, rank = _places(tree, depth)
    crowded = np.asarray(tree.kind) == "point"
    position, stretch = np.zeros((len(parent), 2)), np.tile([-np.pi, np.pi], (len(parent), 1))
    heading, room = np.zeros(len(parent)), np.full(len(parent), np.pi)
    for nodes in _levels(depth)[1:]:
        above = parent[nodes]
        start, beta = position[above], room[above] * share[nodes]
        angle = heading[above] + room[above] * (2 * middle[nodes] - 1)
        length = np.where(crowded[nodes], in_rows(rank[nodes], beta, tau), tau)
        step = np.tanh(length / 2)[:, None] * _unit(angle)
        position[nodes] = mobius_add(start, step, 1.0)  # (Y20)
        heading[nodes] = _direction(-logmap(position[nodes], start, 1.0))
        room[nodes] = opening(beta, tau)
        stretch[nodes] = _ends(start, angle, beta)
    return Plan(position, stretch)


def opening(beta: ndarray, tau: float) -> ndarray:
    """Return how far from straight ahead the children of a node may lie. (Y22) (K80).

    `beta`, any shape, is half of the angle that the node has at its parent, tau away.
    """
    return np.minimum(2 * np.arctan(np.exp(tau) * np.tan(beta / 2)), WIDEST)


def edge_length(deepest: int, reach: float) -> float:
    """Return the length of all edges, so that depth `deepest` ends at |x| <= reach. (Y23)."""
    return min(EDGE, 2 * np.arctanh(reach) / max(deepest, 1))


def in_rows(rank: ndarray, beta: ndarray, tau: float) -> ndarray:
    """Return the edges of points, which stand in rows where one ring is too narrow. (Y24).

    `rank` is a point's place among its siblings, `beta` half of its angle, any shape. With room
    for all in one ring the edge is tau, and never below tau/2.
    """
    rows = np.maximum(1, np.round(np.sqrt(0.5 * tau / (2 * beta * np.sinh(tau)))))
    return tau * (1 - 0.5 * np.mod(rank, rows) / rows)


def geodesic(x: ndarray, y: ndarray, pieces: int) -> ndarray:
    """Return pieces + 1 points of the arc from x to y, equally far apart. (Y25).

    Shapes: (M, 2), (M, 2) -> (M, pieces + 1, 2). Domain: inside the disk (K2).
    """
    s = np.linspace(0, 1, pieces + 1)[:, None]
    start = np.repeat(x[:, None], pieces + 1, axis=1)
    return expmap(start, s * logmap(x, y, 1.0)[:, None], 1.0)


def depths(parent: ndarray) -> ndarray:
    """Return the number of edges to the root, (M,) -> (M,); ValueError unless it is one tree."""
    nodes, roots = np.arange(len(parent)), np.flatnonzero(parent < 0)
    if len(roots) != 1:
        raise ValueError(f"parent: {len(roots)} roots (-1), expected 1")
    if parent.max() >= len(parent):
        raise ValueError(f"parent: {parent.max()}, expected below {len(parent)}, a node")
    depth, ahead = (parent >= 0).astype(np.int64), np.where(parent < 0, nodes, parent)
    for _ in range(len(parent).bit_length()):  # each turn doubles how far ahead we look
        depth, ahead = depth + depth[ahead], ahead[ahead]
    lost = ahead != roots[0]
    if lost.any():
        raise ValueError(f"parent: node {np.argmax(lost)} goes in a circle, expected to the root")
    return depth


def subtree_sums(parent: ndarray, value: ndarray) -> ndarray:
    """Return each node's value and those of all below it added up, (M, ...) -> (M, ...)."""
    sums = value.copy()
    for nodes in reversed(_levels(depths(parent))[1:]):
        np.add.at(sums, parent[nodes], sums[nodes])
    return sums


def _levels(depth: ndarray) -> list[ndarray]:
    """All nodes by depth, those of depth 0 first."""
    return np.split(np.argsort(depth, kind="stable"), np.cumsum(np.bincount(depth))[:-1])


def _places(tree: Shape, depth: ndarray) -> tuple[ndarray, ndarray, ndarray]:
    """Return each node's share of its parent's angle, the middle of it, its place there. (Y21).

    Siblings stand in the order of their rows, points first: so a class stays together.
    """
    parent = np.asarray(tree.parent)
    order = np.lexsort((tree.index, np.asarray(tree.kind) != "point", parent))
    childless = np.bincount(parent[parent >= 0], minlength=len(parent)) == 0
    leaves = subtree_sums(parent, childless.astype(np.int64))
    end, place = np.empty((2, len(parent)), np.int64)
    end[order], place[order] = np.cumsum(leaves[order]), np.arange(len(parent))
    first = order[np.searchsorted(parent[order], parent)]
    before = (end - leaves) - (end - leaves)[first]
    total = np.where(parent < 0, 1, leaves[parent])
    return leaves / total, (before + leaves / 2) / total, place - place[first]


def _unit(angle: ndarray) -> ndarray:
    return np.stack([np.cos(angle), np.sin(angle)], axis=-1)


def _direction(u: ndarray) -> ndarray:
    return np.arctan2(u[..., 1], u[..., 0])


def _ends(start: ndarray, angle: ndarray, beta: ndarray) -> ndarray:
    """Where the sides of wedges meet the boundary: mobius_add, which in the plane reaches it."""
    p = (start @ [1, 1j])[:, None]
    e = np.exp(1j * (angle[:, None] + beta[:, None] * [-1, 1]))
    ends = np.angle((e + p) / (1 + p.conj() * e))
    width = np.mod(ends[:, 1] - ends[:, 0], 2 * np.pi)
    whole = beta >= np.pi  # an only child of the root
    return ends[:, :1] + np.stack([np.zeros_like(width), np.where(whole, 2 * np.pi, width)], 1)
