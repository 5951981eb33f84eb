"""fingerprint: which of the named conventions a black box follows.

Conventions are tried as explanations: each predicts every stage of every case, and explains a
candidate if all that it supplied is within budget. docs/13-oracle.md.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from hier_ref.convention import EXACT, RELEASED, WORDS, Convention, differences
from hier_ref.oracle.case import answers
from hier_ref.oracle.run import Answer, Candidate, ask, check_dtypes
from hier_ref.oracle.search import CHOICES, PATIENCE, digits, fitted, miss, probes
from hier_ref.oracle.stages import CHANGES
from hier_ref.oracle.suite import Entry, load_suite
from hier_ref.oracle.widened import excusable, scaled


@dataclass(frozen=True)
class Explanation:
    """A convention as an explanation: how many answers it predicts, and its worst miss."""

    convention: Convention
    explained: int
    asked: int
    worst: float  # largest error in budgets
    cost: float  # what is left unexplained: decimal digits over budget, summed over stages

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
    everything, the candidate follows no named convention. ValueError for a dtype other than
    float32 and float64. Source: docs/13-oracle.md.
    """
    check_dtypes([dtype])
    entries = load_suite() if suite is None else tuple(suite)
    given = {
        (entry.case.id, dtype): ask(candidate, entry.case, dtype, seconds, entry.budgets[dtype])
        for entry in entries
        if dtype in entry.budgets
    }
    usable = {key: answer for key, answer in given.items() if not answer.trouble}
    return explain(entries, usable, EXACT) if usable else []


def explain(
    entries: Sequence[Entry],
    given: Mapping[tuple[str, str], Answer],
    declared: Convention,
    progress: Callable[[str], None] = lambda doing: None,
    words: bool = False,
) -> list[Explanation]:
    """Search the conventions that predict the answers given; best first.

    words: only choices that are no numbers.
    """
    dtype, asked = _asked(entries, given)
    first = _tied(declared, asked, dtype)
    found = {first: judged(first, asked, dtype)}
    chosen = probes(asked, dtype)
    for start in dict.fromkeys((declared, EXACT, RELEASED)):
        if any(each.explains and len(each.differences) < 3 for each in found.values()):
            break
        progress(f"search of a name, from {nearest_preset(start)[0]}")
        names = tuple(CHOICES) if words else tuple(CHANGES)
        patience = PATIENCE if start == declared else PATIENCE // 2
        end = fitted(start, chosen, names, patience) if chosen else start
        end = _tied(_simplest(end, asked, dtype), asked, dtype)
        if end not in found and _tellable(end, asked):
            found[end] = judged(end, asked, dtype)
    return sorted(found.values(), key=lambda e: (e.asked - e.explained, len(e.differences), e.cost))


def _asked(
    entries: Sequence[Entry], given: Mapping[tuple[str, str], Answer]
) -> tuple[str, list[tuple[Entry, Answer]]]:
    """Return the most accurate dtype that was asked, and its answers, the telling ones first."""
    dtype = "float64" if any(dtype == "float64" for _, dtype in given) else "float32"
    asked = [(e, given[e.case.id, dtype]) for e in entries if (e.case.id, dtype) in given]
    return dtype, sorted(asked, key=lambda pair: "boundary" not in pair[0].case.flags)


def alternatives(
    best: Explanation, entries: Sequence[Entry], given: Mapping[tuple[str, str], Answer]
) -> list[str]:
    """Return what explains the answers as well: values that they cannot tell from those named."""
    dtype, asked = _asked(entries, given)
    same = []
    for name, (_, value) in best.differences.items():
        if isinstance(value, float) and 0 < value < math.inf:
            near = [value * k for k in (0.1, 0.5, 0.9, 1.1, 2, 10)]
            values: list[dict[str, Any]] = [{name: float(f"{v:.3g}")} for v in near]
            others = (replace(best.convention, **changed) for changed in values)
            like = [c for c in others if judged(c, asked, dtype, all_or_none=True).explains]
            same += [f"{name} = {getattr(convention, name):g}" for convention in like]
    return same


def _tied(convention: Convention, asked: list, dtype: str) -> Convention:
    """Name how a candidate shares the slope of a tie, where it does so in a way that has a name."""
    tied = [
        (entry._replace(case=replace(entry.case, flags=())), answer)  # nothing is pooled
        for entry, answer in asked
        if "max_tie" in entry.case.flags
    ]
    for word in dict.fromkeys((convention.max_tie, *WORDS["max_tie"])):
        named = replace(convention, max_tie=word)
        if tied and judged(named, tied, dtype, all_or_none=True).explains:
            return named
    return convention


def _simplest(convention: Convention, asked: list, dtype: str) -> Convention:
    """Undo each difference from the nearest preset that no answer needs."""
    unneeded = differences(convention, nearest_preset(convention)[1])
    for name, (_, usual) in unneeded.items():
        other = replace(convention, **{name: usual})
        if judged(other, asked, dtype, all_or_none=True).explains:
            convention = other
    return convention


def _tellable(convention: Convention, asked: list) -> bool:
    """Whether the suite can tell a convention from what has no name.

    Unless points are shown, a projection that near to the boundary looks like a floor of the gap.
    """
    shown = any("z" in answer.stages for _, answer in asked)
    return shown or not 0 < convention.ball_margin < 1e-6


def judged(
    convention: Convention, asked: list, dtype: str, all_or_none: bool = False
) -> Explanation:
    """Say how well a convention explains the answers; all_or_none: look no further than needed.

    Where it misses few cases, its own budgets are derived for them.
    """
    found, off, most = [], [], excusable(convention, len(asked))
    for entry, answer in asked:
        misses = _misses(entry, answer, convention, dtype)
        found.append(misses)
        off += [len(found) - 1] if max(misses.values(), default=0.0) > 1 else []
        if all_or_none and len(off) > most:
            break
    for n in off if len(off) <= most else ():
        for stage, times in found[n].items():
            if times > 1:
                found[n][stage] = scaled(asked[n][0], dtype, stage, convention, times)
        if all_or_none and max(found[n].values()) > 1:
            break
    worst = [max(misses.values(), default=0.0) for misses in found]
    explained = sum(each <= 1 for each in worst)
    cost = sum(digits(times) for misses in found for times in misses.values())
    return Explanation(convention, explained, len(asked), max(worst, default=0.0), cost)


def _misses(entry: Entry, answer: Answer, convention: Convention, dtype: str) -> dict[str, float]:
    """Errors in budgets that a convention leaves in the stages of one answer."""
    try:
        rights = answers(entry.case, convention)
    except ValueError:  # this convention takes a point out of the ball
        return dict.fromkeys(answer.stages, math.inf)
    compared = (
        {
            s: miss(entry.case, s, answer.stages[s], right[s], entry.budgets[dtype])
            for s in answer.stages
            if s in right
        }
        for right in rights
    )
    return min(compared, key=lambda misses: max(misses.values(), default=0.0))
