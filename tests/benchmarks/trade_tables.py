"""The tables of trade.py: what was chosen, and what it gives on the test half, with intervals.

promise_tables.py writes them into the chapters.
"""

import json
from collections.abc import Iterator
from itertools import product
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm
from study_compare import markdown
from trade_plan import BUDGETS, CHOICES, FIXED, GOALS, PLAIN, READINGS, chosen, rule_of

DRAWS, SEED = 1000, 0
LEVELS = ("subgroup", "group")


class Change(NamedTuple):
    """A mean over seeds and classes, its 95% interval, and its standard error."""

    mean: float
    low: float
    high: float
    error: float

    def shown(self, comparisons: int) -> str:
        """Show it; bold where the interval leaves out 0, † where that of all comparisons does."""
        text = f"{self.mean:+.1f} ({self.low:+.1f} .. {self.high:+.1f})"
        clear = self.low > 0 or self.high < 0
        every = clear and abs(self.mean) > norm.ppf(1 - 0.025 / comparisons) * self.error
        return f"**{text}**{'†' if every else ''}" if clear else text


def interval(values: NDArray, n: NDArray) -> Change:
    """Return mean and 95% interval of values (S, C) by seed and class, both drawn anew.

    n (C,) images of each class weigh it, as in `hier_ref.baselines.verdict.over_classes`.
    """
    rng, means = np.random.default_rng(SEED), np.empty(DRAWS)
    for draw in range(DRAWS):
        seeds, classes = (rng.integers(size, size=size) for size in values.shape)
        means[draw] = np.average(values[seeds].mean(axis=0)[classes], weights=n[classes])
    low, high = np.quantile(means, (0.025, 0.975))
    mean = np.average(values.mean(axis=0), weights=n)
    return Change(float(mean), float(low), float(high), float(means.std()))


def finals(rows: list[dict], arm: str, setting: dict) -> dict[int, dict]:
    """Return the final runs of a setting by seed."""
    runs = (row for row in rows if row["stage"] == "final" and row["arm"] == arm)
    return {row["seed"]: row for row in runs if row["setting"] == setting}


def of_class(runs: list[dict], name: str) -> NDArray:
    """Return a measure of final runs by seed and class (S, C), in percent."""
    return np.array([run["by_class"][name] for run in runs]) / 10


class Contestant(NamedTuple):
    """What a line of the front is: an arm's setting, the rule of its tree, and who chose it."""

    arm: str
    setting: dict
    rule: str
    chosen_by: str


def contestants(rows: list[dict]) -> Iterator[Contestant]:
    """Yield the lines of the front; a setting that several choices agree on comes once."""
    for arm in FIXED:
        yield Contestant(arm, PLAIN[arm], "linkage", "")
        if PLAIN[arm].get("hier_weight", 1):
            yield Contestant(arm, PLAIN[arm], "lca", "")
    for arm, reading in product(CHOICES, READINGS):
        agreed: dict[str, list] = {}
        for goal, budget in product(GOALS, BUDGETS):
            if row := chosen(rows, arm, goal, reading, budget):
                key = json.dumps([row["setting"], rule_of(row, goal, reading)])
                agreed.setdefault(key, []).append(f"{goal} {budget}")
        for key, choices in agreed.items():
            yield Contestant(arm, *json.loads(key), ", ".join(choices))


def changes(runs: dict[int, dict], base: dict[int, dict], rule: str, n: NDArray) -> list[Change]:
    """Return how recall and the purities of both levels differ from `base`, paired by seed.

    Trees are compared with linkage of `base`.
    """
    seeds = sorted(set(runs) & set(base))
    found = []
    for mine, other in (("recall", "recall"), *((f"{rule} {x}", f"linkage {x}") for x in LEVELS)):
        values, others = (
            of_class([runs[s] for s in seeds], mine),
            of_class([base[s] for s in seeds], other),
        )
        found.append(interval(values - others, n))
    return found


def front(rows: list[dict], n: NDArray) -> list[tuple[Contestant, dict[int, dict], list[Change]]]:
    """Return every contestant that has finals, its finals, and its changes from the base.

    The base is linkage on the default run without HIER.
    """
    base, found = finals(rows, "without", PLAIN["without"]), []
    for each in contestants(rows):
        runs = finals(rows, each.arm, each.setting)
        if len(set(runs) & set(base)) > 1:
            found.append((each, runs, changes(runs, base, each.rule, n)))
    return found


def table_front(rows: list[dict], n: NDArray) -> str:
    """Return what each choice gives on the test half, against linkage without HIER."""
    found, lines = front(rows, n), []
    for each, runs, differences in found:
        line = [each.arm, each.chosen_by, each.rule, str(len(runs))]
        names = ("recall", *(f"{each.rule} {level}" for level in LEVELS))
        for name, change in zip(names, differences, strict=True):
            value = np.average(of_class(list(runs.values()), name).mean(axis=0), weights=n)
            line += [f"{value:.1f}", change.shown(len(found) * len(names))]
        spearman = np.mean([run["trees"][each.rule][3] for run in runs.values()])
        lines.append([*line, f"{spearman:.3f}"])
    heads = ("arm", "chosen by", "tree", "seeds", "R@1", "change", "subgroup", "change")
    return markdown((*heads, "group", "change", "Spearman"), lines)


def table_trials(rows: list[dict]) -> str:
    """Return what each choice is, and its scores on the held-out training classes."""
    lines = []
    for each in contestants(rows):
        trial = next(
            r
            for r in rows
            if r["stage"] == "tune" and r["setting"] == each.setting and r["arm"] == each.arm
        )
        scores = [f"{trial['recall'][0]:.1f}", *(f"{v:.3f}" for v in trial["trees"][each.rule])]
        words = " ".join(f"{name} {value}" for name, value in each.setting.items())
        lines.append([each.arm, each.chosen_by, each.rule, trial["trial"], *scores, words])
    heads = ("arm", "chosen by", "tree", "trial", "R@1", "class", "subgroup", "group")
    return markdown((*heads, "Spearman", "Kendall", "setting"), lines)
