"""Many small pictures in a few large ones: a JPEG of its own would be mostly header.

Described in docs/16-drawing.md.
"""

from collections.abc import Callable, Iterable, Sequence
from io import BytesIO
from typing import NamedTuple

import numpy as np
from numpy import ndarray
from PIL import Image

from hier_ref.draw.canvas import thumbnail

SIDE, ACROSS = 48, 16  # pixels of a picture, a multiple of JPEG's 16; pictures in a row of a sheet
MOST = 1_700_000  # bytes of all sheets together
QUALITY = 60


class Sprites(NamedTuple):
    """JPEG sheets of ACROSS x ACROSS pictures, and the place (N,) of each in them, -1 for none."""

    sheets: list[bytes]
    place: ndarray
    full: bool  # whether some were left out because the sheets would be too large


def sprites(
    paths: Sequence[str],
    rows: Sequence[int],
    most: int = MOST,
    watch: Callable[[Sequence[int]], Iterable[int]] = iter,
) -> Sprites:
    """Put the images at paths (N,) on sheets, in the order of `rows`, up to `most` bytes. (Y32).

    An image that does not open has no place (K83). The last sheet is as long as it needs to be.
    watch: passes the rows on, and may tell how far they are.
    """
    place = np.full(len(paths), -1)
    sheets: list[bytes] = []
    waiting: list[tuple[int, Image.Image]] = []
    room = ACROSS**2
    for number, row in enumerate(watch(rows), start=1):
        picture = thumbnail(str(paths[row]), SIDE)
        if picture is not None:
            waiting.append((row, picture))
        if len(waiting) == room or (waiting and number == len(rows)):
            sheet = _sheet([picture for _, picture in waiting])
            if sum(map(len, sheets)) + len(sheet) > most:
                return Sprites(sheets, place, True)
            for column, (owner, _) in enumerate(waiting):
                place[owner] = len(sheets) * room + column
            sheets.append(sheet)
            waiting = []
    return Sprites(sheets, place, False)


def _sheet(pictures: list[Image.Image]) -> bytes:
    rows = -(-len(pictures) // ACROSS)
    paper = Image.new("RGB", (ACROSS * SIDE, rows * SIDE), "white")
    for number, picture in enumerate(pictures):
        paper.paste(picture, (number % ACROSS * SIDE, number // ACROSS * SIDE))
    stream = BytesIO()
    paper.save(stream, "JPEG", quality=QUALITY)
    return stream.getvalue()
