"""Antialiased drawing with Pillow: shapes at three times the size, text and images at its own.

Everything is in pixels of the finished picture, y downwards. The font is the one that Pillow
brings along, so that a picture has the same bytes on every machine of one Pillow version.
"""

import os
import stat
import unicodedata
import warnings
from bisect import bisect_right
from functools import lru_cache
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy import ndarray
from PIL import Image, ImageDraw, ImageFont

from hier_ref.files import write_bytes

SCALE = 3
INK, GREY, PALE = "#222222", "#777777", "#dddddd"
# Twelve colours that stay apart without one of the three cones, the first ones most (K81).
PALETTE = [
    "#0077bb", "#ff9911", "#771122", "#00ccbb", "#6600ff", "#ccaa66",
    "#bb0000", "#772266", "#ee3377", "#aa55ff", "#003399", "#ccaaff",
]  # fmt: skip
OTHER = "#aaaaaa"
LONGEST = 1000  # characters of a text that are looked at: more never fit on a picture
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM")  # others may run other programs
PIXELS = 2**26  # of an image, after JPEG's own reduction: 256 MB while it is scaled
Box = tuple[float, float, float, float]


class Canvas:
    """A white picture; `image` ends it. Shapes lie below images, and these below text."""

    def __init__(self, width: int, height: int):
        """Start with paper of width x height pixels."""
        self.size = (width, height)
        self._paper = Image.new("RGB", (SCALE * width, SCALE * height), "white")
        self._pen = ImageDraw.Draw(self._paper)
        self._pictures: list[tuple[Image.Image, tuple[int, int]]] = []
        self._texts: list[tuple[tuple[float, float], str, int, str, str]] = []

    def line(self, points: ndarray, colour: str, width: float = 1.0) -> None:
        """Draw a line through points (K, 2)."""
        path = [tuple(p) for p in SCALE * np.asarray(points, float)]
        self._pen.line(path, colour, max(1, round(SCALE * width)), joint="curve")

    def polygon(self, points: ndarray, colour: str) -> None:
        """Fill the polygon of points (K, 2)."""
        self._pen.polygon([tuple(p) for p in SCALE * np.asarray(points, float)], colour)

    def dot(self, centre: ndarray, radius: float, fill: str | None, rim: str | None = None) -> None:
        """Draw a disk around a centre (2,), with a rim of one pixel if it has a colour."""
        x, y, r = SCALE * centre[0], SCALE * centre[1], SCALE * radius
        self._pen.ellipse((x - r, y - r, x + r, y + r), fill, rim, SCALE if rim else 0)

    def pie(self, centre: ndarray, radius: float, parts: ndarray, fills: list[str]) -> None:
        """Draw a disk cut into parts (K,), counts of at least 0 and not all of them."""
        x, y, r = SCALE * centre[0], SCALE * centre[1], SCALE * radius
        ends = 360 * np.cumsum(parts) / np.sum(parts) - 90  # from the top, clockwise
        for start, end, fill in zip([-90, *ends], ends, fills, strict=False):
            if end > start:
                self._pen.pieslice((x - r, y - r, x + r, y + r), start, end, fill)
        self.dot(centre, radius, None, INK)

    def box(self, box: Box, fill: str | None, rim: str | None = None, width: float = 1.0) -> None:
        """Draw a rectangle (left, top, right, bottom)."""
        corners = tuple(SCALE * side for side in box)
        self._pen.rectangle(corners, fill, rim, max(1, round(SCALE * width)))

    def picture(self, image: Image.Image, left: float, top: float) -> None:
        """Place an image by its upper left corner."""
        self._pictures.append((image, (round(left), round(top))))

    def text(
        self, at: tuple[float, float], text: str, size: int, colour: str = INK, anchor: str = "la"
    ) -> None:
        """Write one line; anchors are Pillow's: l, m, r and a (top), m (middle), s (base line)."""
        self._texts.append((at, drawable(text), size, colour, anchor))

    def image(self) -> Image.Image:
        """Return the finished picture."""
        done = self._paper.reduce(SCALE)  # each pixel the mean of nine
        for image, corner in self._pictures:
            done.paste(image, corner)
        pen = ImageDraw.Draw(done)
        for at, text, size, colour, anchor in self._texts:
            pen.text(at, text, colour, font(size), anchor)
        return done


@lru_cache
def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Return Pillow's own font in this size of pixels."""
    return ImageFont.load_default(size)


@lru_cache(maxsize=4096)
def covered(character: str) -> bool:
    """Say whether the font has this character, and not only the box of a missing one."""
    shape, missing = (font(20).getmask(c) for c in (character, "\uffff"))
    return shape.size != missing.size or bytes(shape) != bytes(missing)


def drawable(text: str) -> str:
    """Return one line that the font can draw: é becomes e, and what it lacks its code. (K82).

    Of a text of more than LONGEST characters the rest is left out, before and after.
    """
    split = unicodedata.normalize("NFKD", " ".join(str(text)[:LONGEST].split()))
    # Dropped: accents, which are now apart; characters that control or join others.
    kept = (c for c in split if unicodedata.category(c)[0] not in "MC")
    return "".join(c if covered(c) else f"<{ord(c):X}>" for c in kept)[:LONGEST]


def shorten(text: str, size: int, width: float) -> str:
    """Return the text as the font draws it, cut with three dots if it is wider than `width`."""
    text, whole = drawable(text), len(str(text)) <= LONGEST
    if whole and font(size).getlength(text) <= width:
        return text

    def wide(end: int) -> float:
        return font(size).getlength(text[:end] + "...")

    # Halving, since names may be long: the longest beginning that fits.
    fits = max(0, bisect_right(range(len(text) + 1), width, key=wide) - 1)
    return text[:fits].rstrip() + "..."


def text_box(at: tuple[float, float], text: str, size: int, anchor: str = "la") -> Box:
    """Return the box that a text will take, as high for every text of one size."""
    width = font(size).getlength(drawable(text))
    left = at[0] - width * {"l": 0, "m": 0.5, "r": 1}[anchor[0]]
    top = at[1] - 1.2 * size * {"a": 0, "m": 0.5, "s": 0.8}[anchor[1]]
    return left, top, left + width, top + 1.2 * size


def overlap(one: Box, other: Box, space: float = 0.0) -> bool:
    """Say whether two boxes are nearer than `space` to each other."""
    apart = (
        one[2] + space <= other[0]
        or other[2] + space <= one[0]
        or one[3] + space <= other[1]
        or other[3] + space <= one[1]
    )
    return not apart


def thumbnail(path: str, side: int) -> Image.Image | None:
    """Return an image cut and scaled to side x side, on white; None if it does not open. (K83)."""
    try:
        whole = _decoded(path, side)
    except Exception:  # damaged files fail in as many ways as there are formats
        return None
    paper = Image.new("RGBA", whole.size, "white")
    paper.alpha_composite(whole)
    edge = min(whole.size)
    left, top = (whole.width - edge) // 2, (whole.height - edge) // 2
    square = (left, top, left + edge, top + edge)
    return paper.convert("RGB").resize((side, side), Image.Resampling.LANCZOS, square)


def _decoded(path: str, side: int) -> Image.Image:
    """Return the image in a regular file, at least `side` large if it is; never wait for a pipe."""
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise ValueError("no regular file")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of size, which is judged here, and of odd metadata
        with Image.open(path, formats=FORMATS) as image:
            image.draft("RGB", (2 * side, 2 * side))  # large photographs: decode fewer pixels
            if image.width * image.height > PIXELS:
                raise ValueError(f"{image.width} x {image.height} pixels")
            return image.convert("RGBA")


def colours(groups: ndarray) -> dict[int, str]:
    """Return the colour of each group (N,), OTHER for those beyond the palette. (K81).

    The groups that are most numerous have a colour of their own, given out by number.
    """
    values, counts = np.unique(groups, return_counts=True)
    own = len(values) if len(values) <= len(PALETTE) else len(PALETTE) - 1
    first = np.sort(values[np.argsort(-counts, kind="stable")[:own]])
    return dict.fromkeys(values.tolist(), OTHER) | dict(zip(first.tolist(), PALETTE, strict=False))


def mixed(colour: str, share: float) -> str:
    """Return the colour thinned with white, of which it keeps `share`."""
    parts = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    return "#" + "".join(f"{round(255 - share * (255 - part)):02x}" for part in parts)


def save_image(path: str | Path, image: Image.Image) -> None:
    """Write a PNG whole or not at all; equal images give equal bytes."""
    buffer = BytesIO()
    image.save(buffer, "PNG")
    write_bytes(Path(path), buffer.getvalue())
