"""The features file: what it must hold, and one line for everything that is refused.

An ``.npz`` or a folder of ``.npy`` files (docs/8-features.md). Headers are judged before any
data is read, data before anything is computed; no array is ever unpickled.
"""

import math
import os
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO, NamedTuple, NoReturn

import numpy as np
from numpy.lib import format as npy

FLOATS = ("float16", "float32", "float64")
INTEGERS = tuple(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64))
PROTOCOLS = ({"train", "test"}, {"train", "query", "gallery"})
BLOCK = 2**22  # numbers looked at together in search of NaN


class Rule(NamedTuple):
    """What one key must look like: named axes, allowed types, and whether it may be absent."""

    axes: str
    types: tuple[str, ...]
    required: bool = False


# Axes of the same name have the same length. Features come first: they set N.
CONTRACT = {
    "features": Rule("NF", FLOATS, required=True),
    "labels": Rule("N", INTEGERS, required=True),
    "split": Rule("N", ("str",)),
    "class_names": Rule("C", ("str",)),
    "levels": Rule("NL", INTEGERS),
    "level_names": Rule("L", ("str",)),
    "paths": Rule("N", ("str",)),
}


class FeaturesError(ValueError):
    """A features file is refused: one line with file, key, what was found, what was expected."""


def refuse(source: str | Path, key: str, found: object, expected: str) -> NoReturn:
    """Raise FeaturesError, on one line whatever the parts contain."""
    line = f"{source}: {key}: found {found}, expected {expected}"
    raise FeaturesError(" ".join(line.split()))


@dataclass(frozen=True, eq=False)
class Features:
    """Backbone outputs and what is known about each row, as read and checked.

    ``features`` (N,F) keep their stored type; ``labels`` (N,) and ``levels`` (N,L) are int64;
    ``split`` (N,) holds the words of one of ``PROTOCOLS``; ``source`` is the file they came from.
    """

    features: np.ndarray
    labels: np.ndarray
    split: np.ndarray
    class_names: np.ndarray | None
    levels: np.ndarray | None
    level_names: np.ndarray | None
    paths: np.ndarray | None
    source: str

    def __len__(self) -> int:
        return len(self.labels)

    def part(self, word: str) -> "Features":
        """Return the rows of one word of the split; rows in one run stay memory-mapped.

        Raises FeaturesError if there are none.
        """
        rows = np.flatnonzero(self.split == word)
        if not len(rows):
            refuse(self.source, "split", sorted(set(self.split.tolist())), f"rows of {word!r}")
        run = slice(rows[0], rows[-1] + 1)
        rows = run if run.stop - run.start == len(rows) else rows
        columns = {k: getattr(self, k) for k, rule in CONTRACT.items() if rule.axes[0] == "N"}
        return replace(self, **{k: a[rows] for k, a in columns.items() if a is not None})

    def retrieval_sets(self) -> tuple["Features", "Features", bool]:
        """Return (queries, gallery, exclude_self), the protocol that the split stands for (F2)."""
        if "query" in self.split:
            return self.part("query"), self.part("gallery"), False
        test = self.part("test")
        return test, test, True


def half_split(labels: np.ndarray) -> np.ndarray:
    """Return the split of a file that has none: the first half of the classes trains (F1).

    (N,) -> (N,) of "train" and "test"; of an odd number of classes the middle one trains.
    """
    classes, index = np.unique(labels, return_inverse=True)
    return np.where(2 * index.reshape(-1) < len(classes), "train", "test")


def default_features() -> Path:
    """Return the embedded features: beside this file once installed, in ``data/`` of a checkout."""
    here = Path(__file__).resolve().parent
    installed = here / "data" / "emoji.npz"
    return installed if installed.exists() else here.parent / "data" / "emoji.npz"


def read_features(path: str | Path) -> Features:
    """Read and check a features file: an .npz, or a folder of .npy files (memory-mapped).

    Raises FeaturesError with one line for anything that docs/8-features.md does not allow.
    """
    path = Path(path)
    if not path.exists():
        refuse(path, "file", "nothing", "an .npz file or a folder of .npy files")
    entries = list(_entries(path))
    for check in HEADER_CHECKS:
        check(path, entries)
    arrays = dict.fromkeys(CONTRACT) | {e.key: _load(path, e) for e in entries}
    for key in ("labels", "levels"):
        if arrays[key] is not None:
            arrays[key] = _non_negative(path, key, arrays[key])
    if arrays["split"] is None:
        arrays["split"] = half_split(arrays["labels"])
    found = Features(**arrays, source=str(path))
    for check in VALUE_CHECKS:
        check(found)
    return found


# ---- Reading: headers first, without trusting them


class Entry(NamedTuple):
    """One array as its header declares it, none of its data read yet."""

    key: str
    shape: tuple[int, ...]
    dtype: np.dtype
    size: int  # bytes that are really there, after the header
    load: Callable[[], np.ndarray]

    @property
    def declared(self) -> int:
        """Bytes that the header asks for; Python integers, so that they cannot overflow."""
        return math.prod(self.shape) * self.dtype.itemsize


@contextmanager
def _readable(path: Path, key: str) -> Iterator[None]:
    """Turn whatever a damaged file makes the readers raise into one line."""
    try:
        yield
    except FeaturesError:
        raise
    except Exception as error:
        refuse(path, key, f"{type(error).__name__} ({error})", "a readable array file")


def _entries(path: Path) -> Iterator[Entry]:
    """Yield one Entry per array of a folder or an .npz."""
    if path.is_dir():
        for file in sorted(path.glob("*.npy")):
            with _readable(path, file.stem), open(file, "rb") as stream:
                yield _entry(file.stem, stream, file.stat().st_size, _folder_loader(file))
        return
    if not path.is_file():
        refuse(
            path, "file", "neither a file nor a folder", "an .npz file or a folder of .npy files"
        )
    with _readable(path, "file"), zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            key = info.filename.removesuffix(".npy")
            with _readable(path, key), archive.open(info) as stream:
                yield _entry(key, stream, info.file_size, _archive_loader(path, info))


def _folder_loader(file: Path) -> Callable[[], np.ndarray]:
    mode = "r" if file.stem == "features" else None
    return lambda: np.load(file, mmap_mode=mode, allow_pickle=False)


def _archive_loader(path: Path, info: zipfile.ZipInfo) -> Callable[[], np.ndarray]:
    def load() -> np.ndarray:
        with zipfile.ZipFile(path) as archive, archive.open(info) as stream:
            return npy.read_array(stream, allow_pickle=False)

    return load


def _entry(key: str, stream: BinaryIO, size: int, load: Callable[[], np.ndarray]) -> Entry:
    """Read the header of one array; `size` is that of the whole file."""
    version = npy.read_magic(stream)
    read = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
    if version not in read:
        raise ValueError(f"npy version {version}")
    shape, _, dtype = read[version](stream)
    return Entry(key, shape, dtype, size - stream.tell(), load)


def _load(path: Path, entry: Entry) -> np.ndarray:
    with _readable(path, entry.key):
        return entry.load()


def _non_negative(path: Path, key: str, values: np.ndarray) -> np.ndarray:
    """Return integers as int64; refuse those below 0 or beyond int64."""
    outside = np.argwhere((values < 0) | (values > np.iinfo(np.int64).max))
    if len(outside):
        row = tuple(outside[0])
        refuse(path, key, f"{values[row]} in row {row[0]}", "0 .. 2^63 - 1")
    return values.astype(np.int64)


# ---- What is checked on the headers, in this order


def _check_keys(path: Path, entries: list[Entry]) -> None:
    keys = [entry.key for entry in entries]
    for key in keys:
        if key not in CONTRACT or keys.count(key) > 1:
            refuse(path, repr(key), "an array of this name", f"each at most once: {list(CONTRACT)}")
    for key, rule in CONTRACT.items():
        if rule.required and key not in keys:
            refuse(path, key, f"no such array among {keys}", f"{rule.types[-1]} {_form(rule)}")


def _check_types(path: Path, entries: list[Entry]) -> None:
    for key, _, dtype, *_ in entries:
        name = "str" if dtype.kind == "U" and dtype.itemsize else dtype.name
        if name not in CONTRACT[key].types:
            refuse(path, key, f"dtype {dtype}", " or ".join(CONTRACT[key].types))


def _check_shapes(path: Path, entries: list[Entry]) -> None:
    length: dict[str, int] = {}
    shapes = {entry.key: entry.shape for entry in entries}
    for key in (key for key in CONTRACT if key in shapes):
        rule, shape = CONTRACT[key], shapes[key]
        if len(shape) != len(rule.axes) or min(shape) < 1:
            refuse(path, key, f"shape {shape}", f"{_form(rule)}, none of them 0")
        for axis, n in zip(rule.axes, shape, strict=True):
            if length.setdefault(axis, n) != n:
                refuse(path, key, f"shape {shape}", f"{_form(rule)} with {axis} = {length[axis]}")
    if "level_names" in shapes and "levels" not in shapes:
        refuse(path, "levels", "nothing", "the levels that level_names name")


def _check_sizes(path: Path, entries: list[Entry]) -> None:
    for entry in entries:
        if entry.declared != entry.size:
            refuse(path, entry.key, f"{entry.size} bytes", f"{entry.declared} as its header says")
    needed, memory = sum(entry.declared for entry in entries), memory_size()
    if needed > memory and not path.is_dir():
        refuse(
            path, "file", f"{needed} bytes of arrays", f"at most {memory}, this machine's memory"
        )


def _form(rule: Rule) -> str:
    return f"({', '.join(rule.axes)})"


def memory_size() -> float:
    """Return the bytes of memory of this machine or container, inf where it does not say."""
    sizes = [math.inf]
    if hasattr(os, "sysconf"):
        sizes.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    limit = Path("/sys/fs/cgroup/memory.max")
    if limit.exists() and (text := limit.read_text().strip()).isdigit():
        sizes.append(int(text))
    return min(sizes)


HEADER_CHECKS = (_check_keys, _check_types, _check_shapes, _check_sizes)


# ---- What is checked on the values, in this order


def _check_finite(found: Features) -> None:
    step = max(1, BLOCK // found.features.shape[1])
    for start in range(0, len(found), step):
        block = found.features[start : start + step]
        bad = np.argwhere(~np.isfinite(block))
        if len(bad):
            row, column = bad[0]
            where = f"{block[row, column]} in row {start + row}, column {column}"
            refuse(found.source, "features", where, "finite numbers")


def _check_class_names(found: Features) -> None:
    names, largest = found.class_names, found.labels.max()
    if names is not None and len(names) <= largest:
        refuse(found.source, "class_names", f"{len(names)} names", f"{largest + 1}, one per label")


def _check_split(found: Features) -> None:
    words = set(np.unique(found.split).tolist())
    if not any(words <= protocol for protocol in PROTOCOLS):
        refuse(found.source, "split", sorted(words), "train/test or train/query/gallery")


def _check_training(found: Features) -> None:
    counts = np.unique(found.labels[found.split == "train"], return_counts=True)[1]
    if len(counts) < 2:
        refuse(found.source, "labels", f"{len(counts)} classes to train on", "two or more")
    if counts.max() < 2:
        refuse(found.source, "labels", "no training class with two images", "one or more")


def _check_retrieval(found: Features) -> None:
    query, gallery, exclude_self = found.retrieval_sets()
    right = [np.count_nonzero(gallery.labels == label) for label in np.unique(query.labels)]
    if max(right) <= exclude_self:
        refuse(found.source, "labels", "no query with a correct answer", "one or more")


VALUE_CHECKS = (_check_finite, _check_class_names, _check_split, _check_training, _check_retrieval)
