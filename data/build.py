"""Make `data/emoji.npz` from the embeddings: `python data/build.py`."""

import os
from collections import Counter, defaultdict
from itertools import zip_longest
from pathlib import Path

import numpy as np
from drawings import Drawing, all_drawings, emojis
from fetch import WORK

TARGET = Path(__file__).parent / "emoji.npz"
DIM = 320  # 90 % of the variance of the training half; 4.7 MB in float16
FEWEST = 4  # drawings of a class


def unambiguous(drawings: list[Drawing], digests: np.ndarray) -> list[int]:
    """Return the drawings that show their emoji and no other, each picture once.

    A set may draw 'person bowing' and 'man bowing' alike. Such a picture has no single right
    label, and would lie in the training and in the test half at once.
    """
    same = defaultdict(list)
    for i, digest in enumerate(digests.tolist()):
        same[digest].append(i)
    alone = [group[0] for group in same.values() if len({drawings[i].emoji for i in group}) == 1]
    return [i for i in alone if not drawings[i].is_homonym()]


def frequent(drawings: list[Drawing], rows: list[int]) -> list[int]:
    """Return the rows whose emoji has at least FEWEST drawings among them, class by class."""
    count = Counter(drawings[i].emoji for i in rows)
    place = {emoji: n for n, emoji in enumerate(emojis())}
    kept = [i for i in rows if count[drawings[i].emoji] >= FEWEST]
    return sorted(kept, key=lambda i: (place[drawings[i].emoji], i))


def numbered(names: list) -> tuple[np.ndarray, list]:
    """Return each name's number and the distinct names, numbered as they first appear."""
    distinct = list(dict.fromkeys(names))
    number = {name: n for n, name in enumerate(distinct)}
    return np.array([number[name] for name in names], np.int64), distinct


def principal_components(x: np.ndarray, train: np.ndarray) -> np.ndarray:
    """Return the DIM components of largest variance, not rescaled: (N, 1280) -> (N, DIM).

    Mean and axes come from the training half and from no label. An axis has no sign of its own:
    its largest entry is made positive.
    """
    x = x.astype(np.float64)
    mean = x[train].mean(axis=0)
    _, axes = np.linalg.eigh(np.cov(x[train], rowvar=False))
    axes = axes[:, : -DIM - 1 : -1]
    largest = np.abs(axes).argmax(axis=0)
    return (x - mean) @ (axes * np.sign(axes[largest, np.arange(DIM)]))


def build(drawings: list[Drawing], embeddings: np.ndarray) -> dict[str, np.ndarray]:
    """Return the arrays of the features file, from drawings sorted by class."""
    labels, classes = numbered([drawing.emoji for drawing in drawings])
    train = labels % 2 == 0  # alternately along the taxonomy: both halves cover all of it
    levels = {
        level: numbered([getattr(drawing.emoji, level) for drawing in drawings])
        for level in ("subgroup", "group")
    }
    return {
        "features": principal_components(embeddings, train).astype(np.float16),
        "labels": labels,
        "split": np.where(train, "train", "test"),
        "class_names": np.array([emoji.label for emoji in classes]),
        "levels": np.stack([number for number, _ in levels.values()], axis=1),
        "level_names": np.array(list(levels)),
        "level_values": np.array(
            list(zip_longest(*(names for _, names in levels.values()), fillvalue=""))
        ),
    }


def write(arrays: dict[str, np.ndarray]) -> None:
    """Write under a temporary name, then rename: a broken run leaves the last whole file."""
    temporary = TARGET.with_suffix(".tmp.npz")
    np.savez_compressed(temporary, **arrays)
    os.replace(temporary, TARGET)


if __name__ == "__main__":
    with np.load(WORK / "embeddings.npz") as found:
        embeddings, digests = found["embeddings"], found["digests"]
    drawings = all_drawings()
    if len(drawings) != len(embeddings):
        raise SystemExit(f"{len(embeddings)} embeddings, expected {len(drawings)}: run embed.py")
    rows = frequent(drawings, unambiguous(drawings, digests))
    kept = [drawings[i] for i in rows]
    write(build(kept, embeddings[rows]))
    for set_name, count in Counter(drawing.set_name for drawing in kept).items():
        print(f"{count:5d} drawings of {set_name}")
    print(f"{len(kept):5d} drawings of {len({d.emoji for d in kept})} emoji -> {TARGET.name}")
