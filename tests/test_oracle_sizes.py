"""Sizes are part of the question: beyond tiles and 8-bit integers, and of a real batch if asked."""

from dataclasses import replace

import numpy as np
import pytest
from candidates.plain import BLACK_BOX, Plain, candidate
from candidates.wider import WIDER
from test_oracle_cli import HOSTILE, call, line

from hier_ref.convention import EXACT, RELEASED
from hier_ref.oracle import check, load_suite, reference
from hier_ref.oracle.fingerprint import alternatives, explain
from hier_ref.oracle.large import large_entry
from hier_ref.oracle.report import largest
from hier_ref.oracle.widened import budget, excusable, scaled

BY_NAME = {mutant.name: mutant for mutant in WIDER}
SUITE = {entry.case.id: entry for entry in load_suite()}
SIZED = [entry for entry in SUITE.values() if "size" in entry.case.flags]


@pytest.fixture(autouse=True)
def quiet():
    with np.errstate(all="ignore"):
        yield


def test_each_size_goes_beyond_8_bits_and_fills_no_tile():
    sizes = {"B": [len(e.case.x) for e in SIZED], "P": [len(e.case.proxies) for e in SIZED]}
    sizes["D"] = [e.case.x.shape[1] for e in SIZED]
    sizes["T"] = [len(e.case.triplets_data) for e in SIZED]
    for name, least in {"B": 256, "P": 256, "D": 1024, "T": 4096}.items():
        assert max(sizes[name]) > least and max(sizes[name]) % 8, name
    whole = SUITE["sizes"].case
    assert len(whole.x) > 64 and len(whole.proxies) > 32 and whole.x.shape[1] > 128
    assert len(whole.triplets_data) > 1024


@pytest.mark.parametrize(
    "name", ["t-512", "t-blocks", "p-32", "p-int8", "d-128", "d-1024", "b-64", "t-4096-slope"]
)
def test_what_needs_a_size_is_seen_there(name):
    small = [SUITE["std-00"], SUITE["odd"]]
    assert check(BY_NAME[name].candidate(), small, dtypes=("float64",)).verdict == "conforms"
    report = check(BY_NAME[name].candidate(), SIZED, dtypes=("float64",))
    assert (report.verdict, report.first) == ("unexplained", BY_NAME[name].stage)


def test_the_report_says_how_large_the_cases_were():
    ended = call("check", f"{HOSTILE}:right", "--adapter", "case", "--case", "std-00")
    assert line(ended.out, "largest") == "B 12, P 8, D 6, T 48"
    assert "--large" in call("check", "--help").out


def test_a_large_case_is_drawn_on_the_spot():
    sizes = {"b": 30, "p": 20, "dim": 9, "neighbours": 6, "per_anchor": 8}
    entry, again = (large_entry(sizes, (200, 100)) for _ in "ab")
    assert np.array_equal(entry.case.gumbel_data, again.case.gumbel_data)
    assert len(entry.case.triplets_data) <= 200 and len(entry.case.triplets_proxy) <= 100
    report = check(candidate(), [entry])
    assert report.verdict == "conforms"
    assert largest(report).startswith("B 30, P 20, D 9, T ")
    assert check(lambda case: reference(case, RELEASED), [entry], convention=RELEASED).code == 0
    wrong = check(BY_NAME["grad-x-float32"].candidate(BLACK_BOX), [entry], dtypes=("float64",))
    assert wrong.verdict == "poor accuracy"


def test_a_declared_convention_has_budgets_of_its_own():
    entry, masked = SUITE["edge-c-0.1"], replace(EXACT, same_lca_mask=False)
    assert budget(entry, "float64", "grad_z", EXACT) == entry.budgets["float64"]["grad_z"]
    assert budget(entry, "float64", "grad_z", masked) > 1e3 * entry.budgets["float64"]["grad_z"]

    class Unmasked(Plain):
        def mask(self, lca_pair, lca_triple):
            return np.ones(len(lca_pair), bool)

    some = [SUITE[name] for name in ("std-00", "std-01", "std-02", "short", "edge-c-0.1")]
    assert check(candidate(Unmasked), some, convention=masked).verdict == "conforms"
    report = check(candidate(Unmasked), some)
    assert report.verdict == "another convention"
    alone = check(candidate(Unmasked), [entry, SUITE["edge-6"]], convention=masked)
    assert alone.verdict == "conforms"  # both are hard: a quarter of two cases would be none


def test_constants_of_the_arithmetic_excuse_little():
    """Beyond eps^¼ they leave no digits at the boundary, and then nothing is explained."""
    constant = replace(EXACT, mobius_denominator_eps=1e-13)
    assert budget(SUITE["edge-12"], "float64", "grad_d_zl", constant) > 1e-3
    found = scaled(SUITE["edge-12"], "float64", "grad_d_zl", constant, 7.0)
    assert abs(found - 7) < 1e-12
    choice = replace(EXACT, same_lca_mask=False)
    assert (excusable(constant, 80), excusable(choice, 80)) == (2, 20)


@pytest.mark.parametrize(
    "changed",
    [{"tanh_limit": 7.5}, {"tanh_limit": 12.5}, {"mobius_denominator_eps": 1e-12}],
    ids=str,
)
def test_values_between_the_steps_of_the_search_are_named(changed):
    edges = (
        "std-00",
        "std-01",
        "c-4",
        "edge-6",
        "edge-9",
        "edge-12",
        "edge-15",
        "edge-16",
        "edge-cone",
    )
    some = [SUITE[name] for name in edges]
    followed = replace(EXACT, **changed)
    report = check(lambda case: reference(case, followed), some, dtypes=("float64",))
    assert report.verdict == "another convention", report.first
    (name,) = changed
    found = {n: v for n, (_, v) in report.explanations[0].differences.items()}
    assert set(found) == {name} and abs(found[name] / changed[name] - 1) < 0.2


def test_values_that_cannot_be_told_apart_are_listed():
    cases = [SUITE[name] for name in ("std-00", "edge-3")]
    followed = replace(EXACT, ball_margin=4e-3)
    given = check(lambda case: reference(case, followed), cases, dtypes=("float64",)).given
    best = explain(cases, given, EXACT)[0]
    assert best.explains and alternatives(best, cases, given) == []
    flat = [SUITE["std-00"]]
    given = check(lambda case: reference(case, followed), flat, dtypes=("float64",)).given
    best = replace(best, convention=followed)
    assert "ball_margin = 0.002" in alternatives(best, flat, given)
