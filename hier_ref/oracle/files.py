"""Case files for any language: `<id>/case.json` and one little-endian, C-ordered .npy per array.

Numbers in case.json are hex floats, exact in every language; its form is case.schema.json. A
program answers with `<id>/<stage>.npy`. Described in docs/13-oracle.md.
"""

import io
import json
import math
import os
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from hier_ref.convention import EXACT
from hier_ref.oracle.case import reference
from hier_ref.oracle.form import SCHEMA, SuiteError, parse
from hier_ref.oracle.suite import NAMES, Entry, arrays_of, assemble, describe

TEXT = "case.json"
LONGEST = 2**24  # bytes of a case.json
HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}


def export(entries: Iterable[Entry], folder: Path, dtype: str = "float64") -> list[Path]:
    """Write one folder per case, float arrays in `dtype`; return the folders.

    Cases that are not asked in that dtype are left out. SuiteError if a folder is there already.
    """
    folder.mkdir(parents=True, exist_ok=True)
    asked = [entry for entry in entries if dtype in entry.budgets]
    taken = next((e.case.id for e in asked if (folder / e.case.id).exists()), None)
    if taken:
        raise SuiteError(f"{folder / taken}: is there already; name another folder")
    for entry in asked:
        part = folder / f".{entry.case.id}.part"
        write_case(entry._replace(case=entry.case.astype(dtype)), part)
        os.replace(part, folder / entry.case.id)
    return [folder / entry.case.id for entry in asked]


def write_case(entry: Entry, folder: Path) -> None:
    """Write the files of one case into a folder, which is made."""
    write_stages(arrays_of(entry.case), folder)
    (folder / TEXT).write_text(json.dumps(describe(entry), indent=1) + "\n", "utf-8")


def write_stages(arrays: Mapping[str, NDArray], folder: Path) -> None:
    """Write each array, of any shape, to `<name>.npy` in a folder, which is made."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, array in arrays.items():
        array = np.asarray(array)
        plain = np.asarray(array, array.dtype.newbyteorder("<"), order="C")
        np.save(folder / f"{name}.npy", plain, allow_pickle=False)


def read_stages(folder: Path) -> dict[str, NDArray]:
    """Return the arrays of all `<name>.npy` in a folder; SuiteError for damaged files."""
    if not folder.is_dir():
        raise SuiteError(f"{folder}: not found; expected a folder of .npy files")
    return {path.stem: read_array(path) for path in sorted(folder.glob("*.npy"))}


def read_case(folder: Path) -> Entry:
    """Return one exported case; SuiteError, naming the file, if it is not as it was written."""
    path = folder / TEXT
    try:
        text = parse(_bytes(path, LONGEST, "; `export` writes it"))
    except SuiteError:
        raise
    except ValueError as error:
        raise SuiteError(f"{path}: truncated, or no description of a case ({error!r})") from None
    # The arrays of a schema that is not ours may have other names.
    names = NAMES if text.get("schema") == SCHEMA else ()
    return assemble(text, {name: read_array(folder / f"{name}.npy") for name in names}, str(path))


def read_suite(folder: Path) -> tuple[Entry, ...]:
    """Return all exported cases of a folder, by name; SuiteError if there is none.

    Each must be named as its folder, and have an answer.
    """
    marks = (TEXT, *(f"{name}.npy" for name in NAMES))  # one is enough: the rest may be lost
    parts = sorted(part for part in folder.glob("[!.]*") if part.is_dir())
    cases = [p for p in parts if any(os.path.lexists(p / mark) for mark in marks)]
    if not cases:
        raise SuiteError(f"{folder}: no */{TEXT} there; expected a folder that `export` wrote")
    entries = tuple(map(read_case, cases))
    for entry, part in zip(entries, cases, strict=True):
        if entry.case.id != part.name:
            raise SuiteError(f"{part / TEXT}: id: found {entry.case.id}, expected {part.name}")
        _answerable(entry, part / TEXT)
    return entries


def _answerable(entry: Entry, path: Path) -> None:
    """Refuse a case without a finite right answer: nothing could be compared with it."""
    for dtype in ("float64", *entry.budgets):
        try:
            with np.errstate(all="ignore"):
                right = reference(entry.case, EXACT, dtype)
        except ValueError as error:
            raise SuiteError(f"{path}: no right answer in {dtype} ({error})") from None
        for stage, value in right.items():
            if not np.isfinite(value).all():
                raise SuiteError(f"{path}: no right answer in {dtype} ({stage} is not finite)")


def read_array(path: Path) -> NDArray:
    """Return the array of an .npy file, of any shape; SuiteError for everything else.

    Nothing is allocated that the header declares and the file does not hold.
    """
    stream = io.BytesIO(_bytes(path))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # headers that NumPy has to mend
            shape, fortran, dtype = HEADERS[npy.read_magic(stream)](stream)
        data = stream.read()
        declared = math.prod(shape) * dtype.itemsize
        if dtype.hasobject or declared != len(data):
            raise ValueError(f"{len(data)} bytes of data for {declared} declared")
        return np.ndarray(shape, dtype, data, order="F" if fortran else "C").copy(order="C")
    except Exception as error:  # NumPy names its own errors for a damaged header
        raise SuiteError(f"{path}: truncated, or no .npy file ({error!r})") from None


def _bytes(path: Path, most: float = math.inf, hint: str = "") -> bytes:
    """Return what a regular file holds; a pipe or a socket would let us wait for ever."""
    if not path.exists():
        raise SuiteError(f"{path}: not found{hint}")
    if not path.is_file():
        raise SuiteError(f"{path}: no regular file")
    if path.stat().st_size > most:
        raise SuiteError(f"{path}: {path.stat().st_size} bytes, expected at most {most}")
    return path.read_bytes()
