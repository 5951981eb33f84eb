"""Seals: digests that say which run a file belongs to, and that it is as it was written.

A run is known by its configuration and the content of its features. Arrays and evaluations carry
that identity and a digest of their own; readers check both. Described in
docs/appendix-files-of-a-run.md.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from hier_ref.features.arrays import forget
from hier_ref.features.contract import CONTRACT, Features
from hier_ref.files import FileError

Arrays = dict[str, NDArray]
RUN, SEAL = "run", "sha256"
BLOCK = 2**24  # bytes looked at together


def digest(features: Features) -> str:
    """Return the SHA-256 of everything that a features file says (N, F), names and paths too."""
    given = {key: getattr(features, key) for key in CONTRACT}
    return arrays_digest({key: array for key, array in given.items() if array is not None})


def arrays_digest(arrays: Mapping[str, NDArray]) -> str:
    """Return the SHA-256 of arrays: their names, types, shapes and values, any memory order."""
    sha = hashlib.sha256()
    for key, array in arrays.items():
        sha.update(f"{key} {array.dtype.str} {array.shape}".encode())
        for part in np.array_split(array, max(1, array.nbytes // BLOCK)) if array.ndim else [array]:
            flat = np.ascontiguousarray(part).reshape(-1)
            sha.update(flat.view(np.uint8).data if flat.nbytes else b"")
            forget(array)
    return sha.hexdigest()


def json_digest(content: object) -> str:
    """Return the SHA-256 of a value in one form of JSON, whatever its spaces and order of keys."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def sealed(content: dict) -> dict:
    """Add its own digest to what a JSON file says."""
    return content | {SEAL: json_digest(content)}


def unsealed(content: object, source: str) -> dict:
    """Return the content of `sealed`; FileError if it has changed since."""
    if not isinstance(content, dict) or SEAL not in content:
        raise FileError(f"{source}: found no {SEAL}, expected the file as a run wrote it")
    rest = {name: value for name, value in content.items() if name != SEAL}
    if content[SEAL] != json_digest(rest):
        raise FileError(f"{source}: found another {SEAL} than its content has; it was changed")
    return rest


def sealed_arrays(arrays: Arrays, run: str) -> Arrays:
    """Add the identity of a run, and a digest of both, to the arrays of a file."""
    named = arrays | {RUN: np.array(run)}
    return named | {SEAL: np.array(arrays_digest(named))}


def unsealed_arrays(arrays: Arrays, run: str, source: str) -> Arrays:
    """Return the arrays of `sealed_arrays`; FileError if they changed or are of another run."""
    found = str(arrays.get(RUN, "none")), str(arrays.get(SEAL, "none"))
    named = {name: array for name, array in arrays.items() if name != SEAL}
    if SEAL not in arrays or found[1] != arrays_digest(named):
        raise FileError(f"{source}: found another {SEAL} than its arrays have; it was changed")
    if found[0] != run:
        raise FileError(
            f"{source}: found arrays of run {found[0][:12]}, expected those of {run[:12]}, "
            "which config.json describes"
        )
    return {name: array for name, array in named.items() if name != RUN}


def chained(rows: Iterable[dict], run: str) -> list[dict]:
    """Seal each row over all before it, the first over the run: none can change or move alone."""
    sealed_rows, before = [], run
    for row in rows:
        before = json_digest([before, row])
        sealed_rows.append(row | {SEAL: before})
    return sealed_rows


def unchained(rows: list, run: str, source: str) -> list[dict]:
    """Return the rows of `chained`; FileError, with the line, if one changed or moved."""
    found = [row if isinstance(row, dict) else {} for row in rows]
    plain = [{name: value for name, value in row.items() if name != SEAL} for row in found]
    for number, (row, right) in enumerate(zip(found, chained(plain, run), strict=True), start=1):
        if row.get(SEAL) != right[SEAL]:
            raise FileError(
                f"{source}: line {number}: found another {SEAL} than its content and the lines "
                "before it have; it was changed, or is of another run"
            )
    return plain
