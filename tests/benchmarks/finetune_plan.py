"""What finetune.py runs: arms, their settings by number, and how a setting is chosen.

An arm is a metric loss alone, or with HIER by one of two sets of constants. Trial t has the same
learning rates, epochs and start in all arms; with HIER it has a weight besides.

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

# What all arms share, by trial: a table, since so few draws would leave holes.
SHARED = (
    {"lr_tail": 1e-4, "lr_head": 5e-4, "epochs": 3, "start": "lda"},
    {"lr_tail": 1e-4, "lr_head": 5e-5, "epochs": 6, "start": "lda"},
    {"lr_tail": 3e-5, "lr_head": 5e-5, "epochs": 3, "start": "lda"},
    {"lr_tail": 3e-4, "lr_head": 1e-4, "epochs": 3, "start": "lda"},
    {"lr_tail": 3e-4, "lr_head": 1e-3, "epochs": 6, "start": "whiten"},
    {"lr_tail": 3e-5, "lr_head": 2e-4, "epochs": 3, "start": "lda"},
    {"lr_tail": 1e-5, "lr_head": 5e-5, "epochs": 1, "start": "lda"},
    {"lr_tail": 1e-5, "lr_head": 2e-5, "epochs": 3, "start": "lda"},
)
LR_LOSS = (1e-2, 3e-3, 1e-2, 3e-3, 1e-2, 3e-3, 1e-3, 1e-3)  # of Proxy-Anchor's class proxies
WEIGHTS = {
    "released": (0.5, 1.0, 2.0, 0.2, 0.5, 5.0, 1.0, 2.0),
    "strong": (26.0, 10.0, 5.0, 10.0, 26.0, 2.0, 5.0, 26.0),
}


def setting(arm: str, trial: int) -> dict:
    """Return the setting of a trial."""
    loss, kind = arm.split()
    own = {"lr_loss": LR_LOSS[trial]} if loss == "PA" else {}
    weight = {"hier_weight": WEIGHTS[kind][trial]} if kind in WEIGHTS else {}
    return SHARED[trial] | own | weight


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
