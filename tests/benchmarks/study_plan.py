"""The runs of the study, as data: what is tuned, what is compared, which claims are checked.

A run is a dict: its stage, a name, a seed, the data, and a `config` of what differs from the
default, or from BASE. `stages` is all of it in order; study.py runs it.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from study_regimes import REGIMES, TEST, VALIDATION, Regime, data_name, word_and_regime

from hier_ref.losses import LOSSES


class Case(NamedTuple):
    """What is tuned twice, alone and with HIER."""

    loss: str
    head: str = "linear"
    regime: str = ""


TUNED = [Case(loss, head) for head in ("linear", "mlp") for loss in LOSSES]
REGIME_CASES = [Case("MS", regime=name) for name in REGIMES if name]
REGIME_CASES += [Case("PA", regime="gentle groups")]
NO_MORE = ("two of a quarter", "long", "noise")  # no head start: for time
SECOND = [Case("MS", regime=name) for name in REGIMES if name not in NO_MORE]
THIRD = [Case("MS")]
AGAIN = [Case("MS", regime=name) for name in ("gentle groups", "gentle quarter")]
CHECKS = 3  # seeds of the claims
# What was the default when the study was made; the head started at random throughout.
BASE = {"loss": "PA", "lr_head": 2e-2, "epochs": 15}
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
        for weight in (0.0, 0.5):  # 0.5 was the default when it was run
            yield task("defaults", loss, {"loss": loss, "hier_weight": weight}, 0)


def tuning(case: Case, trials: int) -> Iterator[dict]:
    """Yield the trials of one case: the same choices without HIER and with it."""
    data = data_name(VALIDATION, case.regime)
    for trial in range(trials):
        rng = np.random.default_rng([trial, 2026])
        common, hier = draw(rng, trial, REGIMES[case.regime])
        base = {"loss": case.loss, "head": case.head} | common
        for arm, more in (("alone", {"hier_weight": 0.0}), ("hier", hier)):
            yield task("tune", arm, base | more, 0, data, trial=trial)


def draw(rng: np.random.Generator, trial: int, regime: Regime) -> tuple[dict, dict]:
    """Return what both arms of a trial share, and what HIER has besides. Trial 0 is the default."""
    common = {
        "lr_head": between(rng, *regime.lr_head),
        "lr_loss": between(rng, 3e-3, 3e-1),
        "head_scale": float(rng.choice([1.0, 0.1])),
        "clip": float(rng.choice([1.0, 2.3, 4.6])),
        "epochs": int(rng.choice(regime.epochs)),
    }
    hier = {
        "hier_weight": between(rng, *regime.hier_weight),
        "lr_proxies": between(rng, 1e-3, 1e-1),
        "proxies": int(rng.choice([64, 128])),
        "triplets": SMALL["triplets"],
    }
    default = {"epochs": regime.epochs[1]}, {"hier_weight": 0.5} | SMALL
    return (common, hier) if trial else default


def untrained() -> Iterator[dict]:
    """Yield the retrieval by the features themselves, and by heads that were not trained."""
    for regime in ("", "noise", "stretched"):
        for word in (VALIDATION, TEST):
            yield task("raw", "raw", {}, 0, data_name(word, regime))
            for seed in range(1, CHECKS + 1):
                yield task("raw", "head", {}, seed, data_name(word, regime))


def second(base: dict, trials: int, regime: str) -> Iterator[dict]:
    """Yield more trials for HIER alone, upon the setting selected without it: a head start."""
    low, high = REGIMES[regime].hier_weight
    for trial in range(trials):
        rng = np.random.default_rng([trial, 2027])
        hier = {
            "hier_weight": between(rng, low / 5, high / 5),
            "lr_proxies": between(rng, 1e-3, 1e-1),
            "proxies": int(rng.choice([64, 128])),
            "triplets": SMALL["triplets"],
            "neighbours": int(rng.choice([2, 5, 10, 20])),
        }
        yield task("second", "hier", base | hier, 0, data_name(VALIDATION, regime), trial=trial)


def third(base: dict, trials: int, regime: str) -> Iterator[dict]:
    """Yield a head start with the temperature, the margin and sizes up to the default drawn too."""
    for trial in range(trials):
        rng = np.random.default_rng([trial, 2030])
        hier = {
            "hier_weight": between(rng, 0.02, 1),
            "lr_proxies": between(rng, 1e-3, 1e-1),
            "proxies": int(rng.choice([128, 512])),
            "triplets": int(rng.choice([5, 20])),
            "tau": between(rng, 0.02, 1),
            "margin": round(rng.random(), 2),
        }
        yield task("third", "hier", base | hier, 0, data_name(VALIDATION, regime), trial=trial)


def again(case: Case, trials: int) -> Iterator[dict]:
    """Yield as many more trials without HIER as a head start has with it."""
    for each in tuning(case, 2 * trials):
        if each["name"] == "alone" and each["trial"] >= trials:
            yield each | {"stage": "again"}


def upon(stage: str, config: dict, seeds: int, regime: str) -> Iterator[dict]:
    """Yield the final runs of a further round."""
    for seed in range(1, seeds + 1):
        yield task(stage, "final", config, seed, data_name(TEST, regime))


def between(rng: np.random.Generator, low: float, high: float) -> float:
    """Draw a number with evenly spread logarithm, of two digits."""
    return float(f"{low * (high / low) ** rng.random():.2g}")


def finals(arms: dict[str, dict], seeds: int, regime: str) -> Iterator[dict]:
    """Yield the runs of the selected settings, and of the one with HIER less HIER: its twin."""
    arms = arms | {"twin": arms["hier"] | {"hier_weight": 0.0}}
    for seed in range(1, seeds + 1):  # 0 was used for tuning
        for arm, config in arms.items():
            yield task("final", arm, config, seed, data_name(TEST, regime))


def task(stage: str, name: str, config: dict, seed: int, data: str = TEST, **more) -> dict:
    """Describe one run."""
    return {"stage": stage, "name": name, "seed": seed, "data": data, **more, "config": config}


# ---- What was found


def selected(rows: list[dict], case: Case, arm: str, trials: int, *stages: str) -> dict:
    """Return the trial of an arm with the best validation Recall@1, by either retrieval.

    Of tuning, unless other `stages` are named.
    """
    stages = stages or ("tune",)
    rows = [row for row in rows if row["stage"] in stages and row["name"] == arm]
    rows = [row for row in rows if row.get("trial", trials) < trials]
    rows = [row for row in rows if case_of(row) == case]
    return max(rows, key=lambda row: (best(row), -row["trial"]))


def longer(rows: list[dict], case: Case, trials: int) -> dict:
    """Return the best trial without HIER of both its rounds."""
    return selected(rows, case, "alone", 2 * trials, "tune", "again")


def case_of(row: dict) -> Case:
    """Return loss, head and regime of a run."""
    config = row["config"]
    return Case(
        config.get("loss", BASE["loss"]),
        config.get("head", "linear"),
        word_and_regime(row["data"])[1],
    )


def is_final_of_a_regime(row: dict) -> bool:
    """Tell the final runs of the regimes from all others."""
    return case_of(row).regime != "" and "trial" not in row


def best(row: dict) -> float:
    """Return Recall@1 by the better of the two retrievals, or by the only one."""
    return max(row[how]["recall"][0] for how in ("ball", "cosine") if how in row)


# ---- All of it: functions from the rows so far to tasks, to run one after the other


def stages(trials: int, seeds: int) -> dict[str, list[Callable]]:
    """Return each stage by name."""
    found = {words(case): both_sides(case, trials, seeds) for case in TUNED + REGIME_CASES}
    for stage, more, cases in (("second", second, SECOND), ("third", third, THIRD)):
        for case in cases:
            found[f"{stage}-{words(case)}"] = head_start(case, stage, more, trials, seeds)
    found |= {f"again-{words(case)}": other_side(case, trials, seeds) for case in AGAIN}
    once = {"claims": claims, "defaults": defaults, "raw": untrained}
    return found | {name: [lambda rows, of=of: of()] for name, of in once.items()}


def both_sides(case: Case, trials: int, seeds: int) -> list[Callable]:
    """Tune a case without HIER and with it, and compare."""

    def chosen(rows):
        return {arm: selected(rows, case, arm, trials)["config"] for arm in ("alone", "hier")}

    return [
        lambda rows: tuning(case, trials),
        lambda rows: finals(chosen(rows), seeds, case.regime),
    ]


def head_start(case: Case, stage: str, more: Callable, trials: int, seeds: int) -> list[Callable]:
    """Tune HIER upon what was selected without it."""

    def base(rows):
        return selected(rows, case, "alone", trials)["config"]

    def found(rows):
        return selected(rows, case, "hier", trials, stage)["config"]

    return [
        lambda rows: more(base(rows), trials, case.regime),
        lambda rows: upon(stage, found(rows), seeds, case.regime),
    ]


def other_side(case: Case, trials: int, seeds: int) -> list[Callable]:
    """Tune further without HIER."""
    return [
        lambda rows: again(case, trials),
        lambda rows: upon("again", longer(rows, case, trials)["config"], seeds, case.regime),
    ]


def words(case: Case) -> str:
    """Return a case as one word, such as MS-linear or MS-linear-two-images."""
    return "-".join(filter(None, case)).replace(" ", "-")
