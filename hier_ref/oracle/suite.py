"""The suite: cases with reasons, margins and budgets; one file of arrays and one of text.

`python -m hier_ref.oracle.generate` makes both; `load_suite` reads them. A budget says how far a
right implementation may be off in one stage of one case in one dtype.
"""

import hashlib
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hier_ref.oracle.case import Case
from hier_ref.oracle.form import (
    NUMBERS,
    SCHEMA,
    Form,
    SuiteError,
    budgets,
    check_arrays,
    described,
    parameters,
    parse,
    same_keys,
    seal,
)

CORE = "core@2"  # the suite that comes with the package; another number, other answers
HERE = Path(__file__).parent
ARRAYS, TEXT = "core.npz", "core.json"
ARRAY_FIELDS = ("x", "labels", "proxies", "triplets_data", "triplets_proxy")
NOISE_FIELDS = ("gumbel_data", "gumbel_proxy")
CHOICES = ("pair", "triple")
NAMES = (*ARRAY_FIELDS, *(f"{noise}_{which}" for noise in NOISE_FIELDS for which in CHOICES))

Budgets = dict[str, dict[str, float]]  # dtype -> stage -> largest error of a right answer


class Entry(NamedTuple):
    """One case of a suite with its budgets."""

    case: Case
    budgets: Budgets


def arrays_of(case: Case) -> dict[str, NDArray]:
    """Return the arrays of a case by the names of their files, little-endian and C-ordered."""
    named = {name: getattr(case, name) for name in ARRAY_FIELDS}
    for name in NOISE_FIELDS:
        named |= {
            f"{name}_{which}": g for which, g in zip(CHOICES, getattr(case, name), strict=True)
        }
    return {name: _plain(array) for name, array in named.items()}


def _plain(array: NDArray) -> NDArray:
    array = np.asarray(array)
    kind = "<i8" if array.dtype.kind in "iu" else array.dtype.newbyteorder("<")
    return np.ascontiguousarray(array, dtype=kind)


def describe(entry: Entry) -> dict:
    """Return what case.json says: all but the arrays, numbers as hex floats, and hashes."""
    case = entry.case
    said = {
        "schema": SCHEMA,
        "id": case.id,
        "reason": case.reason,
        "flags": list(case.flags),
        "parameters": {name: float(getattr(case, name)).hex() for name in NUMBERS},
        "neighbours": case.neighbours,
        "swaps": [list(order) for order in case.swaps],
        "margins": {name: float(value).hex() for name, value in case.margins},
        "budgets": {
            dtype: {stage: float(b).hex() for stage, b in stages.items()}
            for dtype, stages in entry.budgets.items()
        },
        "sha256": {name: sha256(array) for name, array in arrays_of(case).items()},
    }
    return seal(said)


def sha256(array: NDArray) -> str:
    """Hash dtype, shape and bytes of an array of any shape."""
    head = f"{array.dtype.str} {array.shape} ".encode()
    return hashlib.sha256(head + array.tobytes()).hexdigest()


def assemble(text: dict, arrays: dict[str, NDArray], source: str) -> Entry:
    """Build an entry from case.json and its arrays; SuiteError where they do not fit."""
    form = Form(source, text)
    if type(text.get("schema")) is not int or text["schema"] != SCHEMA:
        raise SuiteError(f"{source}: schema {ascii(text.get('schema')):.60}, expected {SCHEMA}")
    missing = next((name for name in NAMES if name not in arrays), None)
    if missing:
        raise SuiteError(f"{source}: no array {missing}")
    fields: dict[str, Any] = {name: arrays[name] for name in ARRAY_FIELDS}
    fields |= {n: tuple(arrays[f"{n}_{which}"] for which in CHOICES) for n in NOISE_FIELDS}
    fields |= parameters(form) | described(form)
    entry = Entry(Case(**fields), budgets(form))
    check_arrays(form, entry.case)
    expected = describe(entry)
    same_keys(form, expected)
    for name, digest in expected["sha256"].items():
        if form.get("sha256", dict, "an object").get(name) != digest:
            raise SuiteError(f"{source}: {name} has another SHA-256 than case.json says")
    form.sealed()
    return entry


@cache
def load_suite() -> tuple[Entry, ...]:
    """Return the core suite that comes with the package; SuiteError if it is damaged."""
    try:
        text = parse((HERE / TEXT).read_bytes())
        with np.load(HERE / ARRAYS, allow_pickle=False) as archive:
            stored = {name: archive[name] for name in archive.files}
    except Exception as error:  # zipfile, zlib and json name their own errors for damaged bytes
        raise SuiteError(f"{HERE / ARRAYS} or {TEXT}: damaged ({error})") from None
    form = Form(TEXT, text)
    form.sealed()
    cases = form.get("cases", list, "a list")
    return tuple(assemble(each, _arrays_of_id(stored, each["id"]), each["id"]) for each in cases)


def _arrays_of_id(stored: dict[str, NDArray], identity: str) -> dict[str, NDArray]:
    prefix = f"{identity}/"
    return {n.removeprefix(prefix): a for n, a in stored.items() if n.startswith(prefix)}
