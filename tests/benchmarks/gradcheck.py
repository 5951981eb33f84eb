"""What gradient checking says of HIER: `python tests/benchmarks/gradcheck.py`.

A gradient passes if it agrees with five-point differences of its own loss to 1e-5, in four random
directions in two cases. Asked of the right candidate, and of every mutant with both surrogates
taken out, since a gradient check can pass nothing that has them.
"""

import sys
import warnings
from dataclasses import replace
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2])]

import numpy as np  # noqa: E402
from candidates.mutants import MUTANTS, straight  # noqa: E402
from candidates.plain import Plain  # noqa: E402

from hier_ref.oracle import load_suite  # noqa: E402

CASES = [entry.case for entry in load_suite() if entry.case.id in ("std-00", "clipped")]


def passes(kind, case, step=1e-5, directions=4):
    """Whether gradient and differences of one class agree on one case."""
    one = kind(case)
    found = one.backwards(one.forwards())
    rng = np.random.default_rng(0)
    for field, gradient in (("x", "grad_x"), ("proxies", "grad_proxies")):
        for _ in range(directions):
            v = rng.standard_normal(found[gradient].shape)

            def loss(t, field=field, v=v):
                moved = replace(case, **{field: getattr(case, field) + t * v})
                return float(kind(moved).forwards()["loss"])

            near, far = loss(step) - loss(-step), loss(2 * step) - loss(-2 * step)
            difference = (8 * near - far) / (12 * step)
            size = np.linalg.norm(found[gradient])
            if not abs(np.sum(v * found[gradient]) - difference) <= 1e-5 * max(size, 1e-12):
                return False
    return True


def main():
    """Print the verdict on the right candidate, and which mutants pass."""
    warnings.simplefilter("ignore")
    bare = {"pick": straight(0.0, 0.0)}
    right = {"right": Plain, "right without surrogates": type("Bare", (Plain,), bare)}
    for name, kind in right.items():
        print(name, "passes" if all(passes(kind, case) for case in CASES) else "is rejected")
    passed = []
    for mutant in MUTANTS:
        kind = type("Wrong", (Plain,), bare | mutant.hooks)
        if all(passes(kind, case) for case in CASES):
            passed.append(mutant.name)
    print(f"{len(passed)} of {len(MUTANTS)} mutants pass:", *passed)


if __name__ == "__main__":
    main()
