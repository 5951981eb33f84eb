"""The tables of trade.py: what was chosen, and what it gives on the test half, with intervals."""

from collections.abc import Iterator
from itertools import product

import numpy as np
from numpy.typing import NDArray
from study_compare import markdown
from trade_plan import BUDGETS, CHOICES, FIXED, GOALS, PLAIN, READINGS, chosen, rule_of

DRAWS, SEED = 1000, 0
LEVELS = ("subgroup", "group")


def interval(values: NDArray, n: NDArray) -> tuple[float, float, float]:
    """Return mean and 95% interval of values (S, C) by seed and class, both drawn anew.

    n (C,) images of each class weigh it, as in `hier_ref.baselines.verdict.over_classes`.
    """
    rng, means = np.random.default_rng(SEED), np.empty(DRAWS)
    for draw in range(DRAWS):
        seeds, classes = (rng.integers(size, size=size) for size in values.shape)
        means[draw] = np.average(values[seeds].mean(axis=0)[classes], weights=n[classes])
    low, high = np.quantile(means, (0.025, 0.975))
    return float(np.average(values.mean(axis=0), weights=n)), float(low), float(high)


def finals(rows: list[dict], arm: str, setting: dict) -> dict[int, dict]:
    """Return the final runs of a setting by seed."""
    runs = (row for row in rows if row["stage"] == "final" and row["arm"] == arm)
    return {row["seed"]: row for row in runs if row["setting"] == setting}


def of_class(runs: list[dict], name: str) -> NDArray:
    """Return a measure of final runs by seed and class (S, C), in percent."""
    return np.array([run["by_class"][name] for run in runs]) / 10


def cells(runs: dict[int, dict], base: dict[int, dict], rule: str, n: NDArray) -> list[str]:
    """Show the measures of final runs, each with its change from `base`, paired by seed."""
    seeds = sorted(set(runs) & set(base))
    mine, others = ([of[seed] for seed in seeds] for of in (runs, base))
    shown = []
    for name in ("recall", *(f"{rule} {level}" for level in LEVELS)):
        other = name if name == "recall" else f"linkage {name.rpartition(' ')[2]}"
        values, against = of_class(mine, name), of_class(others, other)
        mean, low, high = interval(values - against, n)
        shown.append(f"{np.average(values.mean(axis=0), weights=n):.1f}")
        shown.append(f"{mean:+.1f} ({low:+.1f} .. {high:+.1f})")
    spearman = [run["trees"][rule][3] for run in mine]
    return [str(len(seeds)), *shown, f"{np.mean(spearman):.3f}"]


def contestants(rows: list[dict]) -> Iterator[tuple[list, dict[int, dict], str]]:
    """Yield what each line of the front is: its names, its final runs, the rule of its tree."""
    for arm, rule in product(FIXED, ("linkage", "lca")):
        runs = finals(rows, arm, PLAIN[arm])
        if any(rule in run["trees"] for run in runs.values()):
            yield [arm, "-", "-"], runs, rule
    for arm, goal, reading, budget in product(CHOICES, GOALS, READINGS, BUDGETS):
        row = chosen(rows, arm, goal, reading, budget)
        if row:
            runs = finals(rows, arm, row["setting"])
            yield [arm, goal, budget], runs, rule_of(row, goal, reading)


def table_front(rows: list[dict], n: NDArray) -> str:
    """Return what each choice gives on the test half, against linkage without HIER."""
    base, lines = finals(rows, "without", PLAIN["without"]), []
    for names, runs, rule in contestants(rows):
        if len(set(runs) & set(base)) > 1:
            lines.append([*names, rule, *cells(runs, base, rule, n)])
    heads = ("arm", "chosen by", "budget", "tree", "seeds", "R@1", "change", "subgroup", "change")
    return markdown((*heads, "group", "change", "Spearman"), lines)


def table_trials(rows: list[dict]) -> str:
    """Return what each choice is, and its scores on the held-out training classes."""
    lines = []
    for arm, goal, reading, budget in product(CHOICES, GOALS, READINGS, BUDGETS):
        row = chosen(rows, arm, goal, reading, budget)
        if row:
            rule = rule_of(row, goal, reading)
            scores = [f"{row['recall'][0]:.1f}", *(f"{v:.3f}" for v in row["trees"][rule])]
            words = " ".join(f"{name} {value}" for name, value in row["setting"].items())
            lines.append([arm, goal, budget, rule, row["trial"], *scores, words])
    heads = ("arm", "chosen by", "budget", "tree", "trial", "R@1", "class", "subgroup", "group")
    return markdown((*heads, "Spearman", "Kendall", "setting"), lines)


def tables(rows: list[dict], n: NDArray) -> str:
    """Return both tables, and how many trials they rest on."""
    count = {arm: sum(r["stage"] == "tune" and r["arm"] == arm for r in rows) for arm in CHOICES}
    said = ", ".join(f"{arm} {number}" for arm, number in count.items())
    front = table_front(rows, n)
    return f"Trials: {said}.\n\nHeld-out training classes:\n\n{table_trials(rows)}\n" + (
        f"Test half, changes from linkage on the default run without HIER:\n\n{front}"
    )
