"""Tables of the regimes, and of the rounds in which HIER alone was tuned further."""

import numpy as np
from study_compare import (
    ARMS,
    MEASURES,
    SHOWN,
    compared,
    interval,
    markdown,
    measures,
    pairs,
    retrieval,
    stage,
    title,
    tuned,
)
from study_plan import (
    AGAIN,
    BASE,
    REGIME_CASES,
    SECOND,
    THIRD,
    Case,
    best,
    case_of,
    longer,
    selected,
)
from study_regimes import REGIMES, TEST, VALIDATION, noisy, word_and_regime

START = [MEASURES.index(name) for name in ("R@1", "MAP@R", "group")]
CHANGES = ("+ HIER less alone: R@1", "MAP@R", "group", "less its twin: R@1")
STRONG = 10  # push


def where(case: Case) -> list[str]:
    """Return the first two cells of a line: regime, then loss and head."""
    return [case.regime or "plain", title(case)]


def table_raw(rows: list[dict]) -> str:
    """Return the retrieval by untouched features, and by heads that were not trained."""
    found: dict[str, dict] = {}
    for row in stage(rows, "raw"):
        word, regime = word_and_regime(row["data"])
        found.setdefault(regime, {}).setdefault((row["name"], word), []).append(best(row))
    kinds = [(name, word) for word in (TEST, VALIDATION) for name in ("raw", "head")]
    lines = [
        [regime or "plain", *(f"{np.mean(of[kind]):.2f}" for kind in kinds)]
        for regime, of in found.items()
    ]
    heads = ("untouched", "untrained head", "untouched, validation", "untrained head, validation")
    return markdown(("features", *heads), lines)


def table_regimes(rows: list[dict]) -> str:
    """Return the means without HIER, and what HIER changes, in each regime."""
    lines = []
    for case, found in tuned(rows, REGIME_CASES).items():
        alone, hier, twin = (found["values"][arm] for arm in ARMS)
        start = [f"{value:.2f}" for value in alone.mean(axis=0)[START]]
        against_twin = compared(hier, twin, ("R@1",))
        push = f"{found['chosen']['hier']['push']:.2f}"
        changes = compared(hier, alone, ("R@1", "MAP@R", "group"))
        lines.append([*where(case), *start, push, *changes, *against_twin])
    heads = ("regime", "loss", "alone: R@1", "MAP@R", "group", "push")
    return markdown((*heads, *CHANGES), lines)


def table_regime_trials(rows: list[dict]) -> str:
    """Return what HIER changes in the trials, by the learning rate that both partners drew.

    Not by how the partner without HIER did: what is split by a noisy value and has that value
    subtracted shows a gain at the low end by itself. The halves part where the drawn range does.
    """
    found = [(case_of(a).regime, lr_of(a) < middle(a), best(b) - best(a)) for a, b in pairs(rows)]
    lines = []
    for name in REGIMES:
        line = [name or "plain"]
        for low in (True, False):
            changes = [change for regime, side, change in found if (regime, side) == (name, low)]
            line += [len(changes), sum(change > 0 for change in changes), shown(changes)]
        lines.append(line)
    names = ("pairs", "better with HIER", "R@1")
    heads = [
        f"{half} rates: {names[0]}" if name == names[0] else name
        for half in ("lower", "higher")
        for name in names
    ]
    return markdown(("regime", *heads), lines)


def lr_of(row: dict) -> float:
    """Return the learning rate of the head."""
    return (BASE | row["config"])["lr_head"]


def middle(row: dict) -> float:
    """Return the geometric middle of the learning rates that its regime drew from."""
    return float(np.sqrt(np.prod(REGIMES[case_of(row).regime].lr_head)))


def table_strong(rows: list[dict]) -> str:
    """Return where the trials end whose HIER pushes far harder than the metric loss."""
    untrained: dict[str, list] = {}
    for row in stage(rows, "raw"):
        word, regime = word_and_regime(row["data"])
        if row["name"] == "head" and word == VALIDATION:
            untrained.setdefault(regime, []).append(best(row))
    strong = [(case_of(a).regime, best(a), best(b)) for a, b in pairs(rows) if b["push"] > STRONG]
    lines = []
    for name in dict.fromkeys(name for name, _, _ in strong):
        alone, hier = zip(*(scores for at, *scores in strong if at == name), strict=True)
        start = untrained["noise" if REGIMES[name].weaken is noisy else ""]
        both = [f"{min(of):.1f} to {max(of):.1f}" for of in (alone, hier)]
        lines.append([name or "plain", len(hier), *both, f"{np.mean(start):.1f}"])
    return markdown(("regime", "trials", "alone", "+ HIER", "untrained head"), lines)


def shown(changes: list[float]) -> str:
    """Show a mean with its interval, if there are enough."""
    if len(changes) < 3:
        return ""
    return "{:+.2f} ± {:.2f}".format(*interval(changes))


def finals_of(rows: list[dict], case: Case, name: str, trial: dict) -> np.ndarray:
    """Return the final measures (S, M) of a round, by the retrieval that its best trial chose."""
    runs = [row for row in stage(rows, name) if case_of(row) == case and row["name"] == "final"]
    found = {row["seed"]: row for row in runs if row["config"] == trial["config"]}
    return np.array([measures(found[seed], retrieval(trial)) for seed in sorted(found)])


def head_start(rows: list[dict], case: Case, name: str) -> tuple[dict, np.ndarray, np.ndarray]:
    """Return the best trial of a round, and final measures (S, M) with it and without HIER."""
    trials = 1 + max(row.get("trial", 0) for row in stage(rows, name) if case_of(row) == case)
    trial = selected(rows, case, "hier", trials, name)
    alone = tuned(rows, [case])[case]["values"]["alone"]
    return trial, finals_of(rows, case, name, trial), alone


def table_round(rows: list[dict], name: str, cases: list[Case], choices: tuple) -> str:
    """Return the best of a round, and what it changes to the setting selected without HIER."""
    lines = []
    for case in cases:
        trial, mine, alone = head_start(rows, case, name)
        chosen = [f"{trial['config'][choice]:g}" for choice in choices]
        scores = [f"{trial['push']:.2f}", f"{best(trial):.2f}"]
        lines.append([*where(case), *chosen, *scores, *compared(mine, alone)])
    names = [choice.removeprefix("hier_") for choice in choices]
    return markdown(("regime", "loss", *names, "push", "validation R@1", *SHOWN), lines)


def table_second(rows: list[dict]) -> str:
    """Return the head start of HIER."""
    return table_round(rows, "second", SECOND, ("hier_weight", "lr_proxies", "neighbours"))


def table_third(rows: list[dict]) -> str:
    """Return the head start with more choices."""
    choices = ("hier_weight", "lr_proxies", "proxies", "triplets", "tau", "margin")
    return table_round(rows, "third", THIRD, choices)


def table_again(rows: list[dict]) -> str:
    """Return the head start of HIER against the best without it on as many trials."""
    lines = []
    for case in AGAIN:
        trials = (1 + max(row["trial"] for row in stage(rows, "again") if "trial" in row)) // 2
        trial = longer(rows, case, trials)
        alone = finals_of(rows, case, "again", trial)
        _, hier, _ = head_start(rows, case, "second")
        start = f"{best(trial):.2f}", f"{alone[:, 0].mean():.2f}"
        lines.append([*where(case), *start, *compared(hier, alone)])
    first, *others = SHOWN
    heads = ("validation R@1 alone", "alone: R@1", f"+ HIER less alone: {first}", *others)
    return markdown(("regime", "loss", *heads), lines)
