"""How often the oracle blames a right candidate: `python tests/benchmarks/peace.py [VARIANTS]`.

Writes docs/peace.json. Variants of `tests/candidates/benign.py`: every form under every
rearrangement, with one seed after another, each in both dtypes, on four cases of the core suite and
two fresh ones in turn. The first variants of each form see the whole suite. A third of all follow
other conventions, one field each, in another arithmetic than the reference, and declare them.
"""

import json
import sys
import time
import warnings
from dataclasses import replace
from itertools import count, islice, product
from pathlib import Path

import numpy as np

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2])]

from candidates.benign import FORMS, REARRANGED, under, variant  # noqa: E402

from hier_ref.convention import EXACT, RELEASED  # noqa: E402
from hier_ref.files import write_bytes  # noqa: E402
from hier_ref.oracle import check, load_suite, reference  # noqa: E402
from hier_ref.oracle.budgets import budgets  # noqa: E402
from hier_ref.oracle.drawing import drawn  # noqa: E402
from hier_ref.oracle.suite import Entry  # noqa: E402
from hier_ref.oracle.textbook import by_autograd, distances, textbook  # noqa: E402

RESULTS = Path(__file__).resolve().parents[2] / "docs" / "peace.json"

OTHER = {
    "curvature_dtype": "float32",
    "same_class_first": False,
    "noise_tempered": True,
    "proxy_may_be_own_ancestor": False,
    "same_lca_mask": False,
    "mean_over": "apart",
    "straight_through": False,
    "max_tie": "first",
}
FRESH = [{}, {"c": 1.0, "clip_radius": 1.5}, {"tau": 0.05}, {"dim": 17}, {"size": 4.0}, {"p": 11}]


def fresh(number):
    """Draw cases that are not in the suite, with budgets of their own."""
    for seed in range(number):
        case = drawn(10_000 + seed, **FRESH[seed % len(FRESH)])
        yield Entry(replace(case, id=f"fresh-{seed}"), budgets(replace(case, id="fresh")))


def variants():
    """Yield (form, rearrangement, seed), without end."""
    for seed in count():
        for form, rearranged in product(FORMS, REARRANGED):
            yield form, rearranged, seed


def conventions():
    """One field of EXACT at a time, at its released or its other value; and RELEASED."""
    named = {"RELEASED": RELEASED}
    for name in vars(EXACT):
        released = getattr(RELEASED, name)
        value = OTHER.get(name, released)
        named[f"{name} = {value}"] = replace(EXACT, **{name: value})
    return named


def follower(convention, number):
    """A right candidate of a convention, in one of the arithmetics that it leaves open."""
    arithmetics = distances(convention)
    each = textbook(convention, arithmetics[number % len(arithmetics)])

    def candidate(case):
        try:
            stages = reference(case, each)
        except ValueError:  # its float32 has a point on the boundary, where no distance is asked
            return reference(case, convention)
        return stages | by_autograd(case, each, stages)

    return candidate


def everyone(wanted):
    """Yield (form, what else, candidate, declared, whether it sees the whole suite)."""
    for form, rearranged, seed in islice(variants(), wanted - wanted // 3):
        whole = seed == 0 and (rearranged == "as-is" or form == "plain")
        yield form, (rearranged, seed), variant(form, rearranged, seed), EXACT, whole
    named = conventions().items()
    ways = ((seed, *way) for seed in count() for way in product(REARRANGED, named))
    for seed, rearranged, (name, convention) in islice(ways, wanted // 3):
        right = under(follower(convention, seed), rearranged, seed)
        whole = seed == 0 and rearranged == "as-is"
        yield "declared", (name, rearranged, seed), right, convention, whole


def main(wanted):
    """Check the wanted number of variants; print every alarm, keep the count of each form."""
    core, new, start = load_suite(), list(fresh(24)), time.time()
    kinds = (*FORMS, "declared")
    table = {form: {"variants": 0, "whole": 0, "alarms": 0, "largest": 0.0} for form in kinds}
    for number, (form, what, candidate, declared, everything) in enumerate(everyone(wanted)):
        some = [core[(4 * number + n) % len(core)] for n in range(4)]
        suite = core if everything else [*some, *(new[(2 * number + n) % 24] for n in (0, 1))]
        report, counts = check(candidate, suite, convention=declared), table[form]
        counts["variants"] += 1
        counts["whole"] += everything
        counts["largest"] = max(counts["largest"], *(round(f.times, 3) for f in report.findings))
        if report.verdict != "conforms":
            counts["alarms"] += 1
            print(form, what, report.verdict, report.troubles[:1], flush=True)
            for finding in sorted(report.failed(), key=lambda f: -f.times)[:3]:
                print("   ", finding.case, finding.dtype, finding.stage, f"{finding.times:.2g}")
        if number % 50 == 49:
            left = (time.time() - start) / (number + 1) * (wanted - number - 1)
            print(f"{number + 1}/{wanted}, {left:.0f} s left", file=sys.stderr, flush=True)
    write_bytes(RESULTS, (json.dumps(table, indent=1) + "\n").encode())
    for name in ("variants", "whole", "alarms"):
        print(name, sum(counts[name] for counts in table.values()))


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    np.seterr(all="ignore")
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1500)
