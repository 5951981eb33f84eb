"""Turn what oracle.py and peace.py measured into tables: python tests/benchmarks/oracle_tables.py.

Writes each between its marks in docs/13-oracle.md and docs/17-mutants.md; a test compares them.
"""

import json
import re

import numpy as np
from oracle import (
    BY_NAME,
    FORMS,
    HALVES,
    RESULTS,
    aimed,
    caught,
    names_of,
    true_stage,
    well_named,
)
from peace import RESULTS as PEACE

from hier_ref.oracle import load_suite
from hier_ref.oracle.stages import INTEGER, NEEDS

DOCS = RESULTS.parent
CHAPTERS = ("13-oracle.md", "17-mutants.md")


def read():
    """The measured lines, one for each mutant and form."""
    return [json.loads(line) for line in RESULTS.read_text().splitlines()]


def markdown(heads, lines):
    """A table."""
    rows = [heads, ["---"] * len(heads), *(list(map(str, line)) for line in lines)]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def share(judge, rows):
    """How many rows a judge finds right, and what part of all that is."""
    right = sum(map(judge, rows))
    return f"{right} of {len(rows)} ({right / len(rows):.1%})"


def table_power():
    """Kill, aim and names, for each half of the mutants and each form."""
    lines = []
    for half, mutants in HALVES.items():
        for form in FORMS:
            names = {mutant.name for mutant in mutants}
            rows = [row for row in read() if row["form"] == form and row["mutant"] in names]
            if rows:
                conventions = [row for row in rows if BY_NAME[row["mutant"]].named]
                others = [row for row in rows if not BY_NAME[row["mutant"]].named]
                seen = share(caught, rows), share(aimed, [row for row in rows if caught(row)])
                wrong = sum(not well_named(row) for row in others)
                named = share(well_named, conventions) if conventions else ""
                lines.append([half, form, *seen, named, f"{wrong} of {len(others)}"])
    heads = ("mutants", "it gives", "caught", "right stage", "right name", "named, without one")
    return markdown(heads, lines)


def table_missed():
    """Every mutant that was not judged as it should be."""
    lines = []
    for row in read():
        name, change, *_, hidden = BY_NAME[row["mutant"]]
        if not caught(row):
            lines.append([f"`{name}`", change, row["form"], "not caught", hidden])
        elif not aimed(row) or not well_named(row):
            found = (
                f"first `{row['first']}`, is `{true_stage(row)}`; named {row['named'] or 'none'}"
            )
            lines.append([f"`{name}`", change, row["form"], found, hidden])
    return markdown(("mutant", "what it changes", "it gives", "found", "why"), lines)


def table_peace():
    """Right variants, by form."""
    table = json.loads(PEACE.read_text())
    names = ("variants", "whole", "alarms")
    lines = [
        [f"`{form}`", *(counts[name] for name in names), f"{counts['largest']:.2f}"]
        for form, counts in table.items()
    ]
    total = [sum(counts[name] for counts in table.values()) for name in names]
    largest = max(counts["largest"] for counts in table.values())
    lines.append(["all", *total, f"{largest:.2f}"])
    heads = ("form", "variants", "of these on the whole suite", "false alarms", "largest error")
    return markdown(heads, lines)


def table_budgets():
    """Budgets of the core suite by stage and dtype: median and largest, and how many there are."""
    lines = []
    for stage in (stage for stage in NEEDS if stage not in INTEGER):
        line = [f"`{stage}`"]
        for dtype in ("float64", "float32"):
            found = [
                e.budgets[dtype][stage] for e in load_suite() if stage in e.budgets.get(dtype, ())
            ]
            line += [f"{np.median(found):.1e}", f"{max(found):.1e}", len(found)]
        lines.append(line)
    heads = ("stage", "float64: median", "largest", "cases", "float32: median", "largest", "cases")
    return markdown(heads, lines)


def table_mutants():
    """All mutants: what each changes, where, which convention it is, and what was found."""
    found = {(row["mutant"], row["form"]): row for row in read()}
    lines = []
    for mutant in BY_NAME.values():
        named = ", ".join(f"`{field} = {value}`" for field, value in names_of(mutant).items())
        line = [f"`{mutant.name}`", mutant.change, f"`{mutant.stage}`", named]
        for form in FORMS:
            row = found.get((mutant.name, form))
            line.append(_judgement(row) if row else "not asked")
        lines.append([cell.replace("|", "\\|") for cell in line])
    heads = ("mutant", "what it changes", "first wrong stage", "convention", *FORMS)
    return markdown(heads, lines)


def _judgement(row):
    if not caught(row):
        return "**not caught**"
    right = aimed(row) and well_named(row)
    said = "named" if row["named"] else row["verdict"]
    return said if right else f"**{said}**, first `{row['first']}`"


TABLES = {
    "power": table_power,
    "missed": table_missed,
    "peace": table_peace,
    "budgets": table_budgets,
    "mutants": table_mutants,
}


def filled(text):
    """A chapter with its tables made anew."""

    def table(found):
        return f"{found[1]}{TABLES[found[2]]()}{found[3]}"

    return re.sub(r"(<!-- oracle: (\w+) -->\n).*?(<!-- end -->\n)", table, text, flags=re.DOTALL)


def main():
    """Write the tables into the chapters."""
    for path in (DOCS / name for name in CHAPTERS):
        path.write_text(filled(path.read_text()))


if __name__ == "__main__":
    main()
