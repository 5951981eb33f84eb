"""The example of the first page: three images, two proxies, and where the gradient moves them."""

import numpy as np

from docs.pictures.svg import Disk, Picture
from hier_ref.draw.layout import geodesic
from hier_ref.hier import hier_stages
from hier_ref.poincare import distance, logmap0
from hier_ref.triplets import Draws

HALF = np.sqrt(3) / 2
IMAGES = 0.6 * np.array([[HALF, 0.5], [HALF, -0.5], [-1, 0]])
PROXIES = np.array([[0.4, 0.0], [0.0, 0.0]])
NO_NOISE = (np.zeros((1, 2)), np.zeros((1, 2)))
DRAWS = Draws(np.array([[0, 1, 2]]), np.zeros((0, 3), int), NO_NOISE, (np.zeros((0, 2)),) * 2)


def mark(picture: Picture, disk: Disk, shifts: dict[str, tuple[int, int]]) -> None:
    """Draw images and proxies with their names, each name shifted."""
    for name, x in zip("ijk", IMAGES, strict=True):
        picture.dot(disk(x), 6, "blue")
        picture.text(disk(x) + shifts[name], name, "blue", 18)
    for name, x in zip("po", PROXIES, strict=True):
        at = disk(x)
        picture.box(*(at - 6), *(at + 6), "orange")
        picture.text(at + shifts[name], name, "orange", 18)


def toy() -> Picture:
    """Draw the example with its distances, and a step downhill."""
    picture = Picture(435, "Three images, two proxies, their distances, and a step downhill")
    left, right = Disk(210, 200, 185), Disk(620, 200, 185)
    for disk in (left, right):
        disk.rim(picture)
    labels = {(0, 0): (26, 2), (1, 0): (26, 10), (0, 1): (-16, -12), (1, 1): (-16, 22)}
    labels |= {(2, 0): (0, 34), (2, 1): (0, -12)}
    for column, colour, dash in ((0, "orange", ""), (1, "grey", "5 4")):
        for row in range(3):
            arc = left(geodesic(IMAGES[[row]], PROXIES[[column]], 16)[0])
            aside = [0, 12 if column == 0 else 0] if row == 2 else [0, 0]
            picture.line(arc + aside, colour, 2, dash=dash)
            length = distance(IMAGES[row], PROXIES[column], 1.0)
            at = arc[8] + labels[row, column]
            picture.text(at, f"{length:.3f}", colour, 15)
    names = {"i": (14, -10), "j": (14, 20), "k": (-16, 6), "p": (17, 6), "o": (-2, -14)}
    mark(picture, left, names)
    x, proxies = logmap0(IMAGES, 1.0), logmap0(PROXIES, 1.0)
    s = hier_stages(x, proxies, DRAWS, c=1.0, margin=1.0)
    for points, slopes, colour in ((IMAGES, s["grad_z"], "blue"), (PROXIES, s["grad_l"], "orange")):
        for point, slope in zip(points, slopes, strict=True):
            picture.arrow(right(point), right(point - 0.08 * slope), colour, 2.4)
    names |= {"i": (16, -4), "j": (16, 14), "k": (-2, -14), "p": (0, -14), "o": (0, -14)}
    mark(picture, right, names)
    picture.text((210, 415), "distances to p (orange) and to o (dashed)")
    picture.text((620, 415), "a step against the gradient, at m = 1")
    return picture
