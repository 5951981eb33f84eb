"""How often the oracle blames a right candidate: `python tests/benchmarks/peace.py [VARIANTS]`.

Writes docs/peace.json. Variants of `tests/candidates/benign.py`: every form under every
rearrangement, with one seed after another, each in both dtypes, on four cases of the core suite and
two fresh ones in turn. The first variants of each form see the whole suite.
"""

import json
import sys
import time
import warnings
from dataclasses import replace
from itertools import count, islice, product
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2])]

from candidates.benign import FORMS, REARRANGED, variant  # noqa: E402

from hier_ref.files import write_bytes  # noqa: E402
from hier_ref.oracle import check, load_suite  # noqa: E402
from hier_ref.oracle.cases import drawn  # noqa: E402
from hier_ref.oracle.generate import budgets  # noqa: E402
from hier_ref.oracle.suite import Entry  # noqa: E402

RESULTS = Path(__file__).resolve().parents[2] / "docs" / "peace.json"

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
    """Check the wanted number of variants; print every alarm, keep the count of each form."""
    core, new, start = load_suite(), list(fresh(24)), time.time()
    table = {form: {"variants": 0, "whole": 0, "alarms": 0, "largest": 0.0} for form in FORMS}
    for number, (form, rearranged, seed) in enumerate(islice(variants(), wanted)):
        everything = seed == 0 and (rearranged == "as-is" or form == "plain")
        some = [core[(4 * number + n) % len(core)] for n in range(4)]
        suite = core if everything else [*some, *(new[(2 * number + n) % 24] for n in (0, 1))]
        report, counts = check(variant(form, rearranged, seed), suite), table[form]
        counts["variants"] += 1
        counts["whole"] += everything
        counts["largest"] = max(counts["largest"], *(round(f.times, 3) for f in report.findings))
        if report.verdict != "conforms":
            counts["alarms"] += 1
            print(form, rearranged, seed, report.verdict, report.troubles[:1], flush=True)
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
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
