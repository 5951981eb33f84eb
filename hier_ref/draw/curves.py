"""Training curves out of the rows of metrics.jsonl: a panel for each quantity over the epochs."""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image

from hier_ref.draw.canvas import GREY, INK, PALE, PALETTE, Box, Canvas, shorten, text_box

WIDTH, ROW, MARGIN, TOP = 1600, 480, 40, 100
TEXT = 20
Series = dict[str, list[tuple[float, float]]]  # name -> (epoch, value)
Place = Callable[[Sequence[float]], tuple[float, float]]  # (epoch, value) -> pixels


class Panel(NamedTuple):
    """What is drawn in one pair of axes."""

    title: str
    series: Series


SHARES = {"r_precision": "R-precision", "map_at_r": "MAP@R"}


def panels(rows: list[dict], beside: dict[str, dict] | None = None) -> list[Panel]:
    """Sort the numbers of the rows of metrics.jsonl by panel: scores in percent, then each loss.

    What a row lacks, or is not finite, leaves a gap. (K85). The row of the head that is kept is no
    epoch of its own. `beside` are the scores of what needs no training, by name: level lines.
    """
    rows = [row for row in rows if not row.get("kept")]
    scores = {
        "recall of classes, percent": lambda row: _recalls("", row.get("recall", {})),
        "recall of levels, percent": _levels,
        "precision, percent": lambda row: {
            name: 100 * row[key] for key, name in SHARES.items() if key in row
        },
        "MAP@R of held-out training classes, percent": lambda row: (
            {"MAP@R": 100 * row["validation"]} if "validation" in row else {}
        ),
    }
    found = [Panel(title, _series(rows, values)) for title, values in scores.items()]
    if rows and beside:
        found.insert(0, Panel("Recall@1 of classes, percent", _beside(rows, beside)))
    losses = _series(rows, _losses)
    found += [Panel(f"loss: {name}", {name: points}) for name, points in losses.items()]
    return [panel for panel in found if panel.series]


def _beside(rows: list[dict], beside: dict[str, dict]) -> Series:
    """Recall at the smallest K over the epochs, and level lines of what needs no training."""
    ends = rows[0]["epoch"], rows[-1]["epoch"]
    lines = {name: next(iter(row["recall"].values())) for name, row in beside.items()}
    series = {name: [(end, 100 * share) for end in ends] for name, share in lines.items()}
    head = _series(rows, lambda row: dict(list(_recalls("", row["recall"]).items())[:1]))
    return {"head": list(head.values())[0]} | series


def _recalls(suffix: str, recall: dict) -> dict[str, float]:
    return {f"R@{k}{suffix}": 100 * share for k, share in recall.items()}


def _levels(row: dict) -> dict[str, float]:
    """Recall at the smallest K of each level."""
    found: dict[str, float] = {}
    for name, scores in row.get("levels", {}).items():
        found |= dict(list(_recalls(f" {name}", scores["recall"]).items())[:1])
    return found


def _losses(row: dict) -> dict[str, float]:
    known = ("epoch", "ties", "validation", "kept", *SHARES)
    return {k: v for k, v in row.items() if k not in known and isinstance(v, int | float)}


def _series(rows: list[dict], values: Callable[[dict], dict[str, float]]) -> Series:
    series: Series = {}
    for row in rows:
        for name, value in values(row).items():
            if math.isfinite(value):
                series.setdefault(name, []).append((row["epoch"], value))
    return series


def draw_curves(
    rows: list[dict], title: str = "", beside: dict[str, dict] | None = None
) -> Image.Image:
    """Draw training curves, two panels to a row, 1600 pixels wide; arguments as for `panels`.

    Without any number to draw, one line says so (K85).
    """
    found = panels(rows, beside)
    lines = max(1, math.ceil(len(found) / 2))
    canvas = Canvas(WIDTH, TOP + lines * ROW)
    canvas.text((MARGIN, 28), shorten(title, 32, WIDTH - 2 * MARGIN), 32)
    epochs = [row["epoch"] for row in rows] or [0]
    across = ticks(min(epochs), max(max(epochs), min(epochs) + 1), 8)
    across = [tick for tick in across if tick == round(tick)]  # epochs are whole numbers
    if not found:
        canvas.text((WIDTH / 2, TOP + ROW / 2), "no evaluations to draw", 28, GREY, "mm")
    for number, panel in enumerate(found):
        left, top = (number % 2) * WIDTH / 2, TOP + number // 2 * ROW
        box = (left + 100, top + 66, left + WIDTH / 2 - 40, top + ROW - 70)
        _draw_panel(canvas, panel, box, across)
    return canvas.image()


def ticks(low: float, high: float, most: int) -> list[float]:
    """Return up to `most` + 1 round numbers, most >= 2, 1, 2 or 5 times a power of ten apart.

    They enclose low <= high; if these are equal, there is one step above them.
    """
    width = high - low or max(abs(low), 1.0)
    power = 10.0 ** math.floor(math.log10(width / most))
    for step in (power * factor for factor in (1, 2, 5, 10, 20)):
        first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
        if last - first <= most:
            return [step * k for k in range(first, max(last, first + 1) + 1)]
    raise AssertionError("one of five steps fits")


def _draw_panel(canvas: Canvas, panel: Panel, box: Box, across: list[float]) -> None:
    left, top, right, bottom = box
    values = [value for series in panel.series.values() for _, value in series]
    up = ticks(min(values), max(values), 5)

    def place(point: Sequence[float]) -> tuple[float, float]:
        x = left + (right - left) * (point[0] - across[0]) / (across[-1] - across[0])
        return x, bottom - (bottom - top) * (point[1] - up[0]) / (up[-1] - up[0])

    _draw_axes(canvas, box, place, across, up)
    canvas.text((left - 60, top - 58), panel.title, TEXT + 4)
    canvas.text(((left + right) / 2, bottom + 38), "epoch", TEXT, GREY, "ma")
    _draw_key(canvas, list(panel.series), left, top - 16, right)
    for number, series in enumerate(panel.series.values()):
        path = np.array([place(point) for point in series])
        colour = PALETTE[number % len(PALETTE)]
        if len(path) > 1:
            canvas.line(path, colour, 2.5)
        for point in path:
            _mark(canvas, number, point, colour)


def _draw_axes(
    canvas: Canvas, box: Box, place: Place, across: list[float], up: list[float]
) -> None:
    """Draw both axes with their ticks, and a faint line across for each value."""
    left, top, right, bottom = box
    digits = max(0, -math.floor(math.log10(up[1] - up[0]) + 1e-9))
    for tick in up:
        y = place((across[0], tick))[1]
        canvas.line(np.array([(left, y), (right, y)]), PALE)
        canvas.text((left - 10, y), f"{tick:.{digits}f}", TEXT, INK, "rm")
    for tick in across:
        x = place((tick, up[0]))[0]
        canvas.line(np.array([(x, bottom), (x, bottom + 6)]), GREY)
        canvas.text((x, bottom + 12), f"{tick:.0f}", TEXT, INK, "ma")
    canvas.line(np.array([(left, top), (left, bottom), (right, bottom)]), GREY, 1.3)


def _draw_key(canvas: Canvas, names: list[str], left: float, middle: float, right: float) -> None:
    """Write which line is which, in one row; names share the width."""
    if len(names) < 2:
        return  # the title of the panel says it
    room = (right - left) / len(names) - 40
    for number, name in enumerate(names):
        text = shorten(name, TEXT, room)
        _mark(canvas, number, (left + 8, middle), PALETTE[number % len(PALETTE)])
        canvas.text((left + 20, middle), text, TEXT, INK, "lm")
        left = text_box((left + 20, middle), text, TEXT)[2] + 20


def _mark(canvas: Canvas, number: int, at: tuple[float, float], colour: str) -> None:
    """Mark a value: a disk, square, triangle or diamond, so that colour is not alone."""
    if number % 4 == 0:
        canvas.dot(np.array(at), 5.5, colour)
        return
    corners, turn = [(4, 45), (3, 90), (4, 0)][number % 4 - 1]
    angle = np.radians(turn + 360 * np.arange(corners) / corners)
    canvas.polygon(at + 7 * np.stack([np.cos(angle), -np.sin(angle)], axis=1), colour)
