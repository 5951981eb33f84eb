"""The tables of finetune.py: what was chosen, what it gives, and what HIER changes.

    python tests/benchmarks/finetune_tables.py

writes them into docs/appendix-training-the-backbone.md from what there is of docs/finetune.jsonl.
"""

import re
from itertools import product
from pathlib import Path

import numpy as np
from finetune_plan import ARMS, GOALS, LOSSES, UNTRAINED, chosen
from numpy.typing import NDArray
from study_compare import markdown
from trade import read
from trade_tables import interval, of_class

from hier_ref.features.contract import default_features, read_features

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGE, RESULTS = DOCS / "appendix-training-the-backbone.md", DOCS / "finetune.jsonl"

SHOWN = {"R@1": "recall", "R@8": "recall8", "MAP@R": "map"}
PURE = {"subgroup": "linkage subgroup", "group": "linkage group"}
COMPARISONS = 56  # differences in the table of changes, at most
OF_PROXIES = {"subgroup": "lca subgroup", "group": "lca group"}


def finals(rows: list[dict], arm: str, setting: dict) -> dict[int, dict]:
    """Return the final runs of a setting by seed."""
    runs = (row for row in rows if row["stage"] == "final" and row["arm"] == arm)
    return {row["seed"]: row for row in runs if row["setting"] == setting}


def contestants(rows: list[dict]) -> list[tuple[str, str, dict[int, dict]]]:
    """Return arm, goal and final runs by seed of all that ran on the test half."""
    found = [(arm, "-", finals(rows, arm, {})) for arm in UNTRAINED]
    for goal, arm in product(GOALS, ARMS):
        row = chosen(rows, arm, goal)
        if row and arm.endswith("alone") and goal == "recall":
            frozen, still = arm.replace("alone", "frozen"), row["setting"] | {"lr_tail": 0.0}
            found.append((frozen, "-", finals(rows, frozen, still)))
        if row:
            found.append((arm, goal, finals(rows, arm, row["setting"])))
    return [each for each in found if each[2]]


def percent(runs: list[dict], name: str, n: NDArray) -> float | None:
    """Return a measure in percent, the mean over images and seeds; None where no run has it."""
    if name not in runs[0]["by_class"]:
        return None
    return float(np.average(of_class(runs, name).mean(axis=0), weights=n))


def table_means(rows: list[dict], n: NDArray) -> str:
    """Return the means of all that ran on the test half."""
    lines = []
    for arm, goal, of in contestants(rows):
        runs = list(of.values())
        names = (*SHOWN.values(), *PURE.values(), *OF_PROXIES.values())
        values = [percent(runs, name, n) for name in names]
        rank = [
            np.mean([r["trees"][t][3] for r in runs])
            for t in ("linkage", "lca")
            if t in runs[0]["trees"]
        ]
        shown = ["-" if v is None else f"{v:.1f}" for v in values]
        ranks = [f"{v:.3f}" for v in rank] + ["-"] * (2 - len(rank))
        lines.append([arm, goal, len(runs), *shown[:5], ranks[0], *shown[5:], ranks[1]])
    heads = ["arm", "chosen by", "seeds", *SHOWN, *PURE, "Spearman"]
    return markdown((*heads, *(f"proxies: {name}" for name in (*PURE, "Spearman"))), lines)


def changed(mine: dict[int, dict], base: dict[int, dict], name: str, other: str, n: NDArray) -> str:
    """Show a measure less another of the base, paired by seed, as one of all comparisons."""
    seeds = sorted(set(mine) & set(base))
    values = of_class([mine[s] for s in seeds], name) - of_class([base[s] for s in seeds], other)
    return interval(values, n).shown(COMPARISONS)


def table_changes(rows: list[dict], n: NDArray) -> str:
    """Return what each arm changes against its loss alone, chosen for the same goal."""
    runs = {(arm, goal): of for arm, goal, of in contestants(rows)}
    lines = []
    for goal, loss in product(GOALS, LOSSES):
        base = runs.get((f"{loss} alone", goal), {})
        for arm in (f"{loss} released", f"{loss} strong"):
            mine = runs.get((arm, goal), {})
            if len(set(mine) & set(base)) < 2:
                continue
            pairs = [(name, name) for name in (*SHOWN.values(), *PURE.values())]
            pairs += [(OF_PROXIES[level], PURE[level]) for level in PURE]
            cells = [changed(mine, base, *pair, n) for pair in pairs]
            lines.append([arm, goal, len(set(mine) & set(base)), *cells])
    heads = ["arm", "chosen by", "seeds", *SHOWN, *PURE]
    return markdown((*heads, *(f"proxies' tree: {name}" for name in PURE)), lines)


def table_baselines(rows: list[dict], n: NDArray) -> str:
    """Return what training each loss alone changes against what trains less."""
    runs = {arm: of for arm, goal, of in contestants(rows) if goal in ("-", "recall")}
    lines = []
    for loss in LOSSES:
        mine = runs.get(f"{loss} alone", {})
        for name in (*UNTRAINED, f"{loss} frozen"):
            base = runs.get(name, {})
            if name in UNTRAINED and base:
                base = dict.fromkeys(mine, next(iter(base.values())))
            if len(set(mine) & set(base)) > 1:
                measures = (*SHOWN.values(), *PURE.values())
                cells = [changed(mine, base, each, each, n) for each in measures]
                lines.append([f"{loss} alone less {name}", *cells])
    return markdown(("", *SHOWN, *PURE), lines)


def table_trials(rows: list[dict], n: NDArray) -> str:
    """Return what each choice is, and its scores on the held-out training classes."""
    lines = []
    for goal, arm in product(GOALS, ARMS):
        row = chosen(rows, arm, goal)
        if row:
            pure = [f"{v:.3f}" for v in row["trees"]["linkage"][1:4]]
            words = " ".join(f"{name} {value}" for name, value in row["setting"].items())
            lines.append([arm, goal, row["trial"], f"{row['recall'][0]:.1f}", *pure, words])
    heads = ("arm", "chosen by", "trial", "R@1", "subgroup", "group", "Spearman", "setting")
    return markdown(heads, lines)


def table_tuning(rows: list[dict], n: NDArray) -> str:
    """Return Recall@1 and the purity of groups on the held-out training classes, by trial."""
    tuned = {(r["arm"], r["trial"]): r for r in rows if r["stage"] == "tune"}
    trials = sorted({trial for _, trial in tuned})
    lines = []
    for arm in (*UNTRAINED, *ARMS):
        found = [tuned.get((arm, trial)) for trial in trials]
        pairs = [(r["recall"][0], 100 * r["trees"]["linkage"][2]) for r in found if r]
        shown = [f"{recall:.1f}, {group:.1f}" for recall, group in pairs]
        lines.append([arm, *shown, *["-"] * (len(trials) - len(shown))])
    return markdown(("R@1, group", *(f"trial {trial}" for trial in trials)), lines)


def table_budget(rows: list[dict], n: NDArray) -> str:
    """Return how many runs there are, and the time of one core that they took."""
    lines = []
    for stage in ("tune", "final"):
        own = [row for row in rows if row["stage"] == stage]
        hours = sum(row["seconds"] for row in own) / 3600
        lines.append([stage, len(own), f"{hours:.1f}"])
    return markdown(("stage", "runs", "hours"), lines)


# ---- The page

TABLES = {
    "budget": table_budget,
    "tuning": table_tuning,
    "trials": table_trials,
    "means": table_means,
    "changes": table_changes,
    "baselines": table_baselines,
}


def sizes() -> NDArray:
    """Return how many images each test class has, in their order (C,)."""
    test = read_features(default_features()).part("test")
    return np.unique(test.labels, return_counts=True)[1]


def filled(text: str, rows: list[dict], n: NDArray) -> str:
    """Return a page with its tables made anew from the results."""

    def table(found: re.Match) -> str:
        return f"{found[1]}{TABLES[found[2]](rows, n)}{found[3]}"

    return re.sub(r"(<!-- finetune: (\w+) -->\n).*?(<!-- end -->\n)", table, text, flags=re.DOTALL)


def main() -> None:
    """Write the tables into the page."""
    PAGE.write_text(filled(PAGE.read_text(), read(RESULTS), sizes()))


if __name__ == "__main__":
    main()
