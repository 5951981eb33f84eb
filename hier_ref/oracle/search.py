"""The search for a convention, stage by stage in the order of computation.

Each supplied stage is predicted from the candidate's own earlier stages, so that what went wrong
before does not matter. Only the fields that show first in a stage may be changed to explain it;
a stage that no change explains ends the search: what is no convention gets no name.
"""

import math
from collections.abc import Iterator
from dataclasses import fields, replace
from itertools import product

import numpy as np
from numpy.typing import NDArray

from hier_ref.convention import EXACT, RELEASED, WORDS, Convention
from hier_ref.oracle.case import Case
from hier_ref.oracle.run import Answer
from hier_ref.oracle.stages import CHANGES, NEEDS, Graph, deviation, downstream
from hier_ref.oracle.suite import Entry

DECADES = tuple(float(f"1e-{n}") for n in range(10, 0, -1))

# Values that are tried, beside those of the presets; then others around the best.
VALUES: dict[str, tuple] = {
    **dict.fromkeys(("clip_eps", "min_norm", "ball_margin"), DECADES),
    **dict.fromkeys(("mobius_denominator_eps", "artanh_margin"), DECADES),
    "tanh_limit": tuple(map(float, range(1, 21))),
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


class Probe:
    """One answer, and what a convention makes of a stage after the candidate's earlier ones."""

    def __init__(self, entry: Entry, answer: Answer, dtype: str):
        """Take an entry of the suite and the answer to it."""
        self.stages, self.budgets = answer.wide(), entry.budgets[dtype]
        self.graph = Graph(entry.case.astype(np.float64), EXACT, self.stages)

    def digits(self, stage: str, convention: Convention) -> float:
        """Digits over budget that a convention leaves in one stage; 0 where it is not given."""
        if stage not in self.stages:
            return 0.0
        self.graph = self.graph.under(convention)
        try:
            want = self.graph.follows(stage)
            return digits(miss(self.graph.case, stage, self.stages[stage], want, self.budgets))
        except (ValueError, IndexError, FloatingPointError):  # no points of the ball, no proxies
            return digits(math.inf)


# Flags of the cases that are searched on, "" for none; at most two of each.
SEARCHED = (
    *("", "clip", "curvature", "ball_margin", "denominator", "artanh", "tanh", "min_norm"),
    *("max_tie", "own_ancestor", "mining"),
)


def probes(asked: list[tuple[Entry, Answer]], dtype: str) -> list[Probe]:
    """Take few answers that switch every branch."""
    taken: dict[str, list[Probe]] = {flag: [] for flag in SEARCHED}
    for entry, answer in asked:
        for flag in entry.case.flags or ("",):
            if len(taken.get(flag, "full")) < 2:
                taken[flag].append(Probe(entry, answer, dtype))
                break
    return [probe for found in taken.values() for probe in found]


def fitted(start: Convention, asked: list[tuple[Entry, Answer]], dtype: str) -> Convention:
    """Change a convention until it explains stage after stage, as far as that goes.

    If what shows first in a stage does not explain it, all that reaches it may: a change may be
    too small to be seen in the loss, and not in its gradient.
    """
    chosen = probes(asked, dtype)
    supplied = [stage for stage in NEEDS if any(stage in probe.stages for probe in chosen)]
    for number, stage in enumerate(supplied, 1):
        first = [name for name in CHANGES if stage in _shows(name, supplied)]
        hidden = _hidden(stage, supplied)
        reaching = [name for name in CHANGES if hidden & set(CHANGES[name])]
        by_itself = set().union(*(CHANGES[name] for name in first))
        stages = [s for s in supplied[:number] if s == stage or s in by_itself]
        end, left = _descend(start, stages, first, chosen)
        if left and len(reaching) > len(first):
            end, left = _descend(start, supplied[:number], reaching, chosen)
        start = end
        if left:
            break
    return start


def _hidden(stage: str, supplied: list[str]) -> set[str]:
    """Return a stage with all that it is computed from before the next supplied ones."""
    found = {stage}
    for need in NEEDS[stage]:
        if need not in supplied:
            found |= _hidden(need, supplied)
    return found


def _shows(field: str, supplied: list[str]) -> list[str]:
    """Supplied stages in which a field shows first or by itself."""
    reached = downstream(CHANGES[field])
    first = next((stage for stage in supplied if stage in reached), None)
    return [stage for stage in supplied if stage == first or stage in CHANGES[field]]


def _descend(
    here: Convention, stages: list[str], names: list[str], chosen: list[Probe]
) -> tuple[Convention, float]:
    """Change one field at a time, each time the one that explains most of some stages."""

    def left(each: Convention, some: list[Probe] = chosen, of: list[str] = stages) -> float:
        return sum(probe.digits(stage, each) for probe in some for stage in of)

    if left(here, chosen[:2]) and set(names) & set(CHOICES):
        here = min(_choices(here, names), key=lambda each: left(each, chosen[:2]))
        if left(here, chosen[:2], stages[-1:]) > 2 * HOPELESS:
            return here, math.inf
    start, least = here, left(here)
    while least:
        chosen = sorted(chosen, key=lambda probe: -left(here, [probe]))
        worst, rest = chosen[:3], chosen[3:]
        best, before = here, left(here, worst)
        for other in neighbours(here, names, start):
            cost = left(other, worst)
            if cost < before - 0.01 and (cost := cost + left(other, rest)) < least:
                best, least = other, cost
        if best is here:
            break
        here = best
    if least and here.tanh_limit != start.tanh_limit:  # it may have stood for a projection
        others = [name for name in names if name != "tanh_limit"]
        return min((here, least), _descend(start, stages, others, chosen), key=lambda end: end[1])
    return here, least


HOPELESS = 12.5  # digits: where arithmetic does not matter, a convention is not off by so much


def _choices(here: Convention, names: list[str]) -> Iterator[Convention]:
    """Yield all combinations of the choices among some fields, what is there first."""
    yield here
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
    """Values of one digit next to a power of ten, and finely those of two digits next to any."""
    if not isinstance(value, float) or not 0 < value < 1:
        return ()
    ones = [f"{value * k:.1g}" for n in range(2, 10) for k in (n, n / 10)]
    twos = [f"{value * n / 20:.2g}" for n in range(10, 40)] if finely else []
    return tuple(map(float, ones + twos))
