"""Cases drawn at random: again and again, until all choices are clear of a tie.

So that rounding cannot turn a choice. Exact ties are cases of their own (`cases.py`).
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from hier_ref.convention import EXACT, Convention
from hier_ref.hier import hier_stages, to_ball
from hier_ref.oracle.case import Case
from hier_ref.oracle.stages import PAIRS
from hier_ref.pairwise import pairwise_distance
from hier_ref.triplets import LEVELS, sample_draws

FLOOR = 2e-4  # least margin of a case that is not a tie


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
    z, l = (to_ball(a, c, clip_radius) for a in (x, proxies))
    labels = np.arange(b) // 2
    draws = sample_draws(
        rng,
        pairwise_distance(z, z, c),
        pairwise_distance(l, l, c),
        labels,
        neighbours=neighbours,
        per_anchor=per_anchor,
        convention=mined,
    )
    given: dict[str, Any] = {"c": c, "clip_radius": clip_radius, "neighbours": neighbours * asked}
    for level in LEVELS:
        triplets, _ = draws.level(level)
        shape, path = (len(triplets), p), [draws.seed, LEVELS.index(level)]
        given[f"triplets_{level}"] = triplets
        given[f"gumbel_{level}"] = tuple(_gumbel([*path, choice], shape) for choice in (0, 1))
    return Case(x, labels, proxies, **given, **parameters)


def _gumbel(seed: list[int], size: tuple[int, int]) -> NDArray:
    """Draw Gumbel noise in a way of its own: cases stay when the noise of training changes."""
    times = np.random.default_rng(seed).standard_exponential(size)
    return _short(-np.log(np.maximum(times, np.finfo(float).tiny ** 0.4)))


def _short(array: NDArray) -> NDArray:
    return array.astype(np.float32).astype(np.float64)


def margins(case: Case) -> dict[str, float]:
    """Return how far the case is from the nearest tie: of a choice, of a hinge, of a rank."""
    s = hier_stages(case.x, case.proxies, case.draws, EXACT, **case.parameters)
    least = {"lca": np.inf, "hinge": np.inf, "rank": np.inf}
    for level in LEVELS:
        for name, rows in _margins_of(case, s, level).items():
            least[name] = min(least[name], np.min(rows, initial=np.inf))
        among = np.sort(s["d_zz" if level == "data" else "d_ll"], axis=1)
        k = case.neighbours
        for place in (k - 1, k, k + 1) if k else ():
            if 0 < place < among.shape[1]:
                least["rank"] = min(least["rank"], np.min(among[:, place] - among[:, place - 1]))
    return {name: float(value) for name, value in least.items()}


def _margins_of(case: Case, s: dict, level: str) -> dict[str, NDArray]:
    """Return how far each triplet (T,) of a level is from a tie of its choices, of its hinges."""
    triplets, noise = case.draws.level(level)
    d = s[PAIRS[level]]
    least = {name: np.full(len(triplets), np.inf) for name in ("lca", "hinge")}
    for size, gumbel in zip((2, 3), noise or (), strict=True):
        far = np.max([d[triplets[:, member]] for member in range(size)], axis=0)
        logits = np.sort(gumbel - far / case.tau, axis=1)
        if logits.shape[1] > 1:
            least["lca"] = np.minimum(least["lca"], logits[:, -1] - logits[:, -2])
    pair, triple = s[f"lca_pair_{level}"], s[f"lca_triple_{level}"]
    for member, sign in ((0, 1), (1, 1), (2, -1)):
        rows = triplets[:, member]
        inside = np.abs(case.margin + sign * (d[rows, pair] - d[rows, triple]))
        least["hinge"] = np.minimum(least["hinge"], np.where(pair == triple, np.inf, inside))
    return least


def clear(case: Case, floor: float = FLOOR) -> Case:
    """Leave out the triplets that are nearer to a tie: of thousands some always are."""
    s = hier_stages(case.x, case.proxies, case.draws, EXACT, **case.parameters)
    kept: dict[str, Any] = {}
    for level in LEVELS:
        rows = np.min(list(_margins_of(case, s, level).values()), axis=0) >= floor
        kept[f"triplets_{level}"] = getattr(case, f"triplets_{level}")[rows]
        kept[f"gumbel_{level}"] = tuple(g[rows] for g in getattr(case, f"gumbel_{level}"))
    return replace(case, **kept)


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
