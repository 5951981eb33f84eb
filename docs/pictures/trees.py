"""Pictures of chapters 12 and 16: a planted tree read again, and the wedges of a layout."""

from typing import NamedTuple

import numpy as np

from docs.pictures.svg import Disk, Picture
from hier_ref.draw.layout import Plan, depths, geodesic, layout, plan
from hier_ref.poincare import conformal_factor, expmap
from hier_ref.tree import Tree, join, read_tree
from hier_ref.tree.planted import Planted, plant

GROUPS = ("blue", "green", "violet")
WEDGES = ("blue", "green", "violet", "orange", "red", "ink")
SEED, NOISE = 24, 0.4


class Edges(NamedTuple):
    """Both ends of all edges of a tree, (M, 2) each, and which nodes below are as planted."""

    below: np.ndarray
    above: np.ndarray
    right: np.ndarray


def grown(seed: int = SEED, noise: float = NOISE) -> Planted:
    """Plant three branches of three classes of four points in the plane, and move everything.

    Proxy 0 is the root, 1 to 3 its children. The directions are those of the layout: in the plane
    random ones would put branches upon each other.
    """
    of_proxies = np.array([-1, 0, 0, 0, *np.repeat([1, 2, 3], 3)])
    classes = np.repeat(np.arange(4, 13), 4)
    tree = join(classes, of_proxies)
    x = layout(tree, 0.97)
    steps = noise * np.random.default_rng(seed).standard_normal(x.shape) / np.sqrt(2)
    moved = expmap(x, steps / conformal_factor(x, 1.0)[:, None], 1.0)
    z, l = np.zeros((36, 2)), np.zeros((13, 2))
    for at, (kind, row) in zip(moved, _nodes(tree), strict=True):
        (z if kind == "point" else l)[row] = at
    return Planted(z, l, tree, np.stack([classes, of_proxies[classes]], axis=1))


def edges(tree: Tree, found: Planted) -> Edges:
    """Return the edges of a tree where its points and proxies lie; right: the planted parent."""
    at = np.array([(found.z if k == "point" else found.l)[i] for k, i in _nodes(tree)])
    below = np.flatnonzero(tree.parent >= 0)
    planted, read = _parents(found.tree), _parents(tree)
    right = [read.get(node) == planted.get(node) for node in (_nodes(tree)[i] for i in below)]
    return Edges(at[below], at[tree.parent[below]], np.array(right))


def _nodes(tree: Tree) -> list[tuple[str, int]]:
    return list(zip(tree.kind.tolist(), tree.index.tolist(), strict=True))


def _parents(tree: Tree) -> dict:
    """Return the parent of each node, both as kind and row."""
    nodes = _nodes(tree)
    return {nodes[i]: nodes[p] for i, p in enumerate(tree.parent) if p >= 0}


def planted() -> Picture:
    """Draw a planted tree, and what both rules read from its points and proxies."""
    picture = Picture(345, "A planted tree in the ball, and the tree that each rule reads")
    found = grown()
    trees = [found.tree, *(read_tree(found.z, found.l, 1.0, rule) for rule in ("lca", "nearest"))]
    group = np.unique(found.columns[:, 1], return_inverse=True)[1]
    names = ("planted, then moved", "rule lca", "rule nearest")
    for number, (tree, name) in enumerate(zip(trees, names, strict=True)):
        disk, lines = Disk(139 + 276 * number, 140, 130), edges(tree, found)
        disk.rim(picture)
        arcs = disk(geodesic(lines.below, lines.above, 8))
        picture.lines(arcs[lines.right], "grey", 1.3)
        if not lines.right.all():
            picture.lines(arcs[~lines.right], "red", 2.2)
        for shade, colour in enumerate(GROUPS):
            picture.dots(disk(found.z[group == shade]), 3.6, colour)
        for proxy in found.l:
            at = disk(proxy)
            picture.box(*(at - 4.5), *(at + 4.5), "orange")
        picture.text((disk.x, 302), name, "ink", 16)
        wrong = int((~lines.right).sum())
        text = f"{wrong} of {len(lines.right)} edges differ" if number else "the true edges"
        picture.text((disk.x, 328), text, "red" if wrong else "grey", 15)
    return picture


def wedges() -> Picture:
    """Draw a small tree with the wedge of each inner node, and a larger tree."""
    picture = Picture(430, "The wedges of a small tree, and a larger tree laid out")
    left, right = Disk(210, 200, 185), Disk(620, 200, 185)
    small = join(np.repeat([0, 1, 2, 3], [3, 2, 4, 2]), np.array([4, 4, 5, 5, 6, 6, -1]))
    drawn = plan(small)
    inner = np.flatnonzero((small.kind == "proxy") & (small.parent >= 0))
    colours = dict(zip(inner[np.argsort(depths(small.parent)[inner])], WEDGES, strict=True))
    for node, colour in colours.items():
        sides = _wedge(drawn, small.parent[node], node)
        picture.line(left(sides), colour, 1, fill=colour, opacity=0.25)
    _tree(picture, left, small, drawn, 5)
    large = plant(np.random.default_rng(0), (4, 4, 4), 4)
    _tree(picture, right, large.tree, plan(large.tree), 2)
    for disk in (left, right):
        disk.rim(picture)
    picture.text((210, 415), "every inner node has a wedge of its own")
    picture.text((620, 415), "85 proxies, 256 points: no subtree meets another")
    return picture


def _wedge(drawn: Plan, parent: int, node: int) -> np.ndarray:
    """Return the outline (K, 2): from the parent to the rim, along it, and back."""
    start, end = drawn.stretch[node]
    along = np.linspace(start, end, 25)
    rim = 0.99999 * np.stack([np.cos(along), np.sin(along)], axis=1)
    apex = np.tile(drawn.position[parent], (2, 1))
    there, back = geodesic(apex, rim[[0, -1]], 48)
    return np.concatenate([there, rim, back[::-1]])


def _tree(picture: Picture, disk: Disk, tree: Tree, drawn: Plan, size: float) -> None:
    """Draw edges, points and proxies."""
    x, point = drawn.position, tree.kind == "point"
    nodes = np.flatnonzero(tree.parent >= 0)
    for below, pieces, width in ((point[nodes], round(size), 0.8), (~point[nodes], 6, 1.3)):
        some = nodes[below]
        arcs = geodesic(x[tree.parent[some]], x[some], pieces)
        picture.lines(disk(arcs), "grey", width)
    picture.dots(disk(x[point]), size * 0.8, "blue")
    for at in disk(x[~point]):
        picture.box(*(at - size), *(at + size), "orange")
