"""The search for a convention, stage by stage in the order of computation.

Each supplied stage is predicted from the candidate's own earlier stages, so that what went wrong
before does not matter. Only the fields that show first in a stage may be changed to explain it;
a stage that no change explains ends the search: what is no convention gets no name.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from itertools import product

import numpy as np
from numpy.typing import NDArray

from hier_ref.convention import EXACT, RELEASED, WORDS, Convention
from hier_ref.oracle.case import Case
from hier_ref.oracle.run import Answer
from hier_ref.oracle.stages import CHANGES, NEEDS, Graph, deviation, downstream, reaching
from hier_ref.oracle.suite import Entry
from hier_ref.oracle.widened import FEW, scaled

DECADES = tuple(float(f"1e-{n}") for n in range(15, 0, -1))

# Values that are tried, beside those of the presets; then others around the best.
VALUES: dict[str, tuple] = {
    **dict.fromkeys(("clip_eps", "min_norm", "ball_margin"), DECADES),
    **dict.fromkeys(("mobius_denominator_eps", "artanh_margin"), DECADES),
    "tanh_limit": tuple(n / 2 for n in range(2, 41)),
    "min_reciprocal": (1, 2, 3),
    **WORDS,
}
# Choices hide each other: of those that reach a stage, all combinations are tried.
CHOICES: dict[str, tuple] = {
    f.name: VALUES.get(f.name, (False, True))
    for f in fields(Convention)
    if f.name in ("min_reciprocal", "mean_over") or isinstance(f.default, bool)
}


def digits(times: float) -> float:
    """Decimal digits over budget of an error in budgets: 0 within, at most 16."""
    return min(16.0, math.log10(times)) if times > 1 else 0.0


def miss(case: Case, stage: str, got: NDArray, want: NDArray, budgets: dict[str, float]) -> float:
    """Return the error of a stage of any shape in budgets."""
    off, budget = deviation(case, stage, got, want), budgets[stage]
    return off / budget if budget else (math.inf if off else 0.0)


PATIENCE = 3000  # stages that are predicted from one start before it is given up: some seconds


@dataclass
class Patience:
    """How many stages may still be predicted."""

    left: int = PATIENCE


class Probe:
    """One answer, and what a convention makes of a stage after the candidate's earlier ones."""

    def __init__(self, entry: Entry, answer: Answer, dtype: str, patience: Patience):
        """Take an entry of the suite and the answer to it."""
        self.stages, self.budgets = answer.wide(), entry.budgets[dtype]
        self.entry, self.dtype, self.patience = entry, dtype, patience
        self.graph = Graph(entry.case.astype(np.float64), EXACT, self.stages)
        self.known: dict[tuple, float] = {}

    def digits(self, stage: str, convention: Convention, own: bool = False) -> float:
        """Digits over budget that a convention leaves in one stage; 0 where it is not given.

        own: the budgets of that convention, where those of the suite are not enough.
        """
        if stage not in self.stages:
            return 0.0
        key = stage, convention, own
        if key not in self.known:
            self.known[key] = self._digits(stage, convention, own)
        return self.known[key]

    def _digits(self, stage: str, convention: Convention, own: bool) -> float:
        self.patience.left -= 1
        graph = self.graph.under(convention)
        try:
            want = graph.follows(stage)
            times = miss(graph.case, stage, self.stages[stage], want, self.budgets)
        except (ValueError, IndexError, FloatingPointError):  # no points of the ball, no proxies
            times = math.inf
        if own and times > 1:
            times = scaled(self.entry, self.dtype, stage, convention, times)
        return digits(times)


# Flags of the cases that are searched on, "" for none; at most two of each.
SEARCHED = (
    *("", "clip", "curvature", "ball_margin", "denominator", "artanh", "tanh", "min_norm"),
    *("max_tie", "own_ancestor", "mining"),
)


def probes(asked: list[tuple[Entry, Answer]], dtype: str) -> list[Probe]:
    """Take few answers that switch every branch."""
    patience = Patience()
    taken: dict[str, list[Probe]] = {flag: [] for flag in SEARCHED}
    for entry, answer in asked:
        for flag in entry.case.flags or ("",):
            if len(taken.get(flag, "full")) < 2:
                taken[flag].append(Probe(entry, answer, dtype, patience))
                break
    return [probe for found in taken.values() for probe in found]


def fitted(
    start: Convention,
    chosen: list[Probe],
    names: tuple[str, ...] = tuple(CHANGES),
    most: int = PATIENCE,
) -> Convention:
    """Change some fields of a convention until it explains stage after stage, as far as that goes.

    If what shows first in a stage does not explain it, all that reaches it may: a change may be
    too small to be seen in the loss, and not in its gradient. After `most` predictions it ends.
    """
    patience = chosen[0].patience
    patience.left = most
    supplied = [stage for stage in NEEDS if any(stage in probe.stages for probe in chosen)]
    for number, stage in enumerate(supplied, 1):
        first = [name for name in names if stage in _shows(name, supplied)]
        every = [name for name in names if name in reaching(stage, frozenset(supplied))]
        by_itself = set().union(*(CHANGES[name] for name in first))
        stages = [s for s in supplied[:number] if s == stage or s in by_itself]
        end, left = _descend(start, stages, first, chosen)
        if left and len(every) > len(first):
            end, left = _descend(start, supplied[:number], every, chosen)
        start = end
        if left or patience.left <= 0:
            break
    return start


def _shows(field: str, supplied: list[str]) -> list[str]:
    """Supplied stages in which a field shows first or by itself."""
    reached = downstream(CHANGES[field])
    first = next((stage for stage in supplied if stage in reached), None)
    return [stage for stage in supplied if stage == first or stage in CHANGES[field]]


def _descend(
    here: Convention, stages: list[str], names: list[str], chosen: list[Probe]
) -> tuple[Convention, float]:
    """Change one field at a time, each time the one that explains most of some stages."""

    def left(
        each: Convention,
        some: list[Probe] = chosen,
        of: list[str] = stages,
        below: float = math.inf,
    ) -> float:
        """Digits over budget, summed; no more is looked at than shows that they are too many."""
        total = 0.0
        for probe, stage in product(some, of):
            if total < below:
                total += probe.digits(stage, each)
        return total

    if (least := left(here, chosen[:2])) and set(names) & set(CHOICES):
        for other in _choices(here, names):
            if (cost := left(other, chosen[:2], below=least)) < least:
                here, least = other, cost
        if left(here, chosen[:2], stages[-1:]) > 2 * HOPELESS:
            return here, math.inf
    start, least = here, left(here)
    while least and chosen[0].patience.left > 0:
        chosen = sorted(chosen, key=lambda probe: -left(here, [probe]))
        worst, rest = chosen[:3], chosen[3:]
        best, before = here, left(here, worst)
        for other in neighbours(here, names, start):
            if chosen[0].patience.left <= 0:
                break
            cost = left(other, worst, below=before - 0.01)
            if cost < before - 0.01:
                cost += left(other, rest, below=least - cost)
                best, least = (other, cost) if cost < least else (best, least)
        if best is here:
            break
        here = best
    off = [probe for probe in chosen if left(here, [probe])]
    if least and len(off) <= max(1, FEW * len(chosen)):  # right answers may round worse here
        least = sum(probe.digits(stage, here, own=True) for probe in off for stage in stages)
    if least and here.tanh_limit != start.tanh_limit:  # it may have stood for a projection
        others = [name for name in names if name != "tanh_limit"]
        return min((here, least), _descend(start, stages, others, chosen), key=lambda end: end[1])
    return here, least


HOPELESS = 12.5  # digits: where arithmetic does not matter, a convention is not off by so much


def _choices(here: Convention, names: list[str]) -> Iterator[Convention]:
    """Yield all combinations of the choices among some fields."""
    among = {name: values for name, values in CHOICES.items() if name in names}
    for values in product(*among.values()):
        yield replace(here, **dict(zip(among, values, strict=True)))


def neighbours(here: Convention, names: list[str], start: Convention) -> Iterator[Convention]:
    """Yield the conventions that differ in one of the fields; finely where the start was left."""
    for name in names:
        value = getattr(here, name)
        options = VALUES.get(name, (not value,) if isinstance(value, bool) else ())
        presets = (getattr(EXACT, name), getattr(RELEASED, name))
        for other in dict.fromkeys(
            (*presets, *options, *_around(value, value != getattr(start, name)))
        ):
            if other != value:
                yield replace(here, **{name: other})


def _around(value: object, finely: bool) -> tuple[float, ...]:
    """Values of one digit within a power of ten, and finely some next to any: 2 digits, 1/20."""
    if not isinstance(value, float) or not 0 < value < math.inf:
        return ()
    if value >= 1:
        return tuple(value + n / 20 for n in range(-9, 10)) if finely else ()
    ones = [f"{value * k:.1g}" for n in range(2, 10) for k in (n, n / 10)]
    twos = [f"{value * n / 20:.2g}" for n in range(10, 40)] if finely else []
    return tuple(map(float, ones + twos))
