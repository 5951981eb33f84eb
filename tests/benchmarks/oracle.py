"""How strong the oracle is: `python tests/benchmarks/oracle.py [--jobs N] [MUTANT...]`.

Every published mutant is checked, as a candidate that gives all stages and as a black box with
loss and gradients: the first 258 in float64, the others in both dtypes. Prints each that
is not judged as it should be. Once all are measured, docs/oracle.jsonl holds a line for each, of
which oracle_tables.py makes tables; a run that was stopped goes on where it was.
"""

import argparse
import json
import sys
import time
import warnings
from concurrent.futures import ProcessPoolExecutor
from functools import lru_cache
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2])]

from candidates.fresh import FRESH  # noqa: E402
from candidates.last import LAST  # noqa: E402
from candidates.later import LATER  # noqa: E402
from candidates.latest import LATEST  # noqa: E402
from candidates.mutants import MUTANTS  # noqa: E402
from candidates.plain import BLACK_BOX  # noqa: E402
from candidates.wider import WIDER  # noqa: E402

import hier_ref.oracle  # noqa: E402
from hier_ref.files import write_bytes  # noqa: E402

HALVES = {
    "first": (*MUTANTS, *LATER),
    "wider": WIDER,
    "latest": LATEST,
    "fresh": FRESH,
    "last": LAST,
}
BY_NAME = {mutant.name: mutant for half in HALVES.values() for mutant in half}
BOTH = {mutant.name for mutant in (*WIDER, *LATEST, *FRESH, *LAST)}  # asked in both dtypes
FORMS = {"stages": None, "black box": BLACK_BOX}
RESULTS = Path(__file__).resolve().parents[2] / "docs" / "oracle.jsonl"
CHECK, FINGERPRINT, SEARCH = (
    sys.modules[f"hier_ref.oracle.{name}"] for name in ("check", "fingerprint", "search")
)
ANSWERS = CHECK.answers
KNOWN: dict = {}


def remembered(case, convention):
    """The right answers, computed once for all mutants."""
    key = case.id, case.flags, tuple(case.parameters.values()), convention
    if key not in KNOWN:
        KNOWN[key] = ANSWERS(case, convention)
    return KNOWN[key]


class Remembering(SEARCH.Graph):
    """What follows from the inputs alone, computed once for all mutants."""

    def __init__(self, case, convention, given):
        super().__init__(case, convention, given)
        if self.supplied <= set(BLACK_BOX):
            self.memory = KNOWN.setdefault(case.id, {})


@lru_cache(1)
def given_by(name):
    """What a mutant has answered so far: case and dtype -> all stages."""
    return {}


def once(name, stages):
    """A mutant that computes each case once: the oracle asks twice, and in two forms."""
    candidate, given = BY_NAME[name].candidate(), given_by(name)

    def ask(case):
        key = case.id, case.x.dtype
        if key not in given:
            given[key] = candidate(case)
        return {stage: given[key][stage] for stage in stages or given[key]}

    return ask


def prepare():
    """Let the oracle remember what is the same for all mutants: only time changes."""
    warnings.simplefilter("ignore")
    CHECK.answers = FINGERPRINT.answers = remembered
    SEARCH.Graph = Remembering


def judged(name, form):
    """Check one mutant; a line of results."""
    candidate = once(name, FORMS[form])
    dtypes = ("float64", "float32") if name in BOTH else ("float64",)
    report = hier_ref.oracle.check(candidate, name=name, dtypes=dtypes)
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


def names_of(mutant):
    """The fields and values of the convention that a mutant is; empty where it is none."""
    if mutant.named is None:
        return {}
    return dict(mutant.named if isinstance(mutant.named[0], tuple) else [mutant.named])


def well_named(row):
    """Whether the right convention was named, or none for what is none."""
    right, named = names_of(BY_NAME[row["mutant"]]), row["named"] or {}
    if set(named) != set(right):
        return False
    return all(
        named[field] == value or (isinstance(value, float) and abs(named[field] / value - 1) < 0.2)
        for field, value in right.items()
    )


def measure(names, jobs, part=None):
    """Yield a line for each mutant and form, with the time left on the way; part: kept lines."""
    lines = part.read_text().splitlines() if part and part.exists() else []
    kept = {(row["mutant"], row["form"]): row for row in map(json.loads, lines)}
    asked = [
        (name, form)
        for name in names
        for form in FORMS
        if true_stage({"mutant": name, "form": form})
    ]
    fresh, start = [pair for pair in asked if pair not in kept], time.time()
    yield from (kept[pair] for pair in asked if pair in kept)
    with ProcessPoolExecutor(jobs, initializer=prepare) as pool:
        for number, row in enumerate(pool.map(judged, *zip(*fresh, strict=True)), 1):
            left = (time.time() - start) / number * (len(fresh) - number)
            if not (aimed(row) and well_named(row)):
                print(f"{number}/{len(fresh)}, {left:.0f} s left:", *row.values(), flush=True)
            if part:
                with open(part, "a") as file:
                    file.write(json.dumps(row) + "\n")
            yield row


def main():
    """Measure all mutants, or those named."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="MUTANT")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    args = parser.parse_args()
    if unknown := sorted(set(args.names) - set(BY_NAME)):
        parser.error(f"no such mutant: {' '.join(unknown)}")
    part = None if args.names else RESULTS.with_suffix(".part")
    rows = list(measure(args.names or BY_NAME, args.jobs, part))
    for form in FORMS:
        some = [row for row in rows if row["form"] == form]
        right = (sum(map(judge, some)) for judge in (caught, aimed, well_named))
        print(f"{form}: {len(some)} mutants; caught, located, named or left: ", *right)
    if not args.names:
        write_bytes(RESULTS, "".join(json.dumps(row) + "\n" for row in rows).encode())
        part.unlink()


if __name__ == "__main__":
    main()
