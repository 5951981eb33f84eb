"""The picture of chapter 15: what HIER changes, loss by loss, with intervals."""

import sys
from pathlib import Path

from docs.pictures.svg import Axes, Picture

sys.path.append(str(Path(__file__).parents[2] / "tests" / "benchmarks"))

from study import read  # noqa: E402
from study_compare import MEASURES, interval, tuned  # noqa: E402

SHOWN = (("R@1", "blue"), ("MAP@R", "orange"), ("group", "green"))


def differences() -> Picture:
    """Draw the paired differences of the tuned settings, with HIER less without."""
    found = tuned(read())
    picture = Picture(100 + 36 * len(found), "What HIER changes when both sides are tuned")
    height = 40 + 36 * len(found)
    axes = Axes(190, 40, 810, height, (-5, 3), (len(found) - 0.5, -0.5))
    axes.draw(picture, range(-5, 4), (), "percentage points: with HIER less without", "")
    picture.line(axes([(0, -0.5), (0, len(found) - 0.5)]), "grey", 1.2, dash="4 4")
    for row, (case, each) in enumerate(found.items()):
        name = case.loss + ("" if case.head == "linear" else ", mlp")
        picture.text(axes((-5, row)) + [-12, 5], name, "ink", 14, "end")
        for shift, (measure, colour) in zip((-0.25, 0, 0.25), SHOWN, strict=True):
            column = MEASURES.index(measure)
            alone, hier = (each["values"][arm][:, column] for arm in ("alone", "hier"))
            mean, half = interval(hier - alone)
            clear = abs(mean) > half
            ends = axes([(max(mean - half, -5), row + shift), (min(mean + half, 3), row + shift)])
            picture.line(ends, colour, 2.2 if clear else 1.2)
            picture.dot(axes((mean, row + shift)), 4, colour if clear else "paper", colour)
    for place, (measure, colour) in enumerate(SHOWN):
        picture.dot((210 + 110 * place, 20), 5, colour)
        picture.text((222 + 110 * place, 25), measure, colour, 15, "start")
    picture.text((810, 25), "filled: the interval leaves out 0", "grey", 15, "end")
    return picture
