"""A sheet of retrieval: queries, the items found nearest to them, right and wrong ones marked."""

from collections.abc import Sequence

import numpy as np
from numpy import ndarray
from PIL import Image

from hier_ref.draw.canvas import GREY, INK, Canvas, drawable, font, shorten, thumbnail

RIGHT, WRONG, PAPER = "#008a63", "#d55e00", "#f2f2f2"
WIDTH, HEIGHT, IMAGE, SPACE = 124, 164, 112, 14  # of a cell: an image, and two lines below it
MARGIN, TOP = 40, 150
NAME, SMALL = 17, 14  # pixels of a name in place of an image, and below one


def draw_retrieval(
    queries: ndarray,
    nearest: ndarray,
    labels: ndarray,
    names: Sequence[str] | None = None,
    paths: Sequence[str] | ndarray | None = None,
    title: str = "",
) -> Image.Image:
    """Draw queries (Q,) and what was found for each (Q, K), from near to far. (Y28).

    Both are rows of labels (N,), names (N,) and paths (N,). An item of the query's label has a
    green frame and a tick, any other a red frame and a cross; an image that does not open is
    replaced by its name (K83). Raises ValueError for shapes that do not fit.
    """
    queries, nearest = np.asarray(queries), np.asarray(nearest)
    if queries.ndim != 1 or nearest.ndim != 2 or len(queries) != len(nearest):
        raise ValueError(
            f"queries {queries.shape} and nearest {nearest.shape}: expected (Q,) and (Q, K)"
        )
    width = max(760, _left(nearest.shape[1] + 1) + MARGIN - SPACE)
    canvas = Canvas(width, TOP + max(1, len(queries)) * (HEIGHT + SPACE) + MARGIN)
    canvas.text((MARGIN, 28), shorten(title, 32, width - 2 * MARGIN), 32)
    _draw_head(canvas, nearest.shape[1])
    for number, (query, found) in enumerate(zip(queries, nearest, strict=True)):
        top = TOP + number * (HEIGHT + SPACE)
        for column, row in enumerate([query, *found]):
            right = labels[row] == labels[query] if column else None
            name = f"class {labels[row]}" if names is None else str(names[row])
            image = None if paths is None else thumbnail(str(paths[row]), IMAGE)
            _draw_cell(canvas, _left(column), top, name, image, right)
    return canvas.image()


def _left(column: int) -> int:
    """Where a column begins; after that of the queries there is a gap."""
    return MARGIN + column * (WIDTH + SPACE) + (column > 0) * 2 * SPACE


def _draw_head(canvas: Canvas, n_found: int) -> None:
    canvas.text((_left(0) + WIDTH / 2, TOP - 12), "query", 20, GREY, "ms")
    for place in range(1, n_found + 1):
        canvas.text((_left(place) + WIDTH / 2, TOP - 12), str(place), 20, GREY, "ms")
    for left, right, text in (
        (MARGIN, True, "of the query's class"),
        (MARGIN + 260, False, "of another class"),
    ):
        _draw_verdict(canvas, left + 10, 88, right)
        canvas.text((left + 30, 88), text, 20, GREY, "lm")


def _draw_cell(
    canvas: Canvas, left: int, top: int, name: str, image: Image.Image | None, right: bool | None
) -> None:
    """Draw one item; right is None for a query."""
    colour = {None: GREY, True: RIGHT, False: WRONG}[None if right is None else bool(right)]
    canvas.box((left, top, left + WIDTH, top + HEIGHT), PAPER, colour, 3)
    middle = top + HEIGHT - 22
    if right is not None:
        _draw_verdict(canvas, left + 18, middle, bool(right))
    if image is not None:
        canvas.picture(image, left + (WIDTH - IMAGE) / 2, top + 6)
        start = left + (8 if right is None else 34)
        lines = wrapped(name, SMALL, left + WIDTH - 4 - start, 2)
        for number, line in enumerate(lines):
            y = middle + (number - (len(lines) - 1) / 2) * 1.2 * SMALL
            canvas.text((start, y), line, SMALL, INK, "lm")
        return
    lines = wrapped(name, NAME, WIDTH - 16, 5)
    for number, line in enumerate(lines):
        y = top + IMAGE / 2 + 6 + (number - (len(lines) - 1) / 2) * 1.2 * NAME
        canvas.text((left + WIDTH / 2, y), line, NAME, INK, "mm")


def wrapped(text: str, size: int, width: float, most: int) -> list[str]:
    """Break a text at its spaces into at most `most` lines; a longer word is cut."""
    lines: list[str] = []
    for word in drawable(text).split():
        joined = f"{lines[-1]} {word}" if lines else word
        if lines and font(size).getlength(joined) <= width:
            lines[-1] = joined
        else:
            lines.append(word)
    if len(lines) > most:
        lines[most - 1 :] = [" ".join(lines[most - 1 :])]
    return [shorten(line, size, width) for line in lines]


def _draw_verdict(canvas: Canvas, x: float, y: float, right: bool) -> None:
    """Draw a tick or a cross on its colour: the shape says it to those who see no colour."""
    at = np.array([x, y])
    canvas.dot(at, 11, RIGHT if right else WRONG)
    if right:
        canvas.line(at + [(-5, 0), (-1.5, 4), (5.5, -4.5)], "white", 2.6)
        return
    for slope in (1, -1):
        canvas.line(at + [(-4.2, -4.2 * slope), (4.2, 4.2 * slope)], "white", 2.6)
