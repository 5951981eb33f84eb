"""Make the core suite: `python -m hier_ref.oracle.generate` writes core.npz and core.json."""

import io
import json
import sys
from dataclasses import replace
from typing import Any

import numpy as np

from hier_ref.files import write_bytes
from hier_ref.oracle.budgets import budgets
from hier_ref.oracle.cases import CASES
from hier_ref.oracle.form import SCHEMA, seal
from hier_ref.oracle.suite import ARRAYS, CORE, HERE, TEXT, Entry, arrays_of, describe


def write(entries: list[Entry]) -> None:
    """Write the suite: arrays compressed, text readable."""
    arrays: dict[str, Any] = {
        f"{entry.case.id}/{name}": array
        for entry in entries
        for name, array in arrays_of(entry.case).items()
    }
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    write_bytes(HERE / ARRAYS, buffer.getvalue())
    cases = [describe(entry) for entry in entries]
    text = seal({"schema": SCHEMA, "suite": CORE, "cases": cases})
    write_bytes(HERE / TEXT, (json.dumps(text, indent=1) + "\n").encode())


def main() -> None:
    """Draw every case of the list, derive its budgets, write the suite."""
    entries = []
    for number, (identity, reason, flags, make) in enumerate(CASES):
        case = replace(make(number), id=identity, reason=reason, flags=flags)
        entry = Entry(case, budgets(case))
        entries.append(entry)
        least = min(value for _, value in case.margins)
        print(f"{identity:14} margin {least:8.2g}  {' '.join(entry.budgets)}", file=sys.stderr)
    write(entries)


if __name__ == "__main__":
    main()
