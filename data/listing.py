"""A list of images with what is known about each, and the refusals that all layouts share."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple, NoReturn

import numpy as np

from hier_ref.features.contract import PROTOCOLS

SPLIT = ("train", "test", "query", "gallery")  # rows of one word lie together, in this order


class LayoutError(ValueError):
    """A folder is not of the layout: one line with the place, what was found, what was expected."""


def refuse(where: object, found: object, expected: object) -> NoReturn:
    """Raise LayoutError, on one line whatever the parts contain."""
    raise LayoutError(" ".join(f"{where}: found {found}, expected {expected}".split()))


class Image(NamedTuple):
    """One image: its file, what is known about it, and where that is said."""

    path: Path
    label: int
    word: str | None  # of the split
    where: object
    levels: tuple[int, ...] = ()


class Listing(NamedTuple):
    """All images of a folder, sorted by split; `paths` are below `root`, with "/"."""

    root: Path
    paths: list[str]
    labels: list[int]
    split: list[str] | None
    class_names: list[str] | None
    levels: list[tuple[int, ...]] | None
    level_names: list[str] | None
    level_values: list[list[str]] | None = None

    def arrays(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        """Return what a features file says of some rows (n,), beside their features."""
        per_row = {"labels": self.labels, "split": self.split}
        per_row |= {"levels": self.levels, "paths": self.paths}
        found = {key: np.array(a)[rows] for key, a in per_row.items() if a is not None}
        named = {"class_names": self.class_names, "level_names": self.level_names}
        named |= {"level_values": self.level_values}
        return found | {key: np.array(a) for key, a in named.items() if a is not None}


def listing(
    root: Path,
    images: Iterable[Image],
    class_names: list[str] | None = None,
    level_names: list[str] | None = None,
    level_values: list[list[str]] | None = None,
) -> Listing:
    """Return the images sorted by split, each checked to be there, and to be there once."""
    images = sorted(images, key=lambda image: SPLIT.index(image.word) if image.word else 0)
    _check_files(images)
    words = {image.word for image in images}
    if words != {None} and words not in PROTOCOLS:
        refuse(root, f"images of {sorted(words)}", "train and test, or train, query and gallery")
    return Listing(
        root,
        [_below(root, image.path) for image in images],
        [image.label for image in images],
        None if words == {None} else [image.word for image in images],
        class_names,
        [image.levels for image in images] if level_names else None,
        level_names,
        level_values,
    )


def _check_files(images: list[Image]) -> None:
    seen = set()
    for image in images:
        if image.path in seen:
            refuse(image.where, f"{image.path} again", "each image once")
        if not image.path.is_file():
            refuse(image.where, f"nothing at {image.path}", "an image there")
        seen.add(image.path)


def _below(root: Path, path: Path) -> str:
    name = path.relative_to(root).as_posix()
    try:
        name.encode()
    except UnicodeEncodeError:
        refuse(root, f"the file name {ascii(name)}", "a name in UTF-8")
    return name


# ---- Folders


def visible(folder: Path) -> list[Path]:
    """Return what a folder holds, by name; `.DS_Store` and `._bird.jpg` are no images."""
    return sorted(path for path in folder.iterdir() if not path.name.startswith("."))


def subfolders(folder: Path) -> list[Path]:
    """Return the folders in a folder; a file beside them would belong to no class."""
    found = visible(folder)
    for path in found:
        if not path.is_dir():
            refuse(path, "a file", "folders only here, one per class")
    if not found:
        refuse(folder, "nothing in it", "a folder of images per class")
    return found


def images_of(folder: Path) -> list[Path]:
    """Return the files of a class, whatever their endings: what is no image shows on opening."""
    found = visible(folder)
    for path in found:
        if path.is_dir():
            refuse(path, "a folder", f"an image of the class {folder.name!r}")
    if not found:
        refuse(folder, "no image", "the images of a class")
    return found


# ---- Lists


def number(text: str, where: object, low: int, high: int) -> int:
    """Return a class number as a list has it."""
    if not re.fullmatch(r"[0-9]{1,9}", text) or not low <= int(text) <= high:
        refuse(where, repr(text), f"a class from {low} to {high}")
    return int(text)


def inside(path: str, where: object) -> str:
    """Return a path of a list, which may not lead out of the folder of the set."""
    place = PurePosixPath(path)
    if place.is_absolute() or ".." in place.parts or "\0" in path or not place.parts:
        refuse(where, f"the path {path!r}", "one below the folder of the set")
    return path


def table(file: Path, heading: str, counted: bool = False) -> Iterator[tuple[str, list[str]]]:
    """Yield place and words of each row of a list; a count of the rows may come first."""
    lines, columns = _text(file).rstrip().split("\n"), heading.split()
    count = lines.pop(0).strip() if counted else None
    if not lines or lines[0].split() != columns:
        refuse(f"{file}: line {1 + counted}", repr((lines or [""])[0]), repr(heading))
    if counted and count != str(len(lines) - 1):
        refuse(f"{file}: line 1", repr(count), f"{len(lines) - 1}, the rows that follow")
    for place, line in enumerate(lines[1:], start=2 + counted):
        words = line.split()
        if len(words) != len(columns):
            refuse(f"{file}: line {place}", repr(line), f"{len(columns)} columns: {heading}")
        yield f"{file}: line {place}", words


def _text(file: Path) -> str:
    if not file.is_file():
        refuse(file, "nothing", "a list of images")
    try:
        return file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        refuse(file, f"no text at byte {error.start}", "text in UTF-8")
