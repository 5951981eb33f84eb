"""The features file: its contract, and one line for everything that is refused.

Derived and explained in docs/8-features.md. Headers are judged before any data is read, and the
values before anything is computed from them.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from hier_ref.features.arrays import (
    Entry,
    FeaturesError,
    forget,
    memory_size,
    read_entries,
    readable,
    refuse,
)

__all__ = ["CONTRACT", "Features", "FeaturesError", "default_features", "read_features"]

FLOATS = "float16, float32 or float64"
INTEGERS = "int8 .. int64 or uint8 .. uint64"
TEXT = "str"
PROTOCOLS = ({"train", "test"}, {"train", "query", "gallery"})
BLOCK = 2**22  # numbers looked at together in search of NaN


class Rule(NamedTuple):
    """What one key must look like: a letter per axis, its types, and whether it must be there."""

    axes: str
    types: str
    required: bool = False


# Axes of one letter have one length, set by the first key that has them.
CONTRACT = {
    "features": Rule("NF", FLOATS, required=True),
    "labels": Rule("N", INTEGERS, required=True),
    "split": Rule("N", TEXT),
    "class_names": Rule("C", TEXT),
    "levels": Rule("NL", INTEGERS),
    "level_names": Rule("L", TEXT),
    "level_values": Rule("VL", TEXT),
    "paths": Rule("N", TEXT),
}


@dataclass(frozen=True, eq=False)
class Features:
    """Backbone outputs and what is known about each row, as read and checked.

    `features` (N,F) keep their stored type; `labels` (N,) and `levels` (N,L), finest first, are
    int64; `split` (N,) holds words of one of `PROTOCOLS`; `source` is the file they came from.
    """

    features: np.ndarray
    labels: np.ndarray
    split: np.ndarray
    class_names: np.ndarray | None
    levels: np.ndarray | None
    level_names: np.ndarray | None
    level_values: np.ndarray | None
    paths: np.ndarray | None
    source: str

    def __len__(self) -> int:
        return len(self.labels)

    def part(self, word: str) -> "Features":
        """Return the rows of one word of the split; neighbouring rows stay memory-mapped.

        Raises FeaturesError if there are none.
        """
        rows = np.flatnonzero(self.split == word)
        if not len(rows):
            words = np.unique(self.split).tolist()
            refuse(self.source, "split", f"only {words}", f"rows of {word!r}")
        run = slice(rows[0], rows[-1] + 1)
        where = run if run.stop - run.start == len(rows) else rows
        per_row = {key: getattr(self, key) for key, rule in CONTRACT.items() if rule.axes[0] == "N"}
        return replace(self, **{key: a[where] for key, a in per_row.items() if a is not None})

    def retrieval_sets(self) -> tuple["Features", "Features", bool]:
        """Return (queries, gallery, exclude_self): the protocol that the split stands for (F2)."""
        if "query" in self.split:
            return self.part("query"), self.part("gallery"), False
        test = self.part("test")
        return test, test, True


def default_features() -> Path:
    """Return the embedded features: inside an installed package, or in `data/` of a checkout."""
    here = Path(__file__).resolve().parents[1]
    installed = here / "data" / "emoji.npz"
    return installed if installed.exists() else here.parent / "data" / "emoji.npz"


def read_features(path: str | Path) -> Features:
    """Read and check a features file: an .npz, or a folder of .npy files, memory-mapped.

    Raises FeaturesError, in one line, for anything else than docs/8-features.md describes.
    """
    if not str(path):
        refuse("''", "file", "an empty name", "an .npz file or a folder of .npy files")
    path = Path(path)
    entries = read_entries(path)
    for check in HEADER_CHECKS:
        check(path, entries)
    arrays = dict.fromkeys(CONTRACT) | {entry.key: _load(path, entry) for entry in entries}
    if arrays["split"] is None:
        arrays["split"] = half_split(arrays["labels"])
    found = Features(**arrays, source=str(path))
    for look in VALUE_CHECKS:
        look(found)
    return found


def half_split(labels: np.ndarray) -> np.ndarray:
    """Return the split of a file that has none: the first half of the classes trains (F1).

    (N,) -> (N,) of "train" and "test"; of an odd number of classes the middle one trains.
    """
    classes, index = np.unique(labels, return_inverse=True)
    return np.where(2 * index < len(classes), "train", "test")


def _load(path: Path, entry: Entry) -> np.ndarray:
    """Load one array; only features may stay on disk, and integers become int64."""
    with readable(path, entry.key):
        array = entry.load()
        if CONTRACT[entry.key].types == TEXT:
            return _as_text(path, entry.key, np.array(array))
    if CONTRACT[entry.key].types == INTEGERS:
        return _as_int64(path, entry.key, array)
    return array


def _as_text(path: Path, key: str, values: np.ndarray) -> np.ndarray:
    """Return text (N,), unless it holds a number that is no character: a surrogate, or above."""
    native = np.ascontiguousarray(values.astype(values.dtype.newbyteorder("=")))
    points = native.view(np.uint32).reshape(len(values), -1)
    row, column = np.nonzero((points > 0x10FFFF) | ((points >= 0xD800) & (points <= 0xDFFF)))
    if len(row):
        refuse(path, key, f"U+{points[row[0], column[0]]:04X} in row {row[0]}", "characters")
    return values


def _as_int64(path: Path, key: str, values: np.ndarray) -> np.ndarray:
    outside = np.argwhere((values < 0) | (values > np.iinfo(np.int64).max))
    if len(outside):
        row = tuple(outside[0])
        refuse(path, key, f"{values[row]} in row {row[0]}", "0 .. 2^63 - 1")
    return np.array(values, np.int64)


# ---- Checks on the headers, in this order


def _check_keys(path: Path, entries: list[Entry]) -> None:
    keys = [entry.key for entry in entries]
    for key in keys:
        if key not in CONTRACT:
            refuse(path, repr(key), "an unknown key", f"only {', '.join(CONTRACT)}")
        if keys.count(key) > 1:
            refuse(path, key, f"{keys.count(key)} arrays", "one")
    for key, rule in CONTRACT.items():
        if rule.required and key not in keys:
            refuse(path, key, f"only {keys}", f"an array {_form(rule)} of {rule.types}")
    for key in ("level_names", "level_values"):
        if key in keys and "levels" not in keys:
            refuse(path, "levels", "nothing", f"the levels that {key} name")


def _check_types(path: Path, entries: list[Entry]) -> None:
    for entry in entries:
        if _types(entry.dtype) != CONTRACT[entry.key].types:
            refuse(path, entry.key, f"dtype {entry.dtype}", CONTRACT[entry.key].types)


def _check_shapes(path: Path, entries: list[Entry]) -> None:
    length: dict[str, int] = {}
    shapes = {entry.key: entry.shape for entry in entries}
    for key in (key for key in CONTRACT if key in shapes):
        rule, shape = CONTRACT[key], shapes[key]
        if len(shape) != len(rule.axes) or min(shape) < 1:
            refuse(path, key, f"shape {shape}", f"{_form(rule)}, each at least 1")
        for axis, n in zip(rule.axes, shape, strict=True):
            if length.setdefault(axis, n) != n:
                refuse(path, key, f"shape {shape}", f"{_form(rule)} with {axis} = {length[axis]}")


def _check_sizes(path: Path, entries: list[Entry]) -> None:
    for entry in entries:
        if entry.declared != entry.present:
            found = f"{entry.present} bytes of data"
            refuse(path, entry.key, found, f"{entry.declared} for shape {entry.shape}")
    needed, memory = sum(entry.declared for entry in entries), memory_size()
    if needed > memory and not path.is_dir():
        found = f"arrays of {needed} bytes"
        refuse(path, "file", found, f"at most {memory}, the memory here (a folder may be larger)")


HEADER_CHECKS = (_check_keys, _check_types, _check_shapes, _check_sizes)


def _form(rule: Rule) -> str:
    return f"({','.join(rule.axes)}{',' if len(rule.axes) == 1 else ''})"


def _types(dtype: np.dtype) -> str | None:
    """Return the types of the contract that `dtype` belongs to, in either byte order."""
    kinds = {"f": FLOATS, "i": INTEGERS, "u": INTEGERS, "U": TEXT}
    too_long = dtype.kind == "f" and dtype.itemsize > 8
    return None if too_long or not dtype.itemsize else kinds.get(dtype.kind)


# ---- Checks on the values, in this order


def _check_finite(found: Features) -> None:
    step = max(1, BLOCK // found.features.shape[1])
    for start in range(0, len(found), step):
        block = found.features[start : start + step]
        bad = np.argwhere(~np.isfinite(block))
        if len(bad):
            row, column = bad[0]
            where = f"{block[row, column]} in row {start + row}, column {column}"
            refuse(found.source, "features", where, "finite numbers")
        forget(block)


def _check_class_names(found: Features) -> None:
    names, largest = found.class_names, found.labels.max()
    if names is not None and len(names) <= largest:
        refuse(found.source, "class_names", f"{len(names)} names", f"one for label {largest} too")


def _check_level_values(found: Features) -> None:
    names, levels = found.level_values, found.levels
    if names is not None and levels is not None and len(names) <= (largest := levels.max()):
        refuse(found.source, "level_values", f"{len(names)} rows", f"one for value {largest} too")


def _check_split(found: Features) -> None:
    words = set(np.unique(found.split).tolist())
    if not any(words <= protocol for protocol in PROTOCOLS):
        refuse(found.source, "split", sorted(words), "train/test or train/query/gallery")


def _check_training(found: Features) -> None:
    classes, counts = np.unique(found.labels[found.split == "train"], return_counts=True)
    if len(counts) < 2:
        refuse(found.source, "labels", f"training classes {classes.tolist()}", "two or more")
    if counts.max() < 2:
        refuse(found.source, "labels", "no class in train with two images", "one or more")


def _check_retrieval(found: Features) -> None:
    # A recall needs at least one query that has something to find.
    query, gallery, exclude_self = found.retrieval_sets()
    classes, counts = np.unique(gallery.labels, return_counts=True)
    if not np.isin(classes[counts > exclude_self], query.labels).any():
        refuse(found.source, "labels", "no query with a correct gallery image", "one or more")


def _check_level_names(found: Features) -> None:
    # They are keys of tables: two of one name would hide each other.
    names = [] if found.level_names is None else found.level_names.tolist()
    again = [name for name in names if names.count(name) > 1]
    if again:
        refuse(found.source, "level_names", f"{again[0]!r} twice", "another name for each level")


VALUE_CHECKS = (
    _check_finite,
    _check_level_names,
    _check_class_names,
    _check_level_values,
    _check_split,
    _check_training,
    _check_retrieval,
)
