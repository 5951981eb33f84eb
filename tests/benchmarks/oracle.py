"""How strong the oracle is: `python tests/benchmarks/oracle.py [full] [black] [name...]`.

Every mutant is checked, as a candidate that gives all stages and as a black box that gives loss
and gradients. Prints kill, aim, names and survivors.
"""

import sys
import time
import warnings
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1])]

from candidates.mutants import MUTANTS  # noqa: E402
from candidates.plain import BLACK_BOX  # noqa: E402

from hier_ref.oracle import check, fingerprint  # noqa: E402,F401

MODULES = [sys.modules[f"hier_ref.oracle.{name}"] for name in ("check", "fingerprint")]
ANSWERS = MODULES[0].answers
KNOWN: dict = {}


def remembered(case, convention):
    """The right answers, computed once for all mutants."""
    key = case.id, case.flags, convention
    if key not in KNOWN:
        KNOWN[key] = ANSWERS(case, convention)
    return KNOWN[key]


SEARCH = sys.modules["hier_ref.oracle.search"]


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


def judged(mutant, stages):
    """Check one mutant: (caught, stage, differences of the name given or None, report)."""
    dtypes = ("float64",)
    report = check(once(mutant.candidate(stages)), name=mutant.name, dtypes=dtypes)
    best = report.explanations[0] if report.explanations else None
    name = best.differences if best and best.explains else None
    return report.verdict != "conforms", report.first, name, report


def right_name(mutant, name):
    """Whether the name given is that of the mutant: its field alone, at its value."""
    field, value = mutant.named
    if name is None or set(name) != {field}:
        return False
    given = name[field][1]
    return given == value or (isinstance(value, float) and abs(given / value - 1) < 0.2)


def measure(form, names):
    """Print a line for every mutant that is not judged as it should, then the figures."""
    stages = BLACK_BOX if form == "black" else None
    chosen = [m for m in MUTANTS if not names or m.name in names]
    if form == "black":
        chosen = [m for m in chosen if m.black_box_stage]
    caught = aimed = named = top = wrong_names = 0
    start = time.process_time()
    for mutant in chosen:
        kill, first, name, report = judged(mutant, stages)
        true = mutant.black_box_stage if form == "black" else mutant.stage
        good_name = right_name(mutant, name) if mutant.named else name is None
        caught += kill
        aimed += kill and first == true
        named += bool(mutant.named)
        top += bool(mutant.named) and good_name
        wrong_names += mutant.named is None and name is not None
        if names or not (kill and first == true and good_name):
            print(
                f"  {mutant.name:20} {report.verdict:18} first {first or '-':14} true {true:14} "
                f"name {name} {report.troubles[:1]}",
                flush=True,
            )
    took = time.process_time() - start
    print(
        f"{form}: {len(chosen)} mutants, caught {caught}, stage right {aimed}, "
        f"conventions {named}, named right {top}, wrong names {wrong_names}, {took:.0f} s"
    )


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    for module in MODULES:
        module.answers = remembered
    SEARCH.Graph = Remembering
    forms = [a for a in sys.argv[1:] if a in ("full", "black")] or ["full", "black"]
    for form in forms:
        measure(form, [a for a in sys.argv[1:] if a not in ("full", "black")])
