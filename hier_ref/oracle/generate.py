"""Make the core suite: `python -m hier_ref.oracle.generate` writes core.npz and core.json.

Every case has a reason. Random ones are drawn again until they keep a floor under their margins,
so that rounding cannot turn a choice; exact ties are cases of their own, with swaps.
"""

import io
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from hier_ref.convention import EXACT, RELEASED, Convention
from hier_ref.files import write_bytes
from hier_ref.hier import ball_points, hier_stages
from hier_ref.oracle.case import Case, answers, reference
from hier_ref.oracle.form import SCHEMA, seal
from hier_ref.oracle.stages import INTEGER, NEEDS, PAIRS, deviation
from hier_ref.oracle.suite import ARRAYS, CORE, HERE, TEXT, Entry, arrays_of, describe
from hier_ref.oracle.textbook import by_autograd, distances, shuffled, textbook
from hier_ref.pairwise import pairwise_distance
from hier_ref.triplets import LEVELS, sample_draws

FLOOR = 2e-4  # least margin of a case that is not a tie
SAFETY = 16  # a budget is this many times the largest error of the right variants
ROUNDINGS = 256  # and at least this many eps
HOPELESS = 0.05  # budgets beyond this say that the dtype has no digits left


def random_case(
    rng: Generator,
    b: int = 12,
    p: int = 8,
    dim: int = 6,
    size: float = 1.5,
    c: float = 0.1,
    clip_radius: float = 2.3,
    neighbours: int = 4,
    per_anchor: int = 4,
    edit: Callable | None = None,
    mined: Convention = EXACT,
    asked: bool = True,
    **parameters: Any,
) -> Case:
    """Draw one case with float32-exact inputs: (b, dim) data and (p, dim) proxies.

    `edit` changes x and proxies in place; without `asked` the mining is not part of the question.
    """
    x, proxies = (_short(size * rng.standard_normal((n, dim)) / np.sqrt(dim)) for n in (b, p))
    if edit:
        edit(x, proxies)
    z, l = (ball_points(a, c, clip_radius) for a in (x, proxies))
    labels = np.arange(b) // 2
    draws = sample_draws(
        rng,
        pairwise_distance(z, z, c),
        pairwise_distance(l, l, c),
        labels,
        neighbours=neighbours,
        per_anchor=per_anchor,
        convention=mined,
        keep_noise=True,
    )
    given: dict[str, Any] = {"c": c, "clip_radius": clip_radius, "neighbours": neighbours * asked}
    for level in LEVELS:
        triplets, noise = draws.level(level)
        given[f"triplets_{level}"] = triplets
        given[f"gumbel_{level}"] = tuple(_short(g) for g in noise or ())
    return Case(x, labels, proxies, **given, **parameters)


def _short(array: NDArray) -> NDArray:
    return array.astype(np.float32).astype(np.float64)


def margins(case: Case) -> dict[str, float]:
    """Return how far the case is from the nearest tie: of a choice, of a hinge, of a rank."""
    s = hier_stages(case.x, case.proxies, case.draws, EXACT, **case.parameters)
    least = {"lca": np.inf, "hinge": np.inf, "rank": np.inf}
    for level in LEVELS:
        triplets, noise = case.draws.level(level)
        d = s[PAIRS[level]]
        for size, gumbel in zip((2, 3), noise or (), strict=True):
            far = np.max([d[triplets[:, member]] for member in range(size)], axis=0)
            logits = np.sort(gumbel - far / case.tau, axis=1)
            if len(logits) and logits.shape[1] > 1:
                least["lca"] = min(least["lca"], np.min(logits[:, -1] - logits[:, -2]))
        pair, triple = s[f"lca_pair_{level}"], s[f"lca_triple_{level}"]
        for member, sign in ((0, 1), (1, 1), (2, -1)):
            rows = triplets[:, member]
            inside = case.margin + sign * (d[rows, pair] - d[rows, triple])
            least["hinge"] = min(
                least["hinge"], np.min(np.abs(inside[pair != triple]), initial=np.inf)
            )
        among = np.sort(s["d_zz" if level == "data" else "d_ll"], axis=1)
        k = case.neighbours
        for place in (k - 1, k, k + 1) if k else ():
            if 0 < place < among.shape[1]:
                least["rank"] = min(least["rank"], np.min(among[:, place] - among[:, place - 1]))
    return {name: float(value) for name, value in least.items()}


def drawn(
    seed: int,
    waive: tuple[str, ...] = (),
    after: Callable = lambda case: case,
    floor: float = FLOOR,
    attempts: int = 2000,
    **options: Any,
) -> Case:
    """Draw cases until one keeps a floor under its margins, those in `waive` excepted.

    `after` makes the final case of a random one.
    """
    for attempt in range(attempts):
        case = after(random_case(np.random.default_rng([seed, attempt]), **options))
        found = margins(case)
        if all(value >= floor for name, value in found.items() if name not in waive):
            return replace(case, margins=tuple(found.items()))
    raise RuntimeError(f"seed {seed}: no case with margins of {floor} in {attempts} draws")


def variants(case: Case, dtype: str, convention: Convention) -> Iterator[dict[str, NDArray]]:
    """Yield right answers in other arithmetics and orders of summation."""
    rng = np.random.default_rng(0)
    case = case.astype(dtype)
    for order in (np.arange(case.x.shape[1]), *(rng.permutation(case.x.shape[1]) for _ in "ab")):
        moved = shuffled(case, order)
        for each in (convention, *(textbook(convention, name) for name in distances(convention))):
            with np.errstate(all="ignore"):
                plain = reference(moved, each)
                both = plain, plain | by_autograd(moved, each, plain)
            for stages in both:
                for name in ("z", "l", "grad_z", "grad_l", "grad_x", "grad_proxies"):
                    stages[name] = stages[name][:, np.argsort(order)]
                yield stages


def budgets(case: Case) -> dict[str, dict[str, float]]:
    """Return by dtype and stage how far a right answer may be off. (V2).

    Where right answers have no digits left, or differ in a choice, a stage is not asked.
    """
    table = {}
    for dtype in ("float32", "float64"):
        try:
            found = _budgets_in(case, dtype)
        except ValueError:  # a point rounds onto the boundary
            continue
        kept = {stage: b for stage, b in found.items() if b < HOPELESS}
        table[dtype] = {
            stage: b for stage, b in kept.items() if b or set(NEEDS[stage]) <= kept.keys()
        }
    return table


def _budgets_in(case: Case, dtype: str) -> dict[str, float]:
    worst = {stage: ROUNDINGS * float(np.finfo(dtype).eps) for stage in NEEDS}
    worst |= dict.fromkeys(INTEGER, 0.0)
    for convention in (EXACT, RELEASED):
        right = answers(case, convention)
        for stages in variants(case, dtype, convention):
            for stage in (s for s in stages if s in worst):
                off = min(deviation(case, stage, stages[stage], answer[stage]) for answer in right)
                worst[stage] = max(worst[stage], SAFETY * off)
    return worst


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
    from hier_ref.oracle.cases import CASES

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
