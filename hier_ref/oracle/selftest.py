"""selftest: the oracle's cases are whole, its reference is right by them, and faults are seen."""

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from hier_ref.convention import EXACT, RELEASED, Convention, differences
from hier_ref.oracle.case import Case, reference
from hier_ref.oracle.check import Report, check
from hier_ref.oracle.form import SuiteError
from hier_ref.oracle.suite import CORE, load_suite
from hier_ref.oracle.textbook import textbook

Stages = Mapping[str, np.ndarray]


def _changed(stage: str, change: Callable) -> Callable[[Case], Stages]:
    def candidate(case: Case) -> Stages:
        stages = reference(case)
        return stages | {stage: change(stages[stage])}

    return candidate


def _restless() -> Callable[[Case], Stages]:
    rng = np.random.default_rng(0)

    def candidate(case: Case) -> Stages:
        return {"loss": reference(case)["loss"] + rng.random()}

    return candidate


def _follower(convention: Convention) -> Callable[[Case], Stages]:
    return lambda case: reference(case, convention)


# What is wrong -> the candidate, the exit code, the first stage, the fields to be named.
FAULTS: dict[str, tuple[Callable, int, str, set[str]]] = {
    "a gradient that is half": (_changed("grad_x", lambda g: g / 2), 2, "grad_x", set()),
    "a distance that is squared": (_changed("d_zl", np.square), 2, "d_zl", set()),
    "ancestors off by one": (_changed("lca_pair_data", lambda n: n + 1), 2, "lca_pair_data", set()),
    "noise that is tempered": (
        _follower(replace(EXACT, noise_tempered=True)),
        1,
        "lca_pair_data",
        {"noise_tempered"},
    ),
    "a gradient that is not straight-through": (
        _follower(replace(EXACT, straight_through=False)),
        1,
        "grad_d_zl",
        {"straight_through"},
    ),
    "NaN": (_changed("loss", lambda loss: loss * np.nan), 4, "", set()),
    "another answer each time": (_restless(), 4, "", set()),
}


def selftest() -> list[tuple[str, str]]:
    """Return what was tested and, for each, what is wrong: an empty text where nothing is."""
    try:
        suite = load_suite()
    except SuiteError as error:
        return [(f"{CORE} is whole", str(error))]
    results = [(f"{CORE} is whole: {len(suite)} cases, every array with its SHA-256", "")]
    right = {
        "EXACT conforms": (suite, EXACT, EXACT),
        "RELEASED conforms": (suite[::3], RELEASED, RELEASED),
        "another arithmetic conforms": (suite[::3], EXACT, textbook(EXACT, "direct")),
    }
    for what, (entries, declared, followed) in right.items():
        with np.errstate(all="ignore"):  # at the boundary, in stages that are not asked there
            report = check(_follower(followed), entries, convention=declared)
        results.append((what, _wrong(report, 0, "", set())))
    return results + [
        (f"{what} is seen", _wrong(check(candidate, suite[:6]), code, first, named))
        for what, (candidate, code, first, named) in FAULTS.items()
    ]


def _wrong(report: Report, code: int, first: str, named: set[str]) -> str:
    """Say what a report should have said and does not."""
    best = report.explanations[0].convention if report.code == 1 else report.declared
    found = report.code, report.first, set(differences(report.declared, best))
    expected = code, first, named
    return "" if found == expected else f"found {found}, expected {expected}"
