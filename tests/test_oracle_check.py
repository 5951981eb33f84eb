"""check and fingerprint on right and wrong candidates: caught, located, named; nobody is blamed.

All mutants and a thousand variants are measured by tests/benchmarks/oracle.py and peace.py, and
test_oracle_power.py looks at what they found; here is a fixed part of them.
"""

from dataclasses import replace

import numpy as np
import pytest
from autograd.tracer import getval
from candidates.benign import FORMS, REARRANGED, variant
from candidates.mutants import MUTANTS
from candidates.plain import BLACK_BOX, Plain, candidate

from hier_ref.convention import EXACT, RELEASED
from hier_ref.oracle import check, fingerprint, load_suite, reference
from hier_ref.oracle.report import text, why
from hier_ref.oracle.stages import NEEDS

SUITE = {entry.case.id: entry for entry in load_suite()}
FEW = [SUITE[name] for name in ("std-00", "c-4", "lengths", "edge-6", "edge-9", "four-proxies")]
FEW += [SUITE["margin-2"]]
DOUBLE = ("float64",)
BY_NAME = {mutant.name: mutant for mutant in MUTANTS}
# One of every kind: into the ball, distances, mining, ancestors, hinges, means, gradients.
PART = ("clip-coordinates", "clip-eps-1e-05", "exp0-half", "ball-margin-0.001", "d-one-gap")
PART += ("mobius-eps-2e-05", "d-ll-c", "k-more", "labels-ignored", "far-min", "noise-swapped")
PART += ("own-banned", "hinge-k-sign", "mask-none", "mean-apart", "level-half", "st-none")
PART += ("st-pair", "max-k", "grad-sign", "ll-once", "gap-detached", "riemann", "riemann-power")
PART += ("riemann-proxies", "clip-through")


@pytest.fixture(autouse=True)
def quiet():
    with np.errstate(all="ignore"):
        yield


def box(convention):
    """A black box that follows a convention."""

    def given(case):
        stages = reference(case, convention)
        return {name: stages[name] for name in BLACK_BOX}

    return given


def test_there_are_mutants_enough_and_each_is_one_of_a_kind():
    assert len(MUTANTS) >= 70 and len(BY_NAME) == len(MUTANTS)
    assert sum(mutant.named is not None for mutant in MUTANTS) >= 20
    assert all(mutant.stage in NEEDS for mutant in MUTANTS)
    for mutant in MUTANTS:
        if mutant.named:
            replace(EXACT, **{mutant.named[0]: mutant.named[1]})  # a field, with a valid value


@pytest.mark.parametrize("name", PART)
def test_a_mutant_is_caught_located_and_named_if_it_has_a_name(name):
    mutant = BY_NAME[name]
    report = check(mutant.candidate(), FEW, dtypes=DOUBLE)
    assert report.verdict == ("another convention" if mutant.named else "unexplained")
    assert report.first == mutant.stage
    best = report.explanations[0]
    assert best.explains == bool(mutant.named)
    if mutant.named:
        field, value = mutant.named
        assert {n: new for n, (_, new) in best.differences.items()} == {field: value}


@pytest.mark.parametrize("name", ["noise-swapped", "hinge-two"])
def test_a_gradient_is_not_accused_where_ancestors_or_hinges_are_wrong(name):
    report = check(BY_NAME[name].candidate(), FEW, dtypes=DOUBLE)
    assert any(f.begins_here for f in report.failed("grad_d_zl"))
    marked = [line.split()[0] for line in text(report).splitlines() if "begins here too" in line]
    assert not {"grad_d_zl", "grad_d_ll"} & set(marked)


def test_a_gradient_that_is_wrong_beside_another_stage_is_accused():
    """Half of one level in the loss, and gradients turned round."""
    both = BY_NAME["level-half"].hooks | BY_NAME["grad-sign"].hooks
    report = check(candidate(type("Both", (Plain,), both)), FEW, dtypes=DOUBLE)
    line = next(line for line in text(report).splitlines() if line.startswith("grad_d_zl"))
    assert line.endswith("<- begins here too")


@pytest.mark.parametrize("name", ["exp0-half", "riemann", "st-none", "st-pair"])
def test_a_black_box_shows_it_in_the_first_stage_that_it_gives(name):
    mutant = BY_NAME[name]
    report = check(mutant.candidate(BLACK_BOX), FEW[:3], dtypes=DOUBLE)
    assert report.first == mutant.black_box_stage
    assert report.verdict == ("another convention" if mutant.named else "unexplained")


@pytest.mark.parametrize(
    "convention",
    [
        RELEASED,
        replace(RELEASED, riemannian_gradient=False),
        replace(EXACT, proxy_may_be_own_ancestor=False, mean_over="apart"),
        replace(EXACT, ball_margin=4e-3),
    ],
    ids=["released", "released-no-riemann", "two-choices", "projected"],
)
def test_fingerprint_names_what_a_black_box_follows(convention):
    best = fingerprint(box(convention), FEW)[0]
    assert best.explains
    seen = {name: getattr(best.convention, name) for name in vars(convention)}
    # What no black box shows: the mining, and cuts of tanh.
    hidden = ("neighbours_count_self", "min_reciprocal", "negative_may_be_anchor", "tanh_limit")
    wanted = {name: value for name, value in vars(convention).items() if name not in hidden}
    assert {name: value for name, value in seen.items() if name not in hidden} == wanted


@pytest.mark.parametrize(
    "changed",
    [
        {"straight_through": False, "same_lca_mask": False},
        {"same_class_first": False, "neighbours_count_self": True, "mean_over": "apart"},
        {"mobius_denominator_eps": 1.5e-5, "tanh_limit": 8.0},
    ],
    ids=lambda changed: "-".join(changed),
)
def test_choices_that_hide_each_other_are_named_together(changed):
    some = [*FEW, SUITE["std-01"], SUITE["rank-2"], SUITE["edge-12"]]
    report = check(lambda case: reference(case, replace(EXACT, **changed)), some, dtypes=DOUBLE)
    best = report.explanations[0]
    assert best.explains
    assert {name: now for name, (_, now) in best.differences.items()} == changed


def test_a_floor_of_the_gap_is_no_projection():
    floor = {"gap": lambda self, x: np.maximum(Plain.gap(self, x), 1e-5)}
    some = [SUITE[name] for name in ("std-00", "edge-6", "edge-cone")]
    box = candidate(type("Floor", (Plain,), floor), BLACK_BOX)
    report = check(box, some, dtypes=DOUBLE)
    assert (report.verdict, report.first) == ("unexplained", "loss")


@pytest.mark.parametrize("asked", [check, fingerprint])
def test_another_dtype_is_refused(asked):
    named = {"dtypes": ["float16"]} if asked is check else {"dtype": "float16"}
    with pytest.raises(ValueError, match="^dtype 'float16': expected one of float64, float32$"):
        asked(reference, FEW[:1], **named)


def test_without_a_case_nothing_is_concluded():
    for report in (check(reference, []), check(reference, FEW[:1], dtypes=())):
        assert (report.verdict, report.notes) == ("inconclusive", ["no case was asked"])
    assert fingerprint(reference, []) == []


def test_a_declared_convention_conforms():
    assert check(lambda case: reference(case, RELEASED), FEW, convention=RELEASED).code == 0
    assert check(lambda case: reference(case, RELEASED), FEW).code == 1


def test_float32_inside_a_float64_run_is_no_convention():
    report = check(BY_NAME["z-float32"].candidate(), FEW[:3])
    assert (report.verdict, report.first) == ("poor accuracy", "z")
    assert "computed in float32" in report.reasons[0]
    assert 0.1 < report.scaling < 10


def in_float32(change=lambda stages: stages, stages=BLACK_BOX):
    """Right in float64; in float32 something is done to it."""

    def given(case):
        right = reference(case)
        found = change(dict(right)) if case.x.dtype == np.float32 else right
        return {name: found[name] for name in stages or found}

    return given


def box32(convention, stages=BLACK_BOX):
    def given(case):
        found = reference(case, convention if case.x.dtype == np.float32 else EXACT)
        return {name: found[name] for name in stages or found}

    return given


@pytest.mark.parametrize("stages", [BLACK_BOX, None], ids=["box", "stages"])
@pytest.mark.parametrize("factor", [2, -1, 1.01])
def test_a_factor_in_float32_alone_is_no_rounding(factor, stages):
    wrong = in_float32(lambda s: s | {"grad_x": np.float32(factor) * s["grad_x"]}, stages)
    report = check(wrong, FEW[:3])
    assert (report.verdict, report.first) == ("unexplained", "grad_x")
    assert "no rounding to float32 loses so much" in report.reasons[0]


@pytest.mark.parametrize("stages", [BLACK_BOX, None], ids=["box", "stages"])
@pytest.mark.parametrize(
    "changed", [{"straight_through": False}, {"mean_over": "apart"}, {"riemannian_gradient": True}]
)
def test_a_choice_in_float32_alone_has_its_name(changed, stages):
    report = check(box32(replace(EXACT, **changed), stages), FEW[:3])
    assert report.verdict == "another convention"
    assert {n: v for n, (_, v) in report.explanations[0].differences.items()} == changed
    assert report.reasons == ["in float32 alone"]


def test_products_in_low_precision_are_told_by_their_stage():
    def tf32(a):
        bits = np.ascontiguousarray(a).view(np.uint32)
        return ((bits + np.uint32(1 << 12)) & np.uint32(0xFFFFE000)).view(np.float32)

    class Tensor(Plain):
        def q(self, x, y):
            if self.dtype != np.float32:
                return Plain.q(self, x, y)
            q = Plain.q(self, x, y)
            moved = tf32(np.array(getval(q))) - getval(q)
            return q + moved

    report = check(candidate(Tensor), FEW[:3])
    assert (report.verdict, report.first) == ("poor accuracy", "d_zz")
    assert "TF32" in report.reasons[-1]
    report = check(candidate(Tensor, BLACK_BOX), FEW[:3])
    assert report.verdict == "unexplained" and "cannot be told" in report.reasons[-1]


@pytest.mark.parametrize("stages", [BLACK_BOX, None], ids=["box", "stages"])
def test_a_right_loss_computed_in_float32_is_said_to_be_so(stages):
    def short(case):
        with np.errstate(all="ignore"):
            found = reference(case.astype("float32"))
        return {n: np.asarray(found[n], np.float64) for n in stages or NEEDS if n in found}

    report = check(short)
    assert (report.verdict, report.code) == ("poor accuracy", 3), report.troubles
    assert report.reasons[0].startswith("computed in float32")
    assert "--dtype float32" in report.reasons[1]
    assert check(short, dtypes=("float32",)).verdict == "conforms"


def test_a_parameter_rounded_to_float32_is_named():
    def rounded(case):
        return reference(replace(case, tau=float(np.float32(case.tau))))

    report = check(rounded, FEW[:3], dtypes=DOUBLE)
    assert (report.verdict, report.reasons) == (
        "poor accuracy",
        ["tau rounded to float32 before use: float64 asks for more digits"],
    )


def test_a_slope_within_a_graph_cut_elsewhere_is_a_note():
    """The gap as 1/cosh² of the tangent vector's length: right, and no slope through z."""

    def elsewhere(case):
        stages = dict(reference(case))
        return stages | {"grad_z": stages["grad_z"] / 2, "grad_l": 0 * stages["grad_l"]}

    report = check(elsewhere, FEW[:3])
    assert (report.verdict, report.excused) == ("conforms", ("grad_z", "grad_l"))
    assert report.notes[0].startswith("grad_z grad_l: another part of the whole slope")
    wrong = check(lambda case: elsewhere(case) | {"loss": 2 * reference(case)["loss"]}, FEW[:3])
    assert wrong.verdict == "unexplained"


def test_a_gradient_that_reaches_nothing_is_said():
    def detached(case):
        stages = reference(case)
        return {name: stages[name] * (name != "grad_x") for name in BLACK_BOX}

    report = check(detached, FEW[:3], dtypes=DOUBLE)
    assert report.verdict == "unexplained"
    assert any("no gradient reaches x" in reason for reason in why(report))


def test_rounding_is_told_from_a_formula():
    def noisy(case):
        stages = reference(case)
        eps = np.finfo(case.x.dtype).eps
        jitter = 1 + 1e5 * eps * np.sin(np.arange(stages["grad_x"].size))
        return stages | {"grad_x": stages["grad_x"] * jitter.reshape(stages["grad_x"].shape)}

    report = check(noisy, FEW[:3])
    assert (report.verdict, report.code, report.first) == ("poor accuracy", 3, "grad_x")
    assert report.scaling > 1e6


def test_rounding_in_the_loss_hides_no_wrong_gradient():
    def both(case):
        found = {name: reference(case)[name] for name in BLACK_BOX}
        loss = found["loss"] * (1 + 1e5 * np.finfo(case.x.dtype).eps)
        return found | {"loss": loss, "grad_x": 2 * found["grad_x"]}

    report = check(both, FEW[:3])
    assert (report.verdict, report.first) == ("unexplained", "loss")
    assert report.scaling > 1e6


@pytest.mark.parametrize("stages", [BLACK_BOX, None], ids=["box", "stages"])
def test_a_step_in_float32_within_float64_is_told_by_its_stage(stages):
    def short(case):
        found = dict(reference(case))
        noise = 2.0**-24 * np.sin(np.arange(found["grad_x"].size)).reshape(found["grad_x"].shape)
        if case.x.dtype == np.float64:
            found["grad_x"] = found["grad_x"] * (1 + noise)
        return {name: found[name] for name in stages or found}

    report = check(short, FEW[:3])
    assert report.first == "grad_x"
    assert report.verdict == ("unexplained" if stages else "poor accuracy")
    assert ("cannot be told" if stages else "as a step computed in float32") in report.reasons[-1]


def test_two_conventions_in_two_dtypes_have_two_names():
    def margins(case):
        short = case.x.dtype == np.float32
        return reference(case, replace(EXACT, ball_margin=4e-3 if short else 1e-5))

    report = check(margins, [*FEW, SUITE["edge-3"], SUITE["edge-4"], SUITE["edge-12"]])
    assert (report.verdict, report.first) == ("another convention", "z")
    assert report.explanations[0].differences == {"ball_margin": (0.0, 1e-5)}
    assert report.reasons[-1].endswith("in float32 it is ball_margin = 0.004")


def test_a_constant_is_named_where_one_case_leaves_it_few_digits():
    edges = ("std-00", "edge-6", "edge-9", "edge-12", "edge-c-0.1")
    box = BY_NAME["mobius-eps-1e-08"].candidate(BLACK_BOX)
    report = check(box, [SUITE[name] for name in edges], dtypes=DOUBLE)
    assert report.verdict == "another convention"
    assert report.explanations[0].differences == {"mobius_denominator_eps": (0.0, 1e-8)}


def test_either_of_two_equal_ancestors_is_right():
    twins = [SUITE["twins"]]
    case = twins[0].case
    order = np.array(case.swaps[0])

    def last(case):
        moved = {"proxies": case.proxies[order], "triplets_proxy": order[case.triplets_proxy]}
        levels = ("gumbel_data", "gumbel_proxy")
        noise = {name: tuple(g[:, order] for g in getattr(case, name)) for name in levels}
        stages = reference(replace(case, **moved, **noise))
        return {"loss": stages["loss"], "lca_pair_data": order[stages["lca_pair_data"]]}

    given = last(case)["lca_pair_data"], reference(case)["lca_pair_data"]
    assert not np.array_equal(*given)
    assert not check(last, twins).failed()


def test_the_slope_of_a_tie_may_be_shared_in_any_way_K90():
    """Holds (K90)."""
    tied = [SUITE["repeated"]]
    for share in ("first", "last", "split"):
        report = check(lambda case, s=share: reference(case, replace(EXACT, max_tie=s)), tied)
        assert report.verdict == "conforms"
    shared = (replace(EXACT, max_tie=share) for share in ("first", "last"))
    gradients = [reference(tied[0].case, convention)["grad_x"] for convention in shared]
    assert not np.allclose(*gradients)
    wrong = check(lambda case: reference(case) | {"grad_x": gradients[0] * 1.001}, tied)
    assert wrong.first == "grad_x"


def test_a_way_to_share_a_tie_is_named():
    tied = [SUITE["std-00"], SUITE["repeated"]]
    for share in ("first", "last", "split"):
        assert fingerprint(box(replace(EXACT, max_tie=share)), tied)[0].convention.max_tie == share


@pytest.mark.parametrize("form", FORMS)
def test_no_right_form_is_blamed(form):
    rearranged = list(REARRANGED)[list(FORMS).index(form) % len(REARRANGED)]
    some = [SUITE[name] for name in ("std-02", "c-1", "edge-4", "repeated", "twins", "silent")]
    report = check(variant(form, rearranged, seed=1), some)
    assert report.verdict == "conforms", report.failed()


def test_the_plain_candidate_conforms_everywhere():
    report = check(candidate())
    assert (report.verdict, report.troubles) == ("conforms", [])
    assert max(finding.times for finding in report.findings) < 0.5
