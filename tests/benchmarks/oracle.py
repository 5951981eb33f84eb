"""How strong the oracle is: `python tests/benchmarks/oracle.py [--jobs N] [MUTANT...]`.

Every published mutant is checked in float64, as a candidate that gives all stages and as a black
box that gives loss and gradients. Prints a line for each that is not judged as it should be. Once
all are measured, docs/oracle.jsonl holds a line for each; oracle_tables.py makes the tables of it.
"""

import argparse
import json
import sys
import time
import warnings
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2])]

from candidates.later import LATER  # noqa: E402
from candidates.mutants import MUTANTS  # noqa: E402
from candidates.plain import BLACK_BOX  # noqa: E402

import hier_ref.oracle  # noqa: E402
from hier_ref.files import write_bytes  # noqa: E402

BY_NAME = {mutant.name: mutant for mutant in (*MUTANTS, *LATER)}
FORMS = {"stages": None, "black box": BLACK_BOX}
RESULTS = Path(__file__).resolve().parents[2] / "docs" / "oracle.jsonl"
CHECK, FINGERPRINT, SEARCH = (
    sys.modules[f"hier_ref.oracle.{name}"] for name in ("check", "fingerprint", "search")
)
ANSWERS = CHECK.answers
KNOWN: dict = {}


def remembered(case, convention):
    """The right answers, computed once for all mutants."""
    key = case.id, case.flags, convention
    if key not in KNOWN:
        KNOWN[key] = ANSWERS(case, convention)
    return KNOWN[key]


class Remembering(SEARCH.Graph):
    """What follows from the inputs alone, computed once for all mutants."""

    def follows(self, stage):
        if not set(self.given) <= set(BLACK_BOX):
            return super().follows(stage)
        key = self.case.id, stage, self.convention
        if key not in KNOWN:
            KNOWN[key] = super().follows(stage)
        return KNOWN[key]


def once(candidate):
    """A candidate that computes each case once; the oracle asks twice."""
    given = {}

    def ask(case):
        key = case.id, case.x.dtype
        if key not in given:
            given[key] = candidate(case)
        return given[key]

    return ask


def prepare():
    """Let the oracle remember what is the same for all mutants: only time changes."""
    warnings.simplefilter("ignore")
    CHECK.answers = FINGERPRINT.answers = remembered
    SEARCH.Graph = Remembering


def judged(name, form):
    """Check one mutant; a line of results."""
    mutant = BY_NAME[name]
    candidate = once(mutant.candidate(FORMS[form]))
    report = hier_ref.oracle.check(candidate, name=name, dtypes=("float64",))
    best = report.explanations[0] if report.explanations else None
    named = {field: new for field, (_, new) in best.differences.items()} if best else None
    return {
        "mutant": name,
        "form": form,
        "verdict": report.verdict,
        "first": report.first,
        "named": named if best and best.explains else None,
    }


def true_stage(row):
    """The first wrong stage that a form of a mutant gives; None where it gives none."""
    mutant = BY_NAME[row["mutant"]]
    return mutant.stage if row["form"] == "stages" else mutant.black_box_stage


def caught(row):
    """Whether a mutant was caught."""
    return row["verdict"] != "conforms"


def aimed(row):
    """Whether a mutant was caught in the right stage."""
    return caught(row) and row["first"] == true_stage(row)


def well_named(row):
    """Whether the right convention was named, or none for what is none."""
    mutant, named = BY_NAME[row["mutant"]], row["named"]
    if mutant.named is None:
        return named is None
    field, value = mutant.named
    if named is None or set(named) != {field}:
        return False
    return named[field] == value or (
        isinstance(value, float) and abs(named[field] / value - 1) < 0.2
    )


def measure(names, jobs):
    """Yield a line for each mutant and form, with the time left on the way."""
    asked = [
        (name, form)
        for form in FORMS
        for name in names
        if true_stage({"mutant": name, "form": form})
    ]
    start = time.time()
    with ProcessPoolExecutor(jobs, initializer=prepare) as pool:
        for number, row in enumerate(pool.map(judged, *zip(*asked, strict=True)), 1):
            left = (time.time() - start) / number * (len(asked) - number)
            if not (aimed(row) and well_named(row)):
                print(f"{number}/{len(asked)}, {left:.0f} s left:", *row.values(), flush=True)
            yield row


def main():
    """Measure all mutants, or those named."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="MUTANT")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    args = parser.parse_args()
    if unknown := sorted(set(args.names) - set(BY_NAME)):
        parser.error(f"no such mutant: {' '.join(unknown)}")
    rows = list(measure(args.names or BY_NAME, args.jobs))
    for form in FORMS:
        some = [row for row in rows if row["form"] == form]
        right = (sum(map(judge, some)) for judge in (caught, aimed, well_named))
        print(f"{form}: {len(some)} mutants; caught, located, named or left: ", *right)
    if not args.names:
        write_bytes(RESULTS, "".join(json.dumps(row) + "\n" for row in rows).encode())


if __name__ == "__main__":
    main()
