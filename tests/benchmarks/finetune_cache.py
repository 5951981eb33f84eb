"""The activations that finetune.py trains on: what the frozen blocks make of every drawing, once.

    python data/fetch.py
    OMP_NUM_THREADS=1 nice python tests/benchmarks/finetune_cache.py

renders the drawings as data/embed.py does and writes to data/work/finetune/ (1.5 GB): maps0.npy,
the input of the last block of EfficientNet-Lite0 for every row of data/emoji.npz, and maps1.npy ..
for turned, scaled and shifted copies of the training half, each (N, 192, 7, 7) float16. A file that
is there is not made again. The frozen blocks compute in bfloat16, as training does.
"""

import os
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hier_ref.features.contract import default_features, read_features

DATA = Path(__file__).resolve().parents[2] / "data"
FOLDER = DATA / "work" / "finetune"
COPIES = 2  # beside the drawing itself
TURN, SCALE, SHIFT = 10.0, 0.1, 0.06  # degrees; share of the size; share of the side
SIDE, BATCH = 224, 32


def moved(pixels: NDArray, rng: np.random.Generator) -> NDArray:
    """Return a drawing (S, S, 3) turned, scaled and shifted a little, on white.

    It is not mirrored: a hand that points left is another emoji than one that points right.
    """
    angle, size = np.radians(TURN) * rng.uniform(-1, 1), np.exp(SCALE * rng.uniform(-1, 1))
    centre, shift = len(pixels) / 2, len(pixels) * SHIFT * rng.uniform(-1, 1, 2)
    back = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]) / size
    offset = centre - back @ (centre + shift)
    affine = tuple(np.column_stack([back, offset]).ravel())
    drawn = Image.fromarray(pixels).transform(
        pixels.shape[1::-1],
        Image.Transform.AFFINE,
        affine,
        Image.Resampling.BICUBIC,
        fillcolor=(255, 255, 255),
    )
    return np.asarray(drawn)


def write(name: str, array: NDArray) -> None:
    """Write under a temporary name, then rename: a broken run leaves no half file."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    temporary = FOLDER / f"{name}.tmp.npy"
    np.save(temporary, array)
    os.replace(temporary, FOLDER / f"{name}.npy")


def rendered() -> NDArray:
    """Return the pixels (N, S, S, 3) of the rows of the features file."""
    sys.path.insert(0, str(DATA))
    from build import frequent, unambiguous
    from drawings import all_drawings
    from render import digest, render

    drawings, digests = all_drawings(), []
    pixels = np.empty((len(drawings), SIDE, SIDE, 3), np.uint8)
    for row, drawing in enumerate(drawings):
        pixels[row] = render(drawing.svg)
        digests.append(digest(pixels[row]))
    rows = frequent(drawings, unambiguous(drawings, np.array(digests)))
    features = read_features(default_features())
    names = features.class_names[features.labels].tolist()
    if [drawings[i].emoji.label for i in rows] != names:
        raise SystemExit(f"{len(rows)} drawings are not the rows of the features file")
    return pixels[rows]


def maps(pixels: NDArray, model) -> NDArray:
    """Return what the frozen blocks make of drawings: (N, S, S, 3) -> (N, 192, 7, 7) float16."""
    import torch

    made = []
    for start in range(0, len(pixels), BATCH):
        images = (torch.from_numpy(pixels[start : start + BATCH]).float() - 127) / 128
        x = images.permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
            x = model._swish(model._bn0(model._conv_stem(x)))
            for block in model._blocks[:-1]:
                x = block(x)
        made.append(x.half().contiguous().numpy())
        print(f"\r{start} of {len(pixels)}", end="", flush=True)
    print()
    return np.concatenate(made)


def main() -> None:
    """Make what is missing."""
    import torch

    sys.path.insert(0, str(DATA))
    from embed import backbone

    torch.set_num_threads(1)
    model = backbone().to(memory_format=torch.channels_last)
    if not (FOLDER / "pixels.npy").exists():
        write("pixels", rendered())
    pixels = np.load(FOLDER / "pixels.npy", mmap_mode="r")
    train = read_features(default_features()).split == "train"
    for copy in range(1 + COPIES):
        if not (FOLDER / f"maps{copy}.npy").exists():
            rng = np.random.default_rng([copy, 0])
            turned = np.array([moved(p, rng) for p in pixels[train]]) if copy else pixels[:]
            write(f"maps{copy}", maps(turned, model))


if __name__ == "__main__":
    main()
