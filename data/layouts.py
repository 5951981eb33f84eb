"""Which images lie below a folder, and what is known about each: `read_layout("cub", root)`.

An image folder, and CUB-200-2011, Cars-196, Stanford Online Products and In-shop as published. No
image is opened here. A folder that does not match is refused with what was expected there.
Chapter: docs/8-features.md.
"""

import io
import re
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np
from listing import Image, Listing, images_of, inside, listing, number, refuse, subfolders, table
from scipy.io import loadmat

from hier_ref.features.contract import PROTOCOLS


class Layout(NamedTuple):
    """How a layout is read, and how many classes and images the published set has."""

    read: Callable[[Path], Listing]
    about: str
    classes: int | None = None
    images: int | None = None


def read_layout(name: str, root: Path) -> Listing:
    """Return the images that lie below `root` in the layout `name`; LayoutError if it is not so."""
    if not root.is_dir():
        refuse(root, "a file" if root.exists() else "nothing", "a folder")
    return LAYOUTS[name].read(root)


def image_folder(root: Path) -> Listing:
    """Read `root/class/*`, or `root/train/class/*` and so on; labels follow the sorted names."""
    tops = {path.name: path for path in subfolders(root)}
    parts = {word: subfolders(top) for word, top in tops.items() if tops.keys() in PROTOCOLS}
    parts = parts or {None: list(tops.values())}
    names = sorted({folder.name for folders in parts.values() for folder in folders})
    label = {name: row for row, name in enumerate(names)}
    images = (
        Image(path, label[folder.name], word, folder)
        for word, folders in parts.items()
        for folder in folders
        for path in images_of(folder)
    )
    return listing(root, images, class_names=names)


def cub(root: Path) -> Listing:
    """Read CUB-200-2011: `images/NNN.name/*`, classes 1 to 100 to train, 101 to 200 to test."""
    names = [f"{row:03d}" for row in range(1, 201)]
    images, seen = [], {}
    for folder in subfolders(home(root, "CUB_200_2011", "images") / "images"):
        parts = re.fullmatch(r"([0-9]{3})\.(.+)", folder.name)
        if not parts:
            refuse(folder, repr(folder.name), "a name such as 001.Black_footed_Albatross")
        label = number(parts[1], folder, 1, 200) - 1
        if label in seen:
            refuse(folder, f"class {parts[1]} again", f"it in {seen[label].name} alone")
        seen[label], names[label] = folder, parts[2]
        images += [Image(path, label, half(label, 200), folder) for path in images_of(folder)]
    return listing(root, images, class_names=names)


def cars(root: Path) -> Listing:
    """Read Cars-196: `cars_annos.mat`, classes 1 to 98 to train, 99 to 196 to test."""
    folder = home(root, "cars196", "cars_annos.mat")
    content = _matlab(folder / "cars_annos.mat")
    images = []
    for where, path, value in _annotations(folder / "cars_annos.mat", content):
        label = number(value, where, 1, 196) - 1
        images.append(Image(folder / inside(path, where), label, half(label, 196), where))
    names = np.atleast_1d(content.get("class_names", []))
    return listing(root, images, class_names=list(map(str, names)) if len(names) == 196 else None)


def sop(root: Path) -> Listing:
    """Read Stanford Online Products: `Ebay_train.txt`, `Ebay_test.txt`; super classes are a level.

    Classes 1 to 11318 are to train, 11319 to 22634 to test. The twelve super classes are called
    by the folders of their images, `bicycle_final` and so on.
    """
    folder = home(root, "Stanford_Online_Products", "Ebay_train.txt")
    images, names = [], [""] * 12
    for word, low, high in (("train", 1, 11318), ("test", 11319, 22634)):
        rows = table(folder / f"Ebay_{word}.txt", "image_id class_id super_class_id path")
        for where, (_, class_id, super_class_id, path) in rows:
            label, level = number(class_id, where, low, high), number(super_class_id, where, 1, 12)
            place = folder / inside(path, where)
            images.append(Image(place, label - 1, word, where, (level - 1,)))
            names[level - 1] = names[level - 1] or PurePosixPath(path).parent.name.removesuffix(
                "_final"
            )
    values = [[name] for name in names] if any(names) else None
    return listing(root, images, level_names=["super_class"], level_values=values)


def inshop(root: Path) -> Listing:
    """Read In-shop: `Eval/list_eval_partition.txt`; the images below `Img`, or beside `Eval`."""
    folder = home(root, "Inshop_Clothes", "Eval/list_eval_partition.txt")
    file = folder / "Eval" / "list_eval_partition.txt"
    rows = list(table(file, "image_name item_id evaluation_status", counted=True))
    label = {item: row for row, item in enumerate(sorted({words[1] for _, words in rows}))}
    top = folder / "Img" if (folder / "Img" / "img").is_dir() else folder
    images = []
    for where, (path, item, word) in rows:
        if word not in ("train", "query", "gallery"):
            refuse(where, f"status {word!r}", "train, query or gallery")
        images.append(Image(top / inside(path, where), label[item], word, where))
    return listing(root, images, class_names=list(label))


LAYOUTS = {
    "folder": Layout(image_folder, "ROOT/class/*, or ROOT/train/class/* and ROOT/test/class/*"),
    "cub": Layout(cub, "CUB-200-2011: CUB_200_2011/images/NNN.name/*", 200, 11788),
    "cars": Layout(cars, "Cars-196: cars196/cars_annos.mat", 196, 16185),
    "sop": Layout(sop, "SOP: Stanford_Online_Products/Ebay_train.txt", 22634, 120053),
    "inshop": Layout(inshop, "In-shop: Inshop_Clothes/Eval/list_eval_partition.txt", 7982, 52712),
}


def home(root: Path, name: str, marker: str) -> Path:
    """Return the folder of a published set: the one of its name below `root`, or `root` itself."""
    for folder in (root / name, root):
        if (folder / marker).exists():
            return folder
    refuse(root, f"neither {root / name / marker} nor {root / marker}", "one of them")


def half(label: int, classes: int) -> str:
    """Return the split of a class where the first half of the classes trains, as in (F1)."""
    return "train" if 2 * label < classes else "test"


def _matlab(file: Path) -> dict:
    data = io.BytesIO(file.read_bytes())
    try:
        return loadmat(data, squeeze_me=True)
    except Exception as error:  # scipy and zlib name their own errors for damaged bytes
        refuse(file, f"{type(error).__name__} ({error})", "a MATLAB file before version 7.3")


def _annotations(file: Path, content: dict) -> Iterator[tuple[str, str, str]]:
    """Yield place, path and class of each car: fields 0 and 5 of `annotations`, named as may be."""
    found = np.atleast_1d(content.get("annotations", 0))
    names = found.dtype.names or ()
    if len(names) < 6:
        refuse(file, f"annotations with {len(names)} fields", "path as the first, class as sixth")
    for row, car in enumerate(found, start=1):
        yield f"{file}: annotation {row}", str(car[names[0]]), str(car[names[5]])
