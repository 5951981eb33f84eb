"""The runs of the study, as data: what is tuned, what is compared, which claims are checked.

A run is a dict: its stage, a name, a seed, the data, and a `config` of what differs from the
default. `stages` is all of it in order; study.py runs it.
"""

from collections.abc import Callable, Iterator

import numpy as np

from hier_ref.config import Config
from hier_ref.losses import LOSSES

TUNED = [(loss, "linear") for loss in ("PA", "MS", "HYP", "MS_HYP")] + [("MS", "mlp")]
SECOND = [("MS", "linear")]
CHECKS = 3  # seeds of the claims
SMALL = {"triplets": 5, "proxies": 128}  # a quarter of the default, for time
FREE = {"head_scale": 0.1, "lr_head": 1e-3}  # lengths stay below the clip radius
# The one-seed trials to check: name -> what differs from the default, 10 epochs each.
CLAIMS = {
    "PA": ({"loss": "PA"}, (0.0, 0.5)),
    "MS": ({"loss": "MS"}, (0.0, 0.5, 2.0, 10.0)),
    "MS free": ({"loss": "MS"} | FREE, (0.0, 0.5, 2.0)),
    "MS_HYP free": ({"loss": "MS_HYP"} | FREE, (0.0, 2.0)),
}


# ---- The runs


def claims() -> Iterator[dict]:
    """Yield the runs that repeat the one-seed trials, and one of them at the default size."""
    for name, (config, weights) in CLAIMS.items():
        for weight in weights:
            hier = {"hier_weight": weight} | (SMALL if weight else {})
            for seed in range(CHECKS):
                yield task("claims", name, config | hier | {"epochs": 10}, seed)
    for seed in range(CHECKS):
        config = {"loss": "MS", "hier_weight": 2.0, "epochs": 10} | FREE
        yield task("claims", "MS free, default size", config, seed)


def defaults() -> Iterator[dict]:
    """Yield `python -m hier_ref.train --loss X`, and with `--hier-weight 0`, for every loss."""
    for loss in LOSSES:
        for weight in (0.0, Config().hier_weight):
            yield task("defaults", loss, {"loss": loss, "hier_weight": weight}, 0)


def second(base: dict, trials: int) -> Iterator[dict]:
    """Yield more trials for HIER alone, upon the setting selected without it: a head start."""
    for trial in range(trials):
        rng = np.random.default_rng([trial, 2027])
        hier = {
            "hier_weight": between(rng, 0.02, 1),
            "lr_proxies": between(rng, 1e-3, 1e-1),
            "proxies": int(rng.choice([64, 128])),
            "triplets": SMALL["triplets"],
            "neighbours": int(rng.choice([2, 5, 10, 20])),
        }
        yield task("second", "hier", base | hier, 0, data="validation", trial=trial)


def upon(config: dict, seeds: int) -> Iterator[dict]:
    """Yield final runs with HIER upon the setting selected without it."""
    for seed in range(1, seeds + 1):
        yield task("second", "final", config, seed)


def tuning(loss: str, head: str, trials: int) -> Iterator[dict]:
    """Yield the trials of one loss: the same choices without HIER and with it."""
    for trial in range(trials):
        common, hier = draw(np.random.default_rng([trial, 2026]), trial)
        base = {"loss": loss, "head": head} | common
        for arm, more in (("alone", {"hier_weight": 0.0}), ("hier", hier)):
            yield task("tune", arm, base | more, 0, data="validation", trial=trial)


def draw(rng: np.random.Generator, trial: int) -> tuple[dict, dict]:
    """Return what both arms of a trial share, and what HIER has besides. Trial 0 is the default."""
    common = {
        "lr_head": between(rng, 5e-4, 3e-2),
        "lr_loss": between(rng, 3e-3, 3e-1),
        "head_scale": float(rng.choice([1.0, 0.1])),
        "clip": float(rng.choice([1.0, 2.3, 4.6])),
        "epochs": int(rng.choice([5, 10, 20])),
    }
    hier = {
        "hier_weight": between(rng, 0.1, 5),
        "lr_proxies": between(rng, 1e-3, 1e-1),
        "proxies": int(rng.choice([64, 128])),
        "triplets": SMALL["triplets"],
    }
    return (common, hier) if trial else ({"epochs": 10}, {"hier_weight": 0.5} | SMALL)


def between(rng: np.random.Generator, low: float, high: float) -> float:
    """Draw a number with evenly spread logarithm, of two digits."""
    return float(f"{low * (high / low) ** rng.random():.2g}")


def finals(arms: dict[str, dict], seeds: int) -> Iterator[dict]:
    """Yield the runs of the selected settings, and of the one with HIER less HIER: its twin."""
    arms = arms | {"twin": arms["hier"] | {"hier_weight": 0.0}}
    for seed in range(1, seeds + 1):  # 0 was used for tuning
        for arm, config in arms.items():
            yield task("final", arm, config, seed)


def task(stage: str, name: str, config: dict, seed: int, data: str = "test", **more) -> dict:
    """Describe one run."""
    return {"stage": stage, "name": name, "seed": seed, "data": data, **more, "config": config}


def selected(
    rows: list[dict], loss: str, head: str, arm: str, trials: int, stage: str = "tune"
) -> dict:
    """Return the trial of an arm with the best validation Recall@1, by either retrieval."""
    rows = [row for row in rows if row["stage"] == stage and row["name"] == arm]
    rows = [row for row in rows if row.get("trial", trials) < trials]
    rows = [row for row in rows if loss_and_head(row["config"]) == (loss, head)]
    return max(rows, key=lambda row: (best(row), -row["trial"]))


def loss_and_head(config: dict) -> tuple[str, str]:
    """Return the loss and the head of a run."""
    return config["loss"], config.get("head", "linear")


def best(row: dict) -> float:
    """Return Recall@1 by the better of the two retrievals."""
    return max(row[how]["recall"][0] for how in ("ball", "cosine"))


def stages(trials: int, seeds: int) -> dict[str, list[Callable]]:
    """Return each stage by name: functions from the rows so far to tasks, one after the other."""

    def chosen(loss, head, rows):
        names = "alone", "hier"
        return {arm: selected(rows, loss, head, arm, trials)["config"] for arm in names}

    found = {}
    for loss, head in TUNED:
        found[f"{loss}-{head}"] = [
            lambda rows, of=(loss, head): tuning(*of, trials),
            lambda rows, of=(loss, head): finals(chosen(*of, rows), seeds),
        ]
    for loss, head in SECOND:
        found[f"second-{loss}-{head}"] = [
            lambda rows, of=(loss, head): second(chosen(*of, rows)["alone"], trials),
            lambda rows, of=(loss, head): upon(
                selected(rows, *of, "hier", trials, "second")["config"], seeds
            ),
        ]
    return found | {"claims": [lambda rows: claims()], "defaults": [lambda rows: defaults()]}
