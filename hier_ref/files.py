"""Whole files: written under another name and renamed, read only where they are regular files.

A killed or full disk leaves the last whole version of a file; a pipe in place of a file is refused,
where opening it would wait for ever. Nothing is ever unpickled.
"""

import io
import json
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Arrays = dict[str, NDArray]


class FileError(ValueError):
    """A file cannot be used: one line that names it, what was found and what was expected."""


def write_bytes(path: Path, data: bytes) -> None:
    """Write a whole file or nothing: a temporary name beside it, then a rename.

    Raises OSError naming the file, and removes the temporary one, where the disk is full.
    """
    with _named(path) as temporary:
        write_synced(temporary, data)
        os.replace(temporary, path)


def create_bytes(path: Path, data: bytes) -> bool:
    """Write a whole file unless there is one of its name; return whether it was written.

    Of two processes at once one is told True: a link, unlike a rename, replaces nothing.
    """
    with _named(path) as temporary:
        write_synced(temporary, data)
        try:
            os.link(temporary, path)
        except FileExistsError:
            return False
        except OSError:  # a file system without links, where nothing better is left
            if path.exists():
                return False
            os.replace(temporary, path)
    return True


@contextmanager
def _named(path: Path) -> Iterator[Path]:
    """Lend a temporary name that is gone afterwards; an OSError names the file that was meant."""
    temporary = part_name(path)
    try:
        yield temporary
    except OSError as error:
        raise OSError(error.errno, error.strerror or str(error), str(path)) from None
    finally:
        temporary.unlink(missing_ok=True)


def write_synced(path: Path, data: bytes) -> None:
    """Write a file through to the disk, so that a rename never comes before its content."""
    with open(path, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def part_name(path: Path) -> Path:
    """Name what is not yet whole: hidden, beside the file, another for each process."""
    return path.with_name(f".{path.name}.{os.getpid()}.part")


def parts(folder: Path) -> list[Path]:
    """Return the unfinished files that killed processes have left in a folder."""
    return sorted(folder.glob(".*.part"))


def is_regular(path: Path) -> bool:
    """Say whether `path` is a file that can be read to its end: no pipe, device or folder."""
    try:
        return stat.S_ISREG(os.stat(path).st_mode)
    except (OSError, ValueError):  # ValueError: a name with a zero byte
        return False


def read_bytes(path: Path) -> bytes:
    """Return the content of a regular file; FileNotFoundError, or FileError for anything else."""
    if os.path.lexists(path) and not is_regular(path):
        raise FileError(f"{path}: found no regular file, expected one")
    return path.read_bytes()


def read_json(path: Path) -> object:
    """Return what a JSON file says; FileError for what is none, however deep or damaged."""
    return parse_json(read_bytes(path), str(path))


def parse_json(text: bytes, source: str) -> object:
    """Return what a JSON text says; FileError, naming the source, for what is none."""
    try:
        return json.loads(text.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise FileError(f"{source}: found no JSON ({error}), expected one value") from None


def array_bytes(arrays: Arrays) -> bytes:
    """Return the bytes of an .npz of plain arrays; equal arrays give equal bytes."""
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]
    return buffer.getvalue()


def write_arrays(path: Path, arrays: Arrays) -> None:
    """Write an .npz of plain arrays."""
    write_bytes(path, array_bytes(arrays))


def read_arrays(path: Path) -> Arrays:
    """Read an .npz of plain arrays; FileError if it is missing, damaged or holds objects."""
    try:
        with np.load(io.BytesIO(read_bytes(path)), allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except FileNotFoundError:
        raise FileError(f"{path}: not found; a run writes it when it is finished") from None
    except FileError:
        raise
    except Exception as error:  # zipfile and zlib name their own errors for damaged bytes
        raise FileError(f"{path}: damaged, expected arrays written by a run ({error})") from None
