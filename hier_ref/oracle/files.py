"""Case files for any language: `<id>/case.json` and one little-endian, C-ordered .npy per array.

Numbers in case.json are hex floats, exact in every language; its form is case.schema.json. A
program answers with `<id>/<stage>.npy`. Described in docs/13-oracle.md.
"""

import io
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hier_ref.oracle.suite import (
    ARRAY_FIELDS,
    CHOICES,
    NOISE_FIELDS,
    SCHEMA,
    Entry,
    SuiteError,
    arrays_of,
    assemble,
    describe,
)

TEXT = "case.json"
NAMES = (*ARRAY_FIELDS, *(f"{noise}_{which}" for noise in NOISE_FIELDS for which in CHOICES))


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
    return {path.stem: _read(path) for path in sorted(folder.glob("*.npy"))}


def read_case(folder: Path) -> Entry:
    """Return one exported case; SuiteError, naming the file, if it is not as it was written."""
    path = folder / TEXT
    try:
        text = json.loads(path.read_text("utf-8"))
        schema = text["schema"]
    except FileNotFoundError:
        raise SuiteError(f"{path}: not found; `export` writes it") from None
    except (ValueError, KeyError, TypeError) as error:
        raise SuiteError(f"{path}: truncated, or no description of a case ({error!r})") from None
    # The arrays of a schema that is not ours may have other names.
    names = NAMES if schema == SCHEMA else ()
    return assemble(text, {name: _read(folder / f"{name}.npy") for name in names}, str(path))


def read_suite(folder: Path) -> tuple[Entry, ...]:
    """Return all exported cases of a folder, by name; SuiteError if there is none."""
    cases = sorted(path.parent for path in folder.glob(f"*/{TEXT}"))
    if not cases:
        raise SuiteError(f"{folder}: no */{TEXT} there; expected a folder that `export` wrote")
    return tuple(map(read_case, cases))


def _read(path: Path) -> NDArray:
    try:
        return np.load(io.BytesIO(path.read_bytes()), allow_pickle=False)
    except FileNotFoundError:
        raise SuiteError(f"{path}: not found") from None
    except Exception as error:  # NumPy and zipfile name their own errors for damaged bytes
        raise SuiteError(f"{path}: truncated, or no .npy file ({error})") from None
