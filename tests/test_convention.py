"""Convention: what can be chosen, what is refused, and what each choice of the loss does."""

import dataclasses
import inspect
import re
from pathlib import Path

import numpy as np
import pytest
from autograd import grad
from cases import make_inputs
from checks import limit, relative

from hier_ref.balls import EXACT_BALL, ball_of
from hier_ref.convention import (
    ARITHMETIC,
    CONVENTIONS,
    EXACT,
    RELEASED,
    Convention,
    differences,
)
from hier_ref.hier import hier_grad, hier_loss, hier_stages
from hier_ref.levels import Rule, block_hinges, level_stages
from hier_ref.triplets import LEVELS, Draws, mutual_neighbours, sample_triplets

FIELDS = {field.name: field for field in dataclasses.fields(Convention)}
CHAPTER = Path(__file__).resolve().parents[1] / "docs" / "10-conventions.md"


def test_the_defaults_are_exact():
    assert Convention() == EXACT
    assert CONVENTIONS == {"exact": EXACT, "released": RELEASED}


def test_a_convention_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        EXACT.min_reciprocal = 2


def test_differences_name_what_differs_with_both_values():
    assert differences(EXACT, EXACT) == {}
    one = dataclasses.replace(EXACT, clip_eps=0.5, max_tie="first")
    assert differences(EXACT, one) == {"clip_eps": (0.0, 0.5), "max_tie": ("split", "first")}
    assert list(differences(EXACT, RELEASED)) == [
        "clip_eps",
        "min_norm",
        "tanh_limit",
        "ball_margin",
        "mobius_denominator_eps",
        "artanh_margin",
        "neighbours_count_self",
        "min_reciprocal",
        "negative_may_be_anchor",
        "riemannian_gradient",
    ]


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("max_tie", "both", "max_tie 'both': expected one of split, first"),
        ("mean_over", "", "mean_over '': expected one of all, apart"),
        ("curvature_dtype", "float16", "curvature_dtype 'float16': expected one of data, float32"),
        ("clip_eps", -1e-5, "clip_eps -1e-05: expected at least 0"),
        ("min_norm", float("nan"), "min_norm nan: expected at least 0"),
    ],
)
def test_a_value_that_means_nothing_is_refused_by_name(name, value, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        Convention(**{name: value})


def test_the_ball_is_the_exact_one_unless_the_arithmetic_differs():
    choices = {name for name in FIELDS if name not in ARITHMETIC}
    mixed = dataclasses.replace(RELEASED, **{n: getattr(EXACT, n) for n in ARITHMETIC})
    assert ball_of(mixed) is EXACT_BALL
    for name in ARITHMETIC:
        value = "float32" if name == "curvature_dtype" else 0.25
        assert ball_of(dataclasses.replace(EXACT, **{name: value})) is not EXACT_BALL
    assert choices | set(ARITHMETIC) == set(FIELDS)


def test_every_field_is_documented_in_the_code_and_in_the_chapter():
    source = Path(inspect.getfile(Convention)).read_text()
    chapter = CHAPTER.read_text()
    for name in FIELDS:
        assert re.search(rf'^    {name}: .*\n    """', source, re.M), name
        assert re.search(rf"^\| `{name}` \|", chapter, re.M), name


def test_the_table_of_the_chapter_is_what_is_measured(monkeypatch):
    monkeypatch.syspath_prepend(CHAPTER.parent)
    import make_tables

    assert make_tables.split(CHAPTER.read_text(encoding="utf-8"))[1] == make_tables.table()


# What each choice does, apart from the arithmetic (tests/test_released.py).


def level_inputs(rng, n=9, p=8, t=40):
    """Random distances with a zero diagonal, triplets, and noise."""
    d = rng.uniform(0.1, 3.0, (n, p))
    np.fill_diagonal(d, 0)
    triplets = np.array([rng.choice(min(n, p), 3, replace=False) for _ in range(t)])
    return d, triplets, [rng.gumbel(size=(t, p)) for _ in range(2)]


def stages_of(d, triplets, noise, level="data", **fields):
    """One level under EXACT with some fields changed."""
    empty = np.zeros((0, 3), int)
    both = {name: triplets if name == level else empty for name in LEVELS}
    draws = Draws(both["data"], both["proxy"], tuple(noise), tuple(noise))
    return level_stages(d, draws, level, Rule(0.3, 0.2, dataclasses.replace(EXACT, **fields)))


def test_noise_tempered_C6_is_the_softmax_of_noisy_distances(rng):
    """Holds (C6)."""
    d, triplets, noise = level_inputs(rng)
    rule = Rule(0.3, 0.2, dataclasses.replace(EXACT, noise_tempered=True))
    block = block_hinges(d, triplets, *(np.exp(-g) for g in noise), rule)
    far = np.maximum(d[triplets[:, 0]], d[triplets[:, 1]])
    logits = (-far + noise[0]) / 0.3
    w = np.exp(logits - logits.max(1, keepdims=True))
    assert relative(block.w_pair, w / w.sum(1, keepdims=True)) <= limit("autograd")


def test_noise_tempered_C6_at_temperature_one_changes_nothing(rng):
    d, triplets, noise = level_inputs(rng)
    arrival = [np.exp(-g) for g in noise]
    weights = []
    for tempered in (False, True):
        rule = Rule(1.0, 0.2, dataclasses.replace(EXACT, noise_tempered=tempered))
        weights.append(block_hinges(d, triplets, *arrival, rule).w_triple)
    assert relative(*weights) <= limit("autograd")


def test_a_proxy_that_may_not_be_its_own_ancestor_C7_never_is(rng):
    """Holds (C7)."""
    d, triplets, noise = level_inputs(rng, n=8)
    allowed = stages_of(d, triplets, noise, "proxy")
    banned = stages_of(d, triplets, noise, "proxy", proxy_may_be_own_ancestor=False)
    for which, size in (("lca_pair", 2), ("lca_triple", 3)):
        own = triplets[:, :size] == allowed[which][:, None]
        assert np.any(own), "nothing to ban"
        assert not np.any(triplets[:, :size] == banned[which][:, None])
        others = ~own.any(1)
        assert np.array_equal(allowed[which][others], banned[which][others])


def test_own_ancestors_C7_are_banned_among_proxies_only(rng):
    d, triplets, noise = level_inputs(rng, n=8)
    allowed = stages_of(d, triplets, noise)
    banned = stages_of(d, triplets, noise, proxy_may_be_own_ancestor=False)
    assert np.array_equal(allowed["lca_pair"], banned["lca_pair"])


def test_with_three_proxies_K28_the_ban_is_lifted(rng):
    """Holds (K28)."""
    for p in (1, 2, 3, 4):
        d, noise = rng.uniform(0.1, 3, (p, p)), rng.gumbel(size=(2, 6, p))
        triplets = rng.integers(0, p, (6, 3))
        allowed = stages_of(d, triplets, noise, "proxy")
        banned = stages_of(d, triplets, noise, "proxy", proxy_may_be_own_ancestor=False)
        assert np.all(np.isfinite(banned["grad_d"]))
        if p <= 3:
            assert np.array_equal(allowed["lca_triple"], banned["lca_triple"])
        else:
            assert not np.any(triplets == banned["lca_triple"][:, None])


def test_mean_C8_over_those_apart_counts_no_shared_ancestor(rng):
    """Holds (C8)."""
    d, triplets, noise = level_inputs(rng)
    over_all, apart = (stages_of(d, triplets, noise, mean_over=word) for word in ("all", "apart"))
    count = int(np.sum(over_all["lca_pair"] != over_all["lca_triple"]))
    assert 0 < count < len(triplets)
    ratio = len(triplets) / count
    assert abs(apart["loss"] - over_all["loss"] * ratio) <= limit("autograd")
    assert relative(apart["grad_d"], over_all["grad_d"] * ratio) <= limit("autograd")


def test_mean_C8_with_every_ancestor_shared_is_zero():
    d, triplets = np.ones((4, 1)), np.array([[0, 1, 2], [1, 2, 3]])
    stages = stages_of(d, triplets, np.zeros((2, 2, 1)), mean_over="apart")
    assert stages["loss"] == 0
    assert not stages["grad_d"].any()


def test_without_the_mask_a_shared_ancestor_costs_three_margins():
    d, triplets = np.ones((4, 1)), np.array([[0, 1, 2]])
    stages = stages_of(d, triplets, np.zeros((2, 1, 1)), same_lca_mask=False)
    assert abs(stages["hinge"][0] - 3 * 0.2) <= limit("autograd")
    assert not stages["grad_d"].any()  # pair and triple cancel


def test_without_straight_through_only_chosen_distances_have_a_slope(rng):
    d, triplets, noise = level_inputs(rng, t=1)
    stages = stages_of(d, triplets, noise, straight_through=False)
    touched = set(zip(*np.nonzero(stages["grad_d"]), strict=True))
    chosen = {int(stages["lca_pair"][0]), int(stages["lca_triple"][0])}
    assert {column for _, column in touched} <= chosen
    assert np.all(np.isin(np.unique(stages["grad_d"]), [-1, 0, 1]))


def test_neighbours_that_count_self_leave_one_place_less(rng):
    d = np.abs(np.subtract.outer(*[rng.uniform(0, 1, 12)] * 2))
    counting = dataclasses.replace(EXACT, neighbours_count_self=True)
    assert np.array_equal(
        mutual_neighbours(d, 5, None, counting), mutual_neighbours(d, 4, None, EXACT)
    )


def test_anchors_need_as_many_mutual_neighbours_as_asked(rng):
    mutual = np.zeros((6, 6), bool)
    for i, j in ((0, 1), (1, 2), (2, 3), (2, 4)):
        mutual[i, j] = mutual[j, i] = True
    for least, anchors in ((1, [0, 1, 2, 3, 4]), (2, [1, 2]), (3, [2]), (4, [])):
        convention = dataclasses.replace(EXACT, min_reciprocal=least)
        assert np.unique(sample_triplets(rng, mutual, 3, convention)[:, 0]).tolist() == anchors


def test_an_anchor_is_its_own_negative_only_where_allowed(rng):
    mutual = np.zeros((5, 5), bool)
    mutual[0, 1] = mutual[1, 0] = True
    for allowed in (False, True):
        convention = dataclasses.replace(EXACT, negative_may_be_anchor=allowed)
        drawn = sample_triplets(rng, mutual, 100, convention)
        negatives = set(drawn[drawn[:, 0] == 0, 2].tolist())
        assert negatives == ({0, 2, 3, 4} if allowed else {2, 3, 4})


def test_classes_come_first_only_where_asked(rng):
    d = rng.uniform(1, 2, (6, 6))
    d, labels = d + d.T, np.array([0, 1, 0, 1, 2, 2])
    blind = dataclasses.replace(EXACT, same_class_first=False)
    assert np.array_equal(mutual_neighbours(d, 2, labels, blind), mutual_neighbours(d, 2))
    assert mutual_neighbours(d, 1, labels)[0, 2]


def any_convention(rng):
    """Every field drawn on its own: exact, released, or a large value that cuts often."""
    large = {
        "clip_eps": 0.3,
        "min_norm": 0.4,
        "tanh_limit": 0.6,
        "ball_margin": 0.5,
        "mobius_denominator_eps": 0.2,
        "artanh_margin": 0.6,
        "min_reciprocal": 3,
    }
    words = {"curvature_dtype": "float32", "mean_over": "apart", "max_tie": "first"}
    values = {}
    for name, field in FIELDS.items():
        other = large | words
        options = [field.default, getattr(RELEASED, name), other.get(name, not field.default)]
        values[name] = options[rng.integers(3)]
    return Convention(**values)


@pytest.mark.parametrize("seed", range(40))
def test_any_mix_of_fields_has_an_explicit_gradient_equal_to_autograd(seed):
    rng = np.random.default_rng(seed)
    convention = any_convention(rng)
    inputs = make_inputs(seed, size=1.5, convention=convention)
    with np.errstate(all="ignore"):
        loss, *by_hand = hier_grad(*inputs, convention)
        by_autograd = grad(hier_loss, [0, 1])(*inputs, convention)
    assert np.isfinite(loss)
    assert loss == hier_stages(*inputs, convention)["loss"]
    for one, other in zip(by_hand, by_autograd, strict=True):
        assert relative(one, other) <= limit("parity_gradient")
