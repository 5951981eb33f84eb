"""Pictures of chapters 1 and 2: lines, lengths and room in the ball; which pairs count as close."""

from typing import NamedTuple

import numpy as np

from docs.pictures.svg import Disk, Picture
from hier_ref.draw.layout import depths, geodesic, layout
from hier_ref.pairwise import pairwise_sq
from hier_ref.poincare import conformal_factor, distance, expmap, mobius_add, to_ball

ORIGIN = np.zeros(2)


def unit(degrees) -> np.ndarray:
    """Return unit vectors (..., 2) of angles in degrees."""
    radians = np.radians(degrees)
    return np.stack([np.cos(radians), np.sin(radians)], axis=-1)


def circle(x: np.ndarray, length: float) -> tuple[np.ndarray, float]:
    """Return the Euclidean centre and radius of the points at a hyperbolic distance from x."""
    along = x / np.linalg.norm(x) if x.any() else np.array([1.0, 0.0])
    ends = [mobius_add(x, sign * np.tanh(length / 2) * along, 1.0) for sign in (-1, 1)]
    return sum(ends) / 2, float(np.linalg.norm(ends[1] - ends[0])) / 2


def straight(x: np.ndarray, degrees: float) -> np.ndarray:
    """Return points (K, 2) of the geodesic through x in a direction, nearly from rim to rim."""
    s = np.linspace(-9, 9, 49)[:, None]
    return expmap(np.tile(x, (49, 1)), s * unit(degrees) / conformal_factor(x, 1.0), 1.0)


def circles() -> Picture:
    """Geodesics, and circles of equal distance towards the rim."""
    picture = Picture(430, "Straight lines, circles and equal disks of the ball")
    left, right = Disk(210, 200, 185), Disk(620, 200, 185)
    x, far = np.array([0.35, 0.2]), np.tanh(1.25) * unit(35)
    for angle in range(0, 180, 20):
        picture.line(left(straight(x, angle)), "blue")
    for out, angle in ((1.6, 200), (1.6, 270), (2.6, 130), (2.6, 340)):
        at = np.tanh(out / 2) * unit(angle)
        picture.line(left(straight(at, angle + 90)), "orange")
    picture.dot(left(x), 4.5, "ink")
    for centre in (ORIGIN, far):
        for length in (1, 2, 3):
            middle, radius = circle(centre, length)
            picture.dot(right(middle), right.radius * radius, None, "blue")
        picture.dot(right(centre), 4, "ink")
    for out, angles in ((1.5, (170,)), (2.5, (135, 170, 205)), (3.5, range(110, 240, 12))):
        for angle in angles:
            middle, radius = circle(np.tanh(out / 2) * unit(angle), 0.4)
            picture.dot(right(middle), right.radius * radius, "orange")
    for disk in (left, right):
        disk.rim(picture)
    picture.text((210, 415), "straight lines: through one point, and four more")
    picture.text((620, 415), "distances 1, 2, 3 from two points; disks of one size")
    return picture


def steps() -> Picture:
    """One Euclidean step at three radii, above a ruler of distances from the centre."""
    picture = Picture(250, "The same Euclidean step at three radii of the ball")
    disk = Disk(40, 120, 750)
    picture.line(disk(unit(np.linspace(-8, 8, 30))), "grey")
    picture.line(disk([[0, 0], [1, 0]]), "pale")
    for radius in (0.0, 0.5, 0.89):
        start, end = np.array([radius, 0]), np.array([radius + 0.1, 0])
        picture.arrow(disk(start), disk(end), "orange", 3)
        middle = disk((start + end) / 2)
        picture.text(middle - [0, 16], f"{distance(start, end, 1.0):.2f}", "orange", 18)
    for length in np.arange(0, 5.5, 0.5):
        at = disk((np.tanh(length / 2), 0))
        whole = length % 1 == 0
        picture.line([at + [0, 8], at + [0, 20 if whole else 14]], "blue")
        if whole and length < 5:
            picture.text(at + [0, 38], f"{length:.0f}", "blue", 15)
    picture.text((40, 40), "length of a step of 0.1, at three places", "orange", 16, "start")
    picture.text((40, 195), "distance from the centre", "blue", 16, "start")
    picture.text((770, 225), "boundary", "grey", 15, "end")
    return picture


class Leveled(NamedTuple):
    """A binary tree as `layout` reads it."""

    parent: np.ndarray
    kind: np.ndarray
    index: np.ndarray


def branching(depth: int) -> Leveled:
    """Return the tree of a depth whose nodes have three edges each, the root first."""
    parents, last = [-1], [0]
    for level in range(depth):
        above = [node for node in last for _ in range(2 if level else 3)]
        last = list(range(len(parents), len(parents) + len(above)))
        parents += above
    return Leveled(np.array(parents), np.full(len(parents), "proxy"), np.arange(len(parents)))


def room() -> Picture:
    """Draw one tree with equal edges in the plane and in the ball."""
    picture = Picture(455, "A tree with edges of one length, in the plane and in the ball")
    depth = 6
    tree, leaves = branching(depth), 3 * 2 ** (depth - 1)
    left, right = Disk(210, 215, 185), Disk(620, 215, 185)
    level = depths(tree.parent)
    place = tree.index - np.searchsorted(level, level)
    share = (place + 0.5) / np.bincount(level)[level]
    flat = 0.97 * level[:, None] / depth * unit(360 * share - 180)
    placed = layout(tree)
    right.rim(picture)
    picture.lines(left(np.stack([flat[tree.parent[1:]], flat[1:]], axis=1)), "blue", 1.2)
    picture.lines(right(geodesic(placed[tree.parent[1:]], placed[1:], 5)), "blue", 1.2)
    for disk, where in ((left, flat), (right, placed)):
        picture.dots(disk(where[level > 3]), 2, "orange")
        picture.dots(disk(where[level <= 3]), 3, "orange")
    tau = distance(placed[0], placed[1], 1.0)
    plane, ball = (2 * np.pi * r / leaves for r in (depth, np.sinh(depth * tau) / tau))
    for x, name, long, share in (
        (210, "plane", "2πr", f"{plane:.1f}"),
        (620, "ball", "2π sinh r ≈ π eʳ", f"{ball:.0f}"),
    ):
        picture.text((x, 18), name, "ink", 16)
        picture.text((x, 425), f"circle of radius r: {long}")
        picture.text((x, 446), f"on it {share} edges for each of the {leaves} leaves")
    return picture


def clip() -> Picture:
    """Draw tangent vectors, the long ones shortened, and the points that they become."""
    picture = Picture(430, "Clipping tangent vectors, and where they go in the ball")
    c, r = 0.1, 2.3
    left, right = Disk(210, 205, 46), Disk(620, 205, 185)
    lengths = [0.6, 3.9, 1.5, 2.9, 1.7, 3.4, 1.1, 3.7, 2.2]
    u = np.array(lengths)[:, None] * unit(np.arange(20, 380, 40))
    z = np.sqrt(c) * to_ball(u, c, r)
    picture.dot((left.x, left.y), left.radius * r, None, "green", 2, dash="6 4")
    right.rim(picture)
    inner = np.tanh(np.sqrt(c) * r)
    picture.dot((right.x, right.y), right.radius * inner, None, "green", 2, dash="6 4")
    for number, (vector, point, length) in enumerate(zip(u, z, lengths, strict=True)):
        colour = "orange" if length > r else "blue"
        if length > r:
            picture.line(left([r / length * vector, vector]), "orange", 1.5, dash="3 3")
            picture.dot(left(vector), 3, None, "orange")
        picture.arrow(left(ORIGIN), left(min(1, r / length) * vector), colour)
        picture.dot(right(point), 5, colour)
        for disk, at in ((left, vector), (right, point)):
            out = disk(at) + 15 * vector / length * [1, -1] + [0, 5]
            picture.text(out, "abcdefghi"[number], colour, 15)
    picture.text((left.x, 415), f"vectors, none longer than r = {r}")
    picture.text((right.x, 415), f"points, none farther out than {inner:.2f} of the radius")
    return picture


def close_pairs() -> Picture:
    """Draw which pairs of a cloud are computed directly, before and after centring."""
    picture = Picture(360, "Which pairs are close for the size of their norms")
    rng = np.random.default_rng(4)
    cloud = np.array([4.6, 2.1]) + rng.standard_normal((14, 2))
    for number, x in enumerate((cloud, cloud - cloud.mean(axis=0))):
        disk = Disk(60 + 450 * number, 300, 40) if number == 0 else Disk(610, 170, 62)
        sq = (x**2).sum(axis=1)
        close = pairwise_sq(x, x) < 0.3 * (sq[:, None] + sq)
        pairs = np.argwhere(np.triu(close, 1))
        picture.lines(disk(x[pairs]), "orange", 1.2)
        picture.line([disk(ORIGIN) - [9, 0], disk(ORIGIN) + [9, 0]], "grey", 2)
        picture.line([disk(ORIGIN) - [0, 9], disk(ORIGIN) + [0, 9]], "grey", 2)
        picture.dots(disk(x), 4, "blue")
        names = ("as they are", "mean subtracted")
        text = f"{names[number]}: {len(pairs)} of 91 pairs are close"
        picture.text(((210, 345), (620, 345))[number], text)
    return picture
