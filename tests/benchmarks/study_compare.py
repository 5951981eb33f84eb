"""The comparison of tuned settings: paired differences and their intervals, and their tables."""

from collections.abc import Iterable

import numpy as np
from scipy.stats import t as student
from study_plan import TUNED, Case, best, case_of, selected

ARMS = {"alone": "alone", "hier": "+ HIER", "twin": "twin"}
SHOWN = ("R@1", "R@8", "MAP@R", "subgroup", "group")  # of these, where there is less room
COMPARISONS = 216  # differences in the tables of final runs
MEASURES = ("R@1", "R@2", "R@4", "R@8", "MAP@R", "subgroup", "group")


def measures(row: dict, how: str) -> np.ndarray:
    """Return the percentages of one run in the order of `MEASURES`."""
    found = row[how]
    return np.array([*found["recall"], found["map"], *found["levels"]])


def interval(differences: Iterable[float], comparisons: int = 1) -> tuple[float, float]:
    """Return mean and half width of the 95% interval of Student's t of paired differences (n,).

    With more comparisons, of the interval that covers all of them at once (Bonferroni).
    """
    d = np.asarray(list(differences), float)
    half = student.ppf(1 - 0.025 / comparisons, len(d) - 1) * d.std(ddof=1) / np.sqrt(len(d))
    return float(d.mean()), float(half)


def difference(a: Iterable[float], b: Iterable[float]) -> str:
    """Show a - b with its interval; bold where it leaves out 0, † where that of all does."""
    change = np.subtract(list(a), list(b))
    mean, half = interval(change)
    shown = f"{mean:+.2f} ± {half:.2f}"
    every = "†" if abs(mean) > interval(change, COMPARISONS)[1] else ""
    return f"**{shown}**{every}" if abs(mean) > half else shown


def retrieval(row: dict) -> str:
    """Return the retrieval that a trial is better with: the ball, unless cosine is better."""
    ball, cosine = (row[how]["recall"][0] for how in ("ball", "cosine"))
    return "cosine" if cosine > ball else "ball"


def markdown(heads: Iterable[str], lines: Iterable[Iterable]) -> str:
    """Return a table."""
    rows = [list(heads), ["---"] * len(list(heads)), *(list(map(str, line)) for line in lines)]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def stage(rows: list[dict], *names: str) -> list[dict]:
    """Return the rows of some stages."""
    return [row for row in rows if row["stage"] in names]


# ---- Tuned


def tuned(rows: list[dict], cases: Iterable[Case] = TUNED) -> dict[Case, dict]:
    """Return, for each case with final runs, its selected trials and final measures by arm.

    A final row belongs to an arm if its setting is the selected one.
    """
    found = {}
    trials = 1 + max((row["trial"] for row in stage(rows, "tune")), default=0)
    for case in cases:
        runs = [row for row in stage(rows, "final") if case_of(row) == case]
        if not runs:
            continue
        chosen = {arm: selected(rows, case, arm, trials) for arm in ("alone", "hier")}
        values = final_values(runs, chosen)
        if len(values["alone"]) > 1:
            found[case] = {"chosen": chosen, "values": values}
    return found


def final_values(runs: list[dict], chosen: dict[str, dict]) -> dict[str, np.ndarray]:
    """Return the measures (S, M) of each arm by the seeds that all arms have."""
    configs = {arm: trial["config"] for arm, trial in chosen.items()}
    configs["twin"] = configs["hier"] | {"hier_weight": 0.0}
    seeds = {
        arm: {
            run["seed"]: measures(run, retrieval(chosen["hier" if arm == "twin" else arm]))
            for run in runs
            if run["name"] == arm and run["config"] == configs[arm]
        }
        for arm in ARMS
    }
    common = sorted(set.intersection(*(set(by_seed) for by_seed in seeds.values())))
    return {arm: np.array([by[seed] for seed in common]) for arm, by in seeds.items()}


def title(case: Case) -> str:
    """Return how a loss and a head are shown."""
    return f"`{case.loss}`" + (f", {case.head}" if case.head != "linear" else "")


def table_settings(rows: list[dict]) -> str:
    """Return the selected settings."""
    heads = ("loss", "", "validation R@1", "retrieval", "setting")
    lines = []
    for of, each in tuned(rows).items():
        for arm, trial in each["chosen"].items():
            config = {k: v for k, v in trial["config"].items() if k not in ("loss", "head")}
            config = {k: v for k, v in config.items() if k != "hier_weight" or v}
            shown = ", ".join(f"{name} {value:g}" for name, value in config.items())
            score = f"{best(trial):.2f}"
            lines.append([title(of), ARMS[arm], score, retrieval(trial), shown])
    return markdown(heads, lines)


def table_finals(rows: list[dict]) -> str:
    """Return the means of the final runs."""
    lines = [
        [title(of), ARMS[arm], *(f"{value:.2f}" for value in each["values"][arm].mean(axis=0))]
        for of, each in tuned(rows).items()
        for arm in ("alone", "hier")
    ]
    return markdown(("loss", "", *MEASURES), lines)


def columns(values: np.ndarray, shown: Iterable[str]) -> list[np.ndarray]:
    """Return some of the columns of measures (S, M)."""
    return [values[:, MEASURES.index(name)] for name in shown]


def compared(a: np.ndarray, b: np.ndarray, shown: Iterable[str] = SHOWN) -> list[str]:
    """Show the paired differences a - b of measures (S, M), some of them."""
    return [difference(change, 0 * change) for change in columns(a - b, shown)]


def table_differences(rows: list[dict]) -> str:
    """Return the paired differences of the final runs, and their means over all cases."""
    lines, changes = [], []
    for case, found in tuned(rows).items():
        alone, hier, twin = (found["values"][arm] for arm in ARMS)
        lines.append([title(case), *compared(hier, alone), *compared(hier, twin, ("R@1",))])
        changes.append([*columns(hier - alone, SHOWN), *columns(hier - twin, ("R@1",))])
    pooled = [difference(column, 0 * column) for column in np.mean(changes, axis=2).T]
    first, *others = SHOWN
    heads = ("loss", f"less alone: {first}", *others, "less its twin: R@1")
    return markdown(heads, [*lines, [f"all {len(lines)}", *pooled]])


def pairs(rows: list[dict]) -> list[tuple[dict, dict]]:
    """Return the two arms of each trial of tuning."""
    found: dict[tuple, dict] = {}
    for row in stage(rows, "tune"):
        found.setdefault((case_of(row), row["trial"]), {})[row["name"]] = row
    return [(each["alone"], each["hier"]) for each in found.values() if len(each) == 2]


def table_trials(rows: list[dict]) -> str:
    """Return the differences of all trials, by how hard HIER pushes and by where lengths are.

    Of the plain study alone.
    """
    lines = []
    plain = [pair for pair in pairs(rows) if not case_of(pair[0]).regime]
    bins = {"below 0.3": (0, 0.3), "0.3 to 1": (0.3, 1), "above 1": (1, np.inf)}
    for where, fixed in (("at the clip radius", True), ("free", False)):
        for name, (low, high) in bins.items():
            kept = [
                (a, b)
                for a, b in plain
                if low <= b["push"] < high and (a["at_radius"] > 0.5) == fixed
            ]
            if len(kept) > 1:
                changes = [
                    difference(*([run[how]["recall"][0] for run in arm] for arm in arms[::-1]))
                    for arms in [list(zip(*kept, strict=True))]
                    for how in ("ball", "cosine")
                ]
                lines.append([where, name, len(kept), *changes])
    return markdown(("lengths", "push", "pairs", "R@1, ball", "R@1, cosine"), lines)
