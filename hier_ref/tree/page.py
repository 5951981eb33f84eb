"""The page: a tree to walk through in the browser, in one file that asks nothing of any other.

The template and the script lie beside this file (`page.html`, `page.css`, `page_*.js`). Whatever
comes from the features file goes in as data, never as markup. Described in
docs/appendix-walking.md.
"""

import base64
import hashlib
import html
import json
import re
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hier_ref.draw.canvas import PALETTE, mixed
from hier_ref.draw.layout import layout
from hier_ref.draw.sprites import ACROSS, SIDE, Sprites, sprites
from hier_ref.files import write_bytes
from hier_ref.tree.material import Material
from hier_ref.tree.scores import dendrogram_purity
from hier_ref.tree.structure import NONE, PROXY, Tree

PAGE = "tree.html"
HERE = Path(__file__).parent
SCRIPTS = tuple(
    f"page_{part}.js" for part in ("tree", "disk", "walk", "panel", "outline", "search", "begin")
)
ABOUT = {"lca": "rule lca", "nearest": "rule nearest", "linkage": "average linkage, no proxies"}
DIGITS = 9  # of a position: 1e-7 in hyperbolic length at the reach of the layout
LONGEST = 200  # characters of a name
DARK = 0.62  # what a colour keeps of itself on dark paper
SEED = 0  # of the places by chance, as in the table of scores


def save_page(folder: Path, run: Material, trees: dict[str, Tree], start: str) -> list[Path]:
    """Write tree.html whole or not at all; return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    write_bytes(folder / PAGE, page(run, trees, start).encode())
    return [folder / PAGE]


def page(run: Material, trees: dict[str, Tree], start: str) -> str:
    """Return the page as text; `trees` by the keys of ABOUT, of which `start` is shown first."""
    style = (HERE / "page.css").read_text("utf-8")
    script = "".join((HERE / name).read_text("utf-8") for name in SCRIPTS)
    found = content(run, trees, start)
    parts = {
        "policy": _policy(style, script),
        "title": html.escape(found["title"]),
        "style": style,
        "data": embedded(found),
        "script": script,
    }
    template = (HERE / "page.html").read_text("utf-8")
    return re.sub(r"{{(\w+)}}", lambda match: parts[match[1]], template)  # in one pass


def _policy(style: str, script: str) -> str:
    """Allow this style, this script and images that are data; nothing else, from nowhere."""
    hashes = [
        base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        for text in (style, script)
    ]
    return (
        f"default-src 'none'; img-src data:; style-src 'sha256-{hashes[0]}'; "
        f"script-src 'sha256-{hashes[1]}'; base-uri 'none'; form-action 'none'"
    )


def embedded(value: dict) -> str:
    """Return JSON of ASCII alone, in which nothing can end the element around it."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def content(run: Material, trees: dict[str, Tree], start: str) -> dict:
    """Return what the page shows, as plain lists. The schema is in docs/appendix-walking.md."""
    n = len(run.rows)
    pictures = _pictures(run)
    return {
        "title": f"The hierarchy of {n} unseen images",
        "about": _about(run, pictures),
        "start": start,
        "rows": run.rows.tolist(),
        "levels": _levels(run),
        "shuffle": np.random.default_rng(SEED).permutation(n).tolist(),
        "trees": {key: _tree(tree, key, run.columns) for key, tree in trees.items()},
        "palette": PALETTE,
        "dark": [mixed(colour, DARK) for colour in PALETTE],
        "pictures": {
            "side": SIDE,
            "across": ACROSS,
            "sheets": [
                "data:image/jpeg;base64," + base64.b64encode(sheet).decode()
                for sheet in pictures.sheets
            ],
            "of": pictures.place.tolist() if pictures.sheets else [],
        },
    }


def _about(run: Material, pictures: Sprites) -> str:
    text = f"From {Path(run.part.source).name}, which training did not see."
    if pictures.full:
        shown = int(np.sum(pictures.place >= 0))
        text += f" Pictures of {shown} of them; more would make this file too large."
    return _short(text)


def _levels(run: Material) -> list[dict]:
    found = []
    names = zip(run.column_names, run.columns.T, run.value_names, strict=True)
    for name, column, values in names:
        distinct, of = np.unique(column, return_inverse=True)
        listed = [_short(values[value]) for value in distinct.tolist()]
        found.append({"name": _short(name), "values": listed, "of": of.tolist()})
    return found


def _short(text: str) -> str:
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def _tree(tree: Tree, key: str, columns: NDArray) -> dict:
    """Return a tree as lists: `parent`, `x`, `y` of all nodes, `index` of the inner ones."""
    position = np.round(layout(tree), DIGITS).T.tolist()
    inner = tree.index[tree.n_points :].tolist()
    purities = [dendrogram_purity(tree, column) for column in columns.T]
    return {
        "about": ABOUT[key],
        "proxies": bool(np.any(tree.kind == PROXY)),
        "parent": tree.parent.tolist(),
        "index": [None if row == NONE else row for row in inner],
        "x": position[0],
        "y": position[1],
        "purity": [None if np.isnan(p) else p for p in purities],
    }


def _pictures(run: Material) -> Sprites:
    if run.part.paths is None:
        return Sprites([], np.zeros(0, int), False)
    return sprites(run.part.paths.tolist(), turns(run.part.labels).tolist(), watch=_watched)


def _watched(rows: Sequence[int]) -> Iterator[int]:
    """Pass the rows on, and tell a terminal how many pictures are read and the time left."""
    start, terminal = time.monotonic(), sys.stderr.isatty()
    for done, row in enumerate(rows):
        if terminal and done and done % 100 == 0:
            left = int((time.monotonic() - start) / done * (len(rows) - done))
            text = f"pictures  {done} of {len(rows)}, at most {left // 60}:{left % 60:02d} left"
            print(text, end="\x1b[K\r", file=sys.stderr, flush=True)
        yield row
    if terminal:
        print("\x1b[K", end="", file=sys.stderr, flush=True)


def turns(labels: NDArray) -> NDArray:
    """Order rows so that every class has one before any has two: (N,) -> (N,) rows."""
    order = np.argsort(labels, kind="stable")
    first = np.searchsorted(labels[order], labels[order])
    return order[np.lexsort((order, np.arange(len(labels)) - first))]
