"""The Poincaré disk of a tree, 1600 x 1600: what hangs where, and what it is made of.

Inside, the tree of `hier_ref.draw.layout`; around it a ring of the largest branches, each with the
commonest name among its points. Derived and described in docs/16-drawing.md.
"""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy import ndarray
from PIL import Image

from hier_ref.draw.branches import (
    GAP,
    LABEL,
    NOTE,
    THUMBNAIL,
    Branch,
    Frame,
    Label,
    branches,
    place_labels,
)
from hier_ref.draw.canvas import (
    GREY,
    INK,
    OTHER,
    PALETTE,
    Canvas,
    colours,
    mixed,
    shorten,
    text_box,
)
from hier_ref.draw.layout import Plan, Shape, geodesic, plan, subtree_sums

SIDE, CENTRE, RADIUS = 1600, np.array([800.0, 800.0]), 520.0
RING = (RADIUS + 6, RADIUS + 18)  # the band of branches around the disk
LEGEND_TOP, LEGEND = 1462, 25
LEGEND_NAME = 225  # pixels: three rows take twelve entries
FRAME = Frame((10, 130, SIDE - 10, LEGEND_TOP - 8), CENTRE, RING[1])
PIECES = 12  # of a geodesic


def draw_disk(
    tree: Shape,
    groups: ndarray | None = None,
    group_names: Sequence[str] | dict[int, str] | None = None,
    names: Sequence[str] | None = None,
    paths: Sequence[str] | ndarray | None = None,
    title: str = "",
    caption: str = "",
) -> Image.Image:
    """Draw a tree in the Poincaré disk, points coloured by group. (Y25)-(Y27).

    groups (N,) integers and group_names by their value; names (N,) of which the commonest stands
    beside each of the largest branches, with an image where paths (N,) has one that opens (K83).
    Row i belongs to the point of index i. Raises ValueError for what `layout` refuses, and for
    columns shorter than the points.
    """
    point = np.flatnonzero(np.asarray(tree.kind) == "point")
    rows = np.asarray(tree.index)[point]
    for key, column in (("groups", groups), ("names", names), ("paths", paths)):
        if column is not None and rows.size and len(column) <= rows.max():
            raise ValueError(f"{key}: {len(column)} rows, expected {rows.max() + 1}")
    group = np.zeros(len(tree.parent), np.int64)
    group[point] = 0 if groups is None else np.asarray(groups)[rows]
    palette = (colours(group[point]) if groups is not None else {}) or {0: PALETTE[0]}
    shades = list(dict.fromkeys(palette.values()))
    shade = np.array([shades.index(palette.get(g, shades[0])) for g in group.tolist()])
    drawing, canvas = plan(tree), Canvas(SIDE, SIDE)
    parts = branches(tree, drawing)
    canvas.dot(CENTRE, RADIUS, None, GREY)
    _draw_edges(canvas, tree, drawing, shade, shades)
    _draw_nodes(canvas, tree, drawing, shade, shades)
    _draw_ring(canvas, parts, shade, shades)
    kinds: list[str] | None = None
    entries: list[tuple[str, str]] = []
    if groups is not None and len(point):
        called = _examples(group[point], rows, names) if group_names is None else group_names
        own = {colour: str(called[g]) for g, colour in palette.items() if colour != OTHER}
        kinds = [own.get(colour, "others") for colour in shades]
        entries = legend_entries(group[point], called, palette)
    if names is not None:
        files = None if paths is None else _by_node(tree, paths)
        for label in place_labels(parts, _by_node(tree, names), shade, files, FRAME, kinds):
            _draw_label(canvas, label)
    canvas.text((40, 26), shorten(title, 42, SIDE - 80), 42)
    canvas.text((40, 84), shorten(caption, 26, SIDE - 80), 26, GREY)
    _draw_legend(canvas, entries)
    return canvas.image()


def _by_node(tree: Shape, column: Sequence[str] | ndarray) -> list[str]:
    """Spread a column (N,) of the points over the nodes (M,)."""
    return [
        str(column[row]) if kind == "point" else ""
        for row, kind in zip(tree.index, tree.kind, strict=True)
    ]


def _examples(group: ndarray, rows: ndarray, names: Sequence[str] | None) -> dict[int, str]:
    """Call each group by its number and the name of its first row."""
    first = {int(g): rows[group == g].min() for g in np.unique(group)}
    if names is None:
        return {g: f"group {g}" for g in first}
    return {g: f"{g}: {names[row]}, ..." for g, row in first.items()}


def to_paper(x: ndarray) -> ndarray:
    """Return where points (..., 2) of the disk lie on the paper, in pixels."""
    return CENTRE + RADIUS * x * [1, -1]


def _draw_edges(
    canvas: Canvas, tree: Shape, drawing: Plan, shade: ndarray, shades: list[str]
) -> None:
    """Draw the geodesics: those to points first and faint, so that the skeleton stays in sight."""
    parent, x = np.asarray(tree.parent), drawing.position
    is_point = np.asarray(tree.kind) == "point"
    for below in (is_point, ~is_point):
        nodes = np.flatnonzero(below & (parent >= 0))
        arcs = to_paper(geodesic(x[parent[nodes]], x[nodes], PIECES))
        for arc, node in zip(arcs, nodes, strict=True):
            colour = mixed(shades[shade[node]], 0.3) if is_point[node] else GREY
            canvas.line(arc, colour, 0.7 if is_point[node] else 1.3)


def _draw_nodes(
    canvas: Canvas, tree: Shape, drawing: Plan, shade: ndarray, shades: list[str]
) -> None:
    """Draw points, then proxies from small to large, each a pie of the colours below it."""
    is_point = np.asarray(tree.kind) == "point"
    below = subtree_sums(tree.parent, np.eye(len(shades), dtype=int)[shade] * is_point[:, None])
    size, at = below.sum(axis=1), to_paper(drawing.position)
    small = np.clip(240 / np.sqrt(max(is_point.sum(), 1)), 3.5, 6.0)
    near_boundary = np.sqrt(1 - (drawing.position**2).sum(axis=1))
    radius = 1.5 + (3 + 15 * np.sqrt(size / max(size.max(), 1))) * near_boundary
    for node in np.lexsort((size, ~is_point)):
        if is_point[node]:
            canvas.dot(at[node], small, shades[shade[node]])
        elif size[node]:
            canvas.pie(at[node], radius[node], below[node], shades)
        else:
            canvas.dot(at[node], radius[node], "white", INK)


def _draw_ring(canvas: Canvas, parts: list[Branch], shade: ndarray, shades: list[str]) -> None:
    """Draw the stretch of each branch, divided by the colours of its points."""
    for part in parts:
        counts = np.bincount(shade[part.points], minlength=len(shades))
        gap = min(1.5 / RADIUS, (part.stretch[1] - part.stretch[0]) / 4)
        start, width = part.stretch[0] + gap, part.stretch[1] - part.stretch[0] - 2 * gap
        ends = start + width * np.cumsum(counts) / max(counts.sum(), 1)
        for a, b, colour in zip([start, *ends], ends, shades, strict=False):
            if b > a:
                canvas.polygon(_band(a, b), colour)


def _band(start: float, end: float) -> ndarray:
    """Return the outline (K, 2) of a piece of the ring."""
    angle = np.linspace(start, end, 2 + int(40 * (end - start)))
    u = np.stack([np.cos(angle), -np.sin(angle)], axis=1)
    return CENTRE + np.concatenate([RING[0] * u, RING[1] * u[::-1]])


def _draw_label(canvas: Canvas, label: Label) -> None:
    left, top, right, bottom = label.box
    canvas.line(label.leader, GREY, 0.8)
    if label.picture:
        canvas.picture(label.picture, left, top)
        left += THUMBNAIL + GAP
    first = (top + bottom) / 2 - (0.6 * NOTE if label.note else 0)
    canvas.text((left, first), label.text, LABEL, INK, "lm")
    canvas.text((left, first + 0.6 * (LABEL + NOTE)), label.note, NOTE, GREY, "lm")


def _draw_legend(canvas: Canvas, entries: list[tuple[str, str]]) -> None:
    """Write the legend below the disk, in rows."""
    left, top = 40.0, float(LEGEND_TOP)
    for colour, text in entries:
        width = 34 + text_box((0, 0), text, LEGEND)[2]
        if left + width > SIDE - 40:
            left, top = 40.0, top + 42
        canvas.dot(np.array([left + 11, top + 16]), 11, colour)
        canvas.text((left + 32, top + 16), text, LEGEND, INK, "lm")
        left += width + 30


def legend_entries(
    group: ndarray, names: Sequence[str] | dict[int, str], palette: dict[int, str]
) -> list[tuple[str, str]]:
    """Return (colour, text) for the groups (N,) of the points, those beyond the palette as one."""
    counts = Counter(group.tolist())
    own = [g for g in sorted(counts) if palette[g] != OTHER]
    texts = [f"{shorten(str(names[g]), LEGEND, LEGEND_NAME)} ({counts[g]})" for g in own]
    entries = [(palette[g], text) for g, text in zip(own, texts, strict=True)]
    others = [counts[g] for g in counts if palette[g] == OTHER]
    return entries + [(OTHER, f"{len(others)} others ({sum(others)})")] * bool(others)
