"""How good the oracle is: what was measured keeps its promises, and the chapters show it."""

import json

import oracle
import oracle_tables
import pytest
from candidates.benign import FORMS
from candidates.fresh import FRESH
from candidates.last import LAST
from candidates.later import LATER
from candidates.latest import LATEST
from candidates.mutants import MUTANTS
from candidates.wider import WIDER
from oracle import BY_NAME, aimed, caught, true_stage, well_named
from peace import RESULTS as PEACE

from hier_ref.oracle.stages import NEEDS

ROWS = oracle_tables.read()


def of(form):
    """The lines of one form."""
    return [row for row in ROWS if row["form"] == form]


def test_every_mutant_was_asked_in_every_form_that_shows_it():
    planned = {(name, form) for name in BY_NAME for form in oracle.FORMS}
    shown = {(name, form) for name, form in planned if true_stage({"mutant": name, "form": form})}
    assert sorted((row["mutant"], row["form"]) for row in ROWS) == sorted(shown)
    later = (*LATER, *WIDER, *LATEST, *FRESH, *LAST)
    assert len(BY_NAME) == len(MUTANTS) + len(later)
    assert len(WIDER) + len(LATEST) >= 100 and min(len(FRESH), len(LAST)) >= 50
    assert all(mutant.stage in NEEDS for mutant in later)


@pytest.mark.parametrize("form", oracle.FORMS)
def test_power_and_aim_are_as_promised(form):
    rows = of(form)
    found = [row for row in rows if caught(row)]
    named = [row for row in rows if BY_NAME[row["mutant"]].named]
    others = [row for row in rows if not BY_NAME[row["mutant"]].named]
    assert len(found) >= 0.98 * len(rows)
    assert sum(map(aimed, found)) >= 0.97 * len(found)
    assert sum(map(well_named, named)) >= 0.95 * len(named)
    assert all(map(well_named, others)), "a mistake without a name was given one"


@pytest.mark.parametrize(("form", "least"), [("stages", 0.99), ("black box", 0.98)])
def test_later_halves_keep_higher_promises(form, least):
    names = {
        mutant.name
        for half in ("wider", "latest", "fresh", "last")
        for mutant in oracle.HALVES[half]
    }
    rows = [row for row in of(form) if row["mutant"] in names]
    found = [row for row in rows if caught(row)]
    others = [row for row in rows if not BY_NAME[row["mutant"]].named]
    assert len(rows) >= 100 and len(found) >= least * len(rows)
    assert sum(map(aimed, found)) >= 0.97 * len(found)
    assert all(map(well_named, others)), "a mistake without a name was given one"


def test_names_that_the_search_does_not_find_are_these():
    """Constants of the arithmetic that hide each other, or what they change."""
    missed = {
        (row["mutant"], row["form"])
        for row in ROWS
        if BY_NAME[row["mutant"]].named and not well_named(row)
    }
    assert missed == {
        ("tanh-15", "black box"),
        ("tanh-9.25", "black box"),
        ("f32-ball-margin-0.01", "black box"),
        ("f32-mobius-eps-1e-03", "black box"),
    }


def test_survivors_are_those_that_say_why():
    survivors = {row["mutant"] for row in ROWS if not caught(row)}
    assert survivors == {mutant.name for mutant in BY_NAME.values() if mutant.hidden}
    assert {row["form"] for row in ROWS if not caught(row)} == {"black box"}


def test_no_right_variant_was_blamed():
    table = json.loads(PEACE.read_text())
    assert set(table) == {*FORMS, "declared"}
    assert sum(counts["variants"] for counts in table.values()) >= 1500
    assert not any(counts["alarms"] for counts in table.values())
    assert all(counts["whole"] and counts["largest"] < 1 for counts in table.values())


def test_the_tables_of_the_chapters_are_those_of_the_results():
    texts = [(oracle_tables.DOCS / name).read_text() for name in oracle_tables.CHAPTERS]
    for text in texts:
        assert oracle_tables.filled(text) == text
    for name in oracle_tables.TABLES:
        assert sum(text.count(f"<!-- oracle: {name} -->\n") for text in texts) == 1, name


@pytest.mark.parametrize(
    ("name", "form"),
    [("mean-eps", "stages"), ("clip-1%", "black box"), ("riemann", "black box")],
)
def test_a_line_of_the_results_comes_out_again(name, form):
    row = next(row for row in of(form) if row["mutant"] == name)
    assert oracle.judged(name, form) == row


def test_a_judge_can_say_no():
    row = {"mutant": "riemann", "form": "stages", "verdict": "unexplained", "first": "grad_x"}
    named = {"riemannian_gradient": True}
    assert caught(row) and aimed(row) and well_named(row | {"named": named})
    assert not caught(row | {"verdict": "conforms"})
    assert not aimed(row | {"first": "grad_z"}) and not aimed(row | {"verdict": "conforms"})
    assert not well_named(row | {"named": None})
    assert not well_named(row | {"named": named | {"clip_eps": 1e-5}})
    assert not well_named({"mutant": "hinge-two", "named": named})
    near, far = ({"mutant": "tanh-8", "named": {"tanh_limit": v}} for v in (8.5, 10.0))
    assert well_named(near) and not well_named(far)
