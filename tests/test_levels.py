"""Chapter 4, one level: the choice of ancestors, the hinges, and the gradient to distances."""

import dataclasses

import mpmath
import numpy as np
import pytest
from autograd import elementwise_grad, grad
from cases import make_inputs
from checks import central_difference, check_vjp, exact, limit, norm_eps, relative
from level_reference import loops, relaxation

from hier_ref.convention import EXACT
from hier_ref.hier import to_ball
from hier_ref.levels import (
    Rule,
    block_hinges,
    choice_weights,
    choice_weights_vjp,
    level_loss,
    level_stages,
)
from hier_ref.pairwise import pairwise_distance
from hier_ref.surrogates import pick
from hier_ref.triplets import Draws

NONE = np.zeros((0, 3), int)


# --- (H1) the choice


def test_weights_H1_equal_softmax_of_gumbel_logits_in_mpmath(rng):
    """(H1): the largest weight is the Gumbel choice (T6)."""
    far, gumbel, tau = 5 * rng.random((6, 9)), rng.gumbel(size=(6, 9)), 0.1
    w = choice_weights(far, np.exp(-gumbel), tau)
    for got, d, g in zip(w, exact(far), exact(gumbel), strict=True):
        e = [mpmath.exp(-a / mpmath.mpf(tau) + b) for a, b in zip(d, g, strict=True)]
        # The exponent (d_min - d)/tau reaches 50, and its rounding is multiplied by it.
        assert norm_eps(got, [a / sum(e) for a in e]) <= limit("choice_eps")


def test_weights_H1_do_not_underflow_far_from_every_proxy():
    w = choice_weights(np.array([[5e3, 5e3 + 0.1]], np.float32), np.ones((1, 2), np.float32), 0.1)
    assert (
        w.dtype == np.float32 and relative(w, np.array([[1, np.exp(-1)]]) / (1 + np.exp(-1))) < 0.01
    )


def test_weights_H1_gradient(rng):
    """Holds (H1')."""
    arrival = rng.standard_exponential((5, 7))

    def f(far):
        return choice_weights(far, arrival, 0.3)

    def vjp(g, far):
        return choice_weights_vjp(g, choice_weights(far, arrival, 0.3), 0.3)

    check_vjp(f, vjp, rng.random((5, 7)), rng=rng)


def test_weights_H1_gradient_of_a_constant_cotangent_is_zero(rng):
    w = choice_weights(rng.random((4, 6)), rng.standard_exponential((4, 6)), 0.1)
    assert np.abs(choice_weights_vjp(np.ones((4, 6)), w, 0.1)).max() < 1e-14


# --- (H2) straight-through


def test_pick_H2_reads_the_chosen_column(rng):
    """Holds (H2)."""
    d = rng.random((3, 4))
    assert (pick(d, d, np.array([2, 0, 3])) == d[[0, 1, 2], [2, 0, 3]]).all()


def test_pick_H2_gradient_reaches_every_weight_and_the_chosen_distance(rng):
    """Holds (H2')."""
    w, d, chosen = rng.random((2, 3)), rng.random((2, 3)), np.array([1, 2])
    assert (elementwise_grad(lambda w: pick(w, d, chosen))(w) == d).all()
    assert (elementwise_grad(lambda d: pick(w, d, chosen))(d) == [[0, 1, 0], [0, 0, 1]]).all()


# --- (H3), (H4) one level


def level_case(seed, level="data"):
    x, proxies, draws = make_inputs(seed)
    points = x if level == "data" else proxies
    d = pairwise_distance(*(to_ball(a, 0.1, 2.3) for a in (points, proxies)), 0.1)
    return d, draws


def test_hinges_H3_by_hand():
    # The pair's ancestor is proxy 0, the triple's proxy 1: noise leaves no doubt.
    """Holds (H3)."""
    d = np.array([[1.0, 2.0], [1.5, 1.8], [4.0, 3.95]])
    sure = np.array([[1e-9, 1.0]]), np.array([[1.0, 1e-9]])
    block = block_hinges(d, np.array([[0, 1, 2]]), *sure, Rule(1.0, 0.5))
    # i: 1 - 2 + .5 < 0; j: 1.5 - 1.8 + .5 = .2; k: 3.95 - 4 + .5 = .45
    assert (block.lca_pair, block.lca_triple) == (0, 1)
    assert block.hinge == pytest.approx([0.65], rel=1e-15)
    assert block.active.tolist() == [[False, True, True]]


@pytest.mark.parametrize("level", ["data", "proxy"])
@pytest.mark.parametrize("seed", range(5))
def test_level_H4_equals_the_loops(level, seed):
    d, draws = level_case(seed, level)
    triplets, gumbel = draws.level(level)
    assert level_loss(d, draws, level) == pytest.approx(loops(d, triplets, gumbel), rel=1e-14)


def off_the_relaxation(grad_d, d, draws, level, rng):
    """Largest difference from the derivative of the relaxation in three directions, relative."""
    triplets, gumbel = draws.level(level)
    worst = 0.0
    for _ in range(3):
        direction = rng.standard_normal(d.shape)
        direction /= np.linalg.norm(direction)
        want = central_difference(
            lambda moved: relaxation(moved, d, triplets, gumbel), d, direction, 1e-4
        )
        worst = max(worst, abs(np.sum(grad_d * direction) - want) / np.linalg.norm(grad_d))
    return worst


@pytest.mark.parametrize("level", ["data", "proxy"])
@pytest.mark.parametrize("seed", range(5))
def test_level_H4_gradient_is_that_of_the_relaxation(level, seed, rng):
    """Holds (H4')."""
    d, draws = level_case(seed, level)
    grad_d = level_stages(d, draws, level)["grad_d"]
    assert off_the_relaxation(grad_d, d, draws, level, rng) <= limit("difference")


def chosen_alone(d, draws):
    """The gradient without its straight-through part."""
    hard = dataclasses.replace(EXACT, straight_through=False)
    return level_stages(d, draws, "data", Rule(convention=hard))["grad_d"]


@pytest.mark.parametrize(
    "wrong",
    [
        lambda right, d, draws: 1.0005 * right,
        lambda right, d, draws: -right,
        lambda right, d, draws: right[:, ::-1],
        lambda right, d, draws: chosen_alone(d, draws),
        lambda right, d, draws: right - chosen_alone(d, draws),
        lambda right, d, draws: level_stages(d, draws, "data", Rule(tau=0.11))["grad_d"],
        lambda right, d, draws: level_stages(d, draws, "data", Rule(margin=0.5))["grad_d"],
    ],
)
def test_level_H4_gradient_that_is_wrong_is_caught_by_the_relaxation(wrong, rng):
    d, draws = level_case(0)
    right = level_stages(d, draws, "data")["grad_d"]
    assert off_the_relaxation(wrong(right, d, draws), d, draws, "data", rng) > limit("difference")


@pytest.mark.parametrize("level", ["data", "proxy"])
def test_level_H3_gradient_equals_autograd(level):
    """Holds (H3')."""
    d, draws = level_case(7, level)
    want = grad(level_loss)(d, draws, level)
    assert relative(level_stages(d, draws, level)["grad_d"], want) <= limit("autograd")


def test_level_H3_gradient_with_choices_fixed_is_the_difference_of_the_hard_loss(rng):
    # Noise that leaves no doubt fixes the choice: w is one-hot, the straight-through part 0.
    d, draws = level_case(3)
    winners = rng.integers(0, 12, (2, len(draws.triplets_data)))
    fixed = dataclasses.replace(draws, gumbel_data=tuple(1e3 * np.eye(12)[winners]))
    grad_d = level_stages(d, fixed, "data")["grad_d"]
    direction = rng.standard_normal(d.shape)
    direction /= np.linalg.norm(direction)
    want = central_difference(lambda m: level_loss(m, fixed, "data"), d, direction, 1e-5)
    assert abs(np.sum(grad_d * direction) - want) <= limit("difference") * np.linalg.norm(grad_d)


def test_level_H4_ignores_a_shift_of_all_distances():
    d, draws = level_case(2)
    shifted = level_loss(d + 3.0, draws, "data")
    assert shifted == pytest.approx(level_loss(d, draws, "data"), rel=1e-12)
    grad_d = level_stages(d, draws, "data")["grad_d"]
    assert abs(grad_d.sum()) <= 1e-13 * np.abs(grad_d).sum()


def test_hinge_K24_at_exactly_zero_has_no_slope():
    """Holds (K24)."""
    d = np.array([[1.0, 1.5], [1.0, 1.5], [1.0, 3.0]])
    sure = np.array([[1e-9, 1.0]]), np.array([[1.0, 1e-9]])
    block = block_hinges(d, np.array([[0, 1, 2]]), *sure, Rule(1.0, 0.5))
    assert block.active.tolist() == [[False, False, True]] and block.hinge == [2.5]


def test_mask_K25_one_ancestor_for_both_counts_nothing():
    """Holds (K25)."""
    d = np.array([[1.0, 9.0], [1.0, 9.0], [1.0, 9.0]])
    draws = Draws(np.array([[0, 1, 2]]), NONE, (np.zeros((1, 2)),) * 2)
    stages = level_stages(d, draws, "data")
    assert stages["loss"] == 0 and not stages["grad_d"].any()


def test_far_K26_ties_share_the_slope_of_the_maximum():
    """(K26), at the `far` of a set (T5)."""
    # Rows 0 and 1 are equal, so every maximum ties; their gradients must be equal too.
    d = np.array([[1.0, 1.2], [1.0, 1.2], [1.1, 0.9]])
    draws = Draws(np.array([[0, 1, 2]]), NONE, (np.array([[2.0, 0.0]]), np.array([[0.0, 2.0]])))
    grad_d = level_stages(d, draws, "data", Rule(1.0, 0.5))["grad_d"]
    assert (grad_d[0] == grad_d[1]).all() and grad_d.all()
    # What the two share is what a single farthest member would have had whole.
    apart = d + [[1e-9], [0], [0]]
    whole = level_stages(apart, draws, "data", Rule(1.0, 0.5))["grad_d"]
    np.testing.assert_allclose(grad_d[:2].sum(0), whole[:2].sum(0), rtol=1e-7)
    want = grad(level_loss)(d, draws, "data", Rule(1.0, 0.5))
    assert relative(grad_d, want) <= limit("autograd")


def test_pick_K23_equal_weights_choose_the_first_proxy():
    """Holds (K23)."""
    d = np.ones((3, 4))
    block = block_hinges(d, np.array([[0, 1, 2]]), np.ones((1, 4)), np.ones((1, 4)), Rule())
    assert block.lca_pair == [0] and block.lca_triple == [0]


@pytest.mark.parametrize("level", ["data", "proxy"])
def test_level_K27_without_triplets_is_zero_with_zero_gradient(level):
    stages = level_stages(np.ones((3, 2)), Draws(NONE, NONE), level)
    assert stages["loss"] == 0 and not stages["grad_d"].any() and stages["hinge"].shape == (0,)


@pytest.mark.parametrize("level", ["data", "proxy"])
def test_without_its_gradient_a_level_has_the_same_stages(level):
    d, draws = level_case(0, level)
    whole, forwards = level_stages(d, draws, level), level_stages(d, draws, level, gradient=False)
    assert np.any(whole.pop("grad_d")) and not np.any(forwards.pop("grad_d"))
    assert whole.keys() == forwards.keys()
    assert all(np.array_equal(whole[name], forwards[name]) for name in whole)
