"""Array files that are not trusted: an ``.npz`` or a folder of ``.npy``, headers before data.

An `Entry` is what a header declares; nothing is allocated for it, and no data is read, until its
`load` is called (docs/8-features.md). Nothing is ever unpickled.
"""

import math
import mmap
import os
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, NamedTuple, NoReturn

import numpy as np
from numpy.lib import format as npy

from hier_ref.command import one_line
from hier_ref.features.foreign import recognised
from hier_ref.files import is_regular

HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}


class FeaturesError(ValueError):
    """A features file is refused: one line with file, key, what was found, what was expected."""


def refuse(source: str | Path, key: str, found: object, expected: object) -> NoReturn:
    """Raise FeaturesError, on one line whatever the parts contain."""
    raise FeaturesError(one_line(f"{source}: {key}: found {found}, expected {expected}"))


class Entry(NamedTuple):
    """One array as its header declares it, none of its data read yet."""

    key: str
    shape: tuple[int, ...]
    dtype: np.dtype
    present: int  # bytes that are there after the header
    load: Callable[[], np.ndarray]

    @property
    def declared(self) -> int:
        """Bytes that the header asks for, in Python integers, which do not overflow."""
        return math.prod(self.shape) * self.dtype.itemsize


def read_entries(path: Path) -> list[Entry]:
    """Return one Entry per array of the folder or .npz at `path`.

    Raises FeaturesError for what is neither, or for a header that cannot be read.
    """
    if path.is_dir():
        return list(_folder_entries(path))
    if not path.is_file():
        found = "no regular file" if path.exists() else "nothing"
        refuse(path, "file", found, "an .npz file or a folder of .npy files")
    other = recognised(path)
    if other:
        refuse(path, "file", other.name, f"an .npz file; in Python: {other.line}")
    with readable(path, "file"), zipfile.ZipFile(path) as archive:
        return list(_archive_entries(path, archive))


@contextmanager
def readable(path: Path, key: str) -> Iterator[None]:
    """Turn whatever a damaged file makes the readers raise into one FeaturesError.

    Everything is caught, because the readers promise no list: zip, zlib, the parser of the
    header and the allocation each fail in their own way.
    """
    try:
        yield
    except FeaturesError:
        raise
    except Exception as error:
        refuse(path, key, f"{type(error).__name__} ({error})", "an array that can be read")


def forget(array: np.ndarray) -> None:
    """Let go of what has been read of an array (any shape) that is mapped from a file to read.

    Its pages come again when they are touched; without this all of a file that is walked through
    stays in memory. Other arrays are left alone.
    """
    owner: object = array
    while owner is not None and not isinstance(owner, np.memmap):
        owner = getattr(owner, "base", None)
    if owner is None or getattr(owner, "mode", None) != "r":
        return  # what a private mapping has changed would be lost
    while isinstance(owner, np.ndarray):
        owner = owner.base
    if isinstance(owner, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        owner.madvise(mmap.MADV_DONTNEED)


def memory_size() -> float:
    """Return the bytes of memory of this machine or container, inf where it does not say."""
    sizes = [math.inf]
    if hasattr(os, "sysconf"):
        sizes.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    limit = Path("/sys/fs/cgroup/memory.max")
    if limit.exists() and (text := limit.read_text().strip()).isdigit():
        sizes.append(int(text))
    return min(sizes)


def _folder_entries(folder: Path) -> Iterator[Entry]:
    """Large arrays stay on disk: they are mapped into memory, and pages come when touched."""
    for file in sorted(folder.glob("[!.]*.npy")):  # a hidden one is the system's, as ._labels.npy
        if not is_regular(file):
            refuse(folder, file.stem, "no regular file", "an .npy file")

        def load(file: Path = file) -> np.ndarray:
            return np.load(file, mmap_mode="r", allow_pickle=False)

        with readable(folder, file.stem), open(file, "rb") as stream:
            yield _entry(file.stem, stream, file.stat().st_size, load)


def _archive_entries(path: Path, archive: zipfile.ZipFile) -> Iterator[Entry]:
    for info in archive.infolist():
        if info.is_dir() or Path(info.filename).name.startswith("."):
            continue  # folders and hidden files are what systems and archivers add

        def load(info: zipfile.ZipInfo = info) -> np.ndarray:
            with zipfile.ZipFile(path) as again, again.open(info) as stream:
                return npy.read_array(stream, allow_pickle=False)

        key = info.filename.removesuffix(".npy")
        with readable(path, key), archive.open(info) as stream:
            yield _entry(key, stream, info.file_size, load)


def _entry(key: str, stream: IO[bytes], size: int, load: Callable[[], np.ndarray]) -> Entry:
    """Read the header of one array whose file has `size` bytes in all."""
    version = npy.read_magic(stream)
    if version not in HEADERS:
        raise ValueError(f".npy version {version}")
    shape, _, dtype = HEADERS[version](stream)
    return Entry(key, shape, dtype, size - stream.tell(), load)
