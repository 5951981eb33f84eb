"""The largest branches of a tree, and the labels around its picture: greedy, none overlap.

Derived and described in docs/16-drawing.md.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy import ndarray
from PIL import Image

from hier_ref.draw.canvas import Box, overlap, shorten, text_box, thumbnail
from hier_ref.draw.layout import Plan, Shape, subtree_sums

BRANCHES = 48  # about as many labels as fit around a disk
LABEL, NOTE, THUMBNAIL, GAP = 25, 19, 64, 6  # pixels; half as large where a page shows the picture
NEAREST = 12  # pixels between the circle and a label
FEWEST = 0.01  # share of all points that a branch with a label has


class Branch(NamedTuple):
    """A part of the tree: its points (K,), and its stretch of the boundary."""

    points: ndarray
    stretch: tuple[float, float]


class Label(NamedTuple):
    """What stands outside of the disk, its box, and a line (K, 2) from there to its branch."""

    text: str
    note: str
    picture: Image.Image | None
    box: Box
    leader: ndarray


class Frame(NamedTuple):
    """Where labels may stand: on the paper, outside of a circle."""

    paper: Box
    centre: ndarray
    radius: float


def branches(tree: Shape, drawing: Plan) -> list[Branch]:
    """Cut a tree into about BRANCHES parts that hold all points, the largest first. (Y26).

    From the root down, the part with most points makes way for the node's own points, together,
    and its inner children, each; until there are enough or nothing larger can be cut.
    """
    parent, is_point = np.asarray(tree.parent), np.asarray(tree.kind) == "point"
    size = subtree_sums(parent, is_point.astype(np.int64))
    whole: list[ndarray] = []
    parts = [np.flatnonzero(parent < 0)]
    while parts and len(parts) + len(whole) < BRANCHES:
        nodes = parts.pop(int(np.argmax([size[part].sum() for part in parts])))
        below = np.flatnonzero(parent == nodes[0])
        inner = below[~is_point[below] & (size[below] > 0)]
        own = below[is_point[below]]
        if is_point[nodes[0]] or not len(inner):
            whole.append(nodes)
        else:
            parts += [own] * bool(len(own)) + np.split(inner, len(inner))
    parts = sorted(parts + whole, key=lambda nodes: -size[nodes].sum())
    owner = np.full(len(parent), -1)
    for number, nodes in enumerate(parts):
        owner[nodes] = number
    owner = _inherited(owner, parent, np.flatnonzero(is_point))
    points = [np.flatnonzero(is_point)[owner == number] for number in range(len(parts))]
    return [Branch(p, _stretch(drawing, nodes)) for p, nodes in zip(points, parts, strict=True)]


def _inherited(owner: ndarray, parent: ndarray, nodes: ndarray) -> ndarray:
    """Return the owner of the nearest node at or above each of `nodes` that has one."""
    at = nodes.copy()
    while (orphan := owner[at] < 0).any():
        at[orphan] = parent[at[orphan]]
    return owner[at]


def _stretch(drawing: Plan, nodes: ndarray) -> tuple[float, float]:
    """Return the stretch of neighbouring siblings taken together."""
    start, widths = drawing.stretch[nodes, 0], np.diff(drawing.stretch[nodes]).sum()
    # They may cross the angle ±π; seen from their middle one they do not.
    middle = drawing.stretch[nodes[len(nodes) // 2], 0]
    first = middle + (np.mod(start - middle + np.pi, 2 * np.pi) - np.pi).min()
    return (first, first + widths) if len(nodes) > 1 else tuple(drawing.stretch[nodes[0]])


def place_labels(
    parts: list[Branch],
    names: Sequence[str],
    shade: ndarray,
    paths: Sequence[str] | ndarray | None,
    frame: Frame,
    kinds: Sequence[str] | None = None,
) -> list[Label]:
    """Place a label for each branch that has room, the largest first; none overlap. (Y27).

    names (M,) and shade (M,) per node, paths (M,) or None; an image that does not open is left
    out (K83). kinds: what each shade is called.
    """
    placed: list[Label] = []
    total = sum(len(part.points) for part in parts)
    for part in parts:
        if len(part.points) and len(part.points) >= FEWEST * total:
            node, alike = example(part.points, names, shade)
            picture = thumbnail(str(paths[node]), THUMBNAIL) if paths is not None else None
            note = f"{alike} of {len(part.points)}: {kinds[shade[node]]}" if kinds else ""
            room = _room(picture, frame)
            lines = shorten(names[node], LABEL, room), note and shorten(note, NOTE, room)
            places = _places(*lines, picture, sum(part.stretch) / 2, frame)
            free = (p for p in places if not any(_in_the_way(p, other) for other in placed))
            placed += [label for label in [next(free, None)] if label]
    return placed


def _room(picture: Image.Image | None, frame: Frame) -> float:
    """Return how wide a text may be, so that it fits at the narrowest place, beside the circle."""
    beside = frame.centre[0] - frame.radius - NEAREST - frame.paper[0]
    return beside - 1 - (THUMBNAIL + GAP if picture else 0)


def example(points: ndarray, names: Sequence[str], shade: ndarray) -> tuple[int, int]:
    """Return a point that stands for points (K,), and how many of them have its shade. (K84).

    It has the commonest name among those of the commonest shade; of several, the first.
    """
    alike = points[shade[points] == np.bincount(shade[points]).argmax()]
    counts = Counter(str(names[point]) for point in points)
    return int(max(alike, key=lambda point: counts[str(names[point])])), len(alike)


def _places(
    text: str, note: str, picture: Image.Image | None, angle: float, frame: Frame
) -> Iterator[Label]:
    """Yield the places for a label on the paper, from near its branch to farther away."""
    boxes = [text_box((0, 0), *line) for line in ((text, LABEL), (note, NOTE))][: 1 + bool(note)]
    wide, high = max(box[2] for box in boxes), sum(box[3] for box in boxes)
    size = np.array(
        [wide + (THUMBNAIL + GAP if picture else 0), max(high, THUMBNAIL if picture else 0)]
    )
    for distance in range(NEAREST, 100, 11):
        for turn in (0, 0.02, -0.02, 0.04, -0.04, 0.06, -0.06):
            u = _outwards(angle + turn)
            middle = frame.centre + (frame.radius + distance) * u + u * size / 2
            corners = np.array([middle - size / 2, middle + size / 2])
            near = np.clip(frame.centre, *corners)
            start = frame.centre + (frame.radius + 2) * _outwards(angle)
            leader = np.linspace(start, np.clip(start, *corners), 9)
            on_paper = (corners[0] >= frame.paper[:2]).all() and (
                corners[1] <= frame.paper[2:]
            ).all()
            if on_paper and np.linalg.norm(near - frame.centre) >= frame.radius + 6:
                yield Label(text, note, picture, tuple(corners.ravel()), leader)


def _outwards(angle: float) -> ndarray:
    return np.array([np.cos(angle), -np.sin(angle)])


def _in_the_way(one: Label, other: Label) -> bool:
    """Say whether two labels, or a label and the line of the other, would touch."""
    return (
        overlap(one.box, other.box, 4)
        or _crosses(one.leader, other.box)
        or _crosses(other.leader, one.box)
    )


def _crosses(line: ndarray, box: Box) -> bool:
    return bool(((line > box[:2]) & (line < box[2:])).all(axis=1).any())
