"""How often the oracle blames a right candidate: `python tests/benchmarks/peace.py [VARIANTS]`.

Variants of `tests/candidates/benign.py`: every form under every rearrangement, with one seed after
another, each in both dtypes, on four cases of the core suite and two fresh ones in turn. The first
variants of each form see the whole suite.
"""

import sys
import time
import warnings
from dataclasses import replace
from itertools import count, islice, product
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2])]

from candidates.benign import FORMS, REARRANGED, variant  # noqa: E402

from hier_ref.oracle import check, load_suite  # noqa: E402
from hier_ref.oracle.cases import drawn  # noqa: E402
from hier_ref.oracle.generate import budgets  # noqa: E402
from hier_ref.oracle.suite import Entry  # noqa: E402

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


def main(wanted):
    """Check the wanted number of variants; print every alarm, then the count."""
    core, new = load_suite(), list(fresh(24))
    alarms, whole, worst, start = 0, 0, 0.0, time.process_time()
    for number, (form, rearranged, seed) in enumerate(islice(variants(), wanted)):
        everything = seed == 0 and (rearranged == "as-is" or form == "plain")
        whole += everything
        some = [core[(4 * number + n) % len(core)] for n in range(4)]
        suite = core if everything else [*some, *(new[(2 * number + n) % 24] for n in (0, 1))]
        report = check(variant(form, rearranged, seed), suite)
        worst = max(worst, *(f.times for f in report.findings))
        if report.verdict != "conforms":
            alarms += 1
            failed = sorted(report.failed(), key=lambda f: -f.times)[:3]
            print(form, rearranged, seed, report.verdict, report.troubles[:1], flush=True)
            for finding in failed:
                print("   ", finding.case, finding.dtype, finding.stage, f"{finding.times:.2g}")
    took = time.process_time() - start
    print(f"{wanted} variants ({whole} on the whole suite), {alarms} false alarms, ", end="")
    print(f"largest error {worst:.2f} budgets, {took:.0f} s")


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
