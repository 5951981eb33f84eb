"""fingerprint: which of the named conventions a black box follows.

Conventions are tried as explanations: each predicts every stage of every case, and explains a
candidate if all that it supplied is within budget. The search changes one choice at a time, from
the presets, always to what explains most. docs/13-oracle.md.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from hier_ref.convention import EXACT, RELEASED, WORDS, Convention, differences
from hier_ref.oracle.case import answers
from hier_ref.oracle.run import Answer, Candidate, ask
from hier_ref.oracle.stages import downstream, error
from hier_ref.oracle.suite import Entry, load_suite

# Values that implementations use, beside those of the presets.
VALUES: dict[str, tuple] = {
    "clip_eps": (1e-8, 1e-6, 1e-5),
    "min_norm": (1e-15, 1e-8, 1e-5),
    "tanh_limit": (15.0, 10.0),
    "ball_margin": (1e-5, 4e-3, 1e-3),
    "mobius_denominator_eps": (1e-15, 1e-10, 1e-8, 1e-7, 1e-6, 1e-5, 1e-4),
    "artanh_margin": (1e-15, 1e-7, 1e-6, 1e-5),
    "min_reciprocal": (1, 2, 3),
    **WORDS,
}


# The stages that a field changes by itself; what is computed from them follows.
MINING = ("positives_data", "negatives_data", "positives_proxy", "negatives_proxy")
ANCESTORS = ("lca_pair_data", "lca_triple_data", "lca_pair_proxy", "lca_triple_proxy")
GRAD_D = ("grad_d_zl", "grad_d_ll")
CHANGES: dict[str, tuple[str, ...]] = {
    "curvature_dtype": ("z", "l", "d_zz", "d_zl", "d_ll"),
    **dict.fromkeys(("clip_eps", "min_norm", "tanh_limit", "ball_margin"), ("z", "l")),
    **dict.fromkeys(("mobius_denominator_eps", "artanh_margin"), ("d_zz", "d_zl", "d_ll")),
    **dict.fromkeys(("same_class_first", "neighbours_count_self"), MINING),
    **dict.fromkeys(("min_reciprocal", "negative_may_be_anchor"), MINING),
    "noise_tempered": (*ANCESTORS, *GRAD_D),
    "proxy_may_be_own_ancestor": (*ANCESTORS[2:], GRAD_D[1]),
    "same_lca_mask": ("hinge_data", "hinge_proxy", *GRAD_D),
    "mean_over": ("loss_data", "loss_proxy", *GRAD_D),
    **dict.fromkeys(("straight_through", "max_tie"), GRAD_D),
    "riemannian_gradient": ("grad_x", "grad_proxies"),
}


@dataclass(frozen=True)
class Explanation:
    """A convention as an explanation: how many answers it predicts, and its worst miss."""

    convention: Convention
    explained: int
    asked: int
    worst: float  # largest error in budgets
    cost: float  # what is left unexplained: decimal digits over budget, summed over stages
    missed: frozenset[str] = frozenset()  # stages over budget
    supplied: frozenset[str] = frozenset()

    @property
    def explains(self) -> bool:
        """Whether everything that was supplied is within budget."""
        return self.asked > 0 and self.explained == self.asked

    @property
    def differences(self) -> dict[str, tuple]:
        """The fields that differ from the nearest preset: name -> (preset, here)."""
        return differences(nearest_preset(self.convention)[1], self.convention)


def nearest_preset(convention: Convention) -> tuple[str, Convention]:
    """Return the name and value of the preset with the fewest differences."""
    presets = {"EXACT": EXACT, "RELEASED": RELEASED}
    return min(presets.items(), key=lambda item: len(differences(item[1], convention)))


def fingerprint(
    candidate: Candidate,
    suite: Sequence[Entry] | None = None,
    *,
    dtype: str = "float64",
    seconds: float = 60.0,
) -> list[Explanation]:
    """Rank the conventions that a candidate may follow, best first.

    The candidate needs to give "loss"; with gradients and further stages the answer is sharper.
    An empty list: it gave no usable answer. If the first explanation does not explain
    everything, the candidate follows no named convention. Source: docs/13-oracle.md.
    """
    entries = load_suite() if suite is None else tuple(suite)
    given = {
        (entry.case.id, dtype): ask(candidate, entry.case, dtype, seconds, entry.budgets[dtype])
        for entry in entries
        if dtype in entry.budgets
    }
    usable = {key: answer for key, answer in given.items() if not answer.trouble}
    return explain(entries, usable, EXACT) if usable else []


def explain(
    entries: Sequence[Entry], given: Mapping[tuple[str, str], Answer], declared: Convention
) -> list[Explanation]:
    """Search the conventions that predict the answers given; best first."""
    dtype = "float64" if any(dtype == "float64" for _, dtype in given) else "float32"
    asked = [(e, given[e.case.id, dtype]) for e in entries if (e.case.id, dtype) in given]
    probes = _probes(asked)
    starts = [judged(start, probes, dtype) for start in dict.fromkeys((declared, EXACT, RELEASED))]
    found = {declared: judged(declared, asked, dtype)}
    nearest = min(start.cost for start in starts)
    for start in sorted(starts, key=lambda e: e.cost):
        if start.cost > FARTHEST * nearest:
            break
        end = _climb(start, probes, dtype).convention
        found[end] = judged(end, asked, dtype)
        if found[end].explains:
            break
    return sorted(found.values(), key=lambda e: (e.asked - e.explained, e.cost))


def _probes(asked: list) -> list:
    """Return few cases that switch every branch: the first of each flag, and some without."""
    first: dict[str, tuple] = {}
    for entry, answer in asked:
        for flag in entry.case.flags or (f"plain {len(first) % 4}",):
            first.setdefault(flag, (entry, answer))
    return list({entry.case.id: (entry, answer) for entry, answer in first.values()}.values())


def _climb(here: Explanation, asked: list, dtype: str) -> Explanation:
    """Change one field at a time, each time the one that explains most."""
    while not here.explains:
        best = here
        for other in neighbours(here):
            tried = judged(other, asked, dtype, best.cost)
            best = min(best, tried, key=lambda e: e.cost)
        if best is here:
            break
        here = best
    return here


def neighbours(here: Explanation) -> Iterator[Convention]:
    """Yield the conventions that differ in one field, one that may mend a missed stage.

    A field is left alone where the first supplied stage that it changes is right as it is.
    """
    for name, value in vars(here.convention).items():
        seen = [stage for stage in downstream(CHANGES[name]) if stage in here.supplied]
        if not seen or seen[0] not in here.missed:
            continue
        options = VALUES.get(name, (not value,) if isinstance(value, bool) else ())
        presets = (getattr(EXACT, name), getattr(RELEASED, name))
        for other in dict.fromkeys((*presets, *options)):
            if other != value:
                yield replace(here.convention, **{name: other})


def judged(
    convention: Convention, asked: list, dtype: str, enough: float = math.inf
) -> Explanation:
    """Say how well a convention explains the answers; stop when the cost is enough."""
    explained, worst, cost, missed, supplied = 0, 0.0, 0.0, set(), set()
    for entry, answer in asked:
        misses = _misses(entry, answer, convention, dtype)
        explained += max(misses.values(), default=0.0) <= 1
        worst = max(worst, *misses.values(), 0.0)
        missed |= {stage for stage, miss in misses.items() if miss > 1}
        supplied |= set(misses)
        cost += sum(min(DIGITS, math.log10(miss)) for miss in misses.values() if miss > 1)
        if cost > enough:
            break
    sets = frozenset(missed), frozenset(supplied)
    return Explanation(convention, explained, len(asked), worst, cost, *sets)


DIGITS = 16.0  # nothing is more wrong than this
FARTHEST = 3.0  # a start that leaves this many times more unexplained than another is no start


def _misses(entry: Entry, answer: Answer, convention: Convention, dtype: str) -> dict[str, float]:
    """Errors in budgets that a convention leaves in the stages of one answer."""
    case = replace(entry.case, flags=())  # here a tie has one answer: it is a choice to be named
    try:
        rights = answers(case, convention)
    except ValueError:  # this convention takes a point out of the ball
        return dict.fromkeys(answer.stages, math.inf)
    compared = (
        {s: _miss(entry, answer, s, right, dtype) for s in answer.stages if s in right}
        for right in rights
    )
    return min(compared, key=lambda misses: max(misses.values(), default=0.0))


def _miss(entry: Entry, answer: Answer, stage: str, right: dict, dtype: str) -> float:
    off, budget = (
        error(stage, answer.stages[stage], right[stage]),
        entry.budgets[dtype][stage],
    )
    return off / budget if budget else (math.inf if off else 0.0)
