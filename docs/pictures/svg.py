"""A few lines of SVG: shapes in named colours that change with the reader's light or dark mode.

Coordinates are pixels of the finished picture, y downwards, written with two decimals, so that the
last bits of a library do not change a file.
"""

from collections.abc import Iterable, Sequence
from html import escape
from typing import NamedTuple

import numpy as np

WIDTH = 830  # pixels: about as wide as a page shows a picture
COLOURS = {  # on a light page, on a dark one
    "paper": ("#ffffff", "#0d1117"),
    "ink": ("#1f2328", "#e6edf3"),
    "grey": ("#59636e", "#9da7b1"),
    "pale": ("#d1d9e0", "#3d444d"),
    "blue": ("#0969da", "#58a6ff"),
    "orange": ("#bc4c00", "#ff9e4a"),
    "green": ("#1a7f37", "#3fb950"),
    "red": ("#cf222e", "#ff7b72"),
    "violet": ("#8250df", "#c297ff"),
}
FONT = "font-family:system-ui,-apple-system,'Segoe UI',Helvetica,Arial,sans-serif"
Point = Sequence[float]


def number(value: float) -> str:
    """Write a coordinate with at most two decimals."""
    return f"{round(float(value), 2) + 0.0:.2f}".rstrip("0").rstrip(".")  # + 0.0: no -0


def _at(point: Point) -> str:
    return ",".join(map(number, point))


class Picture:
    """One picture; `str` gives the file."""

    def __init__(self, height: int, title: str, width: int = WIDTH):
        """Start with an empty paper; the title is read out where pictures are not seen."""
        self.width, self.height, self.title = width, height, title
        self._parts: list[str] = []
        self._used = {"paper"}

    def _paint(self, stroke: str | None, fill: str | None, width: float, extra: str = "") -> str:
        names = [f"{kind}-{name}" for kind, name in (("s", stroke), ("f", fill)) if name]
        self._used |= {name for name in (stroke, fill) if name}
        thick = f' stroke-width="{number(width)}"' if stroke else ""
        empty = "" if fill else ' fill="none"'
        return f'class="{" ".join(names)}"{thick}{empty}{extra}'

    def line(
        self,
        points: Sequence[Point],
        colour: str | None = "ink",
        width: float = 1.5,
        *,
        fill: str | None = None,
        dash: str = "",
        opacity: float = 1.0,
    ) -> None:
        """Draw a line through points (K, 2); filled, it is a polygon."""
        path = " ".join(map(_at, points))
        extra = f' stroke-dasharray="{dash}"' if dash else ""
        extra += f' opacity="{number(opacity)}"' if opacity < 1 else ""
        kind = "polygon" if fill else "polyline"
        self._parts.append(f'<{kind} points="{path}" {self._paint(colour, fill, width, extra)}/>')

    def lines(
        self, lines: Sequence[Sequence[Point]], colour: str, width: float = 1.5, dash: str = ""
    ) -> None:
        """Draw many lines of one colour, each through points (K, 2)."""
        self._path(("M" + " ".join(map(_at, line)) for line in lines), colour, width, dash)

    def dots(self, centres: Sequence[Point], radius: float, colour: str) -> None:
        """Draw many disks of one colour and radius: lines without length, whose ends are round."""
        self._path((f"M{_at(centre)}h0" for centre in centres), colour, 2 * radius)

    def _path(self, parts: Iterable[str], colour: str, width: float, dash: str = "") -> None:
        extra = f' stroke-dasharray="{dash}"' if dash else ' stroke-linecap="round"'
        self._parts.append(
            f'<path d="{"".join(parts)}" {self._paint(colour, None, width, extra)}/>'
        )

    def arrow(self, start: Point, end: Point, colour: str = "ink", width: float = 1.8) -> None:
        """Draw a straight arrow whose tip is the end; nothing where it has no length."""
        start, end = np.asarray(start, float), np.asarray(end, float)
        length = np.hypot(*(end - start))
        if length < 1e-9:
            return
        along = (end - start) / length
        head = min(4.5 + 1.5 * width, length)
        back, across = end - head * along, 0.45 * head * along[::-1] * [-1, 1]
        self.line([start, back], colour, width)
        self.line([end, back + across, back - across], None, fill=colour)

    def dot(
        self,
        centre: Point,
        radius: float,
        fill: str | None = "ink",
        rim: str | None = None,
        width: float = 1.5,
        *,
        dash: str = "",
        opacity: float = 1.0,
    ) -> None:
        """Draw a disk, or with fill None a circle."""
        extra = f' stroke-dasharray="{dash}"' if dash else ""
        extra += f' opacity="{number(opacity)}"' if opacity < 1 else ""
        x, y, r = map(number, (*centre, radius))
        paint = self._paint(rim, fill, width, extra)
        self._parts.append(f'<circle cx="{x}" cy="{y}" r="{r}" {paint}/>')

    def box(
        self,
        left: float,
        top: float,
        right: float,
        bottom: float,
        fill: str | None = None,
        rim: str | None = None,
        *,
        opacity: float = 1.0,
    ) -> None:
        """Draw a rectangle."""
        corners = [(left, top), (right, top), (right, bottom), (left, bottom), (left, top)]
        self.line(corners, rim, 1.2, fill=fill, opacity=opacity)

    def text(
        self, at: Point, text: str, colour: str = "ink", size: int = 15, anchor: str = "middle"
    ) -> None:
        """Write one line, if any; `at` is on its base line, at its start, middle or end."""
        if not text:
            return
        x, y = map(number, at)
        self._used.add(colour)
        self._parts.append(
            f'<text x="{x}" y="{y}" class="f-{colour}" font-size="{size}" '
            f'text-anchor="{anchor}">{escape(text)}</text>'
        )

    def __str__(self) -> str:
        """Return the file."""
        rules = [
            "".join(
                f".{kind}-{name}{{{paint}:{COLOURS[name][dark]}}}"
                for name in COLOURS
                if name in self._used
                for kind, paint in (("f", "fill"), ("s", "stroke"))
            )
            for dark in (0, 1)
        ]
        style = f"text{{{FONT}}}{rules[0]}@media(prefers-color-scheme:dark){{{rules[1]}}}"
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{self.width}" height="{self.height}" '
            f'viewBox="0 0 {self.width} {self.height}" role="img">'
        )
        paper = f'<rect width="{self.width}" height="{self.height}" rx="6" class="f-paper"/>'
        lines = [head, f"<title>{escape(self.title)}</title>", f"<style>{style}</style>", paper]
        return "\n".join([*lines, *self._parts, "</svg>"]) + "\n"


class Disk(NamedTuple):
    """Where the ball of radius 1 is drawn: its centre, and its radius in pixels."""

    x: float
    y: float
    radius: float

    def __call__(self, points) -> np.ndarray:
        """Return pixels of points (..., 2)."""
        return np.array([self.x, self.y]) + self.radius * np.asarray(points) * [1, -1]

    def rim(self, picture: Picture) -> None:
        """Draw the boundary."""
        picture.dot((self.x, self.y), self.radius, None, "grey", 1.5)


class Axes(NamedTuple):
    """A rectangle of the paper, and the values at its sides."""

    left: float
    top: float
    right: float
    bottom: float
    x: tuple[float, float]
    y: tuple[float, float]

    def __call__(self, points) -> np.ndarray:
        """Return pixels of points (..., 2)."""
        points = np.asarray(points, float)
        across = (points[..., 0] - self.x[0]) / (self.x[1] - self.x[0])
        up = (points[..., 1] - self.y[0]) / (self.y[1] - self.y[0])
        pixels = (self.left + across * (self.right - self.left), self.bottom + up * self.rise)
        return np.stack(pixels, axis=-1)

    @property
    def rise(self) -> float:
        """Pixels from bottom to top: negative, as y points down."""
        return self.top - self.bottom

    def draw(self, picture: Picture, x_ticks=(), y_ticks=(), x_name="", y_name="") -> None:
        """Draw the axes with ticks, each a value or (value, text), and their names."""
        corners = [(self.left, self.top), (self.left, self.bottom), (self.right, self.bottom)]
        picture.line(corners, "grey", 1.2)
        for value, text in map(_tick, x_ticks):
            at = self((value, self.y[0]))
            picture.line([at, at + [0, 5]], "grey", 1.2)
            picture.text(at + [0, 21], text, "grey", 14)
        for value, text in map(_tick, y_ticks):
            at = self((self.x[0], value))
            picture.line([at, at - [5, 0]], "grey", 1.2)
            picture.text(at + [-9, 5], text, "grey", 14, "end")
        picture.text(((self.left + self.right) / 2, self.bottom + 43), x_name, "grey", 15)
        picture.text((self.left - 6, self.top - 10), y_name, "grey", 15, "start")


def _tick(tick) -> tuple[float, str]:
    return tick if isinstance(tick, tuple) else (tick, f"{tick:g}".replace("-", "−"))
