"""The pictures of chapter 15: recall against hierarchy; what HIER changes, loss by loss."""

import sys
from pathlib import Path

import numpy as np

from docs.pictures.svg import Axes, Picture

sys.path.append(str(Path(__file__).parents[2] / "tests" / "benchmarks"))

import promise_tables  # noqa: E402
import trade  # noqa: E402
import trade_tables  # noqa: E402
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


ARMS = {  # arm -> colour, what it is
    "alone": ("blue", "a loss alone"),
    "mix": ("green", "mixed with the features"),
    "kmeans": ("violet", "mixed with clusters' labels"),
    "hier": ("orange", "HIER"),
}
KEYS = (40, 165, 365, 590, 675)  # where their names begin, and that of the others
NAMED = {  # what needs no choice: its words, and where they stand beside its dot
    ("raw", "linkage"): ("untouched", (8, 15)),
    ("whitened", "linkage"): ("whitened", (8, -8)),
    ("lda", "linkage"): ("LDA", (-8, -10)),
    ("without", "linkage"): ("without HIER", (9, 4)),
    ("default", "lca"): ("default, proxies", (-9, 16)),
}
RECALL, PURITY = (49, 71), {"subgroup": (18, 31), "group": (30, 42)}  # percent shown


def front() -> Picture:
    """Draw recall of classes against the two hidden levels, each choice with its intervals."""
    picture = Picture(520, "Recall of classes against purity of the hidden levels")
    found = trade_tables.front(trade.read(trade.RESULTS), promise_tables.images())
    for place, (level, reach) in enumerate(PURITY.items()):
        left = 60 + 410 * place
        axes = Axes(left, 90, left + 345, 455, RECALL, reach)
        ticks = [tick for tick in range(0, 100, 5) if reach[0] <= tick <= reach[1]]
        axes.draw(picture, range(50, 71, 5), ticks, "Recall@1 of classes, %", f"purity, {level}, %")
        for each, runs, (recall, *purity) in found:
            choice(picture, axes, each, list(runs.values()), (recall, purity[place]), level)
    for left, (colour, words) in zip(KEYS, [*ARMS.values(), ("ink", "no choice")], strict=True):
        picture.dot((left, 20), 5, colour)
        picture.text((left + 12, 25), words, colour, 14, "start")
    words = "filled: linkage of the embeddings; hollow: the tree of the proxies"
    picture.text((40, 50), words, "grey", 14, "start")
    return picture


def choice(
    picture: Picture,
    axes: Axes,
    of: trade_tables.Contestant,
    runs: list[dict],
    changes: tuple[trade_tables.Change, trade_tables.Change],
    level: str,
) -> None:
    """Draw one choice: its mean on the test half, and the intervals of its changes around it."""
    n, names = promise_tables.images(), ("recall", f"{of.rule} {level}")
    at = [np.average(trade_tables.of_class(runs, x).mean(axis=0), weights=n) for x in names]
    colour = ARMS.get(of.arm, ("ink", ""))[0]
    for axis, change in enumerate(changes):
        ends = np.array([at, at], float)
        ends[:, axis] += np.array([change.low, change.high]) - change.mean
        picture.line(axes(ends), colour, 1)
    picture.dot(axes(at), 4.5, colour if of.rule == "linkage" else "paper", colour)
    words, beside = NAMED.get((of.arm, of.rule), ("", (0, 0)))
    anchor = "start" if beside[0] > 0 else "end"
    picture.text(axes(at) + beside, words, "grey", 12, anchor)
