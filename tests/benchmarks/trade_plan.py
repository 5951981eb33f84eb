"""What trade.py runs: arms, their settings by number, and how a setting is chosen.

An arm is one way to buy hierarchy with recall of classes. Its settings are drawn by number, so
that more trials keep the first; trial 0 is the plain one. A setting holds options of `Config` and,
of its own: `margin_in` and `tau_in`, in median distances between points and proxies at the start;
`proxy_start`; `mix`, the share of cosine that comes from what `beside` names.

A choice is made on held-out training classes: of the trials that lose at most `budget` points of
Recall@1 to the best trial without HIER, the one with the best tree, for the goal "levels" by the
taxonomy of those classes, for the goal "labels" by nothing but their labels.
"""

from collections.abc import Iterator
from itertools import product

import numpy as np

VALIDATION, TEST = "validation", "test"
BUDGETS = (1, 5, 100)
GOALS = {"levels": slice(1, 3), "labels": slice(0, 1)}  # of the purities: class, subgroup, group
READINGS = {"linkage": ("linkage", "ball"), "proxies": ("lca", "nearest")}
FIXED = ("raw", "whitened", "lda", "without", "default")  # arms with a single setting

# A number is drawn between the ends of a pair evenly in its logarithm; else one of a list.
GENTLE = {"lr_head": (2e-5, 5e-3), "epochs": [0, 1, 2, 5, 10]}
DEPTH = {"start_length": [2.0, 1.0, 0.5, 0.25]}  # below 1 the radius is free of the clip
CHOICES = {
    "alone": GENTLE | DEPTH | {"start": ["lda", "lda", "whiten", "pca"]},
    "mix": {"mix": [0.1, 0.2, 0.3, 0.5, 0.7, 0.9], "beside": ["raw", "whitened"]}
    | {"epochs": [0, 2, 5]},
    "kmeans": {"mix": [0.1, 0.3, 0.5, 0.7, 0.9], "beside": ["8", "16", "32", "64", "128"]}
    | {"epochs": [0, 2, 5]},
    "hier": DEPTH
    | {
        "hier_weight": (0.1, 30.0),
        "margin_in": [0.015, 0.05, 0.1, 0.2, 0.5],
        "tau_in": [0.015, 0.05, 0.15, 0.5],
        "clip": [2.3, 4.6],
        "c": [0.03, 0.1, 0.3],
        "lr_proxies": [1e-3, 1e-2, 5e-2],
        "proxies": [64, 256, 512],
        "proxy_start": ["random", "points", "nodes"],
        "lr_head": [1e-4, 5e-4, 2e-3],
        "epochs": [2, 5],
    },
}
PLAIN = {
    "alone": {"hier_weight": 0.0, "epochs": 5},
    "mix": {"hier_weight": 0.0, "epochs": 5, "mix": 0.5, "beside": "raw"},
    "kmeans": {"hier_weight": 0.0, "epochs": 5, "mix": 0.5, "beside": "32"},
    "hier": {"epochs": 5},
    "default": {"validate": 0.2},
    "without": {"validate": 0.2, "hier_weight": 0.0},
    **{name: {"hier_weight": 0.0, "epochs": 0} for name in ("raw", "whitened", "lda")},
}


def setting(arm: str, trial: int) -> dict:
    """Return the setting of a trial; 0 is the plain one."""
    if not trial:
        return PLAIN[arm]
    rng = np.random.default_rng([trial, *arm.encode()])
    drawn = {} if arm == "hier" else {"hier_weight": 0.0}
    for name, choices in CHOICES[arm].items():
        if isinstance(choices, tuple):
            drawn[name] = float(f"{np.exp(rng.uniform(*np.log(choices))):.2g}")
        else:
            drawn[name] = choices[rng.integers(len(choices))]
    return drawn


def task(stage: str, arm: str, settings: dict, seed: int, **more) -> dict:
    """Describe one run: tuning sees the training half alone."""
    data = VALIDATION if stage == "tune" else TEST
    return {"stage": stage, "arm": arm, "seed": seed, "data": data, "setting": settings} | more


def tuning(trials: int) -> Iterator[dict]:
    """Yield the trials of every arm, all arms in turn."""
    for trial, arm in product(range(trials), (*CHOICES, *FIXED)):
        if not trial or arm not in FIXED:
            yield task("tune", arm, setting(arm, trial), 0, trial=trial)


def goodness(row: dict, goal: str, reading: str) -> float:
    """Return how good the tree of a run is, for a goal, by its better rule of a reading; percent.

    -inf for a run without such a tree.
    """
    rules = [rule for rule in READINGS[reading] if rule in row["trees"]]
    return max((100 * np.mean(row["trees"][r][GOALS[goal]]) for r in rules), default=-np.inf)


def chosen(rows: list[dict], arm: str, goal: str, reading: str, budget: float) -> dict | None:
    """Return the trial of an arm that is best for a goal within a budget; None if none is."""
    trials = [row for row in rows if row["stage"] == "tune"]
    least = max((r["recall"][0] for r in trials if r["arm"] == "alone"), default=0.0) - budget
    able = [r for r in trials if r["arm"] == arm and r["recall"][0] >= least]
    able = [r for r in able if goodness(r, goal, reading) > -np.inf]
    return max(able, key=lambda row: goodness(row, goal, reading), default=None)


def rule_of(row: dict, goal: str, reading: str) -> str:
    """Return the rule that a chosen trial's tree was better by, to be kept on the test half."""
    rules = [rule for rule in READINGS[reading] if rule in row["trees"]]
    return max(rules, key=lambda rule: np.mean(row["trees"][rule][GOALS[goal]]))


def finals(rows: list[dict], seeds: int) -> Iterator[dict]:
    """Yield the runs of all chosen settings on the test half, seed by seed, each once."""
    settings: list[tuple[str, dict]] = [(arm, PLAIN[arm]) for arm in FIXED]
    for arm, goal, reading, budget in product(CHOICES, GOALS, READINGS, BUDGETS):
        row = chosen(rows, arm, goal, reading, budget)
        if row and (arm, row["setting"]) not in settings:
            settings.append((arm, row["setting"]))
    for seed in range(1, seeds + 1):
        for arm, found in settings:
            yield task("final", arm, found, seed)
