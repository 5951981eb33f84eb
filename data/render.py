"""Render the drawings; those of the embedded features as a folder: `python data/render.py`.

`python -m hier_ref.tree --images data/work/drawings` then shows them: row 17 is `17.png`.
"""

import hashlib
import io
from multiprocessing import Pool

import numpy as np
import resvg_py
from build import TARGET, frequent, unambiguous
from drawings import all_drawings
from fetch import WORK
from PIL import Image

FOLDER = WORK / "drawings"
SIDE = 112  # pixels; as large as the pictures show them


def render(svg: str) -> np.ndarray:
    """Return the drawing on white as pixels (224, 224, 3) of 0 .. 255."""
    png = resvg_py.svg_to_bytes(svg_string=svg, background="white", skip_system_fonts=True)
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))


def digest(pixels: np.ndarray) -> str:
    """Return what tells one picture (224, 224, 3) from another."""
    return hashlib.sha256(pixels.tobytes()).hexdigest()


def reduced(svg: str) -> tuple[str, bytes]:
    """Return the digest of a drawing, and a PNG of it SIDE pixels large."""
    pixels, stream = render(svg), io.BytesIO()
    small = Image.fromarray(pixels).resize((SIDE, SIDE), Image.Resampling.LANCZOS)
    small.save(stream, "PNG")
    return digest(pixels), stream.getvalue()


if __name__ == "__main__":
    drawings = all_drawings()
    with Pool() as pool:
        found = pool.map(reduced, [drawing.svg for drawing in drawings], chunksize=32)
    rows = frequent(drawings, unambiguous(drawings, np.array([name for name, _ in found])))
    with np.load(TARGET) as features:
        names = features["class_names"][features["labels"]].tolist()
    if [drawings[i].emoji.label for i in rows] != names:
        raise SystemExit(f"{len(rows)} drawings are not the rows of {TARGET.name}: run build.py")
    FOLDER.mkdir(exist_ok=True)
    for number, i in enumerate(rows):
        (FOLDER / f"{number}.png").write_bytes(found[i][1])
    print(f"{len(rows)} drawings -> {FOLDER}")
