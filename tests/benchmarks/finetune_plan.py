"""What finetune.py runs: arms, their settings by number, and how a setting is chosen.

An arm is a metric loss alone, or with HIER by one of two sets of constants. Trial t of all arms of
a loss draws the same learning rates, epochs and start; with HIER it draws a weight besides. More
trials keep the first; trial 0 is the plain one.

A choice is made on held-out training classes: for the goal "recall" the trial of largest Recall@1,
for the goal "tree" the one whose average linkage is purest in subgroups and groups, of those that
lose at most BUDGET points of Recall@1 to the best trial of the loss alone.
"""

from collections.abc import Iterator
from itertools import product

import numpy as np

VALIDATION, TEST = "validation", "test"
LOSSES, KINDS = ("PA", "MS"), ("alone", "released", "strong")
ARMS = tuple(f"{loss} {kind}" for loss, kind in product(LOSSES, KINDS))
UNTRAINED = ("raw", "whitened", "lda")  # of the frozen network's 1280 numbers
GOALS, BUDGET = ("recall", "tree"), 1.0

# Options of Config; lr_proxies is the recipe's multiple of the network's rate, or absolute.
# "strong" is a choice of trade.py, where margin and tau are 0.1 and 0.05 of the median distance.
CONSTANTS = {
    "alone": {},
    "released": {"convention": "released", "tau": 0.1, "margin": 0.1},
    "strong": {"tau": 0.37, "margin": 0.74},
}
TIMES, ABSOLUTE = 50, 1e-2

# A number is drawn between the ends of a pair evenly in its logarithm; else one of a list.
SHARED = {
    "lr_tail": (1e-5, 1e-3),
    "lr_head": (3e-5, 3e-3),
    "epochs": [2, 4, 6],
    "start": ["lda", "lda", "whiten"],
}
OWN = {
    "PA": {"lr_loss": (1e-3, 3e-2)},
    "MS": {},
    "alone": {},
    "released": {"hier_weight": (0.1, 5.0)},
    "strong": {"hier_weight": (1.0, 50.0)},
}
PLAIN = {"lr_tail": 1e-4, "lr_head": 5e-4, "epochs": 4, "start": "lda"}
PLAIN_OWN = {
    "PA": {"lr_loss": 1e-2},
    "MS": {},
    "alone": {},
    "released": {"hier_weight": 0.5},
    "strong": {"hier_weight": 26.0},
}


def drawn(choices: dict, rng: np.random.Generator) -> dict:
    """Draw one value of each choice, in their order."""
    found = {}
    for name, each in choices.items():
        if isinstance(each, tuple):
            found[name] = float(f"{np.exp(rng.uniform(*np.log(each))):.2g}")
        else:
            found[name] = each[rng.integers(len(each))]
    return found


def setting(arm: str, trial: int) -> dict:
    """Return the setting of a trial; 0 is the plain one."""
    loss, kind = arm.split()
    if not trial:
        return PLAIN | PLAIN_OWN[loss] | PLAIN_OWN[kind]
    shared = drawn(SHARED | OWN[loss], np.random.default_rng([trial, 0, *loss.encode()]))
    return shared | drawn(OWN[kind], np.random.default_rng([trial, 1, *arm.encode()]))


def task(stage: str, arm: str, settings: dict, seed: int, **more) -> dict:
    """Describe one run: tuning sees the training half alone."""
    data = VALIDATION if stage == "tune" else TEST
    return {"stage": stage, "arm": arm, "seed": seed, "data": data, "setting": settings} | more


def tuning(trials: int) -> Iterator[dict]:
    """Yield what needs no training, then the trials, all arms in turn."""
    for arm in UNTRAINED:
        yield task("tune", arm, {}, 0, trial=0)
    for trial, arm in product(range(trials), ARMS):
        yield task("tune", arm, setting(arm, trial), 0, trial=trial)


def coarse(row: dict) -> float:
    """Return the mean purity of subgroups and groups of the linkage of a run."""
    return float(np.mean(row["trees"]["linkage"][1:3]))


def chosen(rows: list[dict], arm: str, goal: str) -> dict | None:
    """Return the trial of an arm that is best for a goal; None if none is."""
    trials = [row for row in rows if row["stage"] == "tune"]
    mine = [row for row in trials if row["arm"] == arm]
    if goal == "recall":
        return max(mine, key=lambda row: row["recall"][0], default=None)
    alone = [row["recall"][0] for row in trials if row["arm"] == f"{arm.split()[0]} alone"]
    least = max(alone, default=0.0) - BUDGET
    return max((r for r in mine if r["recall"][0] >= least), key=coarse, default=None)


def finals(rows: list[dict], seeds: int) -> Iterator[dict]:
    """Yield the runs on the test half, seed by seed, each once: first what recall chose.

    "frozen" is the choice of a loss alone for recall, its network at rate 0.
    """
    for arm in UNTRAINED:
        yield task("final", arm, {}, 1)
    settings: list[tuple[str, dict]] = []
    for goal in GOALS:
        found = [(arm, row["setting"]) for arm in ARMS if (row := chosen(rows, arm, goal))]
        if goal == "recall":
            alone = [(arm, s) for arm, s in found if arm.endswith("alone")]
            found += [(arm.replace("alone", "frozen"), s | {"lr_tail": 0.0}) for arm, s in alone]
        new = [each for each in found if each not in settings]
        settings += new
        for seed, (arm, each) in product(range(1, seeds + 1), new):
            yield task("final", arm, each, seed)
