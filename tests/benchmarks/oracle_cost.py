"""Seconds of a verdict: `python tests/benchmarks/oracle_cost.py [NUMBER]`.

Black boxes that no convention explains, the given number of them drawn from the later mutants, and
right candidates in NumPy, each asked twice in both dtypes by the whole suite. Printed: seconds of
the processor and of the clock, the median and the most of each, and how busy the machine was.
"""

import os
import sys
import time
import warnings
from pathlib import Path

import numpy as np

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2])]

from candidates.plain import BLACK_BOX, candidate  # noqa: E402
from oracle import BY_NAME, HALVES  # noqa: E402

from hier_ref.oracle import check, reference  # noqa: E402

LATER = ("wider", "latest", "fresh", "last")


def nameless(number, rng):
    """Names of mutants that are no convention and show in a black box, at random."""
    mutants = [mutant for half in LATER for mutant in HALVES[half]]
    names = [m.name for m in mutants if not m.named and m.black_box_stage and not m.hidden]
    return list(rng.choice(names, number, replace=False))


def seconds(asked):
    """Check a candidate: its verdict, and the seconds of the processor and of the clock."""
    busy, start = time.process_time(), time.perf_counter()
    verdict = check(asked).verdict
    return verdict, time.process_time() - busy, time.perf_counter() - start


def measure(kind, candidates):
    """Print a line for each candidate of a kind, and one for all."""
    rows = []
    for name, asked in candidates.items():
        verdict, *spent = seconds(asked)
        rows.append(spent)
        print(f"  {name:28} {verdict:20} {spent[0]:6.1f} s, {spent[1]:6.1f} s", flush=True)
    middle, most = np.median(rows, axis=0), np.max(rows, axis=0)
    print(f"{kind}: processor {middle[0]:.1f} s, at most {most[0]:.1f};", end=" ")
    print(f"clock {middle[1]:.1f} s, at most {most[1]:.1f} ({len(rows)} candidates)", flush=True)


def main(number):
    """Print both kinds."""
    print(f"load of {os.cpu_count()} cores: {os.getloadavg()[0]:.1f}")
    measure("right", {"reference": reference, "written out": candidate(stages=BLACK_BOX)})
    names = nameless(number, np.random.default_rng(0))
    measure("unexplained", {name: BY_NAME[name].candidate(BLACK_BOX) for name in names})


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    np.seterr(all="ignore")
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20)
