"""Pictures of chapters 5 and 9: a soft hinge, and what each loss makes of an angle."""

import numpy as np

from docs.pictures.ball import unit
from docs.pictures.svg import Axes, Picture
from hier_ref.losses import LOSSES, log_one_plus_sum_exp, log_one_plus_sum_exp_vjp

SHARPNESS = ((4, "green"), (8, "orange"), (32, "blue"))
SHOWN = (("PA", "blue"), ("NORMSOFTMAX", "green"), ("MS", "orange"), ("HYP", "violet"))


def soft_hinge() -> Picture:
    """Draw the soft maximum of Proxy-Anchor and its weights, for three values of alpha."""
    picture = Picture(370, "The hinge that Proxy-Anchor softens, and the weight of an image")
    h = np.linspace(-0.5, 0.5, 101)
    value = Axes(60, 60, 400, 290, (-0.5, 0.5), (0, 0.6))
    weight = Axes(470, 60, 800, 290, (-0.5, 0.5), (0, 1.1))
    value.draw(picture, (-0.5, 0, 0.5), (0, 0.2, 0.4, 0.6), "h", "log(1 + exp(alpha h)) / alpha")
    weight.draw(picture, (-0.5, 0, 0.5), (0, 0.5, 1), "h", "its slope, the weight of one image")
    picture.line(value([(-0.5, 0), (0, 0), (0.5, 0.5)]), "grey", 2, dash="5 4")
    picture.line(weight([(-0.5, 0), (0, 0), (0, 1), (0.5, 1)]), "grey", 2, dash="5 4")
    kept = np.ones((1, h.size), bool)
    for row, (alpha, colour) in enumerate(SHARPNESS):
        s = alpha * h[None]
        soft = log_one_plus_sum_exp(s, kept) / alpha
        slope = log_one_plus_sum_exp_vjp(np.ones(h.size), s, kept)[0]
        picture.line(value(np.stack([h, soft], axis=1)), colour, 2.2)
        picture.line(weight(np.stack([h, slope], axis=1)), colour, 2.2)
        picture.text((85, 100 + 22 * row), f"alpha = {alpha}", colour, 15, "start")
    picture.text((85, 166), "[h]₊", "grey", 15, "start")
    picture.text((437, 360), "h: margin − cosine for own images, margin + cosine for others", "ink")
    return picture


def angles() -> Picture:
    """Draw four losses over the angle to an image of the own class, and to one of another."""
    picture = Picture(365, "Four losses as one image turns towards another")
    degrees = np.linspace(0, 180, 91)
    names = ("angle to an image of its class", "angle to an image of another class")
    for column in (0, 1):
        axes = Axes(60 + 410 * column, 70, 395 + 410 * column, 310, (0, 180), (0, 1.05))
        axes.draw(picture, (0, 45, 90, 135, 180), (0, 0.5, 1), names[column], "loss / its largest")
        for name, colour in SHOWN:
            values = np.array([_loss(name, column, angle) for angle in degrees])
            values = values / values.max()
            picture.line(axes(np.stack([degrees, values], axis=1)), colour, 2.2)
    for row, (name, colour) in enumerate(SHOWN):
        picture.line([(75 + 200 * row, 30), (105 + 200 * row, 30)], colour, 3)
        picture.text((113 + 200 * row, 35), name, colour, 15, "start")
    return picture


def _loss(name: str, other: int, angle: float) -> float:
    """Return a loss of an image, one of its class and one of another; one of these two moves."""
    degrees = [0, 0, angle] if other else [0, angle, -90]
    z = unit(degrees)
    if name in ("PA", "NORMSOFTMAX"):  # the proxies stand where the second and third image are
        params = {"class_proxies": z[1:]}
        return float(LOSSES[name].value(z[:1], [0], params, 0.1))
    return float(LOSSES[name].value(z, [0, 0, 1], {}, 0.1))
