"""Pictures of chapters 3 and 4: neighbours, the race, hinges, and gradients that are surrogates."""

import numpy as np

from docs.pictures.ball import unit
from docs.pictures.svg import Axes, Disk, Picture
from hier_ref.hier import riemannian_vjp
from hier_ref.pairwise import pairwise_distance
from hier_ref.poincare import distance_vjp
from hier_ref.triplets import arrival_times, mutual_neighbours, nearest_neighbours

TAU, MARGIN = 0.1, 0.1


def mutual() -> Picture:
    """Draw who is near whom, and which nearness is mutual."""
    picture = Picture(430, "The two nearest neighbours of each point, and the mutual ones")
    disk = Disk(215, 215, 195)
    disk.rim(picture)
    radius = np.array([0.62, 0.7, 0.55, 0.3, 0.1, 0.72, 0.8, 0.66, 0.45])
    x = radius[:, None] * unit([35, 55, 80, 20, 200, 190, 215, 320, 300])
    d = pairwise_distance(x, x, 1.0)
    both = mutual_neighbours(d, 2)
    near = nearest_neighbours(d + np.diag(np.full(len(d), np.inf)), 2)
    picture.lines([disk(x[pair]) for pair in np.argwhere(np.triu(both))], "orange", 5)
    for i, j in np.argwhere(near):
        start, end = disk(x[i]), disk(x[j])
        along = (end - start) / np.linalg.norm(end - start)
        aside = 2.5 * along[::-1] * [-1, 1]
        picture.arrow(start + 8 * along + aside, end - 8 * along + aside, "ink", 1.3)
    picture.dots(disk(x), 6, "blue")
    for name, at in zip("abcdefghi", x, strict=True):
        out = [-8, -18] if name == "e" else 17 * at / np.linalg.norm(at) * [1, -1] + [0, 5]
        picture.text(disk(at) + out, name, "blue", 16)
    lines = ["Each point sends arrows to its two nearest."]
    lines += ["Where arrows go both ways (thick), the two", "are mutual neighbours:", ""]
    lines += [f"{name}: {_partners(both, name)}" for name in "abcdefghi"]
    for row, line in enumerate(lines):
        picture.text((460, 40 + 29 * row), line, "ink", 16, "start")
    return picture


def _partners(both: np.ndarray, name: str) -> str:
    row = both["abcdefghi".index(name)]
    return " and ".join("abcdefghi"[j] for j in np.flatnonzero(row)) or "nobody"


def race() -> Picture:
    """Draw the arrivals of three proxies in ten races, and who wins how often."""
    picture = Picture(395, "Ten races of three proxies, and the share of 20,000 that each wins")
    far, colours = np.array([1.0, 1.1, 1.3]), ("blue", "orange", "green")
    e = arrival_times(np.random.default_rng(1).random((20_000, 3)))
    time = e / np.exp(-(far - far.min()) / TAU)
    axes = Axes(70, 55, 500, 330, (-2, 2), (10.5, 0.5))
    ticks = [(-2, "0.01"), (-1, "0.1"), (0, "1"), (1, "10"), (2, "100")]
    axes.draw(picture, ticks, [(n, str(n)) for n in range(1, 11)], "arrival time E / r", "race")
    for row, times in enumerate(time[:10], start=1):
        at = np.log10(times).clip(-2, 2)
        picture.line(axes([(at.min(), row), (at.max(), row)]), "pale")
        for runner in np.argsort(-times):
            first = times[runner] == times.min()
            rim = None if first else colours[runner]
            fill = colours[runner] if first else "paper"
            picture.dot(axes((at[runner], row)), 7 if first else 5, fill, rim)
    share = np.bincount(time.argmin(axis=1)) / len(time)
    softmax = np.exp(-far / TAU) / np.exp(-far / TAU).sum()
    bars = Axes(590, 55, 810, 330, (0.4, 3.6), (0, 0.8))
    names = [(n + 1, f"far {far[n]}") for n in range(3)]
    bars.draw(picture, names, (0, 0.2, 0.4, 0.6, 0.8), "", "share of races won")
    for n, colour in enumerate(colours):
        corners = bars([(n + 0.7, share[n]), (n + 1.3, 0)])
        picture.box(*corners[0], *corners[1], colour)
        picture.line(bars([(n + 0.55, softmax[n]), (n + 1.45, softmax[n])]), "ink", 2, dash="5 3")
    picture.text((690, 373), "bars: counted; dashed: softmax", "grey", 15)
    picture.text((70, 22), "filled: the first to arrive, the ancestor", "ink", 15, "start")
    return picture


def hinge() -> Picture:
    """Draw two hinges over the gain, and their slopes."""
    picture = Picture(365, "The hinges of i and of k over their gains, and their slopes")
    names = ("i and j: [gain + m]", "k: [m − gain]")
    for column, sign in enumerate((1, -1)):
        left = 60 + 410 * column
        value = Axes(left, 60, left + 330, 200, (-0.5, 0.5), (0, 0.6))
        slope = Axes(left, 235, left + 330, 305, (-0.5, 0.5), (-1.2, 1.2))
        kink = -sign * MARGIN
        value.draw(picture, (), (0, 0.2, 0.4, 0.6), "", "")
        ticks = [-0.5, (kink, f"{kink:g}".replace("-", "−")), (0, "0"), 0.5]
        slope.draw(picture, ticks, (-1, 0, 1), "gain")
        ends = (-0.5, kink, 0.5) if sign > 0 else (-0.5, kink, 0.5)
        heights = [max(0.0, sign * gain + MARGIN) for gain in ends]
        picture.line(value(list(zip(ends, heights, strict=True))), "blue", 2.5)
        picture.line(slope([(-0.5, 0), (0.5, 0)]), "pale", 1)
        active, silent = ((kink, 0.5), (-0.5, kink)) if sign > 0 else ((-0.5, kink), (kink, 0.5))
        picture.line(slope([(gain, sign) for gain in active]), "orange", 2.5)
        picture.line(slope([(gain, 0) for gain in silent]), "orange", 2.5)
        picture.dot(slope((kink, sign)), 4, "paper", "orange", 2)
        picture.dot(slope((kink, 0)), 4, "orange")
        picture.line([value((kink, 0.6)), slope((kink, -1.2))], "grey", 1, dash="3 4")
        picture.text((left + 170, 40), names[column] + "₊ and its slope", "ink", 16)
    return picture


def straight_through() -> Picture:
    """Draw the hard choice of the forward pass and the soft one of the backward pass."""
    picture = Picture(350, "The weight of a proxy as the loss sees it and as the gradient does")
    other = 1.386
    far = np.linspace(other - 0.7, other + 0.7, 141)
    soft = 1 / (1 + np.exp((far - other) / TAU))
    weight = Axes(60, 60, 400, 280, (far[0], far[-1]), (0, 1.05))
    slope = Axes(470, 60, 800, 280, (far[0], far[-1]), (-2.7, 0.45))
    ticks = [0.8, 1.0, 1.2, (other, "1.386"), 1.6, 1.8, 2.0]
    weight.draw(picture, ticks, (0, 0.5, 1), "far of p, that of o being 1.386", "weight of p")
    slope.draw(picture, ticks, (-2, -1, 0), "far of p", "slope of that weight")
    hard = [(far[0], 1), (other, 1), (other, 0), (far[-1], 0)]
    picture.line(weight(hard), "blue", 2.5)
    picture.line(weight(np.stack([far, soft], axis=1)), "orange", 2.5)
    picture.line(slope([(far[0], 0), (far[-1], 0)]), "blue", 2.5)
    picture.line(slope(np.stack([far, -soft * (1 - soft) / TAU], axis=1)), "orange", 2.5)
    for x, y, colour, text in (
        (75, 110, "blue", "forwards:"),
        (75, 130, "blue", "chosen or not"),
        (300, 175, "orange", "backwards:"),
        (300, 195, "orange", "softmax"),
        (490, 82, "blue", "of the choice: 0"),
        (690, 225, "orange", "of the softmax:"),
        (690, 245, "orange", "what flows back"),
    ):
        picture.text((x, y), text, colour, 15, "start")
    return picture


def riemannian() -> Picture:
    """Draw the gradient of the distance to one point, as it is and divided by lambda squared."""
    picture = Picture(435, "The gradient of a distance, with and without the Riemannian scaling")
    left, right = Disk(210, 200, 185), Disk(620, 200, 185)
    target = np.array([0.25, 0.15])
    rings = ((0.12, 3, 0), (0.4, 6, 40), (0.66, 9, 10), (0.86, 12, 20))
    x = np.concatenate([radius * unit(turn + np.arange(n) * 360 / n) for radius, n, turn in rings])
    slope, _ = distance_vjp(np.ones(len(x)), x, np.tile(target, (len(x), 1)), 1.0)
    for disk, g in ((left, slope), (right, 4 * riemannian_vjp(slope, x, 1.0))):
        disk.rim(picture)
        for start, step in zip(x, g, strict=True):
            picture.dot(disk(start), 2.5, "blue")
            picture.arrow(disk(start), disk(start - 0.055 * step), "blue", 1.6)
        picture.dot(disk(target), 6, "orange")
    picture.text((210, 415), "downhill on the distance to the orange point")
    picture.text((620, 415), "the same divided by λ², drawn four times as long")
    return picture
